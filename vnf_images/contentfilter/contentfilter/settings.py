"""The configuration file. In: TOML text. Out: a typed configuration, or what is wrong with it and in which line. No I/O."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import tomllib

from contentfilter.inspector import Policy

OWN = "own"  # the list that the entries of the configuration itself make
_LIST_NAME = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_ACTIONS = {"allow": True, "block": False}
_HEADER = re.compile(r"\s*\[\[?\s*([A-Za-z0-9_-]+)\s*\]\]?")
_MEMBERS = ("allow", "block", "max_entries", "policy", "lists")
_LIST_MEMBERS = ("name", "file", "action", "strict")


class Misconfigured(ValueError):
    """The configuration cannot be used; the message has the file, the line where one can be told, and the reason."""


@dataclass(frozen=True, slots=True)
class ListSource:
    """A list's file, relative to the configuration's folder. `strict` refuses lines that are no entry; else they are counted."""

    name: str
    file: str
    allows: bool
    strict: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """A whole configuration; `allow` and `block` are entries in the forms that list files have."""

    policy: Policy
    allow: tuple[str, ...]
    block: tuple[str, ...]
    lists: tuple[ListSource, ...]
    max_entries: int


def parse(path: str, text: str) -> Settings:
    """The settings that `text`, the content of the file `path`, holds. Raises Misconfigured."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Misconfigured(f"{path}: {error}") from None
    try:
        return _settings(table)
    except _Wrong as wrong:
        raise Misconfigured(f"{path}:{line_of(text, wrong.section, wrong.index, wrong.member)}: {wrong}") from None


def line_of(text: str, section: str, index: int, member: str) -> int:
    """The line that sets `member` in the `index`th table `section` ("" for the top), or that begins the table; 1 where neither is."""
    here, seen, found = "", 0, 1
    for number, line in enumerate(text.splitlines(), 1):
        header = _HEADER.match(line)
        if header:
            here = header[1]
            seen += here == section
            if (here, seen) == (section, index + 1) or (not section and here == member):
                found = number
        inside = here == section and (not section or seen == index + 1)
        if inside and re.match(rf"\s*[\"']?{re.escape(member)}[\"']?\s*=", line):
            return number
    return found


class _Wrong(ValueError):
    def __init__(self, section: str, index: int, member: str, reason: str) -> None:
        where = f"{section}.{member}" if section else member
        super().__init__(f"{where} {reason}")
        self.section, self.index, self.member = section, index, member


def _settings(table: Mapping[str, Any]) -> Settings:
    _known(table, _MEMBERS, "", 0)
    lists = table.get("lists", [])
    if not isinstance(lists, list) or not all(isinstance(each, dict) for each in lists):
        raise _Wrong("", 0, "lists", f"is {lists!r}; expected tables [[lists]]")
    sources = tuple(_source(each, index) for index, each in enumerate(lists))
    names = [source.name for source in sources]
    for index, name in enumerate(names):
        if name in names[:index]:
            raise _Wrong("lists", index, "name", f"{name!r} is the name of another list too")
    entries = table.get("max_entries", 5_000_000)
    if type(entries) is not int or entries < 1:
        raise _Wrong("", 0, "max_entries", f"is {entries!r}; expected a whole number above 0")
    return Settings(_policy(table.get("policy", {})), _texts(table, "allow"), _texts(table, "block"), sources, entries)


def _policy(table: object) -> Policy:
    if not isinstance(table, dict):
        raise _Wrong("", 0, "policy", f"is {table!r}; expected a table")
    _known(table, tuple(each.name for each in fields(Policy)), "policy", 0)
    return Policy(**{name: _action(value, "policy", 0, name) for name, value in table.items()})


def _source(table: Mapping[str, Any], index: int) -> ListSource:
    _known(table, _LIST_MEMBERS, "lists", index)
    name, file, strict = table.get("name"), table.get("file"), table.get("strict", False)
    if not isinstance(name, str) or _LIST_NAME.fullmatch(name) is None or name == OWN:
        raise _Wrong("lists", index, "name", f"is {name!r}; expected letters, digits, . _ -, and not {OWN!r}")
    if not isinstance(file, str) or not file:
        raise _Wrong("lists", index, "file", f"is {file!r}; expected a file's name")
    if not isinstance(strict, bool):
        raise _Wrong("lists", index, "strict", f"is {strict!r}; expected true or false")
    return ListSource(name, file, _action(table.get("action", "block"), "lists", index, "action"), strict)


def _action(value: object, section: str, index: int, member: str) -> bool:
    if not isinstance(value, str) or value not in _ACTIONS:
        raise _Wrong(section, index, member, f'is {value!r}; expected "allow" or "block"')
    return _ACTIONS[value]


def _texts(table: Mapping[str, Any], member: str) -> tuple[str, ...]:
    value = table.get(member, [])
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise _Wrong("", 0, member, f"is {value!r}; expected a list of strings")
    return tuple(value)


def _known(table: Mapping[str, Any], members: tuple[str, ...], section: str, index: int) -> None:
    for member in table:
        if member not in members:
            raise _Wrong(section, index, member, f"is unknown; expected one of {', '.join(members)}")
