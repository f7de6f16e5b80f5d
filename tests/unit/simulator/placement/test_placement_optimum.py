"""The mixed-integer program against all combinations of plans there are, on tiny edge environments."""

import numpy
import pytest

from testbed.simulator.model.entities import Entities, SfcRequest
from testbed.simulator.model.plans import New, Plan, Refused
from testbed.simulator.model.state import State
from testbed.simulator.placement import cost
from testbed.simulator.placement.LPPPlacement import LPPPlacement
from testbed.simulator.placement.SmartPlacement import SmartPlacement
from tests.support.random_edges import committer, every_plan, random_edge

Rank = tuple[int, float]


def scores(entities: Entities, requests: list[SfcRequest]) -> tuple[dict[str, cost.Aim], cost.Aim]:
    aims = {each.name: cost.Aim.of(each, entities) for each in requests}
    return aims, cost.Aim.mean(list(aims.values()))


def score(request: SfcRequest, plan: Plan, state: State, aims: dict[str, cost.Aim], mean: cost.Aim) -> float:
    """A plan's part of the whole: its own path, and what it creates."""
    whole = cost.of(request, plan, state)
    vnfs = [state.entities.vnfs[name] for name in state.entities.sfcs[request.sfc].vnfs]
    size = state.entities.data_sources[request.data_source].packet_size
    new = [
        cost.stage_cost(each, vnf, size, state.entities)
        for each, vnf in zip(plan.stages, vnfs, strict=False)
        if isinstance(each, New)
    ]
    watts = sum(each.energy_w for each in new)
    path = cost.Cost(whole.latency_ms, 0.0, whole.energy_w - watts)
    return aims[request.name].score(path) + mean.score(cost.Cost(0.0, whole.cpu, watts))


def best(requests: list[SfcRequest], state: State, aims: dict[str, cost.Aim], mean: cost.Aim) -> Rank:
    """By trying everything, in every order of decisions that differs: (minus accepted, score)."""
    if not requests:
        return 0, 0.0
    request, rest = requests[0], requests[1:]
    found = best(rest, state, aims, mean)
    for plan in every_plan(request, state):
        own = score(request, plan, state, aims, mean)
        instance, created = state.place(request, plan)
        accepted, others = best(rest, state, aims, mean)
        found = min(found, (accepted - 1, own + others))
        state.leave(instance, request.name)
        state.release_sfc(instance)
        for each in created:
            state.release_vnf(each)
    return found


def placed(algorithm: LPPPlacement | SmartPlacement, entities: Entities) -> Rank:
    state = State(entities)
    requests = list(entities.sfc_requests.values())
    aims, mean = scores(entities, requests)
    commit, decided = committer(state)
    total = 0.0

    def scored(request: SfcRequest, plan: Plan | Refused) -> object:
        nonlocal total
        if isinstance(plan, Plan):
            total += score(request, plan, state, aims, mean)
        return commit(request, plan)

    algorithm.random = numpy.random.default_rng(1)
    algorithm.plan_window(requests, state, scored)  # type: ignore[arg-type]
    assert not any(isinstance(each, Refused) and each.reason.startswith("over-commit") for each in decided.values())
    return -sum(isinstance(each, Plan) for each in decided.values()), total


@pytest.mark.parametrize("seed", range(24))
def test_program_is_optimal(seed: int) -> None:
    entities = random_edge(seed, nodes=3, vnfs=2, requests=3)
    requests = list(entities.sfc_requests.values())
    accepted, total = best(requests, State(entities), *scores(entities, requests))
    algorithm = LPPPlacement()
    found = placed(algorithm, entities)
    assert algorithm.last_status == "optimal"
    assert found[0] == accepted
    assert found[1] == pytest.approx(total, abs=1e-6)
    assert algorithm.last_objective == pytest.approx(total, abs=1e-6)
    assert (algorithm.last_accepted, algorithm.last_accept_bound) == (-accepted, -accepted)
    assert algorithm.last_bound <= total + 1e-6


@pytest.mark.parametrize("seed", range(4))
def test_never_worse_than_smart_and_within_its_bound(seed: int) -> None:
    entities = random_edge(seed + 1000, nodes=6, requests=10, slices=2)
    algorithm = LPPPlacement(time_limit_s=2)
    assert placed(algorithm, entities) <= (lambda rank: (rank[0], rank[1] + 1e-9))(placed(SmartPlacement(), entities))
    assert algorithm.last_bound <= algorithm.last_objective + 1e-9
    assert algorithm.last_accept_bound >= algorithm.last_accepted


def test_no_time_gives_what_was_found_and_says_so() -> None:
    algorithm = LPPPlacement(time_limit_s=0.0)
    placed(algorithm, random_edge(7, nodes=6, requests=12))
    assert algorithm.last_status != "optimal" or algorithm.last_gap == 0
