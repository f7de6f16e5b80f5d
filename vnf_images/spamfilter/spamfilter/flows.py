"""Which MAC addresses the frames of each connection bear; pure.

In: what frames of a connection bore when they came, by direction. Out: what the frames that the filter's stack makes for that
connection must bear. The destination is the path's tag, different by connection and direction. Must not keep more than a
bounded number of connections: those that were silent longest go first.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from spamfilter.packets import Segment

MOST_FLOWS = 16384


@dataclass(frozen=True, slots=True)
class Key:
    """A connection's ends, addresses in network order."""

    client: bytes
    client_port: int
    server: bytes
    server_port: int


@dataclass(slots=True)
class Flow:
    """The first 14 bytes of the latest frames in each direction, None where none was seen yet.

    `unanswered` is a packet to one end that has to wait for the first frame in that direction.
    """

    to_server: bytes | None = None
    to_client: bytes | None = None
    unanswered: bytes | None = None

    def saw(self, to_server: bool, ethernet: bytes) -> None:
        if to_server:
            self.to_server = ethernet
        else:
            self.to_client = ethernet


class Flows:
    """The connections whose frames were seen."""

    def __init__(self, most: int = MOST_FLOWS) -> None:
        self._flows: OrderedDict[Key, Flow] = OrderedDict()
        self._most = most

    def __len__(self) -> int:
        return len(self._flows)

    def find(self, key: Key) -> Flow | None:
        flow = self._flows.get(key)
        if flow is not None:
            self._flows.move_to_end(key)
        return flow

    def begin(self, key: Key) -> Flow:
        """The connection's flow, new where it was unknown."""
        flow = self._flows.setdefault(key, Flow())
        self._flows.move_to_end(key)
        if len(self._flows) > self._most:
            self._flows.popitem(last=False)
        return flow

    def header(self, segment: Segment) -> tuple[bool, bytes] | None:
        """Whether a segment that the stack made goes to the server, and the Ethernet header for it; None when unknown."""
        flow = self.find(key_to_server(segment))
        if flow is not None:
            return (True, flow.to_server) if flow.to_server is not None else None
        flow = self.find(key_to_client(segment))
        return (False, flow.to_client) if flow is not None and flow.to_client is not None else None


def key_to_server(segment: Segment) -> Key:
    return Key(segment.source, segment.source_port, segment.destination, segment.destination_port)


def key_to_client(segment: Segment) -> Key:
    return Key(segment.destination, segment.destination_port, segment.source, segment.source_port)
