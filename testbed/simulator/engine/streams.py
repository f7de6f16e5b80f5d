"""What the engine writes down while it runs: streams of records, each a fixed number of values, added in order of `written`.

Formatting is the limit of a simulation's speed, so the engine adds numbers only, and a writer (`testbed.simulator.records`)
turns blocks of them into the rows of the documented files. A stream that is None is not wanted. Values are floats; numbers of
requests, instances and links count from 0 in the order of `Entities` and of creation; a packet's number counts within its request.

| stream | values of a record | written at |
|---|---|---|
| links | request, packet, link, next VNF instance (-1: egress), size, fate (0 sent, 1 dropped, 2 lost), arrived, started, sent | arrived |
| vnf_arrivals | request, packet, instance, size, fate (0 taken, 1 dropped: queue full), arrived | arrived |
| vnf_starts | request, packet, instance, size, remote_ms, disk_ms, cpu, cpu_usage, mem, mem_usage, started, ends | started |
| vnf_ends | request, packet, instance, size, arrived, cpu, cpu_usage, mem, mem_usage, ended | ended |
| packets | request, packet, event (PacketEvent), at | at |
| ended | request, packet, created, size, active requests at creation, delay, mobility penalty, violated, fate (PacketEvent) | end |

Usages are those after the change. Records of `links` and `vnf_starts` hold times that are still to come. A dropped packet's
`started` and `sent` are NaN, a lost one's `sent` is when its transmission was over. A packet that is under way at the end has a
record in `ended` with fate ACTIVE.
"""

from enum import IntEnum
from struct import Struct
from typing import Protocol

import numpy
from numpy.typing import NDArray

WIDTHS = {"links": 9, "vnf_arrivals": 6, "vnf_starts": 12, "vnf_ends": 10, "packets": 4, "ended": 9}


class PacketEvent(IntEnum):
    """What became of a packet. ACTIVE is no event: it is under way."""

    CREATED = 0
    PROCESSED = 1
    ORPHAN = 2
    DROPPED_VNF_QUEUE = 3
    DROPPED_LINK_QUEUE = 4
    LOST = 5
    VIOLATED = 6
    ACTIVE = 7


class Stream:
    """Records of one kind, `width` numbers each, packed: a number takes 8 bytes, and no object of Python."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._pack = Struct(f"{width}d").pack
        self._packed = bytearray()

    def __len__(self) -> int:
        return len(self._packed) // (8 * self.width)

    def add(self, record: tuple[float, ...]) -> None:
        """One record more.

        Raises:
            struct.error: it is not of `width` numbers.
        """
        self._packed += self._pack(*record)

    def take(self) -> "NDArray[numpy.float64]":
        """All records, of shape (records, width); none is left."""
        taken, self._packed = self._packed, bytearray()
        return numpy.frombuffer(taken, numpy.float64).reshape(-1, self.width)


class Recorder(Protocol):
    """Takes what the engine and the simulation write down. Its streams stay the same objects: the engine keeps them."""

    links: Stream | None
    vnf_arrivals: Stream | None
    vnf_starts: Stream | None
    vnf_ends: Stream | None
    packets: Stream | None
    ended: Stream | None

    def flush(self, now: float) -> None:
        """Take what the streams hold; the engine calls it every few thousand packets. No later record is about a time
        before `now`; rows of later times wait."""

    def event(self, table: str, event: str, time: float, **columns: object) -> None:
        """A row of one of the other files: its name without `.csv`, and its columns by name as in the file's header
        ("SFC_Requests_Placed", "Window Init")."""

    def placed(self, request: int, sfc_instance: str) -> None:
        """From now on this request's packets are processed by this SFC instance."""

    def created(self, instance: int, name: str, vnf: str, node: str) -> None:
        """A VNF instance with its number."""
