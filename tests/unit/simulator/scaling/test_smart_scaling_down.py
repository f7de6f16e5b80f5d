import pytest

from testbed.simulator.scaling.base import SfcLoad
from testbed.simulator.scaling.SmartVerticalScalingDown import SmartVerticalScalingDown

DOCUMENTED = {  # the document's example
    "monitor_interval": 100,
    "monitor_window_size": 500,
    "load_vnf_instance_limit": 0.5,
    "resource_decrement": 0.1,
    "cpu_node_available_importance": 1,
    "mem_node_available_importance": 1,
    "cpu_vnf_load_importance": 1,
    "mem_vnf_load_importance": 1,
    "prioritize_nodes_with_more_resource_available": 0,
    "load_metric_importance": 1,
    "process_contribution_importance": 1,
    "resource_available_importance": 1,
}


@pytest.fixture
def grown(world, a_vnf):
    def build(demands: tuple[float, float] = (1.0, 1.0), **more):
        edge = world(vnfs=[a_vnf("v_0", demand=demands[0]), a_vnf("v_1", demand=demands[1])], **more)
        for each in edge.state.vnf_instances.values():
            edge.state.resize(each, 200.0, 200.0)
        return edge

    return build


def chosen(edge, **parameters) -> list[str]:
    return [each.instance.name for each in SmartVerticalScalingDown(**{**DOCUMENTED, **parameters}).decide(edge.seen())]


def test_one_instance_of_a_chain_gets_a_tenth_less_of_both(grown, a_load) -> None:
    edge = grown()
    edge.vnfs["vi_1"] = a_load(0.2)
    (action,) = SmartVerticalScalingDown(**DOCUMENTED).decide(edge.seen())
    assert (action.instance.name, action.cpu, action.mem) == ("vi_1", pytest.approx(180), pytest.approx(180))
    assert action.reason == "si_0: no SLA violation; load 0.1 below load_vnf_instance_limit 0.5"


def test_never_less_than_at_first_then_the_next_one(grown) -> None:
    edge = grown()
    first, second = edge.chains[0].vnf_instances
    edge.state.resize(first, 105.0, 100.0)
    (action,) = SmartVerticalScalingDown(process_contribution_importance=0).decide(edge.seen())
    assert action.instance is second
    edge.state.resize(second, 100.0, 100.0)
    (action,) = SmartVerticalScalingDown().decide(edge.seen())
    assert (action.instance, action.cpu, action.mem) == (first, 100.0, 100.0)
    edge.state.resize(first, 100.0, 100.0)
    assert SmartVerticalScalingDown().decide(edge.seen()) == []


@pytest.mark.parametrize(
    ("parameters", "top"),
    [
        ({"process_contribution_importance": 0, "resource_available_importance": 0}, "vi_1"),  # the greater load
        ({"load_metric_importance": 0, "resource_available_importance": 0}, "vi_0"),  # the greater demand
        ({"load_metric_importance": 0, "process_contribution_importance": 0}, "vi_1"),  # the fuller node
        (
            {
                "load_metric_importance": 0,
                "process_contribution_importance": 0,
                "prioritize_nodes_with_more_resource_available": 1,
            },
            "vi_0",
        ),
    ],
)
def test_the_greatest_weighted_sum_is_on_top(grown, a_load, a_node, parameters: dict[str, float], top: str) -> None:
    edge = grown((3.0, 2.0), nodes=[a_node("n_0"), a_node("n_1", cpu=400.0)])
    edge.vnfs.update(vi_0=a_load(0.1), vi_1=a_load(0.3))
    assert chosen(edge, **parameters) == [top]


def test_load_at_the_limit_is_not_idle(grown, a_load) -> None:
    edge = grown()
    edge.vnfs.update(vi_0=a_load(0.5, mem_peak=0.5), vi_1=a_load(0.9, mem_peak=0.09))
    assert chosen(edge) == ["vi_1"]


def test_a_violation_keeps_all_that_the_chain_uses(grown) -> None:
    edge = grown(placed=[("n_0", "n_1"), ("n_0", "n_1")])
    shared = edge.chains[0].stages[0].instances[0]
    edge.chains[1].stages[0].instances[0] = shared
    shared.sfc_instances["si_1"] = edge.chains[1]
    edge.sfcs["si_1"] = SfcLoad(1, 1000)
    assert chosen(edge) == ["vi_1"]
    del edge.sfcs["si_0"]  # not measured: stays as it is
    assert chosen(edge) == []


def test_a_shared_instance_shrinks_once(grown) -> None:
    edge = grown((9.0, 1.0), placed=[("n_0", "n_1"), ("n_0", "n_1")])
    edge.chains[1].stages[0].instances[0] = edge.chains[0].stages[0].instances[0]
    assert chosen(edge) == ["vi_0", "vi_3"]


def test_impossible_parameters_are_named() -> None:
    with pytest.raises(ValueError, match="resource_decrement: 1: expected less than 1"):
        SmartVerticalScalingDown(resource_decrement=1)
