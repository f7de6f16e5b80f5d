"""Which packets' way through the firewall is timed, and how the two sights of one are brought together. Pure.

In: sights of packets, at the port that they came in by and at the one that they left by, with the kernel's time. Out: nanoseconds.

The sample is told by what differs from packet to packet and is the same at both ports: the transport's checksum, with IPv4's
identification. The kernel's filter takes one of 64 values of their lowest bits, of TCP, UDP and ICMP in whole packets without
IPv6 extension headers. Sights are brought together by the first bytes from the IP header on, which neither bridge nor rules change.
"""

from __future__ import annotations

from vnf.packetfilter import Step

SNAP = 128  # bytes of a frame that are looked at: its headers
LINK = 14
PATIENCE_NS = 1_000_000_000  # who did not leave by then was dropped
WAITING_LIMIT = 1024
CHOICES, CHOSEN = 64, 37  # not 0: some packets have neither checksum nor identification
_REFUSE: Step = (0x06, 0, 0, 0)


def _checksum(load: int, at: int, icmp: int) -> tuple[Step, ...]:
    """The steps from the protocol to the checksum; `load` is relative to X or not, `at` where the transport's header is then."""
    return (
        *((0x15, 0, 2, 6), (load, 0, 0, at + 16), (0x05, 0, 0, 6)),
        *((0x15, 0, 2, 17), (load, 0, 0, at + 6), (0x05, 0, 0, 3)),
        *((0x15, 1, 0, icmp), _REFUSE, (load, 0, 0, at + 2)),
    )


_V4: tuple[Step, ...] = (
    (0x28, 0, 0, LINK + 6),  # ldh flags and fragment offset
    (0x45, 0, 1, 0x3FFF),
    _REFUSE,
    (0xB1, 0, 0, LINK),  # ldx the IP header's length
    (0x30, 0, 0, LINK + 9),  # ldb protocol
    *_checksum(0x48, LINK, 1),
    (0x07, 0, 0, 0),  # tax
    (0x28, 0, 0, LINK + 4),  # ldh identification
    (0xAC, 0, 0, 0),  # xor x
)
_V6: tuple[Step, ...] = (
    (0x15, 1, 0, 0x86DD),
    _REFUSE,
    (0x30, 0, 0, LINK + 6),  # ldb next header
    *_checksum(0x28, LINK + 40, 58),
)
SAMPLE: tuple[Step, ...] = (
    (0x28, 0, 0, 12),  # ldh ethertype
    (0x15, 0, len(_V4) + 1, 0x0800),
    *_V4,
    (0x05, 0, 0, len(_V6)),
    *_V6,
    (0x54, 0, 0, CHOICES - 1),  # and
    (0x15, 0, 1, CHOSEN),
    (0x06, 0, 0, SNAP),
    _REFUSE,
)


class Pairs:
    """Sights that wait for the other one of their packet.

    Invariant: `_waiting` has them by the port that the packet came in by and its bytes, oldest first: when it was, whether the packet
    left then, and whether two packets were alike, which are not timed.
    """

    def __init__(self) -> None:
        self._waiting: dict[tuple[str, bytes], tuple[int, bool, bool]] = {}

    def saw(self, came_by: str, packet: bytes, left: bool, at_ns: int) -> int | None:
        """The time between a packet's sights where this is the other one of them; they may come in any order."""
        key = came_by, packet
        known = self._waiting.get(key)
        if known is None:
            self._waiting[key] = at_ns, left, False
            if len(self._waiting) > WAITING_LIMIT:
                del self._waiting[next(iter(self._waiting))]
            return None
        known_ns, known_left, alike = known
        if alike or known_left == left:
            self._waiting[key] = known_ns, left, True
            return None
        del self._waiting[key]
        took_ns = at_ns - known_ns if left else known_ns - at_ns
        return took_ns if 0 <= took_ns <= PATIENCE_NS else None  # else the clock was set

    def forget(self, now_ns: int) -> None:
        """Those that wait for too long."""
        for key in [key for key, sight in self._waiting.items() if not 0 <= now_ns - sight[0] <= PATIENCE_NS]:
            del self._waiting[key]
