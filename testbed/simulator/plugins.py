"""Finds an algorithm's class by the name that a parameter file gives: ours first, then NAME.py with class NAME in the user's folders.

In: a name, what kind of algorithm, and folders. Out: the class. Must not do: create it, or change Python's search path.
"""

import importlib.util
import inspect
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Generic, TypeVar

T = TypeVar("T")


class PluginError(ValueError):
    """An algorithm cannot be had. The text names what was looked for, where, and what there is."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A kind of algorithm. `name`: as in errors. `base`: what a class must be of. `folder`: where ours are, one file one class,
    the file named as the class. `aliases`: other spellings of our names."""

    name: str
    base: type[T]
    folder: Path
    aliases: Mapping[str, str]

    def built_in(self) -> list[str]:
        """Names of ours: files in CamelCase; the folder has others, too."""
        return [name for name in files_in(self.folder) if name[0].isupper()]

    def find(self, name: str, folders: Iterable[Path] = ()) -> type[T]:
        """The class that a name means.

        Raises:
            PluginError: there is none, or more than one, or it is no algorithm of this kind.
            NotADirectoryError: one of the folders is none.
        """
        name, folders = self.aliases.get(name, name), list(folders)
        for folder in folders:
            if not folder.is_dir():
                raise NotADirectoryError(f"{folder}: expected a folder of algorithms")
        paths = [folder / f"{name}.py" for folder in folders if name in files_in(folder)]
        if name in self.built_in():
            paths.insert(0, self.folder / f"{name}.py")
        found = list(dict.fromkeys(path.resolve() for path in paths))
        if not found:
            raise PluginError(self._not_found(name, folders))
        if len(found) > 1:
            raise PluginError(f"{self.name} {name!r} is in {' and in '.join(map(str, found))}: give yours another name")
        return self._class_of(found[0])

    def _not_found(self, name: str, folders: list[Path]) -> str:
        there = sorted({*self.built_in(), *self.aliases, *(each for folder in folders for each in files_in(folder))})
        looked = ", ".join(str(folder / f"{name}.py") for folder in folders) or "a folder of yours (none was given)"
        return f"{self.name} {name!r}: neither one of ours nor in {looked}; there are: {', '.join(there)}"

    def _class_of(self, path: Path) -> type[T]:
        found = getattr(_module_of(path, self), path.stem, None)
        if not inspect.isclass(found):
            raise PluginError(f"{path}: expected class {path.stem} in it")
        if not issubclass(found, self.base):
            raise PluginError(
                f"{path}: {path.stem} is no {self.base.__name__}: expected class {path.stem}({self.base.__name__})"
            )
        if inspect.isabstract(found):
            missing = ", ".join(sorted(getattr(found, "__abstractmethods__", ())))
            raise PluginError(f"{path}: {path.stem} does not define {missing}")
        return found


def files_in(folder: Path) -> list[str]:
    """Names that a folder's files may have as algorithms."""
    return sorted(
        path.stem for path in folder.glob("*.py") if path.stem.isidentifier() and not path.stem.startswith("_")
    )


def _module_of(path: Path, kind: Kind[T]) -> ModuleType:
    """The module of a file, loaded once: classes found again are the same. Ours are imported as anybody would."""
    if path.parent == kind.folder.resolve():
        package = kind.base.__module__.rpartition(".")[0]
        return importlib.import_module(f"{package}.{path.stem}")
    name = f"{kind.base.__name__}:{path}"
    if name in sys.modules:
        return sys.modules[name]
    specification = importlib.util.spec_from_file_location(name, path)
    assert specification is not None and specification.loader is not None  # a file that ends in .py has both
    module = sys.modules[name] = importlib.util.module_from_spec(specification)
    try:
        specification.loader.exec_module(module)
    except Exception as problem:  # whatever the user's file raises
        del sys.modules[name]
        raise PluginError(f"{path}: {type(problem).__name__}: {problem}") from problem
    return module
