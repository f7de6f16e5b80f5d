"""Decides about fragments of TCP packets; pure.

In: fragments one by one with the time, and which ports are the filter's. Out: what to do with each. All fragments of a packet go where
its first one goes, the only one with ports; those that come before it are kept for a while. Must not keep more than a
bounded number, and must not reassemble: the stack that they are sent to does, the filter's own or the server's.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum

from spamfilter.packets import NO_PORTS, Fragment

KNOWN_FOR_S = 30.0
MOST_PACKETS = 256
MOST_KEPT = 16  # fragments of one packet


class Way(Enum):
    """Where a fragment goes."""

    OURS = "ours"  # into the filter's own stack
    ACROSS = "across"  # out of the other port, as it is
    KEPT = "kept"
    DROPPED = "dropped"


@dataclass(slots=True)
class _Packet:
    """`way` is None until the first fragment came; only then `kept` has any."""

    since_s: float
    way: Way | None = None
    kept: list[bytes] = field(default_factory=list)


class Fragments:
    """The packets of one port whose fragments are under way."""

    def __init__(self, ours: Callable[[int, int], bool]) -> None:
        self._ours = ours
        self._packets: OrderedDict[tuple[bytes, bytes, int], _Packet] = OrderedDict()

    def take(self, fragment: Fragment, frame: bytes, now_s: float) -> tuple[Way, list[bytes]]:
        """Where the fragment goes, and the frames kept so far that go with it."""
        self._forget(now_s)
        key = (fragment.source, fragment.destination, fragment.identification)
        packet = self._packets.setdefault(key, _Packet(now_s))
        if fragment.ports is None:
            return self._later(packet, frame), []
        way = Way.OURS if self._ours(*fragment.ports) else Way.ACROSS
        if fragment.ports == NO_PORTS or packet.way not in (None, way):
            return Way.DROPPED, []
        packet.way = way
        kept, packet.kept = packet.kept, []
        return way, kept

    def _later(self, packet: _Packet, frame: bytes) -> Way:
        if packet.way is not None:
            return packet.way
        if len(packet.kept) >= MOST_KEPT:
            return Way.DROPPED
        packet.kept.append(frame)
        return Way.KEPT

    def _forget(self, now_s: float) -> None:
        while self._packets:
            oldest = next(iter(self._packets.values()))
            if len(self._packets) < MOST_PACKETS and now_s - oldest.since_s < KNOWN_FOR_S:
                return
            self._packets.popitem(last=False)
