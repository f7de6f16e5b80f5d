import pytest

from testbed.simulator.scaling.base import Resize
from testbed.simulator.scaling.BasicCPUScaling import BasicCPUScaling


def test_load_above_the_greatest_gets_a_tenth_more_cpu_and_no_memory(world, a_load) -> None:
    edge = world()
    edge.vnfs["vi_1"] = a_load(1.2)
    edge.vnfs["vi_0"] = a_load(0.9)
    first, second = edge.chains[0].vnf_instances
    assert BasicCPUScaling().decide(edge.seen()) == [
        Resize(second, pytest.approx(110.0), 100.0, "CPU load 1.2 above cpu_usage_max 1")
    ]
    assert first.cpu == 100.0


def test_what_does_not_fit_is_tried_all_the_same(world, a_load, a_node) -> None:
    edge = world(nodes=[a_node("n_0", cpu=200.0), a_node("n_1")], placed=[("n_0", "n_0")])
    edge.vnfs["vi_0"] = a_load(2.0)
    assert len(BasicCPUScaling().decide(edge.seen())) == 1


def test_never_less_than_the_type_asks_for(world, a_load) -> None:
    edge = world()
    first, second = edge.chains[0].vnf_instances
    edge.state.resize(first, 120.0, 100.0)
    edge.state.resize(second, 111.0, 100.0)  # 99.9 would be too little
    edge.vnfs = {"vi_0": a_load(0.1), "vi_1": a_load(0.1)}
    assert [(each.instance, each.cpu) for each in BasicCPUScaling().decide(edge.seen())] == [
        (first, pytest.approx(108.0))
    ]


@pytest.mark.parametrize(("metric", "resized"), [("offered", 0), ("instantaneous", 1)])
def test_either_load_may_be_the_measure(world, a_load, metric: str, resized: int) -> None:
    edge = world()
    edge.vnfs["vi_0"] = a_load(0.8, usage=3.0)
    edge.vnfs["vi_1"] = a_load(0.8, usage=0.8)
    assert len(BasicCPUScaling(load_metric=metric).decide(edge.seen())) == resized


def test_what_was_not_measured_or_starts_or_drains_stays(world, a_load) -> None:
    edge = world(placed=[("n_0", "n_1"), ("n_0", "n_1")])
    edge.vnfs = dict.fromkeys(["vi_1", "vi_2", "vi_3"], a_load(2.0))
    edge.state.vnf_instances["vi_1"].ready_at = 1001.0
    edge.state.vnf_instances["vi_2"].draining = True
    assert [each.instance.name for each in BasicCPUScaling().decide(edge.seen(now=1000.0))] == ["vi_3"]


def test_impossible_parameters_are_named() -> None:
    with pytest.raises(ValueError, match=r"cpu_usage_max: 0.5: expected no less than cpu_usage_min 0.7"):
        BasicCPUScaling(cpu_usage_max=0.5)
    with pytest.raises(ValueError, match="cpu_increment: -1: expected at least 0"):
        BasicCPUScaling(cpu_increment=-1)
    with pytest.raises(ValueError, match="load_metric: 'cpu': expected one of offered, instantaneous"):
        BasicCPUScaling(load_metric="cpu")
