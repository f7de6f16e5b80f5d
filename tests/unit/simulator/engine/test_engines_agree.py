"""The fast engine and the readable one give the same streams and counters on the benchmark and in the narrow cases."""

import json
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from testbed.simulator.engine.core import FLUSH_EVERY, Core
from testbed.simulator.engine.parts import Rules
from testbed.simulator.engine.reference import Clock, ReferenceCore
from testbed.simulator.engine.streams import WIDTHS, PacketEvent
from testbed.simulator.placement.registry import find
from testbed.simulator.scaling.base import Resize, Scaling
from testbed.simulator.simulation.round import Round, Scenario
from testbed.simulator.specification.generate import generate
from testbed.simulator.specification.parameters import parse_parameters
from testbed.simulator.specification.specs_file import parse_specs
from tests.support import simulated as sim
from tests.support.simulated import First, Setting

BOTH = pytest.mark.parametrize("core_class", [Core, ReferenceCore])
BENCHMARK = Path(__file__).parents[1] / "specification" / "benchmark"


def same(setting: Setting) -> Any:
    """Run a setting with both; gives the fast one's."""
    fast, readable = setting.run(Core), setting.run(ReferenceCore)
    for stream in WIDTHS:
        assert [*map(repr, fast.memory.records(stream))] == [*map(repr, readable.memory.records(stream))], stream
    assert [row[:3] for row in fast.memory.rows] == [row[:3] for row in readable.memory.rows]
    return fast


@pytest.fixture(scope="module")
def benchmark() -> Setting:
    parameters = parse_parameters(json.loads((BENCHMARK / "sim.json").read_text()))
    specs = parse_specs(json.loads((BENCHMARK / "spec.json").read_text()))
    simulation = parameters.simulation
    given = generate(specs, simulation.random_seed, simulation.total_time, simulation.time_window)
    return Setting(Scenario(given, simulation), find(parameters.placement.heuristic))


def test_on_the_benchmark(benchmark: Setting) -> None:
    done = same(benchmark)
    assert done.result.created > 5000
    assert done.result.processed > 0.95 * done.result.created


def test_streams_that_nobody_wants_change_nothing() -> None:
    given = sim.entities(links=[sim.link("n_0", "n_0", loss_rate=0.2, max_packet_queue=2)])
    setting = sim.setting(given, random_seed=1)
    fast, *others = [
        setting.run(*how) for how in ((Core,), (Core, Round, [*WIDTHS]), (ReferenceCore, Round, [*WIDTHS]))
    ]
    assert fast.result.dropped > 0
    for each in others:
        assert (each.result.processed, each.result.dropped) == (fast.result.processed, fast.result.dropped)
        assert all(getattr(each.memory, stream) is None for stream in WIDTHS)


def test_what_waits_for_a_link_at_the_end_has_the_times_that_it_would_have() -> None:
    given = sim.entities([sim.node(vnfs=frozenset({"v_0"}))], links=[sim.link("n_0", "n_0", bandwidth=10.0)])
    for holds in (False, True):
        done = same(
            sim.setting(
                given,
                {("u_0", "s_0"): sim.flow(*[(0.0, 1.0)] * 5)},
                total_time=150.0,
                hold_link_while_propagating=holds,
            )
        )
        # The first is served in 10 ms and comes back to the queue's end; 100 ms each.
        assert [(each[7], each[8]) for each in done.memory.records("links")] == [
            *((100.0 * i, 100.0 * (i + 1)) for i in range(5)),
            (500.0, 600.0),
        ]
        assert [each[8] for each in done.memory.records("ended")] == [PacketEvent.ACTIVE] * 5


def test_sums_of_rounding_errors_do_not_move_times() -> None:
    """0.1 + (0.8 - 0.1) is not 0.8: an engine that waits for differences is off by then."""
    clock, seen = Clock(), []
    for time in (0.1, 0.8, 0.3):
        clock.when(time, 0).callbacks.append(lambda _: seen.append(clock.now))  # type: ignore[union-attr]
    clock.run_through(1.0)
    assert (seen, clock.now) == ([0.1, 0.3, 0.8], 1.0)


@BOTH
def test_order_at_equal_times(core_class: Any) -> None:
    """Actions, ends of services, arrivals, deadlines, creations; of the same kind by request and packet."""
    given = sim.entities(
        [sim.node(cpu=2000.0)],
        [sim.vnf(cpu=1000.0, max_share=2)],
        sfcs=[sim.sfc(max_latency=1.0)],
        requests=[sim.request("r_0"), sim.request("r_1")],
        links=[],
    )
    flow = sim.flow((1.0, 1.0), (0.0, 1.0), (1.0, 1.0))
    setting = sim.setting(given, {("u_0", "s_0"): flow}, compute_loopback_time=False, total_time=10.0)
    done = setting.run(core_class)
    created, processed = PacketEvent.CREATED, PacketEvent.PROCESSED
    assert done.memory.records("packets") == [
        # At 1 four packets are created and processed at 2: the deadline is at 2 too, and comes after that.
        (0, 0, created, 1.0),
        (0, 1, created, 1.0),
        (1, 0, created, 1.0),
        (1, 1, created, 1.0),
        (0, 0, processed, 2.0),
        (0, 1, processed, 2.0),
        (1, 0, processed, 2.0),
        (1, 1, processed, 2.0),
        (0, 2, created, 2.0),
        (1, 2, created, 2.0),
        (0, 2, processed, 3.0),
        (1, 2, processed, 3.0),
    ]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("holds", [False, True])
@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("limit", [-1, 0, 2])
def test_in_dense_traffic(seed: int, holds: bool, whole: bool, limit: int) -> None:
    """Two requests with packets at whole times, over lossy links with limits, too much work at once, and other sizes after a VNF."""
    random = Random(seed)
    vnfs = [
        sim.vnf(
            "v_0", cpu=random.choice((6.0, 700.0)), mem=5.0, max_share=2, packet_mem_demand=1.0, max_packet_queue=limit
        ),
        sim.vnf("v_1", cpu=1000.0, max_packet_queue=limit, remote_data_access_prob=0.5, remote_data_access_cost=1.5),
    ]
    vnfs[0] = replace(vnfs[0], packet_network_demand=2.0, packet_cpu_demand=random.choice((1.0, 0.01)))
    links = [
        sim.link(a, b, propagation=1.0, loss_rate=0.2 * (seed > 0), max_packet_queue=limit)
        for a, b in product(("n_0", "n_1"), repeat=2)
    ]
    nodes = [sim.node("n_0", cpu=1e4, disk_delay=0.5), sim.node("n_1", cpu=1e4)]
    requests = [sim.request("r_0"), sim.request("r_1", duration=150.0)]
    given = sim.entities(nodes, vnfs, [sim.sfc("s_0", "v_0", "v_1", max_latency=9.0)], requests, links)
    packets = [(float(random.choice((0, 1, 1, 2))), float(random.randint(1, 3))) for _ in range(200)]
    done = same(
        sim.setting(
            given,
            {("u_0", "s_0"): sim.flow(*packets)},
            placement=lambda: First("n_1"),
            total_time=250.0,
            integer_times=whole,
            hold_link_while_propagating=holds,
        )
    )
    assert done.result.created > 250
    assert limit < 0 or done.result.dropped > 0


@BOTH
def test_what_is_served_leaves_before_another_arrives(core_class: Any) -> None:
    """No room to wait, 1 ms each, and one comes as the one before goes: nobody is dropped."""
    given = sim.entities(
        [sim.node(cpu=2000.0)], [sim.vnf(cpu=1000.0, max_packet_queue=0)], links=[sim.link("n_0", "n_0")]
    )
    done = sim.setting(given, {("u_0", "s_0"): sim.flow(*[(1.0, 1.0)] * 5)}).run(core_class)
    assert (done.result.processed, done.result.dropped) == (5, 0)


@BOTH
def test_who_arrives_at_the_deadline_is_in_time_and_a_deadline_is_before_a_creation(core_class: Any) -> None:
    """1 ms on each of two links and 1 ms in service: 3 ms. Another packet is created as the first one's deadline passes."""
    for latency, violated in ((3.0, 0), (2.0, 2)):
        given = sim.entities([sim.node(cpu=2000.0)], [sim.vnf(cpu=1000.0)], [sim.sfc(max_latency=latency)])
        done = sim.setting(given, {("u_0", "s_0"): sim.flow((1.0, 1.0), (latency, 1.0))}).run(core_class)
        assert done.result.violated == violated
        if violated:
            events = [record[2] for record in done.memory.records("packets") if record[3] == 3.0]
            assert events == [PacketEvent.VIOLATED, PacketEvent.CREATED]


@BOTH
def test_actions_are_before_the_ends_of_services(core_class: Any) -> None:
    """A resize at 20, as a service ends: who waits is served with the new CPU."""

    class Faster(Scaling):
        def decide(self, seen: Any) -> Any:
            return [Resize(each, 200.0, each.mem, "now") for each in seen.state.vnf_instances.values()]

    flow = sim.flow((10.0, 1.0), (0.0, 1.0))
    done = sim.setting(
        sim.entities(links=[]),
        {("u_0", "s_0"): flow},
        scalings=lambda: [Faster(20.0)],
        compute_loopback_time=False,
        total_time=39.0,
    ).run(core_class)
    assert [(each[10], each[11]) for each in done.memory.records("vnf_starts")] == [(10.0, 20.0), (20.0, 25.0)]


@BOTH
@pytest.mark.parametrize(("limit", "dropped"), [(-1, 0), (0, 2), (1, 1), (2, 0)])
def test_a_packet_that_starts_waits_no_more(core_class: Any, limit: int, dropped: int) -> None:
    """A link of 2 ms, to which three come at 1: one is sent, `limit` wait."""
    links = [sim.link("n_0", "n_1", bandwidth=500.0, max_packet_queue=limit), sim.link("n_1", "n_1")]
    nodes, vnfs = [sim.node("n_0"), sim.node("n_1")], [sim.vnf(packet_cpu_demand=0.0)]
    given = sim.entities(nodes, vnfs, requests=[sim.request(egress="n_1")], links=links)

    def dropped_of(*packets: tuple[float, float]) -> int:
        flows = {("u_0", "s_0"): sim.flow(*packets)}
        done = sim.setting(given, flows, placement=lambda: First("n_1"), total_time=3.0).run(core_class)
        return int(done.round.core.links["l_n_0_n_1"].dropped)

    assert dropped_of((1.0, 1.0), (0.0, 1.0), (0.0, 1.0)) == dropped
    # Now the third one comes at 3, as the second one, if it was let wait, starts: it is the only one that waits.
    assert dropped_of((1.0, 1.0), (0.0, 1.0), (2.0, 1.0)) == (limit == 0)


@BOTH
@pytest.mark.parametrize(
    ("demand", "took"), [(1.0, 10.0), (20.0, 200.0), (99.0, 990.0), (100.0, 1000.0), (150.0, 2250.0)]
)
def test_too_much_work_takes_longer_than_its_share(core_class: Any, demand: float, took: float) -> None:
    """work / cpu * 1000 ms, times work / cpu where that is more than 1: behaviour, "VNF instance"."""
    given = sim.entities(vnfs=[sim.vnf(packet_cpu_demand=demand)], links=[])
    done = sim.setting(
        given, {("u_0", "s_0"): sim.flow((0.0, 1.0))}, compute_loopback_time=False, total_time=5000.0
    ).run(core_class)
    assert done.memory.records("ended")[0][5] == pytest.approx(took)
    blind = sim.setting(
        given, {("u_0", "s_0"): sim.flow((0.0, 1.0))}, compute_loopback_time=False, total_time=5000.0
    ).run(core_class, blind=["vnf_starts"])
    assert blind.memory.records("ended") == done.memory.records("ended")


@BOTH
def test_actions_are_done_in_the_order_of_asking_before_packets_and_to_the_last_time(core_class: Any) -> None:
    memory, seen = sim.Memory(), list[str]()
    core = core_class(sim.entities(), Rules(), memory, None)
    core.at(2.0, lambda: seen.append("second"))
    core.at(1.0, lambda: core.at(1.0, lambda: seen.append("at once")))
    core.at(2.0, lambda: seen.append("third"))
    core.at(2.5, lambda: seen.append("too late"))
    core.run(2.0)
    assert (seen, core.now) == (["at once", "second", "third"], 2.0)
    core.run(3.0)
    assert (seen[-1], core.now) == ("too late", 3.0)


def test_a_long_run_is_flushed_in_time_and_no_record_is_older_than_the_flush_before() -> None:
    flushed: list[tuple[float, list[float]]] = []

    class Flushing(sim.Memory):
        def flush(self, now: float) -> None:
            assert self.packets is not None
            flushed.append((now, self.packets.take()[:, 3].tolist()))

    setting = sim.setting(
        flows={("u_0", "s_0"): sim.flow(*[(0.1, 0.01)] * 12_000)}, total_time=1250.0, sfc_instance_monitor_interval=10.0
    )
    memory = Flushing()
    Round(setting.scenario, 0, setting.placement(), [], memory).run()
    created = 100  # packets between two looks of the monitor, which are when it can be flushed
    assert len(flushed) > 12_000 // (FLUSH_EVERY + 2 * created)
    assert all(len(times) < 2 * (FLUSH_EVERY + created) for _, times in flushed)  # a packet has two rows
    assert all(max(times) <= now for now, times in flushed)
    assert all(min(times) >= before for (before, _), (_, times) in pairwise(flushed))


def test_packets_that_are_done_are_not_kept_until_their_deadline() -> None:
    far = sim.setting(
        sim.entities(sfcs=[sim.sfc(max_latency=1e9)]), flows={("u_0", "s_0"): sim.flow(*[(0.1, 0.01)] * 5_000)}
    )
    done = far.run()
    assert done.result.processed > 4_900
    assert sum(len(watch.packets) for watch in done.round.core.watches.values()) < 20
