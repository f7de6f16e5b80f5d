"""Connections: handshakes, ends, resets, limits; and that what was stopped stays stopped."""

from __future__ import annotations

import sys

import pytest

from testbed.lab import images

sys.path.append(str(images.IMAGES_FOLDER / "base"))

from vnf.decision import PASSED, Decision, Limits, LinkHeader, Route
from vnf.flows import HALF_OPEN_LIMIT, FlowTable
from vnf.packet import ACK, FIN, RST, SYN, URG, Segment
from vnf.stream import PASS, RELEASE, Connection, Direction, Inspector, Stop, Verdict

CLIENT, SERVER = b"\x0a\0\0\1", b"\x0a\0\0\2"
UP, DOWN = LinkHeader("out0", b"\x0a\x5f-up-client"), LinkHeader("in0", b"\x0a\x5fdownserver")
ISN, SERVER_ISN = 1000, 0xFFFFFFFE


class Recorder:
    """Notes what it is shown; stops at b"evil", releases at b"boring", fails at b"crash"."""

    def __init__(self) -> None:
        self.seen: dict[Direction, bytes] = {Direction.TO_SERVER: b"", Direction.TO_CLIENT: b""}
        self.ended: list[Direction] = []
        self.reply = b""
        self.opened = 0

    def open(self, connection: Connection) -> Inspector | None:
        self.opened += 1
        return None if connection.client_port == 9 else self

    def data(self, direction: Direction, data: bytes) -> Verdict:
        self.seen[direction] += data
        if b"crash" in data:
            raise ValueError("crash")
        if b"evil" in self.seen[direction]:
            return Stop("evil", "it said evil", self.reply)
        return RELEASE if b"boring" in data else PASS

    def end(self, direction: Direction) -> Verdict:
        self.ended.append(direction)
        return PASS


class Talk:
    """One connection through a table."""

    def __init__(self, limits: Limits | None = None, port: int = 5000) -> None:
        self.recorder = Recorder()
        self.table = FlowTable(self.recorder, limits or Limits())
        self.port = port
        self.now_s = 0.0
        self.tag = UP.addresses[2:6]

    def up(self, flags: int, seq: int, ack: int = 0, payload: bytes = b"") -> Decision:
        route = Route(self.tag, UP if flags & SYN else None)
        return self.table.handle(Segment(CLIENT, self.port, SERVER, 80, seq, ack, flags, payload), route, self.now_s)

    def down(self, flags: int, seq: int, ack: int = 0, payload: bytes = b"") -> Decision:
        route = Route(DOWN.addresses[2:6], DOWN if flags & SYN else None)
        segment = Segment(SERVER, 80, CLIENT, self.port, seq & 0xFFFFFFFF, ack, flags, payload)
        return self.table.handle(segment, route, self.now_s)

    def shake(self) -> None:
        assert not self.up(SYN, ISN).drop
        assert not self.down(SYN | ACK, SERVER_ISN, ISN + 1).drop
        assert not self.up(ACK, ISN + 1, SERVER_ISN + 1).drop


@pytest.fixture
def talk() -> Talk:
    made = Talk()
    made.shake()
    return made


def test_an_ordinary_connection_passes_and_is_seen_whole(talk: Talk) -> None:
    assert not talk.up(ACK, ISN + 1, SERVER_ISN + 1, b"request").drop
    assert not talk.down(ACK, SERVER_ISN + 1, ISN + 8, b"answer").drop
    assert not talk.down(ACK | FIN, SERVER_ISN + 7, ISN + 8).drop
    assert not talk.up(ACK | FIN, ISN + 8, (SERVER_ISN + 8) & 0xFFFFFFFF).drop
    assert not talk.down(ACK, SERVER_ISN + 8, ISN + 9).drop
    assert talk.recorder.seen == {Direction.TO_SERVER: b"request", Direction.TO_CLIENT: b"answer"}
    assert talk.recorder.ended == [Direction.TO_CLIENT, Direction.TO_SERVER]
    assert talk.table.held == 0
    talk.now_s = 60
    assert talk.table.expire(talk.now_s) == 1 and len(talk.table) == 0


def test_a_stop_resets_both_sides_and_nothing_passes_any_more(talk: Talk) -> None:
    talk.up(ACK, ISN + 1, SERVER_ISN + 1, b"ev")
    decision = talk.up(ACK, ISN + 3, SERVER_ISN + 1, b"il")
    assert (
        decision.drop == "evil"
        and decision.stop is not None
        and decision.connection == Connection("10.0.0.1", 5000, "10.0.0.2", 80)
    )
    to_server, to_client = decision.injections
    assert (to_server.link, to_server.segment.flags & RST, to_server.segment.seq) == (UP, RST, ISN + 3)
    assert (to_client.link, to_client.segment.seq, to_client.segment.ack) == (DOWN, SERVER_ISN + 1, ISN + 5)
    again = talk.up(ACK, ISN + 3, SERVER_ISN + 1, b"il")
    assert again.drop == "stopped" and again.injections[0].segment.seq == SERVER_ISN + 1
    assert talk.down(ACK, SERVER_ISN + 1, ISN + 3, b"x").drop == "stopped"
    for _ in range(20):
        last = talk.up(ACK, ISN + 3, SERVER_ISN + 1, b"il")
    assert last.drop == "stopped" and not last.injections
    assert talk.up(RST, ISN + 3).drop == "stopped"
    assert talk.table.held == 0


def test_a_reply_reaches_the_client_in_order_and_is_repeated(talk: Talk) -> None:
    talk.recorder.reply = b"r" * 3000
    decision = talk.up(ACK, ISN + 1, SERVER_ISN + 1, b"evil")
    pieces = [injection.segment for injection in decision.injections if injection.link == DOWN]
    assert b"".join(piece.payload for piece in pieces) == talk.recorder.reply
    at = SERVER_ISN + 1
    for piece in pieces:
        assert (piece.seq, piece.ack) == (at & 0xFFFFFFFF, ISN + 5)
        at += len(piece.payload)
    assert pieces[-1].flags & FIN
    assert len(talk.up(ACK, ISN + 1, SERVER_ISN + 1, b"evil").injections) == len(pieces)
    reset = talk.up(ACK | FIN, ISN + 5, (at + 1) & 0xFFFFFFFF).injections[0].segment
    assert reset.flags & RST and reset.seq == (at + 1) & 0xFFFFFFFF


def test_a_connection_that_was_moved_is_ended_on_its_present_path(talk: Talk) -> None:
    talk.tag = b"MOVE"
    to_server, to_client = talk.up(ACK, ISN + 1, SERVER_ISN + 1, b"evil").injections
    assert to_server.link == LinkHeader("out0", b"\x0a\x5fMOVEclient") and to_client.link == DOWN


def test_a_release_is_for_the_kernel_to_carry(talk: Talk) -> None:
    assert talk.up(ACK, ISN + 1, SERVER_ISN + 1, b"boring").release
    assert len(talk.table) == 0 and talk.table.held == 0
    late = talk.up(ACK, ISN + 7, SERVER_ISN + 1, b"it was in the queue"), talk.down(ACK, SERVER_ISN + 1, ISN + 7)
    assert late == (PASSED, PASSED)
    talk.up(SYN, 70000)
    assert talk.up(ACK, ISN + 7, SERVER_ISN + 1, b"of the old one").drop == "mid-stream-reset"
    carried = Talk(port=9)
    carried.up(SYN, ISN)
    assert carried.down(SYN | ACK, SERVER_ISN, ISN + 1).release and len(carried.table) == 0


def test_an_inspector_that_fails_stops_or_releases() -> None:
    for fail_open in (False, True):
        talk = Talk(Limits(fail_open=fail_open))
        talk.shake()
        decision = talk.up(ACK, ISN + 1, SERVER_ISN + 1, b"crash")
        assert decision.release is fail_open and bool(decision.stop) is not fail_open and decision.error is not None


@pytest.mark.parametrize(
    ("flags", "seq", "payload", "reason"),
    [
        (0, ISN + 1, b"x", "flags"),
        (ACK | URG, ISN + 1, b"x", "urgent"),
        (ACK, ISN + 1 + (2 << 20), b"x", "window"),
        (ACK, ISN + 1 + (2 << 20), b"", "window"),
        (RST, ISN - 5000, b"", "rst-sequence"),
        (RST, ISN + 1, b"evil", "rst-data"),
        (SYN | FIN, ISN + 1, b"", "flags"),
        (SYN, ISN, b"evil", "syn-data"),
    ],
)
def test_what_is_out_of_place_is_dropped(talk: Talk, flags: int, seq: int, payload: bytes, reason: str) -> None:
    assert talk.up(flags, seq, SERVER_ISN + 1, payload).drop == reason


def test_a_reset_does_not_end_the_watch(talk: Talk) -> None:
    assert not talk.up(RST, ISN + 1).drop
    assert talk.up(ACK, ISN + 1, SERVER_ISN + 1, b"evil").drop == "evil"


def test_an_acknowledgement_of_what_was_never_sent_is_dropped(talk: Talk) -> None:
    assert talk.down(ACK, SERVER_ISN + 1, ISN + 50).drop == "ack-ahead"


def test_what_began_unseen_is_dropped_or_looked_into_from_there() -> None:
    assert Talk().up(ACK, 5, 7, b"evil").drop == "mid-stream-reset"
    talk = Talk(Limits(fail_open=True, ports=frozenset({80})))
    assert not talk.down(ACK, 7, 5, b"hello").drop
    assert talk.up(ACK, 5, 12, b"evil").drop == "evil"
    assert talk.recorder.seen[Direction.TO_CLIENT] == b"hello"


def test_a_handshake_has_one_course(talk: Talk) -> None:
    assert not talk.down(SYN | ACK, SERVER_ISN, ISN + 1).drop  # a retransmission
    assert talk.down(SYN | ACK, SERVER_ISN + 9, ISN + 1).drop == "syn-ack-unasked"
    fresh = Talk()
    fresh.up(SYN, ISN)
    assert fresh.down(SYN, SERVER_ISN).drop == "simultaneous-open"
    assert fresh.down(SYN | ACK, SERVER_ISN, ISN + 2).drop == "syn-ack-unasked"
    assert not fresh.down(RST | ACK, 0, ISN + 1).drop  # the server refuses


def test_a_new_connection_takes_the_place_of_an_old_one_when_the_server_agrees(talk: Talk) -> None:
    talk.up(ACK, ISN + 1, SERVER_ISN + 1, b"old")
    assert not talk.up(SYN, 70000).drop
    assert not talk.up(ACK, ISN + 4, SERVER_ISN + 1, b"still").drop
    assert not talk.down(SYN | ACK, 5, 70001).drop
    assert talk.recorder.opened == 2 and len(talk.table) == 1
    assert not talk.up(ACK, 70001, 6, b"new").drop
    assert talk.recorder.seen[Direction.TO_SERVER] == b"oldstillnew"


def test_connections_and_bytes_are_bounded() -> None:
    talk = Talk(Limits(connections=2, held_bytes=10))
    for port in (1, 2, 3):
        talk.port = port
        talk.up(SYN, ISN)
        decision = talk.down(SYN | ACK, SERVER_ISN, ISN + 1)
    assert decision.drop == "connections"
    talk.port = 1
    assert not talk.up(ACK, ISN + 1, SERVER_ISN + 1, b"12345678").drop
    assert talk.up(ACK, ISN + 9, SERVER_ISN + 1, b"12345678").drop == "memory"
    talk.down(ACK, SERVER_ISN + 1, ISN + 9)
    assert talk.table.held == 0
    assert not talk.up(ACK, ISN + 9, SERVER_ISN + 1, b"12345678").drop
    talk.now_s = 10_000
    assert talk.table.expire(talk.now_s) == 2 and talk.table.held == 0


def test_connections_that_are_over_make_room() -> None:
    talk = Talk(Limits(connections=1))
    talk.shake()
    talk.up(ACK, ISN + 1, SERVER_ISN + 1, b"evil")
    talk.port = 2
    talk.shake()
    assert len(talk.table) == 1
    talk.up(ACK | FIN, ISN + 1, SERVER_ISN + 1)
    talk.port = 3
    talk.up(SYN, ISN)
    assert talk.down(SYN | ACK, SERVER_ISN, ISN + 1).drop == "connections"
    talk.port = 2
    talk.down(ACK | FIN, SERVER_ISN + 1, ISN + 2)
    talk.port = 3
    talk.shake()
    talk.up(RST, ISN + 1)
    talk.port = 4
    talk.shake()
    talk.up(RST, ISN + 1)
    talk.recorder.seen[Direction.TO_SERVER] = b""
    talk.up(ACK, ISN + 1, SERVER_ISN + 1, b"it was not heeded")
    talk.port = 5
    talk.up(SYN, ISN)
    assert talk.down(SYN | ACK, SERVER_ISN, ISN + 1).drop == "connections"


def test_half_open_connections_are_bounded() -> None:
    talk = Talk()
    syn = Segment(CLIENT, 1, SERVER, 80, ISN, 0, SYN, b"")
    for index in range(HALF_OPEN_LIMIT + 10):
        talk.table.handle(syn._replace(source=index.to_bytes(4, "big")), Route(bytes(4), UP), 0)
    answer = Segment(SERVER, 80, bytes(4), 1, 5, ISN + 1, SYN | ACK, b"")
    assert talk.table.handle(answer, Route(bytes(4), DOWN), 0).drop == "syn-ack-unasked"  # the oldest was forgotten
