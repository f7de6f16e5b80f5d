"""`Sync` against switches that are plain Python: they take bytes in order and answer barriers, or do not."""

import time
from collections.abc import Callable

import eventlet
import pytest

from sdn_app.openflow import codec
from sdn_app.rules import pipeline as p
from sdn_app.rules.entries import Bucket, Flow, Group, Meter, Output, SwitchRules, match
from sdn_app.switches import sync as module
from sdn_app.switches.sync import Sync

FLOW_MOD, GROUP_MOD, MULTIPART_REQUEST, BARRIER_REQUEST, METER_MOD = 14, 15, 18, 20, 29
FLOW_STATS, METER_CONFIG, GROUP_DESC = 1, 10, 7
OURS = p.cookie(p.Cookie.STEER, 2)
WAY = Flow(p.STEER, p.EXACT, match(reg1=2), (Output(1),), cookie=OURS)
ENTRANCE = Flow(p.CONNECTION, p.CONNECTION_KNOWN, match(reg0=2), goto=p.STEER, cookie=OURS)
GROUP = Group(7, (Bucket(1, (Output(1),)),))
RULES = SwitchRules(frozenset({WAY, ENTRANCE}), frozenset({GROUP}), frozenset({Meter(1, 100, 100)}))


class Switch:
    """A switch at the other end: notes what comes, and answers barriers and dumps in green threads."""

    def __init__(self, sync: Sync, dpid: int, journal: list[tuple[int, str]]) -> None:
        self.sync, self.dpid, self.journal = sync, dpid, journal
        self.holds = SwitchRules()
        self.silent = self.closed = False
        self.refuse: Callable[[str], bool] = lambda name: False

    def send_raw(self, buf: bytes) -> bool:
        if self.closed:
            return False
        while buf:
            kind, size, xid = buf[1], int.from_bytes(buf[2:4], "big"), int.from_bytes(buf[4:8], "big")
            self._take(kind, xid, buf[:size])
            buf = buf[size:]
        return True

    def _take(self, kind: int, xid: int, message: bytes) -> None:
        if kind == BARRIER_REQUEST:
            self.journal.append((self.dpid, "barrier"))
            if not self.silent:
                eventlet.spawn(self.sync.barrier_reply, self.dpid, xid)
        elif kind == MULTIPART_REQUEST:
            if not self.silent:
                eventlet.spawn(self._dump, xid, int.from_bytes(message[8:10], "big"))
        else:
            name = {GROUP_MOD: "group", METER_MOD: "meter"}.get(kind) or f"flow {message[24]}"
            self.journal.append((self.dpid, name))
            if self.refuse(name):
                self.sync.error(self.dpid, xid, "refused by the test")

    def _dump(self, xid: int, kind: int) -> None:
        if kind == FLOW_STATS:
            halves = [codec.FlowStat(flow, 0, 0, 0.0) for flow in self.holds.flows]
            self.sync.multipart_reply(self.dpid, xid, halves[:1], True)
            self.sync.multipart_reply(self.dpid, xid, halves[1:], False)
        else:
            items = self.holds.groups if kind == GROUP_DESC else self.holds.meters
            self.sync.multipart_reply(self.dpid, xid, items, False)


class Bench:
    """A `Sync` with switches that have been read back."""

    def __init__(self, count: int, deadline_s: float = 0.3) -> None:
        self.errors: list[tuple[int, str]] = []
        self.sync = Sync(deadline_s, on_error=lambda dpid, text: self.errors.append((dpid, text)))
        self.journal: list[tuple[int, str]] = []
        self.switches = {dpid: Switch(self.sync, dpid, self.journal) for dpid in range(1, count + 1)}
        for dpid, switch in self.switches.items():
            self.sync.connected(dpid, switch)
            assert self.sync.read_back(dpid)


def test_phases_are_ordered_over_all_switches_with_barriers_between() -> None:
    bench = Bench(2)
    told: list[int] = []
    assert bench.sync.apply({1: RULES, 2: RULES}, on_ways=lambda: told.append(len(bench.journal))) == set()
    ways, choices, entrances = bench.journal[:6], bench.journal[6:10], bench.journal[10:]
    for dpid in (1, 2):
        assert [name for each, name in ways if each == dpid] == ["meter", f"flow {p.STEER}", "barrier"]
        assert [name for each, name in choices if each == dpid] == ["group", "barrier"]
        assert [name for each, name in entrances if each == dpid] == [f"flow {p.CONNECTION}", "barrier"]
        assert bench.sync.installed(dpid) == RULES
    assert told == [6]


def test_what_goes_leaves_in_reverse() -> None:
    bench = Bench(1)
    bench.sync.apply({1: RULES})
    bench.journal.clear()
    assert bench.sync.apply({1: SwitchRules()}) == set()
    names = [name for _, name in bench.journal if name != "barrier"]
    assert names[:2] == [f"flow {p.CONNECTION}", "group"]
    assert set(names[2:]) == {"meter", f"flow {p.STEER}"}


def test_what_stands_is_not_sent_again() -> None:
    bench = Bench(1)
    bench.sync.apply({1: RULES})
    sent = bench.sync.messages
    bench.journal.clear()
    assert bench.sync.apply({1: RULES}) == set()
    assert (bench.sync.messages, bench.journal) == (sent, [])


def test_a_refused_entry_is_not_taken_for_installed() -> None:
    bench = Bench(2)
    bench.switches[1].refuse = lambda name: name == "group"
    assert bench.sync.apply({1: RULES, 2: RULES}) == {1}
    assert "refused by the test" in bench.errors[0][1] and bench.errors[0][0] == 1
    assert not bench.sync.is_ready(1) and bench.sync.installed(2) == RULES
    # a switch that refused has to be read back, and is then brought further
    bench.switches[1].refuse = lambda name: False
    bench.switches[1].holds = SwitchRules(frozenset({WAY}), frozenset(), RULES.meters)
    assert bench.sync.read_back(1)
    bench.journal.clear()
    assert bench.sync.apply({1: RULES, 2: RULES}) == set()
    assert [name for _, name in bench.journal if name != "barrier"] == ["group", f"flow {p.CONNECTION}"]


def test_a_slow_switch_holds_the_others_up_no_longer_than_a_phase_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PHASE_S", 0.2)
    bench = Bench(2)
    bench.switches[1].silent = True
    began = time.monotonic()
    assert bench.sync.apply({1: RULES, 2: RULES}) == {1}
    assert time.monotonic() - began < 0.5
    assert bench.sync.installed(2) == RULES
    assert not bench.sync.is_ready(1)
    assert [name for dpid, name in bench.journal if dpid == 1].count("barrier") == 1  # and is asked nothing more


def test_a_closed_switch_is_left_out_at_once() -> None:
    bench = Bench(2)
    bench.switches[1].closed = True
    began = time.monotonic()
    assert bench.sync.apply({1: RULES, 2: RULES}) == {1}
    assert time.monotonic() - began < 0.2
    assert bench.sync.installed(2) == RULES


def test_reading_back_gives_what_the_switch_holds() -> None:
    bench = Bench(1)
    bench.switches[1].holds = RULES
    bench.sync.connected(1, bench.switches[1])
    assert not bench.sync.is_ready(1)
    assert bench.sync.apply({1: RULES}) == set() and bench.journal == []  # nothing before it was read
    assert bench.sync.read_back(1)
    assert bench.sync.installed(1) == RULES
    assert bench.sync.apply({1: RULES}) == set() and bench.journal == []


def test_a_dump_without_an_answer_ends_at_the_deadline() -> None:
    bench = Bench(1, deadline_s=0.1)
    bench.switches[1].silent = True
    began = time.monotonic()
    assert bench.sync.dump(1, codec.encode_group_desc_request) is None
    assert 0.05 < time.monotonic() - began < 0.5
    assert bench.sync.dump(9, codec.encode_group_desc_request) is None


def test_an_old_connection_that_ends_leaves_the_new_one() -> None:
    bench = Bench(1)
    again = Switch(bench.sync, 1, bench.journal)
    bench.sync.connected(1, again)
    bench.sync.disconnected(1, bench.switches[1])
    assert bench.sync.read_back(1)
    bench.sync.disconnected(1, again)
    assert not bench.sync.is_ready(1)


def test_answers_to_nobody_are_not_taken() -> None:
    bench = Bench(1)
    assert not bench.sync.barrier_reply(1, 5)
    assert not bench.sync.multipart_reply(1, 5, [], False)
    assert not bench.sync.error(1, 5, "late")
    assert not bench.sync.barrier_reply(9, 5)
