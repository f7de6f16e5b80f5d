"""The store in one SQLite file (or ":memory:"), for one controller.

In and out: see `sdn_app.store.interface`. Desired state is one JSON row an object; numbers are rows too. A file that
is damaged, newer, or not ours is refused and left as it is. The file is locked while it is open.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sdn_app.chains.model import Chain, DesiredState, FlowRule, Instance, Service
from sdn_app.store.interface import KINDS, StoreError
from sdn_app.store.rows import decode, encode

APPLICATION_ID = 0x5FC0_5FC0
SCHEMA_VERSION = 1
BUSY_TIMEOUT_S = 5.0
_SCHEMA = (
    "CREATE TABLE objects (kind TEXT, name TEXT, body TEXT NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID",
    "CREATE TABLE numbers (kind TEXT, key TEXT, number INTEGER NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID",
    "CREATE UNIQUE INDEX number_once ON numbers (kind, number)",
    "CREATE TABLE newest (kind TEXT PRIMARY KEY, number INTEGER NOT NULL) WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
_OBJECTS: dict[str, type] = {"chains": Chain, "services": Service, "instances": Instance, "flows": FlowRule}


class SqliteStore:
    """A `Store` in a SQLite file.

    Numbers are also held in memory, as `_numbers[kind][key]` and its inverse `_keys[kind][number]`; `_hint` is where
    the search for a free one starts.
    """

    def __init__(self, path: Path | str) -> None:
        """Open the file, or make it.

        Raises:
            StoreError: it cannot be used.
        """
        self._path = str(path)
        self._numbers: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
        self._keys: dict[str, dict[int, str]] = {kind: {} for kind in KINDS}
        self._hint: dict[str, int] = {name: kind.first for name, kind in KINDS.items()}
        with self._errors():
            self._db = sqlite3.connect(self._path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            with self._errors():
                self._open()
        except BaseException:
            self._db.close()
            raise

    def _open(self) -> None:
        self._db.execute("PRAGMA locking_mode = EXCLUSIVE")
        if self._one("PRAGMA quick_check(1)") != "ok":
            raise self._error("the file is damaged")
        tables = self._one("SELECT count(*) FROM sqlite_master")
        if tables and self._one("PRAGMA application_id") != APPLICATION_ID:
            raise self._error("it is a database of another program")
        version = self._one("PRAGMA user_version")
        if version > SCHEMA_VERSION:
            raise self._error(f"its schema is version {version}; this program knows up to {SCHEMA_VERSION}")
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = NORMAL")
        with self._change():
            if not tables:
                for statement in _SCHEMA:
                    self._db.execute(statement)
        for kind, key, number in self._db.execute("SELECT kind, key, number FROM numbers"):
            self._numbers[kind][key] = number
            self._keys[kind][number] = key
        for kind, number in self._db.execute("SELECT kind, number FROM newest"):
            self._hint[kind] = number + KINDS[kind].step

    def load(self) -> DesiredState:
        """Give the stored desired state.

        Raises:
            StoreError: a row is not what it should be.
        """
        state = DesiredState()
        with self._errors():
            rows = self._db.execute("SELECT kind, name, body FROM objects ORDER BY kind, name").fetchall()
        for kind, name, body in rows:
            try:
                getattr(state, kind)[name] = decode(_OBJECTS[kind], body)
            except (ValueError, TypeError, KeyError, AttributeError) as error:
                raise self._error(f"{kind} {name!r} cannot be read ({error})") from error
        return state

    def save(self, old: DesiredState, new: DesiredState) -> None:
        """Store what differs; it is on the disk when this returns."""
        gone: list[tuple[str, str]] = []
        put: list[tuple[str, str, str]] = []
        for kind in _OBJECTS:
            before: Mapping[str, Any] = getattr(old, kind)
            after: Mapping[str, Any] = getattr(new, kind)
            gone.extend((kind, name) for name in before.keys() - after.keys())
            put.extend((kind, name, encode(item)) for name, item in after.items() if before.get(name) != item)
        if not gone and not put:
            return
        with self._errors():
            self._db.execute("PRAGMA synchronous = FULL")
            try:
                with self._change():
                    self._db.executemany("DELETE FROM objects WHERE kind = ? AND name = ?", gone)
                    self._db.executemany("INSERT OR REPLACE INTO objects VALUES (?, ?, ?)", put)
            finally:
                # numbers need not outlive the machine, whose switches lose their entries with it
                self._db.execute("PRAGMA synchronous = NORMAL")

    def allocate(self, kind: str, key: str) -> int:
        """Give the number of a key: the one that it has, or a new one.

        Raises:
            KeyError: there is no such kind.
            StoreError: all numbers are taken.
        """
        known = self._numbers[kind].get(key)
        return self.allocate_many(kind, (key,))[key] if known is None else known

    def allocate_many(self, kind: str, keys: Iterable[str]) -> dict[str, int]:
        """Give the numbers of many keys, as one change; raises like `allocate`."""
        wanted, have = list(keys), self._numbers[kind]
        new: dict[int, str] = {}
        hint = self._hint[kind]
        for key in dict.fromkeys(wanted):
            if key not in have:
                number = self._free(kind, hint, new)
                new[number] = key
                hint = number + KINDS[kind].step
        if new:
            with self._errors(), self._change():
                self._db.executemany(
                    "INSERT INTO numbers VALUES (?, ?, ?)", [(kind, key, number) for number, key in new.items()]
                )
                if KINDS[kind].rotating:
                    newest = (kind, hint - KINDS[kind].step)
                    self._db.execute("INSERT OR REPLACE INTO newest VALUES (?, ?)", newest)
            self._hint[kind] = hint
            have.update((key, number) for number, key in new.items())
            self._keys[kind].update(new)
        return {key: have[key] for key in wanted}

    def _free(self, name: str, start: int, new: Mapping[int, str]) -> int:
        """The first number from `start` on, around the end, that is neither taken nor in `new`."""
        kind, taken = KINDS[name], self._keys[name]
        if len(taken) + len(new) > (kind.last - kind.first) // kind.step:
            raise self._error(f"all numbers of kind {name!r} are taken")
        number = start
        while number > kind.last or number in taken or number in new:
            number = kind.first if number > kind.last else number + kind.step
        return number

    def allocated(self, kind: str) -> dict[str, int]:
        """Give all keys of a kind with their numbers."""
        return dict(self._numbers[kind])

    def release(self, kind: str, *keys: str) -> None:
        """Free the numbers of keys, as one change; one without a number is left out."""
        have = self._numbers[kind]
        known = [key for key in dict.fromkeys(keys) if key in have]
        if not known:
            return
        with self._errors(), self._change():
            self._db.executemany("DELETE FROM numbers WHERE kind = ? AND key = ?", [(kind, key) for key in known])
        for key in known:
            number = have.pop(key)
            del self._keys[kind][number]
            if not KINDS[kind].rotating:
                self._hint[kind] = min(self._hint[kind], number)

    def close(self) -> None:
        """Close the file and unlock it."""
        self._db.close()

    def _one(self, statement: str) -> Any:
        return self._db.execute(statement).fetchone()[0]

    @contextmanager
    def _change(self) -> Iterator[None]:
        """One transaction."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            why = "another process uses it" if "locked" in str(error) else str(error)
            raise self._error(why) from error

    def _error(self, why: str) -> StoreError:
        return StoreError(f"the database {self._path} cannot be used: {why}. Nothing in it was changed.")
