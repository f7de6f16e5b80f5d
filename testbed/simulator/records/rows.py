"""Blocks of what the engine wrote down become rows: when, what event, and which record tells the rest.

In: arrays of records, as `engine.streams` lays them out, with flows for requests (`records.names`). Out: `Rows` in order of time.
Pure. Must not do: know how a file is written.

Rows of one time stand in an order in which the last one tells what holds after it: work that took time ends, packets arrive, work
that takes no time starts and ends, other work starts.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

Floats = NDArray[numpy.float64]
Numbers = NDArray[numpy.int64]
Columns = dict[str, Floats]

LINK_EVENTS = (
    "EVENT_LINK_ARRIVED",
    "LINK_PACKET_STARTED",
    "LINK_PACKET_SENT",
    "LINK_PACKET_DROPPED",
    "LINK_PACKET_LOST",
)
VNF_EVENTS = (
    "VNF_INSTANCE_PACKET_ARRIVED",
    "VNF_INSTANCE_PACKET_DROPPED",
    "VNF_INSTANCE_PACKET_STARTED",
    "VNF_INSTANCE_PACKET_PROCESSED",
    "VNF_REMOTE_DATA_RECEIVED",
)
RESOURCE_EVENTS = (
    "CPU_INCREASE_USAGE",
    "MEM_INCREASE_USAGE",
    "DISK_ACCESS",
    "CPU_DECREASE_USAGE",
    "MEM_DECREASE_USAGE",
)
PACKET_EVENTS = (
    "PACKET_CREATED",
    "PACKET_PROCESSED",
    "EVENT_PACKET_ORPHAN",
    "PACKET_DROPPED_VNF_INSTANCE_QUEUE",
    "PACKET_DROPPED_LINK_QUEUE",
    "PACKET_LOST",
    "EVENT_PACKET_SLA_VIOLATED",
)
"""By `PacketEvent`."""


@dataclass(slots=True)
class Rows:
    """Rows of one file, by time: `record` is a row's place in each of `columns`."""

    time: Floats
    event: Numbers
    record: Numbers
    columns: Columns

    def __len__(self) -> int:
        return len(self.time)

    def part(self, start: int, stop: int) -> "Rows":
        """Rows `start` to `stop`; it holds no more records than it needs where they are few."""
        time, event, record = self.time[start:stop], self.event[start:stop], self.record[start:stop]
        if 2 * len(record) >= len(next(iter(self.columns.values()))):
            return Rows(time, event, record, self.columns)
        needed, record = numpy.unique(record, return_inverse=True)
        return Rows(time.copy(), event.copy(), record, {name: each[needed] for name, each in self.columns.items()})


def gather(parts: Sequence[tuple[Floats, int | Numbers, Numbers]], columns: Columns) -> Rows:
    """Rows from (times, event or events, records), in order of time; at one time in the order given."""
    time = numpy.concatenate([each for each, _, _ in parts])
    event = numpy.concatenate([numpy.broadcast_to(which, len(each)) for each, which, _ in parts])
    record = numpy.concatenate([each for _, _, each in parts])
    order = numpy.argsort(time, kind="stable")
    return Rows(time[order], event[order], record[order], columns)


def merge(parts: Sequence[Rows]) -> Rows:
    """One of several, in order of time; at one time in the order given."""
    if len(parts) == 1:
        return parts[0]
    sizes = [len(next(iter(each.columns.values()))) for each in parts]
    starts = numpy.cumsum([0, *sizes[:-1]])
    columns = {name: numpy.concatenate([each.columns[name] for each in parts]) for name in parts[0].columns}
    shifted = [(each.time, each.event, each.record + start) for each, start in zip(parts, starts, strict=True)]
    return gather(shifted, columns)


class Waiting:
    """Rows of one file that are not yet due. Invariant: nothing that was handed out is later than what comes after it."""

    def __init__(self) -> None:
        self._parts: list[Rows] = []

    def __len__(self) -> int:
        return sum(len(each) for each in self._parts)

    def add(self, rows: Rows) -> None:
        """More rows; none is earlier than what was handed out."""
        if len(rows):
            self._parts.append(rows)

    def due(self, now: float) -> Rows | None:
        """All rows up to `now`, which wait no more."""
        ready, later = [], []
        for each in self._parts:
            place = int(numpy.searchsorted(each.time, now, side="right"))
            if place:
                ready.append(each.part(0, place))
            if place < len(each):
                later.append(each.part(place, len(each)) if place else each)
        self._parts = later
        return merge(ready) if ready else None


def link_rows(links: Floats) -> Rows:
    """Rows of links.csv."""
    flow, packet, link, instance, size, fate, arrived, started, sent = links.T
    every = numpy.arange(len(links))
    begun, dropped = numpy.flatnonzero(fate != 1), numpy.flatnonzero(fate == 1)
    instant = started[begun] == sent[begun]
    over, at_once = begun[~instant], begun[instant]
    what = numpy.where(fate == 2, 4, 2)
    parts = [
        (sent[over], what[over], over),
        (arrived, 0, every),
        (arrived[dropped], 3, dropped),
        (started[begun], 1, begun),
        (sent[at_once], what[at_once], at_once),
    ]
    columns = {"packet": packet, "link": link, "flow": flow, "instance": instance + 1, "size": size}
    return gather(parts, columns)


def _instant(starts: Floats, ends: Floats) -> tuple[Numbers, Numbers, Numbers, Numbers]:
    """Starts and ends of work that took no time, and of other work: (ends, instant starts, instant ends, starts)."""
    took_none = starts[:, 10] == starts[:, 11]

    def keys(of: Floats) -> Numbers:
        flow, packet, instance = of[:, :3].T.astype(numpy.int64)
        key: Numbers = (
            (instance << 48) ^ (flow << 24) ^ packet
        )  # were two alike, only rows of one time would change places
        return key

    early = numpy.isin(keys(ends), keys(starts[took_none])) if took_none.any() else numpy.zeros(len(ends), bool)
    return (
        numpy.flatnonzero(~early),
        numpy.flatnonzero(took_none),
        numpy.flatnonzero(early),
        numpy.flatnonzero(~took_none),
    )


def vnf_rows(arrivals: Floats, starts: Floats, ends: Floats) -> tuple[Rows, Rows]:
    """Rows of vnf_instance_packets.csv and of vnf_instance_resources.csv."""
    a, s = len(arrivals), len(starts)
    ended, instant_starts, instant_ends, started = _instant(starts, ends)
    arrived, dropped = numpy.arange(a), numpy.flatnonzero(arrivals[:, 4] == 1)
    remote, disk = numpy.flatnonzero(starts[:, 4] > 0), numpy.flatnonzero(starts[:, 5] > 0)
    begin, stop = starts[:, 10], ends[:, 9]
    nothing = numpy.full(a + s, numpy.nan)
    head = numpy.concatenate([arrivals[:, :4], starts[:, :4], ends[:, :4], starts[remote, :4]])
    elapsed = numpy.concatenate([nothing, stop - ends[:, 4], starts[remote, 4]])
    packets = gather(
        [
            (stop[ended], 3, a + s + ended),
            (arrivals[:, 5], 0, arrived),
            (arrivals[dropped, 5], 1, dropped),
            (begin[instant_starts], 2, a + instant_starts),
            (stop[instant_ends], 3, a + s + instant_ends),
            (begin[started], 2, a + started),
            (begin[remote] + starts[remote, 4], 4, a + s + len(ends) + numpy.arange(len(remote))),
        ],
        {"packet": head[:, 1], "instance": head[:, 2] + 1, "flow": head[:, 0], "size": head[:, 3], "elapsed": elapsed},
    )
    both = numpy.concatenate([starts[:, [0, 1, 2, 6, 7, 8, 9]], ends[:, [0, 1, 2, 5, 6, 7, 8]]])
    flow, packet, instance, cpu, cpu_usage, mem, mem_usage = both.T
    resources = gather(
        [
            (stop[ended].repeat(2), numpy.tile([3, 4], len(ended)), (s + ended).repeat(2)),
            (begin[instant_starts].repeat(2), numpy.tile([0, 1], len(instant_starts)), instant_starts.repeat(2)),
            (stop[instant_ends].repeat(2), numpy.tile([3, 4], len(instant_ends)), (s + instant_ends).repeat(2)),
            (begin[started].repeat(2), numpy.tile([0, 1], len(started)), started.repeat(2)),
            (begin[disk], 2, disk),
        ],
        {
            "instance": instance + 1,
            "cpu": cpu,
            "cpu_usage": cpu_usage,
            "mem": mem,
            "mem_usage": mem_usage,
            "flow": flow,
            "packet": packet,
        },
    )
    return packets, resources


def packet_rows(packets: Floats) -> Rows:
    """Rows of packets.csv."""
    flow, packet, event, at = packets.T
    return gather([(at, event.astype(numpy.int64), numpy.arange(len(packets)))], {"packet": packet, "flow": flow})
