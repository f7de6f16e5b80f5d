"""Packets of users from the arrivals of real inference requests (bursty, as such services see them).

In: `data/azure-llm-arrivals-code-15min.csv`. Out: gaps and sizes by user, and what a plain data source with the same mean would be.
A request of the trace is one packet of the simulator: its time on links and in functions grows with its size as that of many small
ones would. Its size is that of its prompt, a token taken as 4 octets. Must not do: invent arrivals.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import fmean

import numpy

from testbed.simulator.inputs.networks import rows
from testbed.simulator.model.entities import DataSource

TOKEN_OCTETS = 4  # of English text and code, about


@dataclass(frozen=True, slots=True)
class Arrival:
    """A request: ms since the trace's first, and its size in Mbit."""

    time: float
    size: float


def trace(speed: float, total_time: float) -> list[Arrival]:
    """The trace's requests up to `total_time` (ms), `speed` times as fast as they came.

    Raises:
        ValueError: there are fewer than two, of which no rate can be said.
    """
    requests = rows("azure-llm-arrivals-code-15min.csv")
    times = [datetime.fromisoformat(row["TIMESTAMP"]) for row in requests]
    arrivals = [
        Arrival((time - times[0]).total_seconds() * 1000 / speed, int(row["ContextTokens"]) * TOKEN_OCTETS * 8 / 1e6)
        for time, row in zip(times, requests, strict=True)
    ]
    until = [each for each in arrivals if each.time <= total_time and each.size > 0]
    if len(until) < 2:
        raise ValueError(f"the trace has fewer than 2 arrivals in {total_time:g} ms at speed {speed:g}")
    return until


def by_user(arrivals: Sequence[Arrival], users: int, random: numpy.random.Generator) -> list[list[tuple[float, float]]]:
    """Gap and size of each user's packets; every request is a random user's."""
    flows: list[list[tuple[float, float]]] = [[] for _ in range(users)]
    last = [0.0] * users
    for arrival, user in zip(arrivals, random.integers(users, size=len(arrivals)).tolist(), strict=True):
        flows[user].append((arrival.time - last[user], arrival.size))
        last[user] = arrival.time
    return flows


def plain_source(arrivals: Sequence[Arrival], users: int) -> DataSource:
    """A source for each user with the arrivals' mean rate and mean size, and without their bursts."""
    interval = arrivals[-1].time * users / len(arrivals)
    return DataSource("src_0", fmean(each.size for each in arrivals), interval, interval, 1)
