"""What may pass. In: tables of entries. Out: the list that stops a host and path, or none.

The allow list wins. A host is stopped by an entry for itself or for a domain above it; a path by an entry for a place that the path
passes on its way, while it is allowed only by an entry for its end: of two readings the lists take the stricter. No I/O.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from contentfilter.entries import Entry
from contentfilter.names import suffixes, walk
from contentfilter.table import Hasher, Kind, Table, TableBuilder


@dataclass(frozen=True, slots=True)
class NamedTable:
    """One list's entries."""

    name: str
    table: Table


@dataclass(frozen=True, slots=True)
class Rules:
    """All lists, hashed alike."""

    hashed: Hasher
    allow: Table
    block: Sequence[NamedTable]

    def blocked_by(self, host: bytes, path: bytes = b"") -> str | None:
        """The name of the list that stops `path` on `host` (in compared form), None where it may pass.

        An empty path judges the host alone, as for TLS. Raises BadName for a path that has no single reading.
        """
        domains = list(suffixes(host))
        names = [self.hashed(Kind.NAME + host), *(self.hashed(Kind.DOMAIN + domain) for domain in domains)]
        passed, end = walk(path)
        marks = [(domain, self.hashed(Kind.PATHS + domain)) for domain in domains] if passed else []
        if self.allow and (any(name in self.allow for name in names) or self._path_in(self.allow, marks, end)):
            return None
        for part in self.block:
            if any(name in part.table for name in names) or self._path_in(part.table, marks, passed):
                return part.name
        return None

    def _path_in(self, table: Table, marks: Sequence[tuple[bytes, int]], places: Sequence[bytes]) -> bool:
        with_paths = (domain for domain, mark in marks if mark in table)
        return any(self.hashed(Kind.PATH + domain + place) in table for domain in with_paths for place in places)


def add(builder: TableBuilder, hashed: Hasher, entry: Entry) -> None:
    """Put an entry into a table to be."""
    builder.add(hashed(entry.kind + entry.value))
    if entry.kind is Kind.PATH:
        builder.add(hashed(Kind.PATHS + entry.value.partition(b"/")[0]))
