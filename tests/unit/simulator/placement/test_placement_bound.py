"""The lower bound of a window, and what it lets Smart leave undone."""

import pytest

from testbed.simulator.model.state import State
from testbed.simulator.placement.bound import Bound
from testbed.simulator.placement.LPPPlacement import LPPPlacement
from testbed.simulator.placement.SmartPlacement import SmartPlacement
from testbed.simulator.placement.window import Search, Window
from testbed.simulator.placement_study import scene
from testbed.simulator.placement_study.measure import attempt
from tests.support.random_edges import committer, random_edge


@pytest.mark.parametrize("seed", range(40))
def test_bound_is_never_above_the_optimum(seed: int) -> None:
    """In the empty state, and where instances of a first window may be shared."""
    entities = random_edge(seed, nodes=4, vnfs=3, requests=8)
    requests, state, algorithm = list(entities.sfc_requests.values()), State(entities), LPPPlacement(time_limit_s=10)
    for window in (requests[:4], requests[4:]):
        books = Window(window, state, Search(effort=0), True, False).books
        bound = Bound(window, books, share_sfc=False)
        algorithm.plan_window(window, state, committer(state)[0])
        assert algorithm.last_status == "optimal"
        assert algorithm.last_accepted <= bound.possible
        assert bound.of(algorithm.last_accepted) <= algorithm.last_objective + 1e-6


def test_no_bound_where_chains_are_shared_as_a_whole() -> None:
    entities = random_edge(3)
    requests = list(entities.sfc_requests.values())
    bound = Bound(requests, Window(requests, State(entities), Search(effort=0), True, True).books, share_sfc=True)
    assert (bound.possible, bound.of(bound.possible)) == (len(requests), 0.0)


def test_one_request_by_itself_takes_one_search() -> None:
    """Its cheapest chain is as cheap as the bound: nothing can be gained."""
    entities = scene.entities("abilene", 8, 0, scene.Room())
    window = Window([entities.sfc_requests["r_0"]], State(entities), Search(), True, False)
    window.solve()
    assert len(window.chains) == 1
    assert window.searches == 0  # beyond the first
    assert window.bound is not None
    assert window.score() == pytest.approx(window.bound.of(1))


def test_a_window_keeps_to_its_effort() -> None:
    entities = scene.entities("geant", 8, 0, scene.Room(order=0))
    window = Window(list(entities.sfc_requests.values()), State(entities), Search(effort=10), True, False)
    window.solve()
    assert 0 < window.searches < 10 * 8 + 3 * 8  # the last group is finished


@pytest.mark.parametrize(("network", "seed"), [("abilene", 5), ("abilene", 6), ("abilene", 7)])
def test_mixed_priorities_stay_within_five_per_cent(network: str, seed: int) -> None:
    entities = scene.entities(network, 6, seed, scene.Room(order=0))
    algorithm = LPPPlacement(time_limit_s=30)
    smart, best = attempt(entities, SmartPlacement(), seed), attempt(entities, algorithm, seed)
    assert algorithm.last_status == "optimal"
    assert smart.accepted == best.accepted
    assert smart.score(smart.accepted) <= 1.05 * best.score(best.accepted)
