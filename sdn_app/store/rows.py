"""Dataclasses of desired state as JSON text and back, led by their own type annotations. Pure.

In and out: frozen dataclasses of strings, numbers, enumerations, addresses, tuples, frozensets and each other, or None.
"""

import json
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from ipaddress import IPv4Address, IPv4Network
from types import UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


def encode(value: object) -> str:
    """Write a dataclass as one line of JSON; equal values give equal text."""
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"))


def decode(kind: type[T], text: str) -> T:
    """Read what `encode` wrote.

    Raises:
        ValueError, TypeError, KeyError: it is not such a value.
    """
    value: T = _typed(kind, json.loads(text))
    return value


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, frozenset):
        return [_plain(each) for each in sorted(value)]
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, IPv4Address | IPv4Network):
        return str(value)
    return value


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _typed(kind: Any, value: Any) -> Any:
    if get_origin(kind) is UnionType:
        return None if value is None else _typed(get_args(kind)[0], value)
    if get_origin(kind) in (tuple, frozenset):
        return get_origin(kind)(_typed(get_args(kind)[0], each) for each in value)
    if is_dataclass(kind) and isinstance(kind, type):
        hints = _hints(kind)
        if unknown := value.keys() - hints.keys():
            raise ValueError(f"unknown members {sorted(unknown)}")
        return kind(**{name: _typed(hints[name], each) for name, each in value.items()})
    if issubclass(kind, Enum | IPv4Address | IPv4Network):
        return kind(value)
    if kind is float and type(value) is int:
        return value
    if type(value) is not kind:
        raise TypeError(f"{value!r}: expected {kind.__name__}")
    return value
