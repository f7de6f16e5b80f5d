"""Deal new connections to paths: the hot path, one packet-in and one packet-out a connection.

In: raw packet-ins whose cookie says which target is to be dealt. Out: the packet-out that commits the path to conntrack
and lets the packet go on. Frames of a connection that was just dealt (a retransmission, a burst of datagrams) follow
the first one. Must not: wait, or grow with the number of connections beyond the last few seconds.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sdn_app.openflow.codec import packet_out_template
from sdn_app.rules.compile import deal_actions

REMEMBER_S = 2.0
Choose = Callable[[bytes], int]
Template = Callable[[int, bytes, int], bytes]


@dataclass(slots=True)
class Deal:
    """How one target's connections are dealt: `choose` gives an option, `rows` per switch its SPI (0: none here)."""

    choose: Choose
    options: tuple[tuple[str, ...], ...]  # instance ids at every position, of each option
    rows: dict[int, Sequence[int]]


class Dealer:
    """Tables of what can be dealt, and the counts of what was."""

    def __init__(self) -> None:
        self.deals: dict[int, Deal] = {}
        self.dealt: Counter[int] = Counter()  # by SPI
        self.refused = 0
        self._templates: dict[tuple[int, int], Template] = {}
        self._index: dict[int, int] = {}
        self._recent: dict[bytes, int] = {}
        self._older: dict[bytes, int] = {}
        self._turned = 0.0
        self._on_dealt: Callable[[tuple[str, ...]], None] | None = None

    def replace(self, deals: dict[int, Deal], switch_index: dict[int, int]) -> None:
        """Take over new tables at once. Paths that are no longer dealt are forgotten for retransmissions too."""
        if switch_index != self._index:
            self._templates.clear()
        self.deals, self._index = deals, dict(switch_index)
        self._recent, self._older = {}, {}

    def on_dealt(self, told: Callable[[tuple[str, ...]], None] | None) -> None:
        """Who is told of every connection's instances (least loaded needs it)."""
        self._on_dealt = told

    def packet_out(self, dpid: int, target: int, in_port: int, frame: bytes, now: float, xid: int) -> bytes | None:
        """The answer to a packet-in; None where nothing can be dealt (the packet is dropped, as the chain states)."""
        deal = self.deals.get(target)
        row = deal.rows.get(dpid) if deal else None
        if deal is None or row is None:
            self.refused += 1
            return None
        if now - self._turned > REMEMBER_S:
            self._older, self._recent, self._turned = self._recent, {}, now
        key = _connection(dpid, frame)
        spi = self._recent.get(key) or self._older.get(key)
        if not spi:
            for _ in range(len(row)):
                option = deal.choose(frame)
                spi = row[option]
                if spi:
                    break
            else:
                self.refused += 1
                return None
            self._recent[key] = spi
            self.dealt[spi] += 1
            if self._on_dealt is not None:
                self._on_dealt(deal.options[option])
        template = self._templates.get((dpid, spi))
        if template is None:
            template = packet_out_template(deal_actions(spi, self._index[dpid]))
            self._templates[dpid, spi] = template
        return template(in_port, frame, xid)


def client_of(frame: bytes) -> int:
    """The IPv4 source address of an untagged frame."""
    return int.from_bytes(frame[26:30], "big")


def _connection(dpid: int, frame: bytes) -> bytes:
    """Bytes that are equal for frames that belong to one new connection: switch, protocol, addresses, and ports (UDP),
    ports and sequence number (TCP: a port that is used again is another connection) or identifier (ICMP)."""
    start = 14 + (frame[14] & 15) * 4 if len(frame) > 14 else 14
    protocol = frame[23:24]
    if protocol == b"\x06":
        name = frame[start : start + 8]
    elif protocol == b"\x11":
        name = frame[start : start + 4]
    else:
        name = frame[start + 4 : start + 6]
    return dpid.to_bytes(8, "big") + protocol + frame[26:34] + name
