"""Connections in their middle, where failing is closed: nothing passes, and both ends are told, whatever was lost before."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field

import pytest

from testbed.lab import images

sys.path.append(str(images.IMAGES_FOLDER / "base"))

from vnf.decision import PASSED
from vnf.packet import ACK, FIN, RST, Segment
from vnf.reassembly import Refused
from vnf.strangers import RELEASED_LIMIT, RELEASED_S, RESETS_A_SECOND, Strangers

CLIENT, SERVER = (b"\x0a\0\0\1", 5000), (b"\x0a\0\0\2", 80)
DATA = Segment(*CLIENT, *SERVER, 1000, 2000, ACK, b"evil")


@dataclass
class End:
    """A TCP after its handshake as RFC 9293 and RFC 5961 have it: what it has sent, what was acknowledged, what it expects."""

    own: tuple[bytes, int]
    peer: tuple[bytes, int]
    acked: int
    sent: int
    expected: int
    open: bool = True
    took: bytes = b""

    def says(self, flags: int = ACK, payload: bytes = b"") -> Segment:
        """With a payload it repeats what was not acknowledged."""
        return Segment(*self.own, *self.peer, self.acked if payload else self.sent, self.expected, flags, payload)

    def hears(self, segment: Segment) -> list[Segment]:
        if segment.flags & RST:
            in_window = self.open and 0 <= segment.seq - self.expected < 65536
            self.open = self.open and segment.seq != self.expected
            return [self.says()] if in_window and self.open else []
        if not self.open:
            return [Segment(*self.own, *self.peer, segment.ack, 0, RST, b"")]
        self.took += segment.payload
        return [] if segment.seq == self.expected else [self.says()]


@dataclass
class Between:
    """A function that knows of no connection, and both ends."""

    client: End
    server: End
    strangers: Strangers = field(default_factory=Strangers)

    def carry(self, segment: Segment) -> None:
        """Until all is silent."""
        waiting, frames = [segment], 0
        while waiting:
            frames += 1
            assert frames < 8
            segment = waiting.pop(0)
            decision = self.strangers.handle(segment, 0)
            onward = [each.segment for each in decision.injections] if decision.drop else [segment]
            receiver = self.server if segment[2:4] == SERVER else self.client
            for each in onward:
                assert each[:4] == segment[:4] and not each.payload
                waiting += receiver.hears(each)


def ends(lost_up: int = 0, lost_down: int = 0, unheard_up: int = 0, unheard_down: int = 0) -> Between:
    """`lost` bytes of a direction never arrived; `unheard` ones did, and their acknowledgement was lost."""
    client = End(CLIENT, SERVER, 1000 - unheard_up, 1000 + lost_up, 2000)
    server = End(SERVER, CLIENT, 2000 - unheard_down, 2000 + lost_down, 1000)
    return Between(client, server)


@pytest.mark.parametrize("who", ["client", "server"])
@pytest.mark.parametrize(
    "lost",
    [
        {},
        {"lost_up": 10},
        {"lost_down": 3000},
        {"unheard_up": 10},
        {"unheard_down": 3000},
        {"lost_up": 9, "unheard_down": 9},
        {"lost_up": 10, "lost_down": 10, "unheard_up": 5, "unheard_down": 5},
    ],
)
def test_both_ends_learn_of_it_from_whoever_speaks_first(who: str, lost: dict[str, int]) -> None:
    for flags, payload in ((ACK, b"data"), (ACK, b""), (ACK | FIN, b"")):
        between = ends(**lost)
        between.carry(getattr(between, who).says(flags, payload))
        assert not between.client.open and not between.server.open
        assert between.client.took == between.server.took == b""


def test_a_server_that_is_gone_answers_itself() -> None:
    between = ends()
    between.server.open = False
    between.carry(between.client.says(payload=b"data"))
    assert not between.client.open


def test_what_cannot_be_answered_is_dropped() -> None:
    strangers = Strangers()
    for segment, reason in ((DATA._replace(flags=0), "mid-stream"), (DATA._replace(flags=RST), "rst-data")):
        with pytest.raises(Refused, match=reason):
            strangers.handle(segment, 0)
    assert strangers.handle(DATA._replace(flags=RST, payload=b""), 0) is PASSED


def test_resets_are_bounded() -> None:
    strangers = Strangers()
    for _ in range(RESETS_A_SECOND):
        assert len(strangers.handle(DATA, 7.5).injections) == 2
    with pytest.raises(Refused, match="mid-stream"):
        strangers.handle(DATA, 7.9)
    assert strangers.handle(DATA, 8.0).drop == "mid-stream-reset"


def test_what_was_released_is_remembered_for_a_while_and_within_bounds() -> None:
    strangers = Strangers()
    strangers.release(DATA[:4], 0)
    assert strangers.handle(DATA, RELEASED_S) is PASSED
    assert strangers.handle(DATA, RELEASED_S + 0.1).drop
    strangers.expire(RELEASED_S + 0.1)
    strangers.release(DATA[:4], 20)
    for number in range(RELEASED_LIMIT // 2):
        strangers.release((number.to_bytes(4, "big"), 1, *SERVER), 20)
    assert strangers.handle(DATA, 20).drop


def test_a_new_connection_between_the_same_ends_is_another_one() -> None:
    strangers = Strangers()
    strangers.handle(Segment(*SERVER, *CLIENT, 2000, 1234, ACK, b""), 0)
    assert strangers.handle(DATA, 0).injections[0].segment.seq == 1234, "what the server said that it expects"
    strangers.begin(DATA[:4])
    assert strangers.handle(DATA, 0).injections[0].segment.seq == DATA.seq
