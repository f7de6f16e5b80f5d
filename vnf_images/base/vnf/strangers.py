"""Segments of connections that are not known, where failing is closed: nothing of them passes, and both ends learn it at once.

In: the segment, the time, and which connections were released. Out: decisions. Pure, bounded.

In place of such a segment its receiver gets a reset, and behind it the segment's acknowledgement without what it carried. A TCP that has
no such connection, and after the reset it has none, answers that with a reset whose sequence number is the acknowledgement's
(RFC 9293, 3.10.7.1), which is the one that the sender expects: resets that carry nothing pass. So both frames go the way that the segment
went, since the way back (its path's tag) is not known of a connection whose handshake was not seen. A receiver that expects another
sequence number, since segments were lost before, acknowledges instead (RFC 5961): the next such segment, and it says the right number.
"""

from __future__ import annotations

from vnf.decision import PASSED, Decision, Injection
from vnf.packet import ACK, RST, Segment
from vnf.reassembly import Refused

RESETS_A_SECOND = 1000  # more are dropped without a word; whoever sent them repeats them
RELEASED_S = 10.0  # longer than anything waits in the queue
RELEASED_LIMIT = ACKNOWLEDGED_LIMIT = 16384

Key = tuple[bytes, int, bytes, int]


class Strangers:
    """Invariant: `_released` has an entry for each direction of a connection, oldest first. `_acknowledged` has what a segment
    of that direction said last: the sequence number that its sender expects.
    """

    def __init__(self) -> None:
        self._released: dict[Key, float] = {}
        self._acknowledged: dict[Key, int] = {}
        self._second = 0
        self._resets = 0

    def handle(self, segment: Segment, now_s: float) -> Decision:
        """Decide on a segment without SYN of a connection that is not known. Raises Refused."""
        if segment.flags & RST:
            if segment.payload:
                raise Refused("rst-data")
            return PASSED
        if self._released.get(segment[:4], -1.0) >= now_s:
            return PASSED  # it was in the queue already when the kernel was told to carry the connection
        if not segment.flags & ACK or not self._may_reset(now_s):
            raise Refused("mid-stream")
        self._acknowledged[segment[:4]] = segment.ack
        if len(self._acknowledged) > ACKNOWLEDGED_LIMIT:
            del self._acknowledged[next(iter(self._acknowledged))]
        expected = self._acknowledged.get(_back(segment[:4]), segment.seq)
        reset = segment._replace(seq=expected, ack=0, flags=RST, payload=b"")
        asking = segment._replace(flags=ACK, payload=b"")
        return Decision("mid-stream-reset", injections=(Injection(None, reset), Injection(None, asking)))

    def release(self, key: Key, now_s: float) -> None:
        """The kernel carries this connection from now on."""
        for each in (key, _back(key)):
            self._released.pop(each, None)
            self._released[each] = now_s + RELEASED_S
        while len(self._released) > RELEASED_LIMIT:
            del self._released[next(iter(self._released))]

    def begin(self, key: Key) -> None:
        """A new connection has these ends: what was between them is over."""
        for each in (key, _back(key)):
            self._released.pop(each, None)
            self._acknowledged.pop(each, None)

    def expire(self, now_s: float) -> None:
        """Forget what was released long ago."""
        while self._released and next(iter(self._released.values())) < now_s:
            del self._released[next(iter(self._released))]

    def _may_reset(self, now_s: float) -> bool:
        if int(now_s) != self._second:
            self._second, self._resets = int(now_s), 0
        self._resets += 1
        return self._resets <= RESETS_A_SECOND


def _back(key: Key) -> Key:
    return (*key[2:], *key[:2])
