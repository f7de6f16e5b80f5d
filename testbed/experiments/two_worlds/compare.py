"""Holds a prediction against a measurement: latencies by client, load by servant, what was refused; and a verdict in words.

In: the outcomes of one level in both worlds. Out: a `Level` of pairs, text. Pure: it computes differences and judges nothing away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean

from testbed.experiments.two_worlds.outcome import ANSWERED, Outcome
from testbed.experiments.two_worlds.scenario import Scenario
from testbed.traffic.http_load import percentile

PERCENTILES = (50, 95, 99)
ALL = "all"


@dataclass(frozen=True, slots=True)
class Pair:
    """One quantity in both worlds; None where a world has no value."""

    predicted: float | None
    measured: float | None

    @property
    def difference(self) -> float | None:
        """Prediction minus measurement."""
        return None if self.predicted is None or self.measured is None else self.predicted - self.measured

    @property
    def percent(self) -> float | None:
        """The difference, in percent of the measurement."""
        return 100 * self.difference / self.measured if self.measured and self.difference is not None else None


@dataclass(frozen=True, slots=True)
class Level:
    """One load level. `latency_ms` of answered requests by (client or "all", percentile); `load`: share of the CPU quota by servant;
    `answered` by servant; `fates`: requests by what became of them. `sorted_ms`: latencies by client, predicted and measured, ascending.
    """

    share: float
    rate_rps: float
    latency_ms: Mapping[tuple[str, int], Pair]
    load: Mapping[str, Pair]
    answered: Mapping[str, Pair]
    fates: Mapping[str, Pair]
    sorted_ms: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]]


def level(scenario: Scenario, number: int, predicted: Outcome, measured: Outcome) -> Level:
    """Everything about the level with this number."""
    quota = scenario.servant.cpus
    worlds = predicted, measured
    ordered = {client: _both([_latencies(world, client) for world in worlds]) for client in sorted(scenario.clients)}
    together = _both([tuple(sorted(r.latency_ms for r in world.requests if r.fate == ANSWERED)) for world in worlds])
    fates = [Counter(request.fate for request in world.requests) for world in worlds]
    answered = [Counter(r.servant for r in world.requests if r.fate == ANSWERED) for world in worlds]
    return Level(
        share=scenario.levels[number],
        rate_rps=scenario.levels[number] * scenario.capacity_rps,
        latency_ms={
            (client, percent): Pair(*(percentile(each, percent) for each in both))
            for client, both in {**ordered, ALL: together}.items()
            for percent in PERCENTILES
        },
        load={name: Pair(*(w.cpu_ms[name] / (quota * w.elapsed_ms) for w in worlds)) for name in scenario.servants},
        answered={name: Pair(*(float(each[name]) for each in answered)) for name in scenario.servants},
        fates={fate: Pair(*(float(each[fate]) for each in fates)) for fate in sorted({*fates[0], *fates[1]})},
        sorted_ms=ordered,
    )


def in_words(levels: Sequence[Level]) -> str:
    """How far off the prediction is, in one sentence a quantity; nothing is left out of a mean."""
    parts = [f"p{percent} {_off(levels, percent)}" for percent in PERCENTILES]
    loads = [100 * pair.difference for each in levels for pair in each.load.values() if pair.difference is not None]
    worst_load = max(loads, key=abs, default=0.0)
    drops = ", ".join(
        f"{_other(each, predicted=True):.0f} predicted and {_other(each, predicted=False):.0f} measured at {each.share:.0%}"
        for each in levels
    )
    return (
        f"Latency by client and level, prediction against measurement: {'; '.join(parts)}. "
        f"Servants' load: off by {mean(map(abs, loads)):.1f} points on average, {worst_load:+.1f} at most. "
        f"Requests not answered: {drops}."
    )


def _off(levels: Iterable[Level], percent: int) -> str:
    found = [
        (pair.percent, client, each.share)
        for each in levels
        for (client, which), pair in each.latency_ms.items()
        if which == percent and client != ALL and pair.percent is not None
    ]
    if not found:
        return "has no value"
    worst, client, share = max(found, key=lambda each: abs(each[0]))
    return f"is off by {mean(abs(each[0]) for each in found):.1f} % on average, {worst:+.1f} % at most ({client} at {share:.0%})"


def _other(each: Level, predicted: bool) -> float:
    values = (pair.predicted if predicted else pair.measured for fate, pair in each.fates.items() if fate != ANSWERED)
    return sum(value or 0.0 for value in values)


def _latencies(world: Outcome, client: str) -> tuple[float, ...]:
    return tuple(sorted(r.latency_ms for r in world.requests if r.client == client and r.fate == ANSWERED))


def _both(values: list[tuple[float, ...]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    predicted, measured = values
    return predicted, measured
