"""Round-trip times by `ping`: running it is the caller's, reading what it printed is here.

In: what iputils' `ping` wrote. Out: an `Rtt`. Must not run anything.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import TypeVar

_SUMMARY = re.compile(r"(\d+) packets transmitted, (\d+) received")
_REPLY = re.compile(r"time=([\d.]+) ms")
TOLERANCE_SHARE = 0.10
TOLERANCE_MS = 0.5
ROUNDS = 8
Pair = TypeVar("Pair")


@dataclass(frozen=True, slots=True)
class Rtt:
    """Round trips in ms, None where nothing came back. The least is what the wire costs, the median what users see."""

    sent: int
    received: int
    min_ms: float | None
    median_ms: float | None

    @classmethod
    def parse(cls, text: str) -> Rtt:
        """From the output of `ping`; raises ValueError where there is no summary in it."""
        summary = _SUMMARY.search(text)
        if summary is None:
            raise ValueError(f"not the output of ping: {text.strip()[-200:]!r}")
        times = sorted(float(value) for value in _REPLY.findall(text))
        if not times:
            return cls(int(summary[1]), int(summary[2]), None, None)
        return cls(int(summary[1]), int(summary[2]), times[0], times[len(times) // 2])


def within_tolerance(configured_ms: float, measured_ms: float | None) -> bool:
    """True where a measured round trip is within 10 % or 0.5 ms, whichever is wider, of the configured one."""
    if measured_ms is None:
        return False
    return abs(measured_ms - configured_ms) <= max(TOLERANCE_MS, TOLERANCE_SHARE * configured_ms)


def least_of_rounds(
    ping: Callable[[Sequence[Pair]], Mapping[Pair, Rtt]], expected_ms: Mapping[Pair, float]
) -> dict[Pair, Rtt]:
    """Round trips over several pairs at once; those that are not what is expected are measured again, at most ROUNDS times in all, and
    the least counts: a machine that is busy with something else makes a round trip longer, never shorter."""
    least = dict(ping(list(expected_ms)))
    for _ in range(ROUNDS - 1):
        late = [pair for pair, rtt in least.items() if not within_tolerance(expected_ms[pair], rtt.min_ms)]
        if not late:
            break
        for pair, rtt in ping(late).items():
            least[pair] = min(least[pair], rtt, key=lambda each: inf if each.min_ms is None else each.min_ms)
    return least


def ping_command(address: str, count: int = 10, interval_s: float = 0.1) -> list[str]:
    """The command whose output `Rtt.parse` reads."""
    return ["ping", "-n", "-c", str(count), "-i", f"{interval_s:g}", "-W", "1", address]
