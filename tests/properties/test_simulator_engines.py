"""The fast engine and the readable one do the same: every record, row and counter, in whole random simulations."""

from hypothesis import HealthCheck, given, settings

from testbed.simulator.engine.core import Core
from testbed.simulator.engine.reference import ReferenceCore
from testbed.simulator.engine.streams import WIDTHS
from tests.support.random_simulations import settings_of_rounds
from tests.support.simulated import Setting, Simulated


def counters(one: Simulated) -> list[object]:
    """Everything that was counted, wherever it is."""
    life, core = one.round.lifecycle, one.round.core
    vnfs = [*life.ended_vnfs, *one.state.vnf_instances.values()]
    sfcs = [*life.ended_sfcs, *one.state.sfc_instances.values()]
    return [
        (core.now, core.created, core.active_requests),
        [(each.dropped, each.lost, each.free_at) for each in core.links.values()],
        [
            (
                each.name,
                each.arrived,
                each.processed,
                each.dropped,
                each.busy,
                each.busy_ms,
                each.offered,
                each.mem_peak,
            )
            for each in vnfs
        ],
        [(each.name, each.cpu, each.mem, each.cpu_usage, each.mem_usage, len(each.queue)) for each in vnfs],
        [
            (each.name, each.created, each.ended, each.processed, each.dropped, each.orphaned, each.violated)
            for each in sfcs
        ],
        [(each.name, each.last_packet, each.accepts, each.active) for each in sfcs],
        (one.result.created, one.result.placed, one.result.scaled, one.result.scaling_failed, one.result.refused),
    ]


def in_order(records: list[tuple[float, ...]]) -> list[str]:
    """Comparable though NaN is not equal to itself."""
    return [repr(each) for each in records]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(settings_of_rounds())
def test_both_engines_do_the_same(setting: Setting) -> None:
    fast, readable = setting.run(Core), setting.run(ReferenceCore)
    for stream in WIDTHS:
        assert in_order(fast.memory.records(stream)) == in_order(readable.memory.records(stream)), stream
    for seen, expected in zip(fast.memory.rows, readable.memory.rows, strict=True):
        if seen[1] != "TIME_WINDOW_PROCESSED":  # it has the time that the machine took
            assert seen == expected
    assert counters(fast) == counters(readable)
