"""What a comparison says of two outcomes, and its forms."""

import json
from dataclasses import replace

import pytest

from testbed.experiments.report import Check
from testbed.experiments.two_worlds.compare import Level, Pair, in_words, level
from testbed.experiments.two_worlds.outcome import ANSWERED, REFUSED, Constants, Outcome, Request
from testbed.experiments.two_worlds.report import Report, document, lines, page
from testbed.experiments.two_worlds.scenario import Scenario

SCENARIO = Scenario(levels=(0.5,), clients={"c2": 1.0, "c3": 1.0}, servants={"srv1": 1})


def world(latencies_ms: dict[str, list[float]], refused: int = 0, cpu_ms: float = 100.0) -> Outcome:
    requests = [
        Request(client, float(n), ms, ANSWERED, "srv1")
        for client, all_of in latencies_ms.items()
        for n, ms in enumerate(all_of)
    ]
    requests += [Request("c2", 99.0, 1.0, REFUSED, "srv1")] * refused
    return Outcome(tuple(requests), {"srv1": cpu_ms}, 1000.0)


@pytest.fixture
def compared() -> Level:
    predicted = world({"c2": [10.0, 20.0, 30.0], "c3": [50.0]}, refused=2)
    return level(SCENARIO, 0, predicted, world({"c2": [20.0, 40.0, 60.0], "c3": [40.0]}, cpu_ms=150.0))


def test_latency_is_of_answered_requests_by_client_and_all_together(compared: Level) -> None:
    p50 = compared.latency_ms["c2", 50]
    assert (p50.predicted, p50.measured, p50.difference, p50.percent) == (20.0, 40.0, -20.0, -50.0)
    assert compared.latency_ms["all", 50] == Pair(20.0, 40.0)
    assert compared.latency_ms["c3", 99].percent == 25.0
    assert compared.sorted_ms["c2"] == ((10.0, 20.0, 30.0), (20.0, 40.0, 60.0))


def test_load_is_the_share_of_the_quota_and_fates_are_counted_in_both_worlds(compared: Level) -> None:
    assert compared.load["srv1"].predicted == pytest.approx(0.5)
    assert compared.load["srv1"].measured == pytest.approx(0.75)
    assert compared.fates == {ANSWERED: Pair(4.0, 4.0), REFUSED: Pair(2.0, 0.0)}
    assert compared.fates[REFUSED].percent is None
    assert compared.answered == {"srv1": Pair(4.0, 4.0)}


def test_words_name_the_mean_and_the_worst(compared: Level) -> None:
    words = in_words([compared])
    assert "p50 is off by 37.5 % on average, -50.0 % at most (c2 at 50%)" in words
    assert "load: off by 25.0 points on average, -25.0 at most" in words
    assert "2 predicted and 0 measured at 50%" in words


def test_a_client_without_answers_has_no_latency_and_no_part_in_the_words() -> None:
    silent = level(SCENARIO, 0, world({"c2": [10.0]}), world({"c2": [10.0]}))
    assert silent.latency_ms["c3", 50] == Pair(None, None)
    assert silent.latency_ms["c3", 50].percent is None
    assert "+0.0 % at most (c2" in in_words([silent])
    none = level(SCENARIO, 0, world({}, refused=1), world({}, refused=1))
    assert "p50 has no value" in in_words([none])


def test_all_forms_have_the_numbers_of_the_comparison(compared: Level) -> None:
    constants = Constants(1.1, 0.2, 11.0, 0.01, 0.21)
    report = Report(
        "now", SCENARIO, constants, (compared,), (Check("a <check>", True, "seen"),), ("links: netem",), ((0.1, "x"),)
    )
    told = json.loads(json.dumps(document(report)))
    assert told["levels"][0]["latency_ms"]["c2"]["p50"] == {
        "predicted": 20.0,
        "measured": 40.0,
        "difference": -20.0,
        "percent": -50.0,
    }
    assert told["constants"]["controller_ms"] == 1.1
    assert any(line.split() == ["c2", "p50", "20.0", "40.0", "-20.0", "-50.0"] for line in lines(report))
    text = page(report)
    assert "a &lt;check&gt;" in text and "<svg" in text and "src=" not in text and "<script" not in text
    assert "flaw" not in text and "flaw" in page(replace(report, checks=(Check("late", False, ""),)))
