"""Makes the algorithms that a parameter file names.

In: how to find a class by name, its name and parameters, and where they stand. Out: the algorithm, or an error with the parameter file
and path, or where the class itself is at fault, its file. Must not do: know which algorithms there are.
"""

import inspect
import re
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import TypeVar

from testbed.simulator.plugins import PluginError
from testbed.simulator.specification.arguments import OTHER_SPELLINGS, check_arguments
from testbed.simulator.specification.parameters import Algorithm
from testbed.simulator.specification.problems import SpecificationError

T = TypeVar("T")


def make(
    find: Callable[[str, Iterable[Path]], type[T]], named: Algorithm, path: str, folders: Iterable[Path], file: str = ""
) -> T:
    """A new one.

    Args:
        path: where it stands in the file, such as "scaling".
        folders: of the user's algorithms.

    Raises:
        ValueError: an unknown name, parameters that do not fit its constructor or that it refuses, or a class that cannot be made.
        NotADirectoryError: one of the folders is none.
    """
    where = f"{file}: {path}" if file else path
    try:
        cls = find(named.heuristic, folders)
    except PluginError as problem:
        raise PluginError(f"{where}.heuristic: {problem}") from problem
    try:
        arguments = check_arguments(cls, named.parameters, f"{path}.parameters", file)
    except SpecificationError:
        raise
    except Exception as problem:  # annotations are the user's, too
        raise _broken(cls, problem) from problem
    try:
        return cls(**arguments)
    except ValueError as problem:
        raise ValueError(f"{where}.parameters{_refused(cls, named, arguments, str(problem))}") from problem
    except Exception as problem:  # whatever the user's class raises
        raise _broken(cls, problem) from problem


def _broken(cls: type, problem: Exception) -> PluginError:
    return PluginError(f"{inspect.getfile(cls)}: {cls.__name__}: {type(problem).__name__}: {problem}")


def _refused(cls: type, named: Algorithm, arguments: Container[str], text: str) -> str:
    """What a constructor says, below the path of the argument that it begins with, in the file's spelling."""
    name = re.split(r"\W", text, maxsplit=1)[0]
    if name not in inspect.signature(cls).parameters:
        return f": {cls.__name__}: {text}"
    spelt = OTHER_SPELLINGS[name] if name in arguments and name not in named.parameters else name
    return f".{spelt}{text.removeprefix(name)}"
