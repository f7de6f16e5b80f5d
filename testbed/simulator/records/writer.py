"""The recorder of one round: takes what the engine and the simulation write down, and leaves the files of the round's folder.

In: streams of numbers (`engine.streams`), rare rows, names. Out: the documented files in order of time, oldest first, as CSV or
Parquet; the same input gives the same bytes. Must not do: read the state, or know why something happened.

It formats in the engine's thread: a thread of its own was measured, and waits for the interpreter's lock more than it gains.

Rows whose time is yet to come wait for the flush that reaches it. Every flush puts what is due into the CSV files, so an aborted
round leaves readable ones; Parquet files are readable once closed, as they are when the `with` block ends by an exception.
"""

from pathlib import Path
from types import TracebackType
from typing import Any

import numpy
import pyarrow
from numpy.typing import NDArray

from testbed.simulator.engine.streams import WIDTHS, PacketEvent
from testbed.simulator.model.entities import Entities
from testbed.simulator.records import rows as expand
from testbed.simulator.records.names import FLOW, Names
from testbed.simulator.records.sheets import SHEETS, Sheet, Source
from testbed.simulator.records.streams import Blocks, Floats, Streams
from testbed.simulator.records.tables import EVENT_TABLES, FILE_NAMES, STREAM_TABLES

EVENTS = {
    "links": expand.LINK_EVENTS,
    "packets": expand.PACKET_EVENTS,
    "vnf_instance_packets": expand.VNF_EVENTS,
    "vnf_instance_resources": expand.RESOURCE_EVENTS,
}


class RoundRecorder(Streams):
    """Writes a round's files into a folder, which it makes.

    Args:
        log_format: "csv" or "parquet".
        links, vnf, packets: whether links.*, vnf_instance_packets.* and vnf_instance_resources.*, packets.* and packets_entities.*
            get rows; without, they have a header only, and their streams are None.
    """

    def __init__(
        self,
        folder: Path,
        entities: Entities,
        log_format: str = "csv",
        *,
        links: bool = True,
        vnf: bool = True,
        packets: bool = True,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        super().__init__(links=links, vnf=vnf, packets=packets)
        self._names = Names(entities)
        self._before: list[Blocks] = []  # taken from the streams, not yet rows
        self._rare: dict[str, list[tuple[float, list[object]]]] = {table: [] for table in EVENT_TABLES}
        self._closed = False
        sheet = SHEETS[log_format]
        headers = {**STREAM_TABLES, **EVENT_TABLES}
        self._sheets: dict[str, Sheet] = {table: sheet(folder / table, header) for table, header in headers.items()}
        self._waiting = {table: expand.Waiting() for table in EVENTS}
        self._sources = {table: _sources(header, self._names) for table, header in STREAM_TABLES.items()}

    def __enter__(self) -> "RoundRecorder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def placed(self, request: int, sfc_instance: str) -> None:
        """From now on this request's packets are processed by this SFC instance."""
        if self._names.is_placed(request):
            self.write(self.take())  # what was written down so far is of the instance before
        self._names.placed(request, sfc_instance)

    def created(self, instance: int, name: str, vnf: str, node: str) -> None:
        """A VNF instance with its number. Its row in vnf_instance.* is an `event`."""
        self._names.created(instance, name)

    def event(self, table: str, event: str, time: float, **columns: object) -> None:
        """A row of one of the rare files; columns that are not given stay empty.

        Raises:
            KeyError: there is no such table, or it has no such column.
        """
        header = EVENT_TABLES[table]
        unknown = columns.keys() - set(header)
        if unknown:
            raise KeyError(f"{table} has no column {', '.join(sorted(unknown))}: expected {', '.join(header)}")
        values = [FILE_NAMES.get(event, event), time, *(columns.get(name) for name in header[2:])]
        self._rare[table].append((time, values))

    def flush(self, now: float) -> None:
        """Write what is due; rows later than `now` wait.

        Raises:
            OSError: it could not be written.
        """
        self.write(self.take())
        if self._before:
            self._expand()
        for table, waiting in self._waiting.items():
            due = waiting.due(now)
            if due is not None:
                event = pyarrow.DictionaryArray.from_arrays(due.event.astype(numpy.int32), list(EVENTS[table]))
                self._sheets[table].rows(due.time, event, due.record, due.columns, self._sources[table])
        self._flush_rare(now)

    def _expand(self) -> None:
        """Records that were taken become rows."""
        blocks, self._before = self._before, []
        merged = {
            name: _merged([each[name] for each in blocks if name in each], width) for name, width in WIDTHS.items()
        }
        self._waiting["links"].add(expand.link_rows(merged["links"]))
        in_vnfs, resources = expand.vnf_rows(merged["vnf_arrivals"], merged["vnf_starts"], merged["vnf_ends"])
        self._waiting["vnf_instance_packets"].add(in_vnfs)
        self._waiting["vnf_instance_resources"].add(resources)
        self._waiting["packets"].add(expand.packet_rows(merged["packets"]))
        if len(merged["ended"]):
            fates = _fates(merged["ended"], numpy.array(self._names.max_delays))
            self._sheets["packets_entities"].records(fates, self._sources["packets_entities"])

    def close(self) -> None:
        """Write everything, rows of times to come too, and close the files. A second call does nothing.

        Raises:
            OSError: something could not be written.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self.flush(float("inf"))
        finally:
            for sheet in self._sheets.values():
                sheet.close()

    def _flush_rare(self, now: float) -> None:
        for table, held in self._rare.items():
            if held:
                held.sort(key=lambda each: each[0])
                self._sheets[table].values([values for time, values in held if time <= now])
                self._rare[table] = [each for each in held if each[0] > now]

    def write(self, blocks: Blocks) -> None:
        """Records to be written with the next flush, with flows for requests while these are as they are now."""
        for block in blocks.values():
            block[:, 0] = self._names.flow_of[block[:, 0].astype(numpy.int64)]
        if blocks:
            self._before.append(blocks)


def _merged(blocks: list[Floats], width: int) -> Floats:
    if len(blocks) == 1:
        return blocks[0]
    return numpy.concatenate(blocks) if blocks else numpy.empty((0, width))


NUMBERS = {
    "Packet_ID": "packet",
    "Packet_Size": "size",
    "Size": "size",
    "Elapsed_Time": "elapsed",
    "CPU": "cpu",
    "CPU_Usage": "cpu_usage",
    "Mem": "mem",
    "Mem_Usage": "mem_usage",
}
"""By header, the column of `records.rows` that it shows; of packets_entities the columns have the headers' names."""


def _sources(header: tuple[str, ...], names: Names) -> list[Source]:
    """Where a file's columns come from, neighbours of one flow together."""
    sources: list[Source] = []
    for name in header:
        if name in FLOW:
            if sources and sources[-1].column == "flow":
                sources[-1] = Source("flow", (*sources[-1].headers, name), names.flows)
            else:
                sources.append(Source("flow", (name,), names.flows))
        elif name == "Link":
            sources.append(Source("link", (name,), names.links))
        elif name == "VNF_Instance":
            sources.append(Source("instance", (name,), names.instances))
        elif name not in ("Event", "Time"):
            sources.append(Source(NUMBERS.get(name, name), (name,)))
    return sources


def _fates(ended: Floats, max_delays: Floats) -> dict[str, NDArray[Any]]:
    """Columns of packets_entities. SLA_Violation_Percentage: by how much of Max_Delay the delay of a violating packet exceeds it."""
    flow, packet, created, size, active_requests, delay, penalty, violated, fate = ended.T
    max_delay = max_delays[flow.astype(numpy.int64)]
    with numpy.errstate(divide="ignore", invalid="ignore"):
        excess = numpy.where(violated > 0, (delay / max_delay - 1) * 100, 0.0)
    dropped = (
        (fate == PacketEvent.DROPPED_VNF_QUEUE) | (fate == PacketEvent.DROPPED_LINK_QUEUE) | (fate == PacketEvent.LOST)
    )
    return {
        "flow": flow,
        "packet": packet,
        "Created_At": created,
        "size": size,
        "Total_SFC_Requests_Active": active_requests,
        "Max_Delay": max_delay,
        "Delay": delay,
        "Mobility_Penalty": penalty,
        "SLA_Violated": violated,
        "SLA_Violation_Percentage": numpy.round(excess, 2),
        "Active": fate == PacketEvent.ACTIVE,
        "Dropped": dropped,
        "Orphan": fate == PacketEvent.ORPHAN,
        "Processed": fate == PacketEvent.PROCESSED,
    }
