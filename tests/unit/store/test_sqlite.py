"""The store: what is saved comes back, numbers keep their meaning, and a file that is not ours is left alone."""

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest

from sdn_app.chains.model import (
    Attachment,
    Balancing,
    Chain,
    Classifier,
    Constraints,
    DesiredState,
    FlowRule,
    Instance,
    InstanceState,
    OnFailure,
    PortRange,
    Protocol,
    Service,
)
from sdn_app.store import sqlite as module
from sdn_app.store.interface import KINDS, Kind, Store, StoreError
from sdn_app.store.sqlite import SqliteStore

CLASSIFIER = Classifier(
    2, IPv4Network("10.2.0.0/16"), IPv4Network("10.1.0.9/32"), Protocol.UDP, PortRange(1, 9), PortRange(53, 53), 7
)
FULL = DesiredState(
    {
        "plain": Chain("plain", ()),
        "all": Chain(
            "all",
            ("firewall", "antivirus"),
            CLASSIFIER,
            "web",
            Balancing.STICKY,
            OnFailure.FAIL_OPEN,
            False,
            Constraints(2.5, frozenset({4, 2})),
            (None, "av1"),
            12.5,
        ),
    },
    {"web": Service("web", IPv4Address("10.0.0.100"), 80, created_at=1)},
    {
        "fw1": Instance("fw1", "firewall", Attachment(1, ("fw1-i", "fw1-o")), state=InstanceState.DRAINING),
        "s1": Instance("s1", "servant", Attachment(1, ("s1-d",)), "http://x/", IPv4Address("10.1.0.9"), "02:00", 3),
    },
    {"f1": FlowRule("f1", "firewall", "fw1", CLASSIFIER)},
)


@pytest.fixture
def store() -> Iterator[Store]:
    opened = SqliteStore(":memory:")
    yield opened
    opened.close()


def test_state_reads_back_after_a_restart(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path / "db")
    assert first.load() == DesiredState()
    first.save(DesiredState(), FULL)
    first.close()
    second = SqliteStore(tmp_path / "db")
    assert second.load() == FULL
    less = replace(FULL, chains={"plain": replace(FULL.chains["plain"], created_at=3.0)}, flows={})
    second.save(FULL, less)
    assert second.load() == less
    second.close()


def test_only_differences_are_written(store: SqliteStore) -> None:
    store.save(DesiredState(), FULL)
    before = store._db.total_changes
    store.save(FULL, replace(FULL, services={}))
    assert store._db.total_changes == before + 1
    store.save(FULL, replace(FULL))
    assert store._db.total_changes == before + 1


def test_numbers_are_stable_over_a_restart(tmp_path: Path) -> None:
    first = SqliteStore(tmp_path / "db")
    assert [first.allocate("spi", key) for key in "aba"] == [2, 4, 2]
    assert first.allocate_many("target", ["x", "y", "x"]) == {"x": 1, "y": 2}
    first.release("spi", "b")
    first.close()
    second = SqliteStore(tmp_path / "db")
    assert second.allocated("spi") == {"a": 2}
    assert second.allocate("spi", "c") == 6
    assert second.allocate("target", "z") == 3
    second.close()


def test_targets_take_the_lowest_free_number(store: Store) -> None:
    store.allocate_many("target", "abcd")
    store.release("target", "b", "d", "unknown")
    assert store.allocate_many("target", "efg") == {"e": 2, "f": 4, "g": 5}


def test_spis_come_back_as_late_as_possible(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(KINDS, "spi", Kind(2, 2, 10, rotating=True))
    assert list(store.allocate_many("spi", "abcd").values()) == [2, 4, 6, 8]
    store.release("spi", "a", "c")
    assert store.allocate("spi", "e") == 10
    assert store.allocate_many("spi", "fg") == {"f": 2, "g": 6}
    with pytest.raises(StoreError, match="all numbers"):
        store.allocate("spi", "h")
    store.release("spi", "b")
    assert store.allocate("spi", "h") == 4


def test_an_unknown_kind_is_an_error(store: Store) -> None:
    with pytest.raises(KeyError):
        store.allocate("colour", "red")


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4096])
def test_a_damaged_file_is_refused_and_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "db"
    path.write_bytes(content)
    with pytest.raises(StoreError, match="cannot be used"):
        SqliteStore(path)
    assert path.read_bytes() == content


def test_a_file_cut_in_the_middle_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "db"
    store = SqliteStore(path)
    store.allocate_many("spi", (f"key {number}" for number in range(3000)))
    store.close()
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError):
        SqliteStore(path)
    assert path.read_bytes() == whole[: len(whole) // 2]


@pytest.mark.parametrize(
    ("statements", "why"),
    [
        (("CREATE TABLE theirs (x)",), "another program"),
        ((f"PRAGMA application_id = {module.APPLICATION_ID}", "PRAGMA user_version = 99", "CREATE TABLE t (x)"), "99"),
    ],
)
def test_a_file_of_others_or_of_a_newer_program_is_refused(
    tmp_path: Path, statements: tuple[str, ...], why: str
) -> None:
    path = tmp_path / "db"
    with sqlite3.connect(path) as db:
        for statement in statements:
            db.execute(statement)
    db.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match=why):
        SqliteStore(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("body", ["{", "[]", '{"name": 3}', '{"name": "x", "functions": [], "colour": "red"}', "{}"])
def test_an_unreadable_row_is_named(store: SqliteStore, body: str) -> None:
    store._db.execute("INSERT INTO objects VALUES ('chains', 'bad', ?)", (body,))
    with pytest.raises(StoreError, match="chains 'bad'"):
        store.load()


def test_a_second_controller_is_kept_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_TIMEOUT_S", 0.05)
    first = SqliteStore(tmp_path / "db")
    with pytest.raises(StoreError, match="another process"):
        SqliteStore(tmp_path / "db")
    first.close()
    SqliteStore(tmp_path / "db").close()


def test_a_directory_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be used"):
        SqliteStore(tmp_path / "none" / "db")


def test_a_failed_save_changes_nothing(store: SqliteStore) -> None:
    store.save(DesiredState(), FULL)
    bad = replace(FULL, chains={}, services={"web": replace(FULL.services["web"], created_at=2.0)})
    store._db.execute("CREATE TRIGGER no BEFORE INSERT ON objects BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(StoreError):
        store.save(FULL, bad)
    assert store.load() == FULL


def test_a_thousand_chains_take_under_a_second(tmp_path: Path) -> None:
    chains = {f"c{number}": replace(FULL.chains["all"], name=f"c{number}") for number in range(1000)}
    store = SqliteStore(tmp_path / "db")
    began = time.perf_counter()
    store.save(DesiredState(), DesiredState(chains))
    store.allocate_many("spi", (f"path {number}" for number in range(4000)))
    assert store.load().chains == chains
    assert time.perf_counter() - began < 1.0
    store.close()
