"""The prediction against its own equations, and against a queue written down by hand."""

from collections import Counter

import pytest

from testbed.experiments.two_worlds.in_simulator import REQUEST_MBIT, documented, predict
from testbed.experiments.two_worlds.outcome import ANSWERED, REFUSED, Constants
from testbed.experiments.two_worlds.scenario import Scenario, Servant
from topologies.four_domain import FourDomain

FIREWALL_PPS = 1e9
CONSTANTS = Constants(controller_ms=1.5, way_ms=0.25, request_cpu_ms=11.0, idle_cores=0.02, speed_cores=0.22)
SERVICE_MS = 11.0 / 0.20
TRUNK_MS = REQUEST_MBIT / 100 * 1000


def test_a_request_alone_takes_what_the_equation_says() -> None:
    scenario = Scenario(clients={"c2": 1.0}, firewalls={"fw1": 1}, servants={"srv1": 1})
    [request] = predict(scenario, {"c2": (40.0,)}, CONSTANTS, FIREWALL_PPS).requests
    expected = 1.5 + 4 * (5.0 + 0.25) + SERVICE_MS + 4 * TRUNK_MS
    assert (request.client, request.sent_ms, request.fate, request.servant) == ("c2", 40.0, ANSWERED, "srv1")
    assert request.latency_ms == pytest.approx(expected, abs=0.01)  # cables have a bandwidth too


def test_the_way_goes_over_the_firewall_and_is_the_shortest_one() -> None:
    scenario = Scenario(
        clients={"c2": 1.0},
        firewalls={"fw2": 3},
        servants={"srv1": 1},
        delays_ms={**Scenario().delays_ms, (1, 3): 50.0},
    )
    [request] = predict(scenario, {"c2": (0.0,)}, documented(scenario), FIREWALL_PPS).requests
    forward = min(4 + 4 + 5, 4 + 3 + 6)  # to the firewall at 3, then by 2 or by 4
    assert request.latency_ms == pytest.approx(4 * forward + 10 / 0.2, abs=0.2)


def test_instances_take_turns_over_all_clients_together() -> None:
    scenario = Scenario()
    arrivals = {"c2": (0.0, 300.0), "c3": (100.0, 400.0), "c4": (200.0, 500.0)}
    for first in range(6):
        outcome = predict(scenario, arrivals, CONSTANTS, FIREWALL_PPS, first)
        assert [each.servant for each in outcome.requests] == [f"srv{(first + k) % 3 + 1}" for k in range(6)]
        by_firewall = {"c2": (5, 4 + 7), "c4": (6, 3 + 7)}  # one way over fw1, over fw2
        for k, each in enumerate(outcome.requests):
            if each.client in by_firewall:
                way = by_firewall[each.client][(first + k) % 2] + 0.25
                assert each.latency_ms == pytest.approx(1.5 + 4 * way + SERVICE_MS, abs=0.2)


def test_a_queue_is_first_come_first_served_and_refuses_beyond_its_limit() -> None:
    scenario = Scenario(
        clients={"c2": 1.0},
        firewalls={"fw1": 1},
        servants={"srv1": 1},
        servant=Servant(queue=3),
        delays_ms={(1, 2): 5.0},
    )
    times = tuple(sorted(17.0 * n + (n * n) % 13 for n in range(60)))
    outcome = predict(scenario, {"c2": times}, CONSTANTS, FIREWALL_PPS)
    ends: list[float] = []
    for request in outcome.requests:
        arrives = request.sent_ms + 1.5 + 3 * 5.25
        if sum(end > arrives for end in ends) > 3:
            assert request.fate == REFUSED
            continue
        ends.append(max([arrives, *ends[-1:]]) + SERVICE_MS)
        assert request.fate == ANSWERED
        assert request.sent_ms + request.latency_ms == pytest.approx(ends[-1] + 5.25, abs=0.3)
    fates = Counter(each.fate for each in outcome.requests)
    assert fates[REFUSED] > 10
    idle_ms = 0.02 * outcome.elapsed_ms
    assert outcome.cpu_ms == {"srv1": pytest.approx(fates[ANSWERED] * 11.0 + idle_ms)}


def test_overload_answers_what_the_capacity_is() -> None:
    scenario = Scenario(duration_s=100, levels=(1.5,))
    outcome = predict(scenario, scenario.arrivals(0), documented(scenario), FIREWALL_PPS)
    answered = sum(each.fate == ANSWERED for each in outcome.requests)
    assert answered / outcome.elapsed_ms * 1000 == pytest.approx(scenario.capacity_rps, rel=0.01)
    assert all(used == pytest.approx(0.2 * outcome.elapsed_ms, rel=0.01) for used in outcome.cpu_ms.values())


def test_the_same_input_gives_the_same_outcome_and_links_are_those_of_the_topology() -> None:
    scenario = Scenario(duration_s=3)
    outcomes = [predict(scenario, scenario.arrivals(1), CONSTANTS, 231_000, 4) for _ in range(2)]
    assert outcomes[0] == outcomes[1]
    trunks = [
        (int(a[1:]), int(b[1:]), float(info["delay"].removesuffix("ms")))
        for a, b, info in FourDomain().links(withInfo=True)
        if "delay" in info
    ]
    assert sorted(trunks) == sorted((a, b, ms) for (a, b), ms in scenario.delays_ms.items())
