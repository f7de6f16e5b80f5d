"""A scaling decision keeps its limits, follows load upwards, does not flap, and depends on nothing but its arguments."""

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.scaling_decision.decide import decide
from testbed.scaling_decision.model import Direction, Forecast, History, InstanceSample, Policy, Rules, Sample, Select

LOADS = st.floats(0, 5).map(lambda value: round(value, 3))
MAYBE = st.none() | LOADS
INSTANCES = st.builds(
    InstanceSample,
    st.just("i"),
    utilisation_ratio=MAYBE,
    arrivals_pps=MAYBE,
    capacity_pps=st.none() | st.floats(0.5, 5),
    queue_packets=MAYBE,
    latency_p99_ms=MAYBE,
    ready=st.sampled_from([True, True, True, False]),
    healthy=st.sampled_from([True, True, True, False]),
)
FORECASTS = st.builds(
    Forecast,
    st.just("f"),
    st.floats(0, 100),
    st.floats(0, 200),
    arrivals_pps=MAYBE,
    replicas_at_least=st.integers(0, 20),
)
SAMPLES = st.builds(
    Sample,
    st.integers(1, 12),
    st.lists(INSTANCES, max_size=5).map(tuple),
    st.lists(FORECASTS, max_size=2).map(tuple),
)
DIRECTIONS = st.builds(
    Direction,
    st.sampled_from([0.0, 10.0, 60.0]),
    st.sampled_from([0.0, 0.1, 0.3]),
    st.lists(st.builds(Policy, st.integers(1, 150), st.floats(1, 60), st.booleans()), max_size=2).map(tuple),
    st.sampled_from(Select),
)
TARGETS = st.none() | st.floats(0.1, 2)
RULES = st.builds(
    lambda least, more, *rest: Rules(least, least + more, *rest),
    st.integers(1, 4),
    st.integers(0, 12),
    st.floats(0.1, 1),
    TARGETS,
    TARGETS,
    st.sampled_from([0.0, 20.0]),
    DIRECTIONS,
    DIRECTIONS,
)
STEPS = st.lists(st.tuples(SAMPLES, st.floats(0, 30)), min_size=1, max_size=5)


def history_of(steps: list[tuple[Sample, float]], rules: Rules) -> tuple[History, float]:
    history, now_s = History(), 0.0
    for sample, pause_s in steps:
        now_s += pause_s
        _, history = decide(sample, rules, history, now_s)
    return history, now_s


@settings(max_examples=60)
@given(STEPS, RULES)
def test_limits_are_kept_and_the_same_again_is_the_same(steps, rules) -> None:
    history, now_s = history_of(steps[:-1], rules)
    sample, pause_s = steps[-1]
    decision, after = decide(sample, rules, history, now_s + pause_s)
    assert rules.min_replicas <= decision.enforced <= rules.max_replicas
    assert decision.recommended == max(each.replicas for each in decision.metrics)
    assert decide(sample, rules, history, now_s + pause_s) == (decision, after)
    assert str(decision.enforced) in decision.reason


@given(
    STEPS,
    RULES,
    st.sampled_from(["utilisation_ratio", "arrivals_pps", "queue_packets", "latency_p99_ms"]),
    LOADS,
    st.integers(0, 4),
)
@settings(max_examples=100)
def test_more_load_is_never_fewer_replicas(steps, rules, name, more, which) -> None:
    history, now_s = history_of(steps[:-1], rules)
    sample, pause_s = steps[-1]
    before, _ = decide(sample, rules, history, now_s + pause_s)
    if which < len(sample.instances) and (value := getattr(sample.instances[which], name)) is not None:
        busier = list(sample.instances)
        busier[which] = replace(busier[which], **{name: value + more})
        sample = replace(sample, instances=tuple(busier))
    after, _ = decide(sample, rules, history, now_s + pause_s)
    for stage in ("recommended", "stabilised", "enforced"):
        assert getattr(after, stage) >= getattr(before, stage)


@settings(max_examples=60)
@given(STEPS, RULES, st.integers(1, 20))
def test_a_forecast_never_asks_for_fewer(steps, rules, replicas) -> None:
    history, now_s = history_of(steps[:-1], rules)
    sample, pause_s = steps[-1]
    now_s += pause_s
    before, _ = decide(sample, rules, history, now_s)
    more = Forecast("event", now_s, now_s + 1, replicas_at_least=replicas)
    after, _ = decide(replace(sample, forecasts=(*sample.forecasts, more)), rules, history, now_s)
    assert after.enforced >= before.enforced and after.recommended >= replicas


@settings(max_examples=60)
@given(st.lists(st.tuples(st.floats(0, 8), st.floats(0.5, 20)), min_size=2, max_size=20), RULES, st.integers(1, 10))
def test_no_turn_downwards_within_its_window(steps, rules, replicas) -> None:
    """Whatever the load does: what was asked for in the window and is there does not go."""
    history, now_s, asked = History(), 0.0, []
    for total, pause_s in steps:
        now_s += pause_s
        sample = Sample(replicas, tuple(InstanceSample("i", total / replicas) for _ in range(replicas)))
        decision, history = decide(sample, rules, history, now_s)
        asked.append((now_s, decision.recommended))
        most = max(count for at_s, count in asked if at_s > now_s - rules.down.window_s or at_s == now_s)
        assert decision.enforced >= min(replicas, most, rules.max_replicas)
        least = min(count for at_s, count in asked if at_s > now_s - rules.up.window_s or at_s == now_s)
        assert decision.enforced <= max(replicas, least, rules.min_replicas)
        replicas = decision.enforced
