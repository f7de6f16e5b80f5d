"""What a round's files say, as the frames and numbers that plots and summaries need.

In: a results folder. Out: frames, loads over time. Files are read when they are first asked for, and only the columns needed.
Must not do: change the folder; fail because a log was switched off (its frames are empty then).
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy
import pandas
from numpy.typing import NDArray

from testbed.simulator.records import read

BINS = 60
QUANTILES = (0.5, 0.95, 0.99)


class Measured:
    """One round. Times in ms, power in watts."""

    def __init__(self, results: Path, folder: Path) -> None:
        self.results, self.folder = results, folder

    @property
    def name(self) -> str:
        """The round's, as its folder has it: "round 0"."""
        return self.folder.name.replace("_", " ").lower()

    @cached_property
    def packets(self) -> pandas.DataFrame:
        """Every packet, with its SFC."""
        packets = read.table(self.folder, "packets_entities")
        requests = read.entities(self.results, "sfc_requests")
        sfc_of = dict(zip(requests["Name"].astype(str), requests["SFC"].astype(str), strict=True))
        packets["SFC"] = packets["SFC_Request"].astype(str).map(sfc_of).astype("category")
        return packets

    @cached_property
    def windows(self) -> pandas.DataFrame:
        """The row of each time window's end."""
        windows = read.table(self.folder, "time_window")
        return windows[windows["Event"].astype(str) == "TIME_WINDOW_PROCESSED"].reset_index(drop=True)

    @cached_property
    def events(self) -> pandas.DataFrame:
        """When packets were created, and what became of them when."""
        return read.table(self.folder, "packets", ["Event", "Time"])

    @cached_property
    def instances(self) -> pandas.DataFrame:
        """VNF instances by name: VNF, Node, Servers (its VNF's max_share), Created_ms, Removed_ms (the round's end)."""
        rows = read.table(self.folder, "vnf_instance", ["Event", "Time", "VNF_Instance", "Node", "VNF"])
        vnfs = read.entities(self.results, "vnfs")
        servers = dict(zip(vnfs["Name"].astype(str), vnfs["Max_Share"], strict=True))
        rows["VNF_Instance"] = rows["VNF_Instance"].astype(str)
        first = rows.drop_duplicates("VNF_Instance").set_index("VNF_Instance")
        removed = rows[rows["Event"].astype(str) == "INSTANCE_REMOVED"].set_index("VNF_Instance")["Time"]
        return pandas.DataFrame(
            {
                "VNF": first["VNF"].astype(str),
                "Node": first["Node"].astype(str),
                "Servers": first["VNF"].astype(str).map(servers).astype(float),
                "Created_ms": first["Time"],
                "Removed_ms": removed.reindex(first.index).fillna(self.end_ms),
            }
        )

    @cached_property
    def end_ms(self) -> float:
        """When the round's last window ended or its last packet was heard of."""
        last = [frame["Time"].max() for frame in (self.windows, self.events) if len(frame)]
        return float(max(last, default=0.0))

    def edges(self, bins: int = BINS) -> NDArray[numpy.float64]:
        """Equal parts of the round's time."""
        return numpy.linspace(0.0, max(self.end_ms, 1.0), bins + 1)

    def vnf_busy(self, edges: NDArray[numpy.float64]) -> pandas.DataFrame:
        """Packets in service, mean over each part of the time: a row for each VNF instance."""
        rows = read.table(self.folder, "vnf_instance_packets", ["Event", "Time", "VNF_Instance"])
        return busy(rows, "VNF_Instance", ("VNF_INSTANCE_PACKET_STARTED", ["VNF_INSTANCE_PACKET_PROCESSED"]), edges)

    def link_busy(self, edges: NDArray[numpy.float64]) -> pandas.DataFrame:
        """Share of each part of the time in which a link sent: a row for each link that did."""
        rows = read.table(self.folder, "links", ["Event", "Time", "Link"])
        return busy(rows, "Link", ("LINK_PACKET_STARTED", ["LINK_PACKET_SENT", "LINK_PACKET_LOST"]), edges)

    @cached_property
    def utilisation(self) -> pandas.Series:
        """By VNF instance: busy servers, of those it had while it was there."""
        edges = numpy.array([0.0, max(self.end_ms, 1.0)])
        mean = self.vnf_busy(edges)[0] if len(self.instances) else pandas.Series(dtype=float)
        there = (self.instances["Removed_ms"] - self.instances["Created_ms"]) / edges[1]
        used = mean.reindex(self.instances.index).fillna(0.0)
        return (used / (there * self.instances["Servers"])).replace([numpy.inf], 0.0).fillna(0.0)


def rounds(results: Path) -> list[Measured]:
    """A run's rounds.

    Raises:
        FileNotFoundError: there are none.
    """
    return [Measured(results, each) for each in read.rounds(results)]


def busy(
    rows: pandas.DataFrame, key: str, events: tuple[str, Sequence[str]], edges: NDArray[numpy.float64]
) -> pandas.DataFrame:
    """How many were under way at once, as a mean between neighbours of `edges`: a row for each value of `key`.

    `events`: what begins, and what ends. Until a time t all are under way together for t * begun - (sum of their begins) and
    less by as much for those that ended: no begin has to be matched with its end.
    """
    names = rows[key].astype("category").cat
    codes, count = names.codes.to_numpy().astype(numpy.int64), len(names.categories)
    event = rows["Event"].astype(str).to_numpy() if rows["Event"].dtype != "category" else rows["Event"].to_numpy()
    times = rows["Time"].to_numpy(dtype=float)
    under_way = numpy.zeros((count, len(edges)))
    for sign, which in ((1, [events[0]]), (-1, list(events[1]))):
        chosen = numpy.isin(numpy.asarray(event, dtype=object), which) & (codes >= 0)
        at, place = times[chosen], numpy.searchsorted(edges, times[chosen], side="left")
        inside = place < len(edges)
        cell = codes[chosen][inside] * len(edges) + place[inside]
        shape = (count, len(edges))
        number = numpy.bincount(cell, minlength=count * len(edges)).reshape(shape).cumsum(axis=1)
        total = numpy.bincount(cell, at[inside], count * len(edges)).reshape(shape).cumsum(axis=1)
        under_way += sign * (edges * number - total)
    mean = numpy.diff(under_way, axis=1) / numpy.diff(edges)
    return pandas.DataFrame(mean, index=names.categories.astype(str)).clip(lower=0.0)
