"""One direction of a TCP connection: which bytes are new, and whether repeated ones are the same.

In: segments' offsets and payloads, and acknowledgements. Out: each byte once, in order; or why a segment must not pass. Pure.
Offsets are sequence numbers that do not wrap.

A segment ahead of a gap may pass at once: no receiver hands its bytes on before the gap is filled, and what fills it does not pass
before all of it was looked at. (Were it kept back, the receiver could not ask for what is missing.) Whatever a receiver has not
acknowledged is known here byte for byte, and a segment that differs from it is refused, so that both ends cannot be told apart
by which of two versions they take.
"""

from __future__ import annotations

UNACKNOWLEDGED_LIMIT = 1 << 20  # bytes of one direction that are known and not acknowledged
GAPS_LIMIT = 64  # of one direction at the same time


class Refused(ValueError):
    """The segment must be dropped; the message is one of few words, fit for a metric's label."""


class Half:
    """Invariants: `acked` <= `next`; `_sent` are the bytes from `acked` up to `next` (a FIN takes one offset and no byte);
    `_waiting` holds runs of bytes beyond `next` that do not overlap, by their first
    offset; `fin` is the offset of the FIN where one was seen.
    """

    __slots__ = ("_sent", "_waiting", "acked", "ended", "fin", "held", "next")

    def __init__(self, first: int) -> None:
        self.next = first
        self.acked = first
        self.fin: int | None = None
        self.ended = False  # the FIN came in order
        self.held = 0  # bytes kept
        self._sent = bytearray()
        self._waiting: dict[int, bytearray] = {}

    def offset(self, seq: int) -> int:
        """The offset nearest to what is expected that has this sequence number."""
        return self.next + ((seq - self.next + 0x80000000) & 0xFFFFFFFF) - 0x80000000

    def acknowledge(self, ack: int) -> None:
        """The receiver has everything before `ack`. Raises Refused where it cannot have."""
        offset = self.offset(ack)
        if offset > self.next:
            raise Refused("ack-ahead")
        if offset > self.acked:
            gone = min(offset - self.acked, len(self._sent))
            del self._sent[:gone]
            self.held -= gone
            self.acked = offset

    def take(self, seq: int, payload: bytes, fin: bool) -> bytes:
        """The bytes that are new and in order thanks to this segment; b"" where there are none. Raises Refused.

        What is given is taken as let through: it becomes part of what is known.
        """
        start = self.offset(seq)
        end = start + len(payload)
        if end < self.acked or (end == self.acked and not fin and payload):
            return b""  # the receiver has it already, whatever it says now
        if start == self.next and not self._waiting and self.fin is None and not fin:  # what nearly all segments are
            if end > self.acked + UNACKNOWLEDGED_LIMIT:
                raise Refused("window")
            self._sent += payload
            self.next = end
            self.held += len(payload)
            return payload
        self._check(start, end, payload, fin)
        if fin:
            self.fin = end
        if start > self.next:
            self._keep(start, payload)
            return b""
        return self._join(payload[self.next - start :])

    def finish(self) -> bool:
        """Whether the direction's end is reached just now: true once."""
        if self.ended or self.fin is None or self.fin != self.next:
            return False
        self.ended = True
        self.next += 1
        return True

    def in_window(self, seq: int) -> bool:
        """Whether a receiver may take note of this sequence number."""
        return self.acked - 1 <= self.offset(seq) <= self.next + UNACKNOWLEDGED_LIMIT

    def _check(self, start: int, end: int, payload: bytes, fin: bool) -> None:
        if end > self.acked + UNACKNOWLEDGED_LIMIT:
            raise Refused("window")
        limit = self.fin
        if limit is not None and (end > limit or (fin and end != limit)):
            raise Refused("after-fin")
        last = max((at + len(piece) for at, piece in self._waiting.items()), default=self.next - self.ended)
        if fin and end < max(last, self.next - self.ended):
            raise Refused("fin-before-data")
        if not self._agrees(start, payload, self.acked, self._sent):
            raise Refused("retransmission-differs")
        if not all(self._agrees(start, payload, at, piece) for at, piece in self._waiting.items()):
            raise Refused("overlap-differs")

    @staticmethod
    def _agrees(start: int, payload: bytes, known_start: int, known: bytes | bytearray) -> bool:
        low = max(start, known_start)
        high = min(start + len(payload), known_start + len(known))
        return low >= high or payload[low - start : high - start] == known[low - known_start : high - known_start]

    def _keep(self, start: int, payload: bytes) -> None:
        """Remember a segment ahead of the gap, as far as its bytes are not known yet."""
        for at, piece in sorted(self._waiting.items()):
            if at >= start + len(payload):
                break
            if at > start:
                self._put(start, payload[: at - start])
            beyond = at + len(piece) - start
            if beyond > 0:
                start, payload = start + min(beyond, len(payload)), payload[beyond:]
        self._put(start, payload)

    def _put(self, start: int, piece: bytes) -> None:
        if not piece:
            return
        self.held += len(piece)
        for at, run in self._waiting.items():
            if at + len(run) == start:
                run += piece
                return
        if len(self._waiting) >= GAPS_LIMIT:
            self.held -= len(piece)
            raise Refused("gaps")
        self._waiting[start] = bytearray(piece)

    def _join(self, fresh: bytes) -> bytes:
        """Append `fresh` and the pieces that follow it; gives both."""
        added = bytearray(fresh)
        for at, piece in sorted(self._waiting.items()):
            reach = self.next + len(added)
            if at > reach:
                break
            del self._waiting[at]
            self.held -= len(piece)
            added += piece[reach - at :]
        self._sent += added
        self.held += len(added)
        self.next += len(added)
        return bytes(added)
