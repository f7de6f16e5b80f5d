"""When a request's packets come, and how large they are.

In: a data source or a recorded flow, and a generator of the request's own, so that no request's packets depend on another's.
Out: gaps in ms and sizes, block by block.
"""

from collections.abc import Iterator
from typing import Any

import numpy
from numpy.typing import NDArray

from testbed.simulator.model.entities import DataSource

BLOCK = 2048


def generated(source: DataSource, random: numpy.random.Generator) -> Iterator[tuple[float, float]]:
    """Bursts of `burst_size` packets: exponential gaps of mean `packet_interval` within, of `burst_interval` before each but the
    first one (document, "Data Source"). Plain Poisson where there are no bursts.

    Raises:
        ValueError: there would be no time between packets, and so no end of them.
    """
    burst, bursts = source.burst_size, source.burst_size > 1 and source.burst_interval > 0
    if not bursts and source.packet_interval <= 0:
        raise ValueError(
            f"{source.name}: packet_interval {source.packet_interval:g}: expected more than 0 without bursts"
        )
    means = numpy.full(BLOCK, float(source.packet_interval))
    size, begun = source.packet_size, 0
    while True:
        if bursts:
            first = (numpy.arange(begun, begun + BLOCK) % burst) == 0
            first[0] &= begun > 0
            means = numpy.where(first, source.burst_interval, source.packet_interval)
            begun += BLOCK
        for gap in (random.exponential(1.0, BLOCK) * means).tolist():
            yield gap, size


def recorded(gaps: NDArray[Any], sizes: NDArray[Any]) -> Iterator[tuple[float, float]]:
    """A flow of a file: each packet's gap after the one before, and its size."""
    for start in range(0, len(gaps), BLOCK):
        yield from zip(gaps[start : start + BLOCK].tolist(), sizes[start : start + BLOCK].tolist(), strict=True)
