"""Reads JSON values as annotated Python types: dataclasses of entities, and the arguments of algorithms.

In: a type (float, int, bool, str, None, enums, Literal, unions, lists, tuples, sets, mappings, frozen dataclasses) and a value. Out: a
value of the type; what is wrong goes into Problems, and then the result is of no use. Must not do: know particular types.
"""

import collections.abc
import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from testbed.simulator.specification.checks import ANY_NUMBER, FLAG, Kind, whole
from testbed.simulator.specification.problems import MISSING, Problems

SEQUENCES = (list, tuple, set, frozenset, collections.abc.Sequence, collections.abc.Iterable)
MAPPINGS = (dict, collections.abc.Mapping)


def _any_text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _nothing(value: object) -> None:
    if value is not None:
        raise ValueError


def _numeral(value: object) -> float:
    """A number, or a text that is one, as in the document's "acceptable_sla_violation_rate"."""
    return ANY_NUMBER.read(float(value) if isinstance(value, str) else value)


SCALARS: Mapping[Any, Kind[Any]] = {
    float: ANY_NUMBER,
    int: whole(),
    bool: FLAG,
    str: Kind("a text", _any_text),
    type(None): Kind("null", _nothing),
    Any: Kind("a value", lambda value: value),
    object: Kind("a value", lambda value: value),
}


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads values of one file. `numerals`: a text may stand for a number."""

    problems: Problems
    numerals: bool = False

    def read(self, hint: Any, value: object, path: str) -> Any:
        """The value as what `hint` says."""
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if hint in SCALARS:
            kind = Kind("a number", _numeral) if hint is float and self.numerals else SCALARS[hint]
            return self._scalar(kind, value, path)
        if origin is typing.Literal:
            return self._choice({each: each for each in arguments}, value, path)
        if origin in (typing.Union, types.UnionType):
            return self._union(arguments, value, path)
        if origin in SEQUENCES:
            return self._sequence(origin, arguments, value, path)
        if origin in MAPPINGS:
            return self._mapping(arguments[1], value, path)
        if dataclasses.is_dataclass(hint) and isinstance(hint, type):
            return self._dataclass(hint, value, path)
        if isinstance(hint, type) and issubclass(hint, enum.Enum):
            return self._choice({each.value: each for each in hint}, value, path)
        if hint in (list, dict):
            return self._container(hint, value, path)
        raise TypeError(f"{path}: a type that files have no form for: {hint}")

    def _scalar(self, kind: Kind[Any], value: object, path: str) -> Any:
        try:
            return kind.read(value)
        except (ValueError, OverflowError):
            self.problems.add(path, value, kind.expected)
            return None

    def _choice(self, choices: Mapping[Any, Any], value: object, path: str) -> Any:
        for name, choice in choices.items():
            if type(value) is type(name) and value == name:
                return choice
        self.problems.add(path, value, "one of " + ", ".join(f'"{name}"' for name in choices))
        return None

    def _union(self, hints: tuple[Any, ...], value: object, path: str) -> Any:
        """The first type that takes it; else what is wrong as seen by the type that takes its shape, or by all."""
        tries: list[Problems] = []
        for hint in hints:
            tries.append(Problems(self.problems.file))
            result = Reader(tries[-1], self.numerals).read(hint, value, path)
            if not tries[-1].found:
                return result
        inside = [each for each in tries if all(found.path != path for found in each.found)]
        if inside:
            self.problems.found += inside[0].found
        else:
            self.problems.add(path, value, " or ".join(each.found[0].expected for each in tries))
        return None

    def _sequence(self, origin: Any, hints: tuple[Any, ...], value: object, path: str) -> Any:
        fixed = hints if origin is tuple and hints[-1] is not ... else None
        if not isinstance(value, list) or (fixed is not None and len(value) != len(fixed)):
            self.problems.add(path, value, "a list" if fixed is None else f"a list of {len(fixed)} values")
            return None
        read = [self.read(fixed[i] if fixed else hints[0], each, f"{path}[{i}]") for i, each in enumerate(value)]
        make: Callable[[list[Any]], Any] = origin if origin in (tuple, set, frozenset) else list
        return None if self.problems.found else make(read)

    def _mapping(self, hint: Any, value: object, path: str) -> Any:
        if not isinstance(value, dict):
            self.problems.add(path, value, "an object")
            return None
        return {key: self.read(hint, each, _at(path, key)) for key, each in value.items()}

    def _container(self, hint: type, value: object, path: str) -> Any:
        if not isinstance(value, hint):
            self.problems.add(path, value, "a list" if hint is list else "an object")
        return value

    def _dataclass(self, hint: type, value: object, path: str) -> Any:
        if not isinstance(value, dict):
            self.problems.add(path, value, "an object")
            return None
        known, before = _members(hint), len(self.problems.found)
        for name in value:
            if name not in known:
                self.problems.add(_at(path, name), value[name], f"one of the keys {', '.join(known)}")
        read: dict[str, Any] = {}
        for name, (inner, required) in known.items():
            if name in value:
                read[name] = self.read(inner, value[name], _at(path, name))
            elif required:
                self.problems.add(_at(path, name), MISSING, "a value")
        return hint(**read) if len(self.problems.found) == before else None


@functools.cache
def _members(cls: type) -> Mapping[str, tuple[Any, bool]]:
    """Types of a dataclass's fields, and whether they must be given."""
    hints = typing.get_type_hints(cls)
    return {
        each.name: (hints[each.name], each.default is each.default_factory is dataclasses.MISSING)
        for each in dataclasses.fields(cls)
    }


def _at(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
