"""Monitors that block shared chains, users who move and what that costs, and scaling as it is carried out, refused and told."""

from itertools import pairwise
from typing import Any

import pytest

from testbed.simulator.model.entities import Move, User
from testbed.simulator.model.plans import New, OverCommitError, Plan
from testbed.simulator.model.state import State
from testbed.simulator.scaling.base import Action, AddReplica, Observation, RemoveReplica, Resize, Scaling
from testbed.simulator.simulation.monitor import Monitor
from tests.support import simulated as sim
from tests.support.simulated import First, Setting, Simulated


# sharing --------------------------------------------------------------------------------------------------------------
def sharing(max_violations: int, **parameters: Any) -> Setting:
    """A request in every window of 100 ms from the first on; the first one's packets are all too late."""
    requests = [sim.request(f"r_{i}", arrival_time=100.0 * i + 50.0) for i in range(5)]
    entities = sim.entities(vnfs=[sim.vnf(max_share=10)], sfcs=[sim.sfc(max_latency=5.0)], requests=requests, links=[])
    flow = sim.flow(*[(10.0, 1.0)] * 4)  # each 10 ms, which is more than 5
    return sim.setting(
        entities,
        {("u_0", "s_0"): flow},
        time_window=100.0,
        total_time=500.0,
        compute_loopback_time=False,
        share_sfc_instance=True,
        sfc_instance_monitor_interval=30.0,
        sfc_instance_monitor_window_size=60.0,
        max_sla_violation_sfc_instance_shared=max_violations,
        **parameters,
    )


def users_of_chains(done: Simulated) -> list[object]:
    return [row["SFC_Instance"] for _, _, row in done.memory.of("sfc_request", "SFC_REQUEST_PLACED")]


def test_chains_are_shared_where_nothing_is_wrong() -> None:
    done = sharing(100).run()
    assert users_of_chains(done) == ["si_0"] * 5
    assert not done.memory.of("monitor")
    assert list(done.state.sfc_instances["si_0"].requests) == [f"r_{i}" for i in range(5)]


def test_a_chain_with_too_many_violations_is_shared_no_further_until_they_are_out_of_the_window() -> None:
    """r_0 is placed at 100; its packets of 110 .. 140 violate at 115 .. 145. Looks are at 30, 60, ...; a window has 60 ms."""
    done = sharing(2, packet_generation=True).run()
    first = [
        (event, time, row["Window_Size"], row["Monitor_Interval"])
        for event, time, row in done.memory.of("monitor")
        if row["SFC_Instance"] == "si_0"
    ]
    assert first[:2] == [
        ("SFC_INSTANCE_BLOCKED", 150.0, 60.0, 30.0),  # of 90 .. 150: four
        ("SFC_INSTANCE_SHARED_AGAIN", 210.0, 60.0, 30.0),  # of 150 .. 210: none
    ]
    assert users_of_chains(done)[:2] == ["si_0", "si_1"]


def test_chains_are_not_shared_where_that_is_not_wanted() -> None:
    done = sim.setting(
        sim.entities(requests=[sim.request("r_0"), sim.request("r_1")], links=[]), compute_loopback_time=False
    ).run()
    assert users_of_chains(done) == ["si_0", "si_1"]


# looks ----------------------------------------------------------------------------------------------------------------
def placed() -> tuple[State, Any]:
    state = State(sim.entities(vnfs=[sim.vnf(max_share=2)], links=[]), loopback=False)
    chain, _ = state.place(sim.request(), First().plan(sim.request(), state))  # type: ignore[arg-type]
    return state, chain


def test_an_observation_is_of_the_window() -> None:
    state, chain = placed()
    instance, monitor = chain.vnf_instances[0], Monitor(state, 100.0)
    instance.arrived, instance.offered, instance.busy_ms, chain.created = 4, 40.0, 80.0, 4
    monitor.look(50.0)
    instance.arrived, instance.offered, instance.busy_ms, chain.created, chain.violated = 10, 45.0, 180.0, 10, 3
    seen = monitor.observe(150.0, 100.0)
    load = seen.vnfs[instance.name]
    assert seen.window_ms == 100.0
    assert load.arrived_pps == 60.0
    assert load.offered == pytest.approx(5.0 / (100.0 * 0.1))
    assert load.utilisation == pytest.approx(100.0 / (2 * 100.0))
    assert (seen.sfcs[chain.name].violated, seen.sfcs[chain.name].active) == (3, 10)
    assert seen.sfcs[chain.name].violation_rate == 0.3


def test_before_a_window_has_passed_it_is_what_has() -> None:
    state, chain = placed()
    chain.vnf_instances[0].arrived = 5
    seen = Monitor(state, 100.0).observe(20.0, 100.0)
    assert (seen.window_ms, seen.vnfs["vi_0"].arrived_pps) == (20.0, 250.0)


# mobility -------------------------------------------------------------------------------------------------------------
def moving(moves: list[Move], *packets: tuple[float, float], **parameters: Any) -> Simulated:
    """u_0 lives at n_0, and its packets come in there; links n_1 - n_0 with 3 ms a unit of size and 1.1 ms, n_2 only by n_1."""
    nodes = [sim.node(f"n_{i}") for i in range(3)]
    links = [sim.link(node.name, node.name, bandwidth=1e12) for node in nodes]
    for a, b in pairwise(("n_0", "n_1", "n_2")):
        links += [sim.link(*ends, bandwidth=1000 / 3, propagation=1.1) for ends in ((a, b), (b, a))]
    users = {"u_0": User("u_0", "n_0", 0.0, 1000.0, 0.0, 1, {}), "u_1": User("u_1", "n_0", 0.0, 1000.0, 0.0, 1, {})}
    entities = sim.entities(nodes, [sim.vnf(packet_cpu_demand=0.0)], links=links, users=users)
    return sim.setting(entities, {("u_0", "s_0"): sim.flow(*packets)}, moves, total_time=200.0, **parameters).run()


def penalties(done: Simulated) -> list[tuple[float, float]]:
    return [(record[6], record[5]) for record in sorted(done.memory.records("ended"), key=lambda each: each[1])]


def test_packets_of_a_user_who_is_away_take_twice_the_way_longer() -> None:
    moves = [Move(20.0, "u_0", "n_1"), Move(40.0, "u_0", "n_2"), Move(60.0, "u_0", "n_0"), Move(70.0, "u_1", "n_2")]
    done = moving(moves, *[(10.0, 2.0), (15.0, 2.0), (20.0, 2.0), (20.0, 2.0), (20.0, 2.0)])
    once = 2 * (2.0 * 3 + 1.1)
    expected = [0.0, once, 2 * once, 0.0, 0.0]
    assert [penalty for penalty, _ in penalties(done)] == pytest.approx(expected)
    assert [delay for _, delay in penalties(done)] == pytest.approx(expected, abs=1e-6)
    moved = [
        (time, row["User"], row["Origin_Node"], row["Destiny_Node"]) for _, time, row in done.memory.of("user_mobility")
    ]
    assert moved == [
        (20.0, "u_0", "n_0", "n_1"),
        (40.0, "u_0", "n_1", "n_2"),
        (60.0, "u_0", "n_2", "n_0"),
        (70.0, "u_1", "n_0", "n_2"),
    ]


@pytest.mark.parametrize(("size", "penalty"), [(2.0, 16.0), (1.0, 10.0), (0.5, 6.0)])
def test_a_whole_penalty_is_twice_the_way_rounded_up(size: float, penalty: float) -> None:
    """2 * ceil(size / bandwidth * 1000 + propagation): behaviour, "mobility file"."""
    done = moving([Move(5.0, "u_0", "n_1")], (10.0, size), integer_times=True)
    assert penalties(done)[0][0] == penalty


def test_who_was_away_before_its_request_was_placed_pays_from_the_first_packet_on() -> None:
    done = moving([Move(5.0, "u_0", "n_1")], (10.0, 2.0), time_window=50.0)
    assert penalties(done)[0][0] == pytest.approx(14.2)


def test_nobody_moves_where_that_is_not_wanted() -> None:
    done = moving([Move(5.0, "u_0", "n_1")], (10.0, 2.0), execute_user_mobility=False)
    assert penalties(done)[0][0] == 0.0
    assert not done.memory.of("user_mobility")


# scaling --------------------------------------------------------------------------------------------------------------
class Once(Scaling):
    """These actions, the first time that it is asked."""

    def __init__(self, make: Any) -> None:
        super().__init__(20.0)
        self.make, self.problems = make, list[str | None]()

    def decide(self, seen: Observation) -> list[Action]:
        return list(self.make(seen.state)) if seen.now == 20.0 else []

    def done(self, action: Action, now: float, problem: str | None, **facts: Any) -> None:
        self.problems.append(problem)


def scaled(make: Any, *packets: tuple[float, float], **vnf: Any) -> tuple[Simulated, Once]:
    entities = sim.entities([sim.node("n_0"), sim.node("n_1")], [sim.vnf(**vnf)])
    once = Once(make)
    done = sim.setting(entities, {("u_0", "s_0"): sim.flow(*packets)}, scalings=lambda: [once], total_time=100.0).run()
    return done, once


def scaling_rows(done: Simulated) -> list[tuple[object, ...]]:
    return [(event, time, *row.values()) for event, time, row in done.memory.of("vnf_instance_scaling")]


def test_a_resize_that_fits_is_made_and_told() -> None:
    done, once = scaled(lambda state: [Resize(state.vnf_instances["vi_0"], 400.0, 50.0, "because")])
    assert (done.state.vnf_instances["vi_0"].cpu, done.state.vnf_instances["vi_0"].mem) == (400.0, 50.0)
    assert scaling_rows(done) == [
        ("SCALING_UP_CPU", 20.0, "vi_0", 100.0, 400.0),
        ("SCALING_DOWN_MEM", 20.0, "vi_0", 100.0, 50.0),
    ]
    assert [(event, *row.values()) for event, _, row in done.memory.of("sfc_instance_resources")] == [
        ("SCALING_UP", "si_0", 100.0, 400.0, 100.0, 50.0)
    ]
    told = [(event, row["VNF_CPU"], row["VNF_Mem"]) for event, _, row in done.memory.of("vnf_instance")]
    assert told[1:] == [("CPU_INCREASE_AVAILABILITY", 400.0, 50.0), ("MEM_DECREASE_AVAILABILITY", 400.0, 50.0)]
    assert (once.problems, done.result.scaled, done.result.scaling_failed) == ([None], 1, 0)


def test_what_waits_is_served_at_the_new_speed_and_what_is_served_is_not() -> None:
    """Packets of 10 ms, at 15: the first until 25, two that waited for 2.5 ms each."""
    done, _ = scaled(
        lambda state: [Resize(state.vnf_instances["vi_0"], 400.0, 100.0, "because")],
        (15.0, 1.0),
        (0.0, 1.0),
        (0.0, 1.0),
    )
    starts = [(record[10], record[11]) for record in done.memory.records("vnf_starts")]
    assert [end - begin for begin, end in starts] == pytest.approx([10.0, 2.5, 2.5])


def test_a_resize_that_does_not_fit_changes_nothing_and_is_told() -> None:
    done, once = scaled(lambda state: [Resize(state.vnf_instances["vi_0"], 1100.0, 100.0, "because")])
    assert done.state.vnf_instances["vi_0"].cpu == 100.0
    assert scaling_rows(done) == [("SCALING_UP_CPU_FAIL", 20.0, "vi_0", 100.0, 1100.0)]
    assert "1000 cpu more on n_0: 900 left" in str(once.problems[0])
    assert (done.result.scaled, done.result.scaling_failed) == (1, 1)
    assert not done.memory.of("sfc_instance_resources")


def test_replicas_come_and_go_and_share_the_packets() -> None:
    def more(state: State) -> Any:
        return [AddReplica(state.sfc_instances["si_0"], 0, New("n_1"), "because")]

    done, _ = scaled(more, (30.0, 0.1), (1.0, 0.1), (1.0, 0.1), (1.0, 0.1))
    assert scaling_rows(done) == [("SCALING_OUT", 20.0, "vi_1", 1, 2)]
    assert [record[2] for record in done.memory.records("vnf_starts")] == [0, 1, 0, 1]

    def more_and_less(state: State) -> Any:
        chain = state.sfc_instances["si_0"]
        return [*more(state), RemoveReplica(chain, 0, chain.stages[0].instances[0], "because")]

    done, once = scaled(more_and_less, (30.0, 0.1), (1.0, 0.1))
    assert once.problems == [None, None]
    assert scaling_rows(done)[1:] == [("SCALING_IN", 20.0, "vi_0", 2, 1)]
    assert [record[2] for record in done.memory.records("vnf_starts")] == [1, 1]


def test_the_last_replica_stays() -> None:
    def less(state: State) -> Any:
        chain = state.sfc_instances["si_0"]
        return [RemoveReplica(chain, 0, chain.stages[0].instances[0], "because")]

    done, once = scaled(less)
    assert "cannot be taken out of stage 0 of si_0" in str(once.problems[0])
    assert {row[0] for row in scaling_rows(done)} == {"SCALING_IN_FAIL"}


def test_a_replica_s_routes_together_hold_no_more_bandwidth_than_there_is() -> None:
    """Two ways from n_0 and n_1 to the new instance on n_3 go over the same link from n_2, which has room for one of them."""
    nodes = [sim.node(f"n_{i}") for i in range(4)]
    ends = [
        ("n_0", "n_1"),
        ("n_1", "n_0"),
        ("n_0", "n_2"),
        ("n_1", "n_2"),
        ("n_2", "n_3"),
        ("n_3", "n_0"),
        ("n_2", "n_0"),
    ]
    links = [
        *(sim.link(node.name, node.name) for node in nodes),
        *(sim.link(*pair, bandwidth=150.0 if pair == ("n_2", "n_3") else 1000.0) for pair in ends),
    ]
    vnfs = [sim.vnf("v_0", min_bandwidth=100.0), sim.vnf("v_1")]
    entities = sim.entities(nodes, vnfs, [sim.sfc("s_0", "v_0", "v_1")], links=links)
    state = State(entities)
    request = sim.request()
    plan = First("n_0", "n_0").plan(request, state)
    assert isinstance(plan, Plan)
    chain, _ = state.place(request, plan)
    state.add_replica(chain, 0, New("n_1"))
    before = {name: state.free_bandwidth(link, "default") for name, link in entities.links.items()}
    with pytest.raises(OverCommitError):
        state.add_replica(chain, 1, New("n_3"))
    assert before == {name: state.free_bandwidth(link, "default") for name, link in entities.links.items()}
    assert len(chain.stages[1].instances) == 1
