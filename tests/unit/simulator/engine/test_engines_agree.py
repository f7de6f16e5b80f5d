"""The fast engine and the readable one give the same streams and counters on the benchmark and in the narrow cases."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from testbed.simulator.engine.core import Core
from testbed.simulator.engine.parts import Rules
from testbed.simulator.engine.reference import Clock, ReferenceCore
from testbed.simulator.engine.streams import WIDTHS, PacketEvent
from testbed.simulator.placement.registry import find
from testbed.simulator.simulation.round import Round, Scenario
from testbed.simulator.specification.generate import generate
from testbed.simulator.specification.parameters import parse_parameters
from testbed.simulator.specification.specs_file import parse_specs
from tests.support import simulated as sim
from tests.support.simulated import Setting

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


@pytest.mark.parametrize("core_class", [Core, ReferenceCore])
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


@pytest.mark.parametrize("core_class", [Core, ReferenceCore])
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
            flushed.append((now, [each[3] for each in self.records("packets")]))
            assert self.packets is not None
            self.packets.clear()

    setting = sim.setting(
        flows={("u_0", "s_0"): sim.flow(*[(0.1, 0.01)] * 12_000)}, total_time=1250.0, sfc_instance_monitor_interval=10.0
    )
    memory = Flushing()
    Round(setting.scenario, 0, setting.placement(), [], memory).run()
    assert len(flushed) == 2
    assert all(max(times) <= now for now, times in flushed)
    assert all(min(times) >= before for (before, _), (_, times) in pairwise(flushed))
