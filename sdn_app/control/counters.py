"""Counters by path, instance and chain, from the cookies of the switches' flow entries.

In: flow statistics. Out: sums that never go back: what an entry had counted when it went, or a switch restarted,
is kept.
"""

from collections import Counter
from collections.abc import Iterable

from sdn_app.openflow.codec import FlowStat
from sdn_app.rules.entries import Match
from sdn_app.rules.pipeline import Cookie, cookie_parts

Key = tuple[int, int]  # kind, value
FlowKey = tuple[int, int, Match]


class Counters:
    """Packets and bytes by (kind of entry, value of its cookie), over all switches."""

    def __init__(self) -> None:
        self.packets: Counter[Key] = Counter()
        self.bytes: Counter[Key] = Counter()
        self.last_change: dict[int, float] = {}  # SPI -> monotonic seconds of the last packet seen
        self._last: dict[tuple[int, FlowKey], tuple[int, int]] = {}  # (switch, entry) -> what it counted last

    def update(self, dpid: int, stats: Iterable[FlowStat], now: float) -> None:
        """Take in all flow entries of one switch."""
        seen = {}
        for stat in stats:
            parts = cookie_parts(stat.flow.cookie)
            if parts is None:
                continue
            name = (dpid, stat.flow.key)
            packets, size = self._last.get(name, (0, 0))
            if stat.packets < packets:
                packets, size = 0, 0
            more = stat.packets - packets
            self.packets[parts] += more
            self.bytes[parts] += stat.bytes - size
            seen[name] = (stat.packets, stat.bytes)
            kind, value = parts
            if kind in (Cookie.PATH, Cookie.REPLY) and (more or value not in self.last_change):
                self.last_change[value] = now
        for name in [name for name in self._last if name[0] == dpid and name not in seen]:
            del self._last[name]
        self._last.update(seen)

    def of(self, kind: Cookie, value: int) -> tuple[int, int]:
        """(packets, bytes) of one kind and value."""
        return self.packets[kind, value], self.bytes[kind, value]

    def total(self, kind: Cookie) -> int:
        """Packets of all entries of a kind."""
        return sum(count for (each, _), count in self.packets.items() if each == kind)
