import pytest

from testbed.scaling_decision.model import Forecast, InstanceSample, Rules, Sample
from testbed.scaling_decision.recommend import metrics

RULES = Rules(target_utilisation_ratio=0.5)


def sample(*ratios: float | None, replicas: int | None = None, **more) -> Sample:
    instances = tuple(InstanceSample(f"i_{n}", each) for n, each in enumerate(ratios))
    return Sample(len(ratios) if replicas is None else replicas, instances, **more)


def asked(given: Sample, rules: Rules = RULES, now_s: float = 0.0) -> list[int]:
    return [each.replicas for each in metrics(given, rules, now_s)]


@pytest.mark.parametrize(
    ("ratios", "replicas"),
    [
        ((1.0, 1.0), 4),  # ceil(2 * 1.0 / 0.5)
        ((0.6, 0.6, 0.6), 4),  # ceil(3.6)
        ((0.54, 0.55), 2),  # within a tenth of the target
        ((0.46, 0.45), 2),
        ((0.2, 0.2, 0.2), 2),  # ceil(1.2)
        ((0.0, 0.0), 0),
        ((0.35, 0.35, 0.3), 2),  # exactly 2, whatever the rounding
    ],
)
def test_replicas_are_in_proportion(ratios: tuple[float, ...], replicas: int) -> None:
    assert asked(sample(*ratios)) == [replicas]


def test_what_is_not_known_is_idle_for_more_and_on_target_for_fewer() -> None:
    assert asked(sample(1.0, 1.0, None)) == [4]  # not 6
    assert asked(sample(0.6, None)) == [2]  # with an idle one no more than on target
    assert asked(sample(0.1, 0.1, None, None)) == [3]  # not 1: two of them are taken as busy
    assert asked(sample(0.1, 0.1, replicas=4)) == [3]  # not even heard of
    assert asked(sample(None, None)) == [2]
    assert asked(sample(replicas=3)) == [3]


def test_what_starts_is_idle_for_more_and_not_counted_for_fewer() -> None:
    starting = InstanceSample("i_9", 0.0, ready=False)
    assert asked(Sample(3, (InstanceSample("a", 0.9), InstanceSample("b", 0.9), starting))) == [4]
    assert asked(Sample(2, (InstanceSample("a", 0.9), starting))) == [2]
    assert asked(Sample(3, (InstanceSample("a", 0.3), InstanceSample("b", 0.3), starting))) == [2]


def test_an_unhealthy_one_keeps_its_place() -> None:
    sick = InstanceSample("i_9", 5.0, healthy=False)
    assert asked(Sample(3, (InstanceSample("a", 0.9), InstanceSample("b", 0.9), sick))) == [4]
    assert asked(Sample(3, (InstanceSample("a", 0.1), InstanceSample("b", 0.1), sick))) == [2]


def test_packet_rates_stand_for_a_utilisation() -> None:
    rates = tuple(InstanceSample(name, arrivals_pps=900.0, capacity_pps=1000.0) for name in "ab")
    assert asked(Sample(2, rates)) == [4]


def test_queue_and_latency_where_they_have_targets() -> None:
    rules = Rules(target_utilisation_ratio=0.5, target_queue_packets=10, target_latency_p99_ms=20)
    one = InstanceSample("a", 0.5, arrivals_pps=10.0, queue_packets=25, latency_p99_ms=15)
    found = metrics(Sample(1, (one,)), rules, 0.0)
    assert [(each.name, each.value, each.replicas) for each in found] == [
        ("utilisation", 0.5, 1),
        ("queue", 25, 3),
        ("latency", 15, 1),
    ]
    assert found[1].text == "queue 25 packets for a target of 10 packets asks for 3"


def test_without_arrivals_there_is_no_latency_to_miss() -> None:
    rules = Rules(target_latency_p99_ms=20)
    assert asked(Sample(2, tuple(InstanceSample(n, 0.0, arrivals_pps=0.0) for n in "ab")), rules) == [0, 0]
    assert asked(Sample(2, tuple(InstanceSample(n, 0.0, arrivals_pps=1.0) for n in "ab")), rules) == [0, 2]


def test_a_forecast_counts_from_its_horizon_until_it_is_over() -> None:
    rules = Rules(target_utilisation_ratio=0.5, forecast_horizon_s=10.0)
    quiet = InstanceSample("a", 0.5, capacity_pps=100.0)
    given = Sample(1, (quiet,), (Forecast("arima", 30.0, 40.0, arrivals_pps=210.0),))
    assert [asked(given, rules, now_s) for now_s in (19.0, 20.0, 39.0, 40.0)] == [[1], [1, 5], [1, 5], [1]]
    assert metrics(given, rules, 20.0)[1].text == "forecast of arima is 210 pps in 10 s, 50 for each: asks for 5"


def test_a_forecast_without_a_known_capacity_keeps_what_is_there() -> None:
    given = sample(0.1, 0.1, 0.1, forecasts=(Forecast("arima", 0.0, 9.0, arrivals_pps=1.0),))
    assert asked(given) == [1, 3]


def test_a_forecast_may_name_replicas() -> None:
    assert asked(sample(0.5, forecasts=(Forecast("earthquake", 0.0, 9.0, replicas_at_least=6),))) == [1, 6]
    with pytest.raises(ValueError, match="forecast of x: expected arrivals_pps or replicas_at_least"):
        Forecast("x", 0.0, 1.0)
