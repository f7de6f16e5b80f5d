import pytest

from testbed.simulator.scaling.base import SfcLoad
from testbed.simulator.scaling.SmartScaling import SmartScaling
from testbed.simulator.scaling.SmartVerticalScalingUp import SmartVerticalScalingUp

DOCUMENTED = {  # the document's example
    "monitor_interval": 500,
    "monitor_window_size": 500,
    "load_vnf_instance_limit": 0.5,
    "resource_increment": 0.1,
    "resource_decrement": 0.1,
    "cpu_node_available_importance": 1,
    "mem_node_available_importance": 1,
    "cpu_vnf_load_importance": 1,
    "mem_vnf_load_importance": 1,
    "prioritize_nodes_with_more_resource_available": 0,
    "acceptable_sla_violation_rate": {"default": "0.1", "s_1": "0.05", "s_0": "0.15"},
    "waiting_time_between_scaling_ups": 4000,
}


def sizes(actions) -> list[tuple[str, float, float]]:
    return [(each.instance.name, round(each.cpu, 6), round(each.mem, 6)) for each in actions]


@pytest.fixture
def busy(world, a_load):
    edge = world(placed=[("n_0", "n_1"), ("n_0", "n_2"), ("n_1", "n_2")])
    edge.vnfs = dict.fromkeys(edge.vnfs, a_load(0.9, mem_peak=0.9))
    return edge


def test_a_chain_grows_from_its_own_accepted_rate_on(busy) -> None:
    busy.sfcs = {"si_0": SfcLoad(14, 100), "si_1": SfcLoad(5, 100), "si_2": SfcLoad(9, 100)}
    actions = SmartVerticalScalingUp(**DOCUMENTED).decide(busy.seen())
    assert {each.instance.name for each in actions} == {"vi_2", "vi_3"}
    assert {(round(each.cpu, 6), round(each.mem, 6)) for each in actions} == {(110.0, 110.0)}
    assert actions[0].reason == (
        "si_1: SLA violation rate 0.05, accepted 0.05; load 0.9 above load_vnf_instance_limit 0.5"
    )


def test_a_rate_of_nothing_needs_a_violation(busy) -> None:
    busy.sfcs["si_0"] = SfcLoad(0, 100)
    assert SmartVerticalScalingUp(acceptable_sla_violation_rate={"default": 0}).decide(busy.seen()) == []


def test_only_loaded_instances_grow_by_the_weighted_mean(busy, a_load) -> None:
    busy.sfcs["si_0"] = SfcLoad(1, 1)
    busy.vnfs.update(vi_0=a_load(1.5, mem_peak=0.0), vi_1=a_load(0.2, mem_peak=0.7))
    assert sizes(SmartVerticalScalingUp().decide(busy.seen())) == [("vi_0", 110.0, 110.0)]
    memory_only = SmartVerticalScalingUp(cpu_vnf_load_importance=0)
    assert sizes(memory_only.decide(busy.seen())) == [("vi_1", 110.0, 110.0)]


@pytest.mark.parametrize(("freest", "order"), [(0, ["vi_0", "vi_1"]), (1, ["vi_1", "vi_0"])])
def test_nodes_come_by_what_they_have_free(world, a_load, a_node, freest: int, order: list[str]) -> None:
    edge = world(nodes=[a_node("n_0", cpu=200.0), a_node("n_1")])
    edge.vnfs, edge.sfcs = dict.fromkeys(edge.vnfs, a_load(0.9, mem_peak=0.9)), {"si_0": SfcLoad(1, 2)}
    scaling = SmartVerticalScalingUp(prioritize_nodes_with_more_resource_available=freest)
    assert [each.instance.name for each in scaling.decide(edge.seen())] == order


def test_where_only_one_resource_fits_that_one_grows_and_both_are_tried(world, a_load, a_node) -> None:
    edge = world(nodes=[a_node("n_0", mem=105.0), a_node("n_1", cpu=105.0)])
    edge.vnfs, edge.sfcs = dict.fromkeys(edge.vnfs, a_load(0.9, mem_peak=0.9)), {"si_0": SfcLoad(1, 2)}
    actions = SmartVerticalScalingUp().decide(edge.seen())
    assert sorted(sizes(actions)) == sorted(
        [("vi_0", 110.0, 100.0), ("vi_0", 110.0, 110.0), ("vi_1", 100.0, 110.0), ("vi_1", 110.0, 110.0)]
    )
    assert [each.cpu > 105 and each.mem > 105 for each in actions] == [False, True, False, True]


def test_growth_in_one_decision_is_counted_together(world, a_load, a_node) -> None:
    edge = world(nodes=[a_node("n_0", mem=215.0)], placed=[("n_0", "n_0")])
    edge.vnfs, edge.sfcs = dict.fromkeys(edge.vnfs, a_load(0.9, mem_peak=0.9)), {"si_0": SfcLoad(1, 2)}
    actions = SmartVerticalScalingUp().decide(edge.seen())
    assert sizes(actions) == [("vi_0", 110.0, 110.0), ("vi_1", 110.0, 100.0), ("vi_1", 110.0, 110.0)]


def test_only_the_chain_that_grew_waits(busy) -> None:
    scaling = SmartVerticalScalingUp(**DOCUMENTED)
    busy.sfcs["si_0"] = SfcLoad(1, 2)
    for action in scaling.decide(busy.seen(now=1000.0)):
        scaling.done(action, 1000.0, None)
    busy.sfcs["si_1"] = SfcLoad(1, 2)
    assert {each.instance.name for each in scaling.decide(busy.seen(now=4999.0))} == {"vi_2", "vi_3"}
    assert {each.instance.name for each in scaling.decide(busy.seen(now=5000.0))} == {"vi_0", "vi_1", "vi_2", "vi_3"}


def test_what_was_refused_is_no_growth(busy) -> None:
    scaling = SmartVerticalScalingUp(**DOCUMENTED)
    busy.sfcs["si_0"] = SfcLoad(1, 2)
    for action in scaling.decide(busy.seen(now=1000.0)):
        scaling.done(action, 1000.0, "no room")
    assert scaling.decide(busy.seen(now=1500.0))


def test_a_shared_instance_grows_once_and_all_its_chains_wait(busy) -> None:
    shared = busy.chains[0].stages[0].instances[0]
    busy.chains[1].stages[0].instances[0] = shared
    busy.sfcs.update(si_0=SfcLoad(1, 2), si_1=SfcLoad(1, 2))
    scaling = SmartVerticalScalingUp(**DOCUMENTED)
    actions = scaling.decide(busy.seen(now=1000.0))
    assert sorted(each.instance.name for each in actions) == ["vi_0", "vi_1", "vi_3"]
    scaling.done(next(each for each in actions if each.instance is shared), 1000.0, None)
    assert scaling.decide(busy.seen(now=1500.0)) == []


def test_impossible_parameters_are_named() -> None:
    with pytest.raises(ValueError, match="cpu_vnf_load_importance, mem_vnf_load_importance: 0, 0: expected none below"):
        SmartVerticalScalingUp(cpu_vnf_load_importance=0, mem_vnf_load_importance=0)
    with pytest.raises(ValueError, match=r"acceptable_sla_violation_rate.s_1: 'much': expected a number"):
        SmartVerticalScalingUp(acceptable_sla_violation_rate={"default": 1, "s_1": "much"})
    with pytest.raises(ValueError, match="acceptable_sla_violation_rate: s_1: expected default, too"):
        SmartVerticalScalingUp(acceptable_sla_violation_rate={"s_1": 1})


def test_the_weights_of_the_first_example_are_importances(busy, a_load) -> None:
    scaling = SmartScaling(monitor_interval=100, energy_weight=0.33, memory_weight=0.0, latency_weight=0.34)
    busy.sfcs["si_0"] = SfcLoad(1, 2)
    busy.vnfs["vi_0"] = a_load(0.4, mem_peak=1.0)
    assert sizes(scaling.decide(busy.seen())) == [("vi_1", 110.0, 110.0)]
