"""The scenario that both worlds are told: its file, and its arrivals."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from testbed.experiments.two_worlds.scenario import DEFAULT, Scenario, load, parse
from testbed.simulator.specification.problems import SpecificationError


def test_an_empty_file_is_the_default_and_a_file_states_what_differs(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").write_text("")
    (tmp_path / "own.toml").write_text(
        "seed = 7\nlevels = [0.5]\nservants = { a = 1, b = 2 }\ndelays_ms = { 1-2 = 9.5 }\nclients = { c2 = 3, c4 = 1 }\n"
        "[servant]\ncost_ms = 20\n"
    )
    own = load(tmp_path / "own.toml")
    assert load(tmp_path / "empty.toml") == DEFAULT
    assert (own.seed, own.levels, own.servants, own.servant.cost_ms) == (7, (0.5,), {"a": 1, "b": 2}, 20)
    assert own.delays_ms == {**DEFAULT.delays_ms, (1, 2): 9.5}
    assert own.capacity_rps == pytest.approx(2 * 0.2 / 0.020)
    assert own.rate_rps(0.5, "c2") == pytest.approx(own.capacity_rps * 0.5 * 3 / 4)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"duration": 3}, "duration"),
        ({"levels": [0]}, "levels[0]"),
        ({"servants": {"srv1": 5}}, "servants.srv1: 5: expected a switch from 1 to 4"),
        ({"clients": {"c1": 1}}, "expected one of c2, c3, c4"),
        ({"delays_ms": {"2-4": 1}}, "delays_ms.2-4"),
        ({"firewalls": {}}, "expected at least one"),
        ({"servant": {"cpus": 0.1}}, "servant.period_ms: 5.0: expected at least 10"),
        ({"servant": {"queue": 500}}, "timeout_s"),
    ],
)
def test_what_is_wrong_is_said_with_what_was_expected(value: dict[str, Any], expected: str) -> None:
    with pytest.raises(SpecificationError) as refused:
        parse(value, "own.toml")
    assert expected in str(refused.value)


def test_arrivals_are_seeded_ascending_and_as_many_as_the_rate_says() -> None:
    scenario = Scenario(duration_s=400, levels=(0.7, 0.7))
    arrivals = scenario.arrivals(0)
    assert arrivals == scenario.arrivals(0) != scenario.arrivals(1)
    assert arrivals != Scenario(seed=2, duration_s=400, levels=(0.7,)).arrivals(0)
    for client, times in arrivals.items():
        expected = scenario.rate_rps(0.7, client) * 400
        assert list(times) == sorted(times) and times[0] >= 0 and times[-1] < 400_000
        assert len(times) == pytest.approx(expected, abs=4 * expected**0.5)
    assert len(set(arrivals.values())) == 3


def test_a_gap_of_the_poisson_arrivals_has_the_spread_of_an_exponential_one() -> None:
    times = Scenario(duration_s=1000).arrivals(1)["c2"]
    gaps = [b - a for a, b in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert deviation == pytest.approx(mean, rel=0.05)
