import pytest

from testbed.simulator.model.plans import New
from testbed.simulator.scaling.base import AddReplica, RemoveReplica
from testbed.simulator.scaling.HorizontalScaling import Announcement, HorizontalScaling, Rate


def carry_out(edge, actions, scaling=None) -> None:
    for action in actions:
        if isinstance(action, AddReplica):
            replica = edge.state.add_replica(action.sfc_instance, action.position, action.new)
            edge.vnfs.setdefault(replica.name, edge.vnfs["vi_0"])
        else:
            edge.state.remove_replica(action.sfc_instance, action.position, action.instance)
            edge.state.release_vnf(action.instance)


def added(actions) -> list[tuple[str, int, str]]:
    assert all(isinstance(each, AddReplica) for each in actions)
    return [(each.sfc_instance.name, each.position, each.new.node) for each in actions]


def test_a_loaded_stage_gets_replicas_in_proportion(world, a_load) -> None:
    edge = world()
    edge.vnfs.update(vi_0=a_load(1.5), vi_1=a_load(0.6))
    actions = HorizontalScaling(target_load=0.6).decide(edge.seen())
    assert [each[:2] for each in added(actions)] == [("si_0", 0), ("si_0", 0)]
    assert actions[0].reason.startswith(
        "si_0, stage 0: 1 -> 3 replicas: utilisation 1.5 for a target of 0.6 asks for 3; on n_"
    )


def test_the_nearest_node_with_room_then_the_next(world, a_load, a_node) -> None:
    delays = {("n_0", "n_2"): 0.5, ("n_2", "n_1"): 0.5, ("n_0", "n_3"): 9.0}
    nodes = [
        a_node("n_0", cpu=100.0),
        a_node("n_1"),
        a_node("n_2", mem=150.0),
        a_node("n_3"),
        a_node("n_4", vnfs="v_1"),
    ]
    edge = world(nodes=nodes, delays=delays)
    edge.vnfs["vi_0"] = a_load(1.8)
    actions = HorizontalScaling(target_load=0.6).decide(edge.seen())
    assert added(actions) == [("si_0", 0, "n_2"), ("si_0", 0, "n_1")]
    carry_out(edge, actions)
    assert len(edge.chains[0].stages[0].instances) == 3


def test_among_equally_near_nodes_the_freest(world, a_load, a_node) -> None:
    edge = world(nodes=[a_node("n_0", cpu=100.0), a_node("n_1", cpu=500.0), a_node("n_2"), a_node("n_3", cpu=200.0)])
    for instance in edge.chains[0].stages[1].instances:
        edge.state.resize(instance, 300.0, 100.0)
    edge.vnfs.update(vi_0=a_load(0.6), vi_1=a_load(1.2))
    assert added(HorizontalScaling(target_load=0.6).decide(edge.seen())) == [("si_0", 1, "n_2")]


def test_a_node_without_bandwidth_is_left_out(world, a_load, a_vnf) -> None:
    edge = world(vnfs=[a_vnf("v_0", bandwidth=10.0), a_vnf("v_1")], bandwidth=15.0, placed=[("n_0", "n_1")])
    edge.state._used_bandwidth["l_n_2_n_1", "default"] = 10.0
    edge.vnfs["vi_0"] = a_load(1.2)
    (action,) = HorizontalScaling(target_load=0.6).decide(edge.seen())
    assert action.new.node != "n_2"


def test_where_nothing_fits_it_is_tried_all_the_same(world, a_load, a_node) -> None:
    edge = world(nodes=[a_node("n_0", cpu=150.0), a_node("n_1", cpu=150.0, vnfs="v_1")])
    edge.vnfs["vi_0"] = a_load(1.2)
    (action,) = HorizontalScaling(target_load=0.6).decide(edge.seen())
    assert action.new == New("n_0") and action.reason.endswith("; on n_0: no node has room and routes")


def test_the_least_used_go_when_the_window_agrees(world, a_load) -> None:
    edge = world()
    stage = edge.chains[0].stages[0]
    for _ in range(2):
        edge.state.add_replica(edge.chains[0], 0, New("n_1"))
    scaling = HorizontalScaling(monitor_interval=100, target_load=0.6, scale_down_window=300)
    edge.vnfs.update(vi_0=a_load(0.1), vi_1=a_load(0.6), vi_2=a_load(0.2), vi_3=a_load(0.1))
    assert scaling.decide(edge.seen(now=200.0)) == []
    assert scaling.decide(edge.seen(now=499.0)) == []
    actions = scaling.decide(edge.seen(now=500.0))
    assert [(each.instance.name, each.position) for each in actions] == [("vi_3", 0), ("vi_0", 0)]
    assert all(isinstance(each, RemoveReplica) for each in actions)
    carry_out(edge, actions)
    assert [each.name for each in stage.instances] == ["vi_2"]


def test_what_starts_counts_as_help_to_come(world, a_load) -> None:
    edge = world()
    starting = edge.state.add_replica(edge.chains[0], 0, New("n_1"))
    starting.ready_at = 5000.0
    edge.vnfs.update(vi_0=a_load(1.2), vi_1=a_load(0.6), vi_2=a_load(0.0))
    assert HorizontalScaling(target_load=0.6).decide(edge.seen(now=1000.0)) == []


def test_what_was_not_measured_neither_grows_nor_shrinks(world) -> None:
    edge = world()
    edge.state.add_replica(edge.chains[0], 0, New("n_1"))
    edge.vnfs = {}
    assert HorizontalScaling().decide(edge.seen()) == []


def test_stages_that_share_an_instance_change_one_after_another(world, a_load) -> None:
    edge = world(placed=[("n_0", "n_1"), ("n_0", "n_1")])
    edge.chains[1].stages[0].instances[0] = edge.chains[0].stages[0].instances[0]
    edge.vnfs["vi_0"] = a_load(1.2)
    actions = HorizontalScaling(target_load=0.6).decide(edge.seen())
    assert [each[:2] for each in added(actions)] == [("si_0", 0)]


def test_rates_and_limits(world, a_load) -> None:
    edge = world()
    edge.vnfs.update(vi_0=a_load(9.0), vi_1=a_load(0.6))
    scaling = HorizontalScaling(target_load=0.6, max_replicas=3, scale_up_rates=[Rate(1, 1000)])
    counts = []
    for now in (500.0, 1000.0, 1500.0, 2000.0, 2500.0, 3000.0):
        carry_out(edge, scaling.decide(edge.seen(now=now)))
        counts.append(len(edge.chains[0].stages[0].instances))
    assert counts == [2, 2, 3, 3, 3, 3]


def test_an_announcement_gives_replicas_before_the_packets_come(world, a_load) -> None:
    edge = world()  # 100 IPT, and a packet needs one: 100 packets/s, 50 to be on target
    scaling = HorizontalScaling(
        target_load=0.5, announcements=[Announcement("s_0", 2000, 3000, 200)], announcement_horizon=500
    )
    assert scaling.decide(edge.seen(now=1400.0)) == []
    actions = scaling.decide(edge.seen(now=1500.0))
    assert [each[:2] for each in added(actions)] == [("si_0", 0)] * 3 + [("si_0", 1)] * 3
    assert "forecast of announcement is 200 pps in 0.5 s, 50 for each: asks for 4" in actions[0].reason


def test_queues_where_they_have_a_target(world, a_load) -> None:
    edge = world()
    edge.vnfs.update(vi_0=a_load(0.6, queue=30), vi_1=a_load(0.6, queue=1))
    actions = HorizontalScaling(target_load=0.6, target_queue=10).decide(edge.seen())
    assert [each[:2] for each in added(actions)] == [("si_0", 0)] * 2


def test_histories_end_with_their_chains(world) -> None:
    edge = world()
    scaling = HorizontalScaling()
    scaling.decide(edge.seen())
    edge.state.release_sfc(edge.chains[0])
    scaling.decide(edge.seen(now=2000.0))
    assert scaling._histories == {}


def test_impossible_parameters_are_named() -> None:
    with pytest.raises(ValueError, match="min_replicas, max_replicas: 4, 3: expected"):
        HorizontalScaling(min_replicas=4, max_replicas=3)
