"""From a request's placement to the end of what it started: time-outs, lifetimes, start-ups, shut-downs, and who is an orphan then."""

from functools import partial
from typing import Any

import pytest

from testbed.simulator.engine.core import Core
from testbed.simulator.engine.parts import Rules
from testbed.simulator.engine.reference import ReferenceCore
from testbed.simulator.engine.streams import PacketEvent
from testbed.simulator.model.plans import New, Plan
from testbed.simulator.model.state import State
from testbed.simulator.simulation.lifecycle import Lifecycle
from tests.support import simulated as sim
from tests.support.simulated import First, Memory, Setting, Simulated

SERVICE = 10.0  # ms a packet of size 1 takes: 1 / 100 * 1000


def setting(*packets: tuple[float, float], total_time: float = 1000.0, **given: Any) -> Setting:
    """A chain of one VNF on one node without loopback, with these packets."""
    entities = sim.entities(
        [sim.node(cpu=given.pop("node_cpu", 1000.0))],
        [sim.vnf(**given.pop("vnf", {}))],
        [sim.sfc(**given.pop("sfc", {}))],
        [sim.request(**given.pop("request", {}))],
        links=[],
    )
    return sim.setting(
        entities,
        {("u_0", "s_0"): sim.flow(*packets)},
        total_time=total_time,
        compute_loopback_time=False,
        **given,
    )


def rows(done: Simulated, table: str) -> list[tuple[str, float]]:
    return [(event, time) for event, time, _ in done.memory.of(table)]


def fates(done: Simulated) -> list[tuple[PacketEvent, float]]:
    """What became of the packets, in their order, and when."""
    ended = sorted(done.memory.records("ended"), key=lambda record: record[:2])
    return [(PacketEvent(int(record[8])), record[2] + record[5]) for record in ended]


# SFC instances --------------------------------------------------------------------------------------------------------
def test_a_chain_ends_when_no_packet_came_for_its_timeout() -> None:
    done = setting((5.0, 1.0), (20.0, 1.0), (70.0, 1.0), (5.0, 1.0), sfc={"timeout": 50.0}).run()
    assert rows(done, "sfc_instance") == [("SFC_INSTANCE_CREATED", 0.0), ("SFC_INSTANCE_TIMEOUT", 35.0 + 50.0)]
    processed, orphan = PacketEvent.PROCESSED, PacketEvent.ORPHAN
    assert fates(done) == [(processed, 15.0), (processed, 35.0), (orphan, 95.0), (orphan, 100.0)]
    assert not done.round.lifecycle.ended_sfcs[0].active


def test_a_chain_does_not_end_while_a_packet_is_under_way() -> None:
    """One packet of 300 ms, and a time-out of 50: counted from the packet's end, looked at every 50 ms."""
    done = setting((0.0, 30.0), sfc={"timeout": 50.0}).run()
    assert fates(done) == [(PacketEvent.PROCESSED, 300.0)]
    assert rows(done, "sfc_instance")[-1] == ("SFC_INSTANCE_TIMEOUT", 350.0)


def test_a_chain_without_any_packet_ends_its_timeout_after_it_was_placed() -> None:
    assert rows(setting(sfc={"timeout": 50.0}).run(), "sfc_instance")[-1] == ("SFC_INSTANCE_TIMEOUT", 50.0)


def test_a_chain_ends_with_its_lifetime_whatever_its_packets() -> None:
    """A packet that is served then is still processed; those that are created later are orphans at once."""
    done = setting(*[(8.0, 1.0)] * 5, sfc={"lifetime": 20.0}, vnf={"max_share": 2}).run()
    assert rows(done, "sfc_instance")[-1] == ("SFC_INSTANCE_LIFETIME_ENDED", 20.0)
    processed, orphan = PacketEvent.PROCESSED, PacketEvent.ORPHAN
    assert fates(done) == [(processed, 18.0), (processed, 26.0), (orphan, 24.0), (orphan, 32.0), (orphan, 40.0)]


def test_a_request_s_packets_end_with_its_duration() -> None:
    done = setting(*[(8.0, 1.0)] * 5, request={"duration": 20.0}).run()
    assert done.result.created == 2
    assert [row[0] for row in rows(done, "sfc_request")] == [
        "SFC_REQUEST_CREATED",
        "SFC_REQUEST_PLACED",
        "SFC_REQUEST_ENDED",
    ]
    assert done.round.core.active_requests == 0
    assert not done.state.sfc_instances["si_0"].requests


# VNF instances --------------------------------------------------------------------------------------------------------
def test_an_instance_starts_up_serves_and_shuts_down_and_holds_its_resources_until_then() -> None:
    done = setting(
        (5.0, 1.0),
        (5.0, 1.0),
        sfc={"timeout": 50.0},
        vnf={"startup_ipt": 20.5, "shutdown_ipt": 7.0, "timeout": 30.0},
    ).run()
    # Ready at 20.5; the two packets, that wait, until 40.5; the chain's time-out at 90.5, its own at 120.5.
    assert rows(done, "vnf_instance") == [
        ("INSTANCE_CREATED", 0.0),
        ("INSTANCE_STARTED", 20.5),
        ("INSTANCE_SHUTDOWN_STARTED", 120.5),
        ("INSTANCE_REMOVED", 127.5),
    ]
    assert [time for _, time in fates(done)] == [30.5, 40.5]
    assert not done.state.vnf_instances
    assert done.state.free_cpu("n_0", "default") == 1000.0


def test_resources_are_held_during_the_shut_down() -> None:
    vnf = {"shutdown_ipt": 100.0, "timeout": 0.0}
    for total_time, free in ((149.0, 900.0), (150.0, 1000.0)):
        done = setting(sfc={"timeout": 50.0}, vnf=vnf, total_time=total_time).run()
        assert done.state.free_cpu("n_0", "default") == free


def test_times_are_whole_where_that_is_wanted() -> None:
    done = setting(
        (30.0, 0.55),
        sfc={"timeout": 50.0},
        vnf={"startup_ipt": 20.9, "shutdown_ipt": 7.9, "timeout": 30.0},
        integer_times=True,
    ).run()
    assert [time for _, time in rows(done, "vnf_instance")] == [0.0, 20.0, 115.0, 122.0]
    assert fates(done) == [(PacketEvent.PROCESSED, 35.0)]  # 5.5 ms are 5


def test_an_instance_that_is_used_again_lives_on() -> None:
    """Two requests one after another; the second one comes before the instance's time-out of 40 ms."""

    class Sharing(First):
        def plan(self, request: Any, state: State) -> Any:
            shared = state.sharable_vnf_instances("v_0", "default")
            return Plan((shared[0],), ((), ())) if shared else super().plan(request, state)

    requests = [sim.request("r_0"), sim.request("r_1", arrival_time=65.0)]
    vnf, sfc = sim.vnf(timeout=40.0, max_share=2), sim.sfc(timeout=50.0)
    entities = sim.entities(vnfs=[vnf], sfcs=[sfc], requests=requests, links=[])
    done = sim.setting(
        entities,
        {},
        placement=Sharing,
        time_window=10.0,
        total_time=500.0,
        compute_loopback_time=False,
    ).run()
    assert [time for event, time in rows(done, "sfc_instance") if event == "SFC_INSTANCE_TIMEOUT"] == [60.0, 120.0]
    assert rows(done, "vnf_instance") == [
        ("INSTANCE_CREATED", 10.0),
        ("INSTANCE_SHUTDOWN_STARTED", 160.0),
        ("INSTANCE_REMOVED", 160.0),
    ]


@pytest.mark.parametrize("core_class", [Core, ReferenceCore])
def test_who_waits_or_is_served_or_comes_when_an_instance_is_gone_is_an_orphan(core_class: Any) -> None:
    """The chain ends at 15, and the instance at once; its queue is left, the one in service when that is done."""
    done = setting(*[(2.0, 1.0)] * 8, sfc={"lifetime": 15.0}, vnf={"timeout": 0.0}).run(core_class)
    assert fates(done) == [
        (PacketEvent.PROCESSED, 12.0),
        (PacketEvent.ORPHAN, 22.0),
        *[(PacketEvent.ORPHAN, 15.0)] * 5,
        (PacketEvent.ORPHAN, 16.0),
    ]
    assert done.result.in_flight == 0


def test_an_instance_that_ends_before_it_is_ready_is_never_ready() -> None:
    done = setting(sfc={"timeout": 10.0}, vnf={"startup_ipt": 100.0, "timeout": 5.0}).run()
    assert [event for event, _ in rows(done, "vnf_instance")] == [
        "INSTANCE_CREATED",
        "INSTANCE_SHUTDOWN_STARTED",
        "INSTANCE_REMOVED",
    ]


# replicas -------------------------------------------------------------------------------------------------------------
def placed(vnf: Any, core_class: Any = Core, **node: Any) -> tuple[Lifecycle, Any, Memory]:
    """A lifecycle with one chain placed at 0, without packets."""
    entities = sim.entities([sim.node(**node)], [vnf], links=[])
    memory = Memory()
    core = core_class(entities, Rules(), memory, lambda kind, number: None)
    life = Lifecycle(State(entities, loopback=False), core, memory, None, 1e9)
    request = entities.sfc_requests["r_0"]
    return life, life.place(request, First().plan(request, life.state), 0), memory


def test_a_replica_that_was_idle_once_and_is_drained_ends_once() -> None:
    """It was idle from 10 on, for 100 ms; another chain took it, and gave it up while that time-out was pending."""
    life, chain, memory = placed(sim.vnf(timeout=100.0, shutdown_ipt=60.0, max_share=2))
    old = chain.vnf_instances[0]
    request = sim.request("r_1")
    life.numbers["r_1"] = 1

    def taken_again() -> None:
        other = life.place(request, Plan((old,), ((), ())), 1)
        life.add_replica(life.state.add_replica(other, 0, New("n_0")), other)
        life.core.at(80.0, partial(given_up, other))

    def given_up(other: Any) -> None:
        life.state.remove_replica(other, 0, old)
        life.drain(old)

    life.core.at(10.0, partial(life.end_sfc, chain, "SFC_INSTANCE_TIMEOUT"))
    life.core.at(50.0, taken_again)
    life.core.run(1000.0)
    of_old = [(event, time) for event, time, row in memory.of("vnf_instance") if row["VNF_Instance"] == old.name]
    assert of_old == [("INSTANCE_CREATED", 0.0), ("INSTANCE_SHUTDOWN_STARTED", 80.0), ("INSTANCE_REMOVED", 140.0)]
    assert list(life.state.vnf_instances) == ["vi_1"]


@pytest.mark.parametrize("core_class", [Core, ReferenceCore])
def test_a_replica_that_is_drained_finishes_the_packets_that_are_on_their_way_to_it(core_class: Any) -> None:
    """A link of 30 ms before it: at 20, two packets are on the link and none is in the instance."""

    class In(sim.Scaling):
        def decide(self, seen: Any) -> Any:
            chain = seen.state.sfc_instances.get("si_0")
            if seen.now == 10.0:
                return [sim.AddReplica(chain, 0, New("n_1"), "more")]
            if seen.now == 20.0:
                return [sim.RemoveReplica(chain, 0, chain.stages[0].instances[0], "less")]
            return []

    nodes = [sim.node("n_0"), sim.node("n_1")]
    links = [sim.link("n_0", "n_1", propagation=30.0), sim.link("n_1", "n_0")]
    entities = sim.entities(nodes, [sim.vnf(timeout=0.0)], links=links)
    done = sim.setting(
        entities,
        {("u_0", "s_0"): sim.flow((5.0, 1.0), (3.0, 1.0), (92.0, 1.0))},
        placement=lambda: First("n_1"),
        scalings=lambda: [In(10.0)],
        total_time=300.0,
    ).run(core_class)
    assert [fate for fate, _ in fates(done)] == [PacketEvent.PROCESSED] * 3
    assert [time for event, time in rows(done, "vnf_instance") if event == "INSTANCE_REMOVED"] == [60.0]
    assert list(done.state.vnf_instances) == ["vi_1"]
