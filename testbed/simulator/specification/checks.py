"""Reads the members of a JSON object one by one, each as a kind of value, and says of every one that is not what it should be.

In: an object as `json` gives it, and kinds. Out: typed values; what is wrong goes into Problems, and a value that is wrong reads as
None, which nobody sees as `Problems.close` raises. Must not do: know which keys there are.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from testbed.simulator.specification.problems import MISSING, Problems

T = TypeVar("T")
REQUIRED: Any = object()


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """A kind of value: what it is called, and a reader that raises ValueError for what is not of it."""

    expected: str
    read: Callable[[object], T]


def number(at_least: float = -math.inf, more_than: float = -math.inf, at_most: float = math.inf) -> Kind[float]:
    """A finite number within bounds; truth values are none."""

    def read(value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError
        result = float(value)
        if not (math.isfinite(result) and result >= at_least and result > more_than and result <= at_most):
            raise ValueError
        return result

    return Kind("a number" + _bounds(at_least, more_than, at_most), read)


def whole(at_least: float = -math.inf) -> Kind[int]:
    """A whole number, 5 or 5.0."""

    def read(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | float) or value != int(value) or value < at_least:
            raise ValueError
        return int(value)

    return Kind("a whole number" + _bounds(at_least, -math.inf, math.inf), read)


def one_of(*names: str) -> Kind[str]:
    """One of these texts."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in names:
            raise ValueError
        return value

    return Kind("one of " + ", ".join(f'"{name}"' for name in names), read)


def _read_flag(value: object) -> bool:
    if isinstance(value, bool | int) and value in (0, 1):
        return bool(value)
    raise ValueError


def _read_text(value: object) -> str:
    if isinstance(value, str) and value:
        return value
    raise ValueError


def _read_object(value: object) -> Mapping[str, Any]:
    if isinstance(value, dict):
        return value
    raise ValueError


def _bounds(at_least: float, more_than: float, at_most: float) -> str:
    if math.isfinite(at_least) and math.isfinite(at_most):
        return f" from {at_least:g} to {at_most:g}"
    parts = [(at_least, "of at least"), (more_than, "greater than"), (at_most, "of at most")]
    return "".join(f" {words} {bound:g}" for bound, words in parts if math.isfinite(bound))


FLAG = Kind("0 or 1", _read_flag)
TEXT = Kind("a text", _read_text)
OBJECT = Kind("an object", _read_object)
ANY_NUMBER = number()
NOT_NEGATIVE = number(at_least=0)
POSITIVE = number(more_than=0)
FRACTION = number(at_least=0, at_most=1)
SHARE = Kind("a number greater than 0, at most 1", number(more_than=0, at_most=1).read)
COUNT = whole(at_least=0)
AT_LEAST_ONE = whole(at_least=1)
LATITUDE = number(at_least=-90, at_most=90)
LONGITUDE = number(at_least=-180, at_most=180)
QUEUE = Kind("a whole number of at least 0, or -1 for no limit", whole(at_least=-1).read)


class Section:
    """An object of which every key must be asked for; what was not is unknown. Of one that is not there, that alone is said."""

    def __init__(self, value: object, path: str, problems: Problems) -> None:
        self.path = path
        self.usable = isinstance(value, dict)
        self.problems = problems if self.usable else Problems(problems.file)  # of its members nothing more is said
        self._members: Mapping[str, Any] = value if isinstance(value, dict) else {}
        self._known: list[str] = []
        if not self.usable:
            problems.add(path, value, "an object")

    def at(self, name: str) -> str:
        """The path of a member."""
        return f"{self.path}.{name}" if self.path else name

    def has(self, name: str) -> bool:
        """Whether a member is there."""
        return name in self._members

    def declare(self, *names: str) -> None:
        """Keys that are known, whether or not they are asked for."""
        self._known.extend(each for each in names if each not in self._known)

    def get(self, name: str, kind: Kind[T], default: T = REQUIRED, also: tuple[str, ...] = ()) -> T:
        """A member; `also`: other spellings of its key."""
        key, value = self._find(name, also)
        if value is MISSING:
            return self._default(name, kind.expected, default)
        return self._read(value, kind, self.at(key))

    def choices(
        self, name: str, kind: Kind[T], default: tuple[T, ...] = REQUIRED, also: tuple[str, ...] = ()
    ) -> tuple[T, ...]:
        """A list of values one of which is drawn; a value alone is a list of one."""
        key, value = self._find(name, also)
        expected = f"a list, each {kind.expected}"
        if value is MISSING:
            return self._default(name, expected, default)
        if not isinstance(value, list):
            return (self._read(value, kind, self.at(key)),)
        if not value:
            self.problems.add(self.at(key), value, f"{expected}, with at least one value")
        return tuple(self._read(each, kind, f"{self.at(key)}[{i}]") for i, each in enumerate(value))

    def section(self, name: str) -> "Section":
        """A member that is an object."""
        _, value = self._find(name, ())
        return Section(value, self.at(name), self.problems)

    def sections(self, name: str) -> list["Section"]:
        """A member that is a list of objects; it may be left out."""
        _, value = self._find(name, ())
        if value is MISSING:
            return []
        if not isinstance(value, list):
            self.problems.add(self.at(name), value, "a list of objects")
            return []
        inner = [Section(each, f"{self.at(name)}[{i}]", self.problems) for i, each in enumerate(value)]
        return [each for each in inner if each.usable]

    def blank(self, name: str) -> bool:
        """Whether a member is left blank: not there, null, or without content."""
        _, value = self._find(name, ())
        return value is MISSING or value in (None, "", [])

    def close(self) -> None:
        """Every key that nobody asked for is a problem."""
        for name, value in self._members.items():
            if name not in self._known:
                self.problems.add(self.at(name), value, f"one of the keys {', '.join(self._known)}")

    def _find(self, name: str, also: tuple[str, ...]) -> tuple[str, Any]:
        names = (name, *also)
        self.declare(*names)
        given = [each for each in names if each in self._members]
        for each in given[1:]:
            self.problems.add(self.at(each), self._members[each], f"only one of {' and '.join(given)}")
        return (given[0], self._members[given[0]]) if given else (name, MISSING)

    def _default(self, name: str, expected: str, default: T) -> T:
        if default is REQUIRED:
            self.problems.add(self.at(name), MISSING, expected)
            return cast(T, None)
        return default

    def _read(self, value: object, kind: Kind[T], path: str) -> T:
        try:
            return kind.read(value)
        except (ValueError, OverflowError):
            self.problems.add(path, value, kind.expected)
            return cast(T, None)
