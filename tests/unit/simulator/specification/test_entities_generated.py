"""Entities drawn from specs: rules of the document, streams of their own, and arrivals."""

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from testbed.simulator.model.entities import Entities, NodeType
from testbed.simulator.specification.consistency import check_entities
from testbed.simulator.specification.generate import generate
from testbed.simulator.specification.problems import Problems
from testbed.simulator.specification.specs_file import parse_specs


def drawn(spec: Any, seed: int = 1, total_time: float = 5000, time_window: float = 500) -> Entities:
    return generate(parse_specs(spec), seed, total_time, time_window)


def test_the_same_seed_draws_the_same_and_another_does_not(spec: Any) -> None:
    assert drawn(spec) == drawn(spec)
    assert drawn(spec) != drawn(spec, seed=2)


def test_names_and_numbers_are_the_document_s(spec: Any, entities: Entities) -> None:
    assert list(entities.nodes) == [f"n_{i}" for i in range(10)]
    assert list(entities.links)[:3] == ["l_0_0_0", "l_0_1_0", "l_0_2_0"] and len(entities.links) == 100
    assert list(entities.sfc_requests) == [f"r_{i}" for i in range(10)]
    assert (list(entities.sfcs), list(entities.data_sources)) == (["s_0", "s_1", "s_2", "s_3"], ["src_0"])


@pytest.mark.parametrize("seed", range(20))
def test_rules_hold_for_any_seed(spec: Any, seed: int) -> None:
    spec["node"] |= {"ran_node_prob": 0.05, "vnf_num": [1, 2], "cpu": [5000, 9000], "energy_idle": [50, 150]}
    spec["link"]["num_links_between_nodes"] = [1, 3]
    spec["user"] |= {"sfc_request_num": [0, 2, 6], "priority": [3]}
    entities = drawn(spec, seed)
    problems = Problems("")
    check_entities(entities, problems)
    assert not problems.found
    ran = {node.name for node in entities.nodes.values() if node.type is NodeType.RAN}
    core = {node.name for node in entities.nodes.values() if node.type is NodeType.CORE}
    assert ran and all(user.node in ran for user in entities.users.values())
    assert any(node.vnfs == entities.vnfs.keys() for node in entities.nodes.values())
    assert all(node.energy_idle < node.energy_max for node in entities.nodes.values())
    counters = Counter((link.source, link.target) for link in entities.links.values())
    assert len(counters) == 100 and set(counters.values()) <= {1, 3}
    assert all(counters[name, name] == 1 for name in entities.nodes)
    for request in entities.sfc_requests.values():
        user = entities.users[request.user]
        assert (request.ingress, request.egress) == user.ingress_egress[request.sfc]
        assert {request.ingress, request.egress} <= {user.node, *core}
        assert 0 <= request.priority <= 3 and 0 <= request.arrival_time < 5000
    for user in entities.users.values():
        asked = Counter(each.sfc for each in entities.sfc_requests.values() if each.user == user.name)
        assert asked.total() in (0, 2, 6) and max(asked.values(), default=0) <= (2 if asked.total() == 6 else 1)
    assert all(a.arrival_time <= b.arrival_time for a, b in pairwise(entities.sfc_requests.values()))


def test_more_users_change_nothing_else(spec: Any, entities: Entities) -> None:
    spec["entities_number"]["users"] = 15
    more = generate(parse_specs(spec), seed=200, total_time=5000, time_window=500)
    for kind in ("nodes", "links", "vnfs", "sfcs", "data_sources"):
        assert getattr(more, kind) == getattr(entities, kind)
    assert [more.users[name] for name in entities.users] == list(entities.users.values())
    before = {(each.user, each.arrival_time, each.priority) for each in entities.sfc_requests.values()}
    assert before <= {(each.user, each.arrival_time, each.priority) for each in more.sfc_requests.values()}


def test_users_are_at_more_than_one_node(spec: Any) -> None:
    spec["entities_number"]["users"] = 100
    spec["node"]["ran_node_prob"] = 0.7
    assert len({user.node for user in drawn(spec).users.values()}) > 1


def test_a_blank_energy_idle_is_seven_tenths(spec: Any) -> None:
    spec["node"] |= {"energy_max": 200, "energy_idle": []}
    assert {node.energy_idle for node in drawn(spec).nodes.values()} == {140}
    spec["node"]["energy_idle"] = [250, 200]
    assert {node.energy_idle for node in drawn(spec).nodes.values()} == {140}


def test_linear_arrivals_grow_by_the_same_number_each_window(spec: Any) -> None:
    spec["sfc_requests"] |= {"arrival": "linear", "increase_requests_per_window": 2}
    spec["entities_number"]["users"] = 15
    requests = drawn(spec).sfc_requests.values()
    by_window = Counter(int(each.arrival_time // 500) for each in requests)
    assert by_window == {0: 2, 1: 4, 2: 6, 3: 3}
    assert len({each.user for each in requests}) == 15


def test_linear_arrivals_for_which_there_is_no_window_are_not_requested(spec: Any) -> None:
    spec["sfc_requests"] |= {"arrival": "linear", "increase_requests_per_window": 1}
    assert len(drawn(spec, total_time=1200).sfc_requests) == 1 + 2


def test_without_windows_all_arrive_at_once(spec: Any) -> None:
    assert {each.arrival_time for each in drawn(spec, time_window=0).sfc_requests.values()} == {0}


def test_poisson_arrivals_spread_over_the_whole_time(spec: Any) -> None:
    spec["entities_number"]["users"] = 2000
    times = [each.arrival_time for each in drawn(spec).sfc_requests.values()]
    assert sum(times) / len(times) == pytest.approx(2500, rel=0.05)
    by_quarter = Counter(int(time // 1250) for time in times)
    assert set(by_quarter) == {0, 1, 2, 3} and min(by_quarter.values()) > 400


def test_slices_and_sources_of_chains_reach_the_entities(spec: Any) -> None:
    spec["slices"] = [{"name": "video", "sfcs": ["s_1"], "node_share": 0.5, "bandwidth_share": 0.5}]
    spec["sfc"] |= {"packet_interval": [3], "lifetime": [70]}
    del spec["entities_number"]["data_sources"]
    entities = drawn(spec)
    assert [sfc.slice for sfc in entities.sfcs.values()] == ["default", "video", "default", "default"]
    assert list(entities.slices) == ["video", "default"]
    assert {sfc.lifetime for sfc in entities.sfcs.values()} == {70}
    assert all(each.data_source == each.sfc.replace("s_", "src_") for each in entities.sfc_requests.values())
