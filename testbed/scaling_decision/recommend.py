"""How many replicas each metric asks for, with the rule of Kubernetes' HorizontalPodAutoscaler (its document, "Algorithm details").

In: a sample, rules, the time. Out: metrics. Must not do: look at earlier decisions, or at limits.

    ratio = mean(value) / target;  replicas = ceil(sum(value) / target), unless 1 - tolerance <= ratio <= 1 + tolerance

Missing data, by direction, as there:

| instance | for more replicas | for fewer |
|---|---|---|
| not measured, unhealthy, or not heard of | counts as idle | counts as exactly on target |
| starting | counts as idle | is not counted |
| all of them not measured | no more for this metric | no fewer |

What so becomes less than the tolerance, or the other direction, is no change. A forecast asks for more, never for fewer; one whose
rate cannot be turned into replicas, since no capacity is known, keeps those there are. An instance to which nothing comes has no
latency, which is not missing.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from testbed.scaling_decision.model import Forecast, InstanceSample, Metric, Rules, Sample

ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class Gauge:
    """A metric with a target: how it is read from an instance's sample, None where it is not known."""

    name: str
    unit: str
    target: float
    read: Callable[[InstanceSample], float | None]


def metrics(sample: Sample, rules: Rules, now_s: float) -> tuple[Metric, ...]:
    """What each metric that has a target, and each forecast that is within the horizon, asks for."""
    gauges = [Gauge("utilisation", "", rules.target_utilisation_ratio, utilisation)]
    if rules.target_queue_packets is not None:
        gauges.append(Gauge("queue", " packets", rules.target_queue_packets, lambda each: each.queue_packets))
    if rules.target_latency_p99_ms is not None:
        gauges.append(Gauge("latency", " ms", rules.target_latency_p99_ms, _latency))
    ahead_s = now_s + rules.forecast_horizon_s
    near = [each for each in sample.forecasts if each.from_s <= ahead_s and each.until_s > now_s]
    return (
        *(proportional(each, sample, rules) for each in gauges),
        *(foreseen(each, sample, rules, now_s) for each in near),
    )


def proportional(gauge: Gauge, sample: Sample, rules: Rules) -> Metric:
    """The rule above, for one metric."""
    name, unit, target = gauge.name, gauge.unit, gauge.target
    starting = sum(not each.ready and each.healthy for each in sample.instances)
    read = [gauge.read(each) for each in sample.instances if each.ready and each.healthy]
    measured = [value for value in read if value is not None]
    missing = max(sample.replicas, len(sample.instances)) - len(measured) - starting
    if not measured:
        return Metric(name, None, target, sample.replicas, f"{name} of no instance is known: {sample.replicas} stay")
    mean, total = sum(measured) / len(measured), sum(measured)
    replicas = sample.replicas
    if mean > target * (1 + rules.up.tolerance):
        if total > target * (1 + rules.up.tolerance) * (len(measured) + missing + starting):
            replicas = max(replicas, _ceil(total / target))
    elif mean < target * (1 - rules.down.tolerance):
        total += target * missing
        if total < target * (1 - rules.down.tolerance) * (len(measured) + missing):
            replicas = min(replicas, _ceil(total / target))
    unknown = f", {missing} not measured" if missing else ""
    text = f"{name} {mean:.3g}{unit} for a target of {target:g}{unit}{unknown} asks for {replicas}"
    return Metric(name, mean, target, replicas, text)


def foreseen(forecast: Forecast, sample: Sample, rules: Rules, now_s: float) -> Metric:
    """Replicas for a forecast: ceil(arrivals / (capacity of one * target utilisation)), at least those it names itself."""
    name, replicas = f"forecast of {forecast.source}", forecast.replicas_at_least or 0
    when = f"in {forecast.from_s - now_s:g} s" if forecast.from_s > now_s else "now"
    if forecast.arrivals_pps is None:
        return Metric(name, None, None, replicas, f"{name} asks for {replicas} {when}")
    capacities = [each.capacity_pps for each in sample.instances if each.capacity_pps]
    if not capacities:
        replicas = max(replicas, sample.replicas)
        text = f"{name} is {forecast.arrivals_pps:g} pps {when}, capacity unknown: asks for {replicas}"
        return Metric(name, forecast.arrivals_pps, None, replicas, text)
    each_pps = sum(capacities) / len(capacities) * rules.target_utilisation_ratio
    replicas = max(replicas, _ceil(forecast.arrivals_pps / each_pps))
    text = f"{name} is {forecast.arrivals_pps:g} pps {when}, {each_pps:.3g} for each: asks for {replicas}"
    return Metric(name, forecast.arrivals_pps, each_pps, replicas, text)


def utilisation(instance: InstanceSample) -> float | None:
    """Work over capacity, as measured or from packet rates."""
    if instance.utilisation_ratio is not None or instance.arrivals_pps is None or not instance.capacity_pps:
        return instance.utilisation_ratio
    return instance.arrivals_pps / instance.capacity_pps


def _latency(instance: InstanceSample) -> float | None:
    return 0.0 if instance.latency_p99_ms is None and instance.arrivals_pps == 0 else instance.latency_p99_ms


def _ceil(value: float) -> int:
    """The next whole number; what is above one by rounding alone is that one."""
    return math.ceil(value - ROUNDING)
