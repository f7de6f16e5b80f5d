"""Values of a horizontal scaling decision: what was measured and foreseen, the rules, what was decided, and what to remember.

In and out: frozen data. Must not do: anything; and nothing here knows a simulator or a container. Names tell the stage: sample,
forecast, recommended, stabilised, enforced. Times are seconds of the caller's clock.
"""

from dataclasses import dataclass, field
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class InstanceSample:
    """One instance. None: not measured, or too long ago to count. `utilisation_ratio`: work offered over capacity, may exceed 1;
    where it is None, `arrivals_pps` over `capacity_pps` stands for it. `ready`: it has started. `healthy`: its probes succeed."""

    name: str
    utilisation_ratio: float | None = None
    arrivals_pps: float | None = None
    capacity_pps: float | None = None
    queue_packets: float | None = None
    latency_p99_ms: float | None = None
    ready: bool = True
    healthy: bool = True


@dataclass(frozen=True, slots=True)
class Forecast:
    """What somebody foresees for all instances together, from one time to another: packets per second, or a number of replicas
    that will be needed at least. `source`: who says so, for the reason."""

    source: str
    from_s: float
    until_s: float
    arrivals_pps: float | None = None
    replicas_at_least: int | None = None

    def __post_init__(self) -> None:
        if self.arrivals_pps is None and self.replicas_at_least is None:
            raise ValueError(f"forecast of {self.source}: expected arrivals_pps or replicas_at_least")


@dataclass(frozen=True, slots=True)
class Sample:
    """All instances of one function. `replicas`: how many there are meant to be now; more than `instances` where some tell nothing.
    Those that drain are in neither."""

    replicas: int
    instances: tuple[InstanceSample, ...]
    forecasts: tuple[Forecast, ...] = ()


class Select(StrEnum):
    """Which of several policies holds: the one that allows most, the one that allows least, or no change at all."""

    MAX = "max"
    MIN = "min"
    DISABLED = "disabled"


@dataclass(frozen=True, slots=True)
class Policy:
    """At most this many replicas, or percent of those at the period's beginning, in any `period_s`."""

    amount: float
    period_s: float
    percent: bool = False

    def __post_init__(self) -> None:
        if self.amount <= 0 or self.period_s <= 0:
            raise ValueError(f"policy of {self.amount:g} in {self.period_s:g} s: expected both above 0")


@dataclass(frozen=True, slots=True)
class Direction:
    """How fast replicas may become more, or fewer. `window_s`: for how long recommendations must have agreed. `tolerance`: part of
    the target by which a metric may be off it. No policies: no limit."""

    window_s: float = 0.0
    tolerance: float = 0.1
    policies: tuple[Policy, ...] = ()
    select: Select = Select.MAX

    def __post_init__(self) -> None:
        if self.window_s < 0 or not 0 <= self.tolerance < 1:
            raise ValueError(
                f"window of {self.window_s:g} s, tolerance {self.tolerance:g}: expected 0 or more, and 0 to less than 1"
            )


UP = Direction(policies=(Policy(4, 15.0), Policy(100, 15.0, percent=True)))
DOWN = Direction(window_s=300.0, policies=(Policy(100, 15.0, percent=True),))
"""Kubernetes' defaults (autoscaling/v2, HPAScalingRules)."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits and targets. Targets are means over the instances; None: not looked at. `forecast_horizon_s`: how far ahead replicas
    must be ordered so that they are ready in time."""

    min_replicas: int = 1
    max_replicas: int = 10
    target_utilisation_ratio: float = 0.6
    target_queue_packets: float | None = None
    target_latency_p99_ms: float | None = None
    forecast_horizon_s: float = 0.0
    up: Direction = UP
    down: Direction = DOWN

    def __post_init__(self) -> None:
        if not 1 <= self.min_replicas <= self.max_replicas:
            raise ValueError(
                f"min_replicas, max_replicas: {self.min_replicas}, {self.max_replicas}: expected 1 <= min <= max"
            )
        targets = (self.target_utilisation_ratio, self.target_queue_packets, self.target_latency_p99_ms)
        if any(each is not None and each <= 0 for each in targets):
            raise ValueError(f"targets {targets}: expected more than 0")


@dataclass(frozen=True, slots=True)
class Metric:
    """What one metric asks for. `value`: its mean over the instances measured, None where none was."""

    name: str
    value: float | None
    target: float | None
    replicas: int
    text: str


@dataclass(frozen=True, slots=True)
class Decision:
    """`recommended`: what the metrics ask for. `stabilised`: after the windows. `enforced`: after rates and limits: this many
    replicas there are to be. `reason` tells how one became the other."""

    replicas: int
    recommended: int
    stabilised: int
    enforced: int
    reason: str
    metrics: tuple[Metric, ...]


@dataclass(frozen=True, slots=True)
class History:
    """What a decision needs of earlier ones; begin with an empty one. `replicas` and `at_s`: those of the last decision.
    `recommended`, `changes`: (time, replicas), oldest first; a change is what was seen to be carried out, not what was enforced."""

    replicas: int | None = None
    at_s: float = float("-inf")
    recommended: tuple[tuple[float, int], ...] = field(default=())
    changes: tuple[tuple[float, int], ...] = field(default=())
