"""Reads the configuration and the lists. In: a path. Out: rules and policy, and what was read; or what is wrong, with file and line."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from contentfilter.entries import NotUnderstood, entries_of
from contentfilter.inspector import Book
from contentfilter.rules import NamedTable, Rules, add
from contentfilter.settings import OWN, ListSource, Misconfigured, Settings, parse
from contentfilter.table import Kind, TableBuilder, hasher

SAMPLE = b"contentfilter-sample.invalid"  # stopped by every configuration, so that /health can look something up
ALLOWED = "allowed"  # the allow list's name in counts
_LONGEST_LINE = 4096
_BREATHE_EVERY = 64  # lines


@dataclass(frozen=True, slots=True)
class ListCount:
    """What one file gave: entries without duplicates, lines that are no entry, and the first of them in words."""

    name: str
    entries: int
    skipped: int = 0
    first_skipped: str = ""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used."""

    book: Book
    counts: tuple[ListCount, ...]
    seconds: float


def load(path: Path, breath_s: float = 0.0) -> Loaded:
    """Read the configuration at `path` and all that it names. `breath_s` is slept every few lines, to leave a small share of CPU to
    who works meanwhile. Raises Misconfigured."""
    started = time.monotonic()
    try:
        settings = parse(str(path), path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path}: {error}") from None
    reader = _Reader(settings, path, breath_s)
    for source in settings.lists:
        reader.read(source)
    rules, counts = reader.finish()
    return Loaded(Book(rules, settings.policy), counts, time.monotonic() - started)


class _Reader:
    """Fills the tables of one configuration."""

    def __init__(self, settings: Settings, path: Path, breath_s: float) -> None:
        self._max_entries = settings.max_entries
        self._path = path
        self._breath_s = breath_s
        self._hashed = hasher(secrets.token_bytes(32))
        self._allow = TableBuilder()
        self._tables: list[NamedTable] = []
        self._counts: list[ListCount] = []
        self._taken = 0
        self._own(settings)

    def finish(self) -> tuple[Rules, tuple[ListCount, ...]]:
        """The rules, and what was read."""
        allow = self._allow.build()
        return Rules(self._hashed, allow, tuple(self._tables)), (*self._counts, ListCount(ALLOWED, allow.entries))

    def read(self, source: ListSource) -> None:
        """Take a list's file."""
        file = self._path.parent / source.file
        builder = self._allow if source.allows else TableBuilder()
        before = self._taken
        try:
            with file.open("rb") as lines:
                skipped, first = self._lines(file, lines, builder)
        except OSError as error:
            raise Misconfigured(f"{file}: {error.strerror}, named by the list {source.name} of {self._path}") from None
        if source.strict and skipped:
            raise Misconfigured(first)
        entries = self._taken - before
        if not source.allows:
            table = builder.build()
            self._tables.append(NamedTable(source.name, table))
            entries = table.entries
        self._counts.append(ListCount(source.name, entries, skipped, first))

    def _lines(self, file: Path, lines: Iterable[bytes], builder: TableBuilder) -> tuple[int, str]:
        """Take a file's lines; gives how many were no entry, and the first of them."""
        skipped, first = 0, ""
        for number, line in enumerate(lines, 1):
            if number % _BREATHE_EVERY == 0 and self._breath_s:
                time.sleep(self._breath_s)
            try:
                self._take(line, builder)
            except NotUnderstood as error:
                first = first or f"{file}:{number}: {error}"
                skipped += 1
        return skipped, first

    def _own(self, settings: Settings) -> None:
        block = TableBuilder()
        block.add(self._hashed(Kind.NAME + SAMPLE))
        for texts, builder in ((settings.block, block), (settings.allow, self._allow)):
            self._take_all(texts, builder)
        self._tables.append(NamedTable(OWN, block.build()))
        self._counts.append(ListCount(OWN, self._tables[0].table.entries))

    def _take_all(self, texts: Iterable[str], builder: TableBuilder) -> None:
        for text in texts:
            try:
                self._take(text.encode(), builder)
            except NotUnderstood as error:
                raise Misconfigured(f"{self._path}: {error}") from None

    def _take(self, line: bytes, builder: TableBuilder) -> None:
        if len(line) > _LONGEST_LINE:
            raise NotUnderstood(f"a line of more than {_LONGEST_LINE} bytes")
        for entry in entries_of(line):
            self._taken += 1
            if self._taken > self._max_entries:
                raise Misconfigured(f"{self._path}: the lists have more than max_entries = {self._max_entries} entries")
            add(self._allow if entry.exception else builder, self._hashed, entry)
