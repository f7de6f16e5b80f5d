"""Placements on random edge environments: what they plan can be carried out, is fast enough where they promise it, and is repeatable."""

import numpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.simulator.model.entities import Entities
from testbed.simulator.model.plans import New, Plan, Refused
from testbed.simulator.model.state import State
from testbed.simulator.placement import cost
from testbed.simulator.placement.base import Placement
from testbed.simulator.placement.registry import find
from tests.support.random_edges import Decided, committer, random_edge

ALGORITHMS = {
    "NaivePlacement": {},
    "RandomPlacement": {},
    "GreedyPlacement": {},
    "DijkstraPlacement": {},
    "SmartPlacement": {},
    "LPPPlacement": {"time_limit_s": 2.0},
    "stepwise": {"search": "stepwise"},
}
FAST = {"GreedyPlacement", "LPPPlacement", "DijkstraPlacement", "SmartPlacement", "stepwise"}

edges = st.builds(
    random_edge,
    st.integers(0, 10_000),
    nodes=st.integers(2, 6),
    vnfs=st.integers(1, 4),
    requests=st.integers(1, 8),
    slices=st.integers(1, 2),
)


def algorithm(name: str, share: bool) -> Placement:
    made = find("SmartPlacement" if name == "stepwise" else name)(**ALGORITHMS[name])
    made.random = numpy.random.default_rng(1)
    made.share_sfc_instances = share
    return made


def decide(name: str, entities: Entities, share: bool, restrict: bool) -> tuple[Decided, State]:
    """In two windows, so that the second finds instances."""
    state = State(entities, restrict_bandwidth=restrict)
    commit, decided = committer(state)
    made, requests = algorithm(name, share), list(entities.sfc_requests.values())
    half = (len(requests) + 1) // 2
    for window in (requests[:half], requests[half:]):
        if window:
            made.plan_window(window, state, commit)
    return decided, state


def shape(plan: Plan | Refused) -> object:
    """A plan without the identity of instances."""
    if isinstance(plan, Refused):
        return plan
    if plan.share:
        return plan.share.name
    return [each if isinstance(each, New) else each.name for each in plan.stages], plan.routes


@pytest.mark.parametrize("name", ALGORITHMS)
@settings(max_examples=15, deadline=None)
@given(entities=edges, share=st.booleans(), restrict=st.booleans())
def test_plans_fit(name: str, entities: Entities, share: bool, restrict: bool) -> None:
    decided, state = decide(name, entities, share, restrict)
    assert list(decided) == list(entities.sfc_requests)
    for request, plan in decided.items():
        if isinstance(plan, Refused):
            assert plan.reason
            assert name == "NaivePlacement" or not plan.reason.startswith("over-commit"), plan.reason
            continue
        if name in FAST:
            asked = entities.sfc_requests[request]
            assert cost.of(asked, plan, state).latency_ms <= entities.sfcs[asked.sfc].max_latency + 1e-9
    for node in entities.nodes:
        for part in entities.slices:
            assert state.free_cpu(node, part) >= -1e-6
            assert state.free_mem(node, part) >= -1e-6
    if restrict:
        for link in entities.links.values():
            assert all(state.free_bandwidth(link, part) >= -1e-6 for part in entities.slices)


@pytest.mark.parametrize("name", ALGORITHMS)
@settings(max_examples=5, deadline=None)
@given(entities=edges)
def test_same_seed_same_plans(name: str, entities: Entities) -> None:
    once, again = (decide(name, entities, True, True)[0] for _ in range(2))
    assert {key: shape(plan) for key, plan in once.items()} == {key: shape(plan) for key, plan in again.items()}
