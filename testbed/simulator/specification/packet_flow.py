"""The packet flow file (PATH_PACKET_FLOW_FILE): `user;sfc;time;packet_size`, a line a packet.

In: the file, and the names of users and SFCs. Out: by user and SFC, gaps (ms since the packet before of the same flow; of the first,
since its request was placed) and sizes, as arrays. Only these numbers are held in memory. Must not do: generate packets.
"""

from array import array
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy
from numpy.typing import NDArray

from testbed.simulator.specification.lines import SEPARATOR, LineReader

HEADER = ("user", "sfc", "time", "packet_size")
Floats = NDArray[numpy.float64]


class Flow(NamedTuple):
    """Gaps (ms) and sizes of a flow's packets, in order."""

    gaps: Floats
    sizes: Floats


def read_packet_flow(path: Path | str, users: Collection[str], sfcs: Collection[str]) -> dict[tuple[str, str], Flow]:
    """Flows, in the order of their first packets.

    Raises:
        SpecificationError: the file cannot be read, has other columns, names an unknown user or SFC, or has a bad number.
    """
    reader = LineReader(path, HEADER)
    flows: dict[tuple[str, str], tuple[array[float], array[float]]] = {}
    for line in reader:
        key = line.name(0, users, "user"), line.name(1, sfcs, "SFC")
        gaps, sizes = flows.setdefault(key, (array("d"), array("d")))
        gaps.append(line.number(2))
        sizes.append(line.number(3, more_than=0))
    reader.close()
    return {key: Flow(numpy.asarray(gaps), numpy.asarray(sizes)) for key, (gaps, sizes) in flows.items()}


def write_packet_flow(path: Path | str, flows: Mapping[tuple[str, str], Iterable[tuple[float, float]]]) -> None:
    """Write flows, each a sequence of gap and size, as a file that `read_packet_flow` reads."""
    with Path(path).open("w", encoding="utf-8") as file:
        print(*HEADER, sep=SEPARATOR, file=file)
        for (user, sfc), packets in flows.items():
            for gap, size in packets:
                print(user, sfc, f"{gap:.10g}", f"{size:.10g}", sep=SEPARATOR, file=file)
