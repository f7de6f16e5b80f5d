"""Millions of entries as sorted 64-bit hashes: eight bytes each, however long they are.

In: entries, as a kind and a value. Out: whether one is there. Hashes are BLAKE2b under a key that is drawn at each load, so nobody can
prepare names that collide; a name that is not there is taken for one that is with a chance of entries / 2^64.
No I/O; the key is an argument.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Callable
from enum import Enum
from hashlib import blake2b

_BUCKETS = 256
_SHIFT = 64 - 8

Hasher = Callable[[bytes], int]


class Kind(bytes, Enum):
    """What an entry stops; its value keeps the kinds apart under one hash."""

    NAME = b"="  # this host alone
    DOMAIN = b"."  # this host and all below it
    PATH = b"/"  # on this host and all below it, what lies at or under a path
    PATHS = (
        b"?"  # no entry of a list: says that a domain has entries of kind PATH, so that others need not be looked for
    )


def hasher(key: bytes) -> Hasher:
    """The hash of the tables that belong together."""
    keyed = blake2b(digest_size=8, key=key)

    def hashed(value: bytes) -> int:
        copy = keyed.copy()
        copy.update(value)
        return int.from_bytes(copy.digest(), "big")

    return hashed


class Table:
    """A set of hashes. Buckets by the first byte, each sorted and without duplicates: a table is built in little more than its size."""

    def __init__(self, buckets: list[array[int]], entries: int) -> None:
        self._buckets = buckets
        self.entries = entries

    def __contains__(self, hashed: int) -> bool:
        bucket = self._buckets[hashed >> _SHIFT]
        at = bisect_left(bucket, hashed)
        return at < len(bucket) and bucket[at] == hashed

    def __bool__(self) -> bool:
        return self.entries > 0

    @property
    def bytes(self) -> int:
        """What the hashes take in memory."""
        return sum(bucket.itemsize * len(bucket) for bucket in self._buckets)


class TableBuilder:
    """Collects hashes, duplicates and all, until `build`."""

    def __init__(self) -> None:
        self._buckets: list[array[int]] = [array("Q") for _ in range(_BUCKETS)]

    def add(self, hashed: int) -> None:
        """Take one entry's hash."""
        self._buckets[hashed >> _SHIFT].append(hashed)

    def build(self) -> Table:
        """The table; the builder is empty afterwards."""
        for index, bucket in enumerate(self._buckets):
            self._buckets[index] = array("Q", sorted(set(bucket)))
        buckets, self._buckets = self._buckets, [array("Q") for _ in range(_BUCKETS)]
        return Table(buckets, sum(map(len, buckets)))
