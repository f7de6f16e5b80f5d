"""The modules that run as machine code, which mypyc makes of their Python source at installation; and whether they do.

In: what the folder holds. Out: machine code where it is of the source that is there, else the source, with the reason. Without a C
compiler, or where NSS_PURE_PYTHON is set, the same results take longer. Must not do: import what it chooses.
"""

import hashlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ModuleSpec
from pathlib import Path
from types import ModuleType

FOLDER = Path(__file__).parent
MODULES = ("model.instances", "engine.streams", "engine.parts", "engine.core")
VARIABLE = "NSS_PURE_PYTHON"


def source(module: str) -> Path:
    """The Python source of one of MODULES."""
    return FOLDER.joinpath(*module.split(".")).with_suffix(".py")


def group() -> str:
    """The name of what holds the machine code of all modules; another one for every other source."""
    text = b"".join(source(module).read_bytes() for module in MODULES)
    return f"testbed.simulator.engine_{hashlib.sha256(text).hexdigest()[:16]}"


def why_not() -> str | None:
    """Why the Python source runs; None where machine code does."""
    if os.environ.get(VARIABLE):
        return f"{VARIABLE} is set"
    name = f"{group()}__mypyc".encode()
    for module in MODULES:
        made = [source(module).with_suffix(suffix) for suffix in EXTENSION_SUFFIXES]
        found = next((path for path in made if path.exists()), None)
        if found is None:
            return "it was not compiled when it was installed"
        if name not in found.read_bytes():  # each module's file names the one that holds its code
            return "it has changed since it was compiled"
    return None


class Sources:
    """Finds the Python source of MODULES, where Python itself would prefer the machine code beside it."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        """As `importlib.abc.MetaPathFinder` describes."""
        module = name.removeprefix(f"{__package__}.")
        if module == name or module not in MODULES:
            return None
        return importlib.util.spec_from_file_location(name, source(module))


REASON = why_not()
if REASON is not None:
    sys.meta_path.insert(0, Sources)


def described() -> str:
    """What runs, for people."""
    if REASON is None:
        return "machine code"
    return f"Python source, slower, since {REASON}"
