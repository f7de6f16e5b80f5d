"""Finds a placement algorithm by the name that a simulation's file gives.

In: a name, and folders of the user's own algorithms. Out: a class. Must not do: construct it.

A file and its class have the same name: `MyPlacement.py` holds `class MyPlacement(Placement)`. Built-in algorithms go first.
"""

import importlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

from testbed.simulator.placement.base import Placement

BUILT_IN = (
    "DijkstraPlacement",
    "GreedyPlacement",
    "LPPPlacement",
    "NaivePlacement",
    "RandomPlacement",
    "SmartPlacement",
)


class UnknownPlacementError(ValueError):
    """No such algorithm, or its file does not hold it. The text names what was looked for, where, and the names there are."""


def find(name: str, folders: Sequence[Path] = ()) -> type[Placement]:
    """The class of an algorithm.

    Raises:
        UnknownPlacementError: there is none of this name, or its file does not define it.
    """
    if name in BUILT_IN:
        module = importlib.import_module(f"testbed.simulator.placement.{name}")
        return _class_of(module, name, name)
    for folder in folders:
        path = folder / f"{name}.py"
        if name.isidentifier() and path.is_file():
            return _class_of(_load(path, name), name, str(path))
    where = ", ".join(["the built-in ones", *map(str, folders)])
    raise UnknownPlacementError(f"placement {name!r} not found in {where}: there are {', '.join(names(folders))}")


def names(folders: Sequence[Path] = ()) -> list[str]:
    """What may be asked for: the built-in algorithms, and files in the folders that define a class of their name."""
    own = {
        path.stem
        for folder in folders
        if folder.is_dir()
        for path in folder.glob("*.py")
        if f"class {path.stem}(" in path.read_text(errors="replace")
    }
    return sorted({*BUILT_IN, *own})


def _load(path: Path, name: str) -> object:
    spec = importlib.util.spec_from_file_location(f"user_placement_{name}", path)
    if spec is None or spec.loader is None:
        raise UnknownPlacementError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _class_of(module: object, name: str, where: str) -> type[Placement]:
    found = getattr(module, name, None)
    if not (isinstance(found, type) and issubclass(found, Placement)):
        raise UnknownPlacementError(f"{where}: expected a class {name} that is a Placement, found {found!r}")
    return found
