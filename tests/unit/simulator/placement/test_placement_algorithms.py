"""Placement algorithms on a line of three nodes, and the exact search against all plans there are."""

from collections.abc import Iterator
from dataclasses import replace

import numpy
import pytest

from testbed.simulator.model.entities import DataSource, Entities, Link, Node, NodeType, Sfc, SfcRequest, User, Vnf
from testbed.simulator.model.plans import New, Plan, Refused
from testbed.simulator.model.state import State
from testbed.simulator.placement import cost
from testbed.simulator.placement.base import Placement
from testbed.simulator.placement.registry import find
from tests.support.random_edges import committer, every_plan, random_edge


def node(number: int, cpu: float = 4000, vnfs: frozenset[str] = frozenset({"v_0", "v_1"})) -> Node:
    return Node(f"n_{number}", 1, NodeType.DEFAULT, cpu, cpu, 200, 100, 1, None, vnfs)


def links(bandwidth: float) -> Iterator[Link]:
    for a in range(3):
        yield Link(f"l_{a}_{a}_0", f"n_{a}", f"n_{a}", 0, 1e5, 0, 0, 0)
        for b in (a - 1, a + 1):
            if 0 <= b < 3:
                yield Link(f"l_{a}_{b}_0", f"n_{a}", f"n_{b}", 0, bandwidth, 0, 5, 10)


def line(nodes: list[Node], bandwidth: float = 10, max_latency: float = 50, order: int = 1) -> Entities:
    vnf = Vnf("v_0", 2000, 1000, 2, 4, 1, 1, 1, 0, 0, 0, 0, 1e5, -1)
    vnfs = {"v_0": vnf, "v_1": replace(vnf, name="v_1")}
    sfc = Sfc("s_0", ("v_0", "v_1"), max_latency, 1, 1e5, order)
    requests = {f"r_{k}": SfcRequest(f"r_{k}", "u_0", "s_0", 1, 0, "src_0", "n_0", "n_2", 1000) for k in range(3)}
    return Entities(
        {each.name: each for each in nodes},
        {each.name: each for each in links(bandwidth)},
        vnfs,
        {"s_0": sfc},
        {"u_0": User("u_0", "n_0", 1, 1000, 0, 1, {})},
        {"src_0": DataSource("src_0", 0.01, 2, 20, 10)},
        requests,
    )


def made(name: str, **parameters: object) -> Placement:
    algorithm = find(name)(**parameters)
    algorithm.random = numpy.random.default_rng(1)
    return algorithm


def planned(algorithm: Placement, entities: Entities) -> dict[str, Plan | Refused]:
    state = State(entities)
    commit, decided = committer(state)
    algorithm.plan_window(list(entities.sfc_requests.values()), state, commit)
    return decided


def reason(name: str, entities: Entities) -> str:
    refused = made(name).plan(entities.sfc_requests["r_0"], State(entities))
    assert isinstance(refused, Refused)
    return refused.reason


CHECKING = ["GreedyPlacement", "DijkstraPlacement", "SmartPlacement"]


@pytest.mark.parametrize("name", [*CHECKING, "RandomPlacement"])
def test_reasons(name: str) -> None:
    nodes = [node(number) for number in range(3)]
    assert reason(name, line([replace(each, cpu=1000) for each in nodes])) == "no node has 2000 cpu left for v_0"
    assert reason(name, line([replace(each, mem=999) for each in nodes])) == "no node has 1000 mem left for v_0"
    only = frozenset({"v_0"})
    assert reason(name, line([node(number, 4000, only) for number in range(3)])) == "no node may run v_1"
    cut_off = [*nodes[:2], node(2, vnfs=frozenset())]
    assert "Mbit/s left" in reason(name, line(cut_off, bandwidth=1))


@pytest.mark.parametrize("name", CHECKING)
def test_too_slow(name: str) -> None:
    assert "s_0 allows 3" in reason(name, line([node(number) for number in range(3)], max_latency=3))


@pytest.mark.parametrize("name", CHECKING)
def test_two_instances_on_one_node_count_both(name: str) -> None:
    nodes = [node(0, 3999), node(1, 1000), node(2, 3999)]
    plan = made(name).plan(line(nodes).sfc_requests["r_0"], State(line(nodes)))
    assert isinstance(plan, Plan)
    assert sorted(each.node for each in plan.stages if isinstance(each, New)) == ["n_0", "n_2"]


@pytest.mark.parametrize("name", [*CHECKING, "RandomPlacement"])
def test_bandwidth_of_earlier_hops_counts(name: str) -> None:
    """From n_1 to n_2, back, and to n_2 again: two hops of 4 Mbit/s over the same link."""
    nodes = [node(0, vnfs=frozenset()), node(1, vnfs=frozenset({"v_0", "v_2"})), node(2, vnfs=frozenset({"v_1"}))]
    for bandwidth, fits in ((7.9, False), (8, True)):
        entities = line(nodes, bandwidth)
        three = replace(entities.sfcs["s_0"], vnfs=("v_0", "v_1", "v_2"))
        vnfs = {**entities.vnfs, "v_2": replace(entities.vnfs["v_0"], name="v_2")}
        entities = replace(entities, sfcs={"s_0": three}, vnfs=vnfs)
        plan = made(name).plan(entities.sfc_requests["r_0"], State(entities))
        assert isinstance(plan, Plan) == fits


def test_capacity_first_shares_instances() -> None:
    nodes = [node(number) for number in range(3)]
    for order, expected in ((1, 4), (2, 4), (3, 4)):
        decided = planned(made("SmartPlacement"), line(nodes, 100, order=order))
        new = [
            each for plan in decided.values() if isinstance(plan, Plan) for each in plan.stages if isinstance(each, New)
        ]
        assert len(new) == expected  # three requests, two to an instance


def test_smart_shares_a_planned_sfc_instance() -> None:
    algorithm = made("SmartPlacement")
    algorithm.share_sfc_instances = True
    decided = planned(algorithm, line([node(number) for number in range(3)], 100))
    assert [isinstance(plan, Plan) and plan.share is not None for plan in decided.values()].count(True) == 1


def test_unknown_search() -> None:
    with pytest.raises(ValueError, match="expected one of layered, stepwise"):
        made("SmartPlacement", search="all")


@pytest.mark.parametrize("seed", range(60))
def test_layered_search_is_exact(seed: int) -> None:
    """One request after another, in states that the earlier ones made: the cheapest of all plans, or none where there is none."""
    entities = random_edge(seed, nodes=4, requests=4)
    state, algorithm = State(entities), made("SmartPlacement")
    for request in entities.sfc_requests.values():
        aim = cost.Aim.of(request, entities)
        scores = [aim.score(cost.of(request, plan, state)) for plan in every_plan(request, state)]
        plan = algorithm.plan(request, state)
        if isinstance(plan, Refused):
            assert not scores, plan.reason
            continue
        assert aim.score(cost.of(request, plan, state)) == pytest.approx(min(scores))
        state.place(request, plan)
