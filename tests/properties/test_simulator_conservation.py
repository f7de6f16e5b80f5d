"""Whatever is simulated: no packet is lost from the books, nothing is ever over-committed, and packets go their way in order."""

from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from testbed.simulator.engine.core import Core
from testbed.simulator.engine.streams import PacketEvent
from testbed.simulator.model.state import State
from testbed.simulator.placement.registry import PLACEMENTS
from testbed.simulator.runner import Job, algorithms
from testbed.simulator.simulation.round import Round, Scenario
from testbed.simulator.specification.generate import generate
from testbed.simulator.specification.parameters import parse_parameters
from testbed.simulator.specification.specs_file import parse_specs
from tests.support.random_simulations import settings_of_rounds
from tests.support.random_specs import SPECS, parameters
from tests.support.simulated import Memory, Setting, Simulated

EPSILON = 1e-6
DROPPED = (PacketEvent.DROPPED_VNF_QUEUE, PacketEvent.DROPPED_LINK_QUEUE, PacketEvent.LOST)


class Checked:
    """A core that looks at the state after every action. It may be machine code, which cannot be derived from."""

    def __init__(self, *given: Any) -> None:
        self.core = Core(*given)
        self.state: State | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.core, name)

    def at(self, time: float, action: Callable[[], None]) -> None:
        assert time >= self.core.now, "in the past"

        def checked() -> None:
            action()
            if self.state is not None:
                nothing_is_over_committed(self.state)

        self.core.at(time, checked)


def nothing_is_over_committed(state: State) -> None:
    cpu, mem, bandwidth = defaultdict[Any, float](float), defaultdict[Any, float](float), defaultdict[Any, float](float)
    for each in state.vnf_instances.values():
        assert each.active and each.cpu > 0 and each.mem > 0
        assert 0 <= each.busy <= each.vnf.max_share
        assert each.requests <= each.vnf.max_share
        assert each.vnf.max_packet_queue < 0 or len(each.queue) <= each.vnf.max_packet_queue
        assert each.vnf.name in each.node.vnfs
        assert all(state.sfc_instances[name] is chain for name, chain in each.sfc_instances.items())
        cpu[each.node.name, each.slice] += each.cpu
        mem[each.node.name, each.slice] += each.mem
    for chain in state.sfc_instances.values():
        assert chain.active
        assert all(each.active and each.sfc_instances[chain.name] is chain for each in chain.vnf_instances)
        for name, held in chain.held:
            bandwidth[name, chain.slice] += held
    for slice_name, its in state.entities.slices.items():
        for node in state.entities.nodes.values():
            free_cpu, free_mem = state.free_cpu(node.name, slice_name), state.free_mem(node.name, slice_name)
            assert free_cpu >= -EPSILON
            assert free_mem >= -EPSILON
            assert free_cpu == pytest.approx(node.cpu * its.node_share - cpu[node.name, slice_name], abs=EPSILON)
            assert free_mem == pytest.approx(node.mem * its.node_share - mem[node.name, slice_name], abs=EPSILON)
        for link in state.entities.links.values():
            free = state.free_bandwidth(link, slice_name)
            assert free >= -EPSILON
            if not link.loopback:
                its_all = link.bandwidth * its.bandwidth_share
                assert free == pytest.approx(its_all - bandwidth[link.name, slice_name], abs=EPSILON)


def every_packet_is_somewhere(done: Simulated) -> None:
    """Counters and records agree, and add up."""
    result, memory, life = done.result, done.memory, done.round.lifecycle
    ended = memory.records("ended")
    assert len(ended) == len({record[:2] for record in ended}) == result.created == done.round.core.created
    fates = Counter(PacketEvent(int(record[8])) for record in ended)
    assert fates[PacketEvent.PROCESSED] == result.processed
    assert fates[PacketEvent.ORPHAN] == result.orphaned
    assert sum(fates[each] for each in DROPPED) == result.dropped
    assert fates[PacketEvent.ACTIVE] == result.in_flight >= 0
    assert sum(record[7] for record in ended) == result.violated
    events = Counter(PacketEvent(int(record[2])) for record in memory.records("packets"))
    assert events == fates - Counter({PacketEvent.ACTIVE: result.in_flight}) + Counter(
        {PacketEvent.CREATED: result.created, PacketEvent.VIOLATED: result.violated}
    )
    for each in [*life.ended_vnfs, *done.state.vnf_instances.values()]:
        mine = [record for record in memory.records("vnf_arrivals") if record[2] == each.number]
        assert (len(mine), sum(record[4] for record in mine)) == (each.arrived, each.dropped)
        assert sum(record[2] == each.number for record in memory.records("vnf_ends")) == each.processed
    for link in done.round.core.links.values():
        counts = Counter(record[5] for record in memory.records("links") if record[2] == link.number)
        assert (counts[1], counts[2]) == (link.dropped, link.lost)


def packets_go_their_way(done: Simulated) -> None:
    """Every packet begins at its request's ingress, each link begins where it is, it visits its chain's VNF types in order and on the
    nodes where it is; no step begins before the one before has ended; who is processed was everywhere."""
    given, memory = done.round.entities, done.memory
    links, requests = [*given.links.values()], [*given.sfc_requests.values()]
    instances = {number: (vnf, node) for number, _, vnf, node in memory.instances}
    steps = defaultdict[tuple[float, float], list[tuple[float, float, str, float]]](list)
    for record in memory.records("links"):
        if record[5] == 0:
            steps[record[:2]].append((record[6], record[8], "link", record[2]))
            assert record[6] <= record[7] <= record[8]
    starts = {(record[0], record[1], record[2]): record for record in memory.records("vnf_starts")}
    for record in memory.records("vnf_ends"):
        start = starts[record[:3]]
        steps[record[:2]].append((record[4], record[9], "vnf", record[2]))
        assert record[4] <= start[10] <= start[11] == record[9]
    for request, packet, created, _, _, delay, penalty, violated, fate in memory.records("ended"):
        request_of = requests[int(request)]
        chain, at, time, visited = given.sfcs[request_of.sfc], request_of.ingress, created + penalty, list[str]()
        # A link's record is written at its begin, so that the last one may be on its way; of equal times, in the order of writing.
        way = sorted(steps[request, packet], key=lambda step: step[:2])
        for begin, end, what, number in _chained(way, at, links, instances, chain.vnfs):
            assert begin == pytest.approx(time)
            time = end
            if what == "link":
                assert links[int(number)].source == at
                at = links[int(number)].target
            else:
                vnf, node = instances[int(number)]
                visited.append(vnf)
                assert node == at
        assert visited == [*chain.vnfs[: len(visited)]]
        if fate == PacketEvent.PROCESSED:
            assert (visited, at) == ([*chain.vnfs], request_of.egress)
            assert time == pytest.approx(created + delay)
        latest = created + delay
        assert violated == (delay > chain.max_latency) or abs(latest - created - chain.max_latency) < EPSILON


def _chained(way: list[Any], at: str, links: list[Any], instances: Any, vnfs: tuple[str, ...]) -> list[Any]:
    """Steps of no length have equal times: of these, the one that can be next."""
    ordered, left, visited = [], [*way], 0
    while left:
        together = [step for step in left if step[:2] == left[0][:2]]
        next_vnf = (vnfs[visited] if visited < len(vnfs) else None, at)
        fitting = [step for step in together if step[2] == "vnf" and instances[int(step[3])] == next_vnf]
        fitting += [step for step in together if step[2] == "link" and links[int(step[3])].source == at]
        step = (fitting or together)[0]
        if step[2] == "link":
            at = links[int(step[3])].target
        else:
            visited += 1
        ordered.append(step)
        left.remove(step)
    return ordered


def nobody_does_more_than_it_can(done: Simulated) -> None:
    """A link sends one packet at a time, in the order of arrival; an instance serves `max_share`; queues keep their limits."""
    given, memory = done.round.entities, done.memory
    hold = done.round.parameters.hold_link_while_propagating
    on_links = defaultdict[float, list[tuple[float, ...]]](list)
    for record in memory.records("links"):
        if record[5] != 1:
            on_links[record[2]].append(record)
    for number, records in on_links.items():
        link = [*given.links.values()][int(number)]
        for before, after in pairwise(records):
            propagates = before[5] == 0 and not hold
            lost_and_held = link.propagation if before[5] == 2 and hold else 0.0
            free = before[8] - propagates * link.propagation + lost_and_held
            assert before[6] <= after[6] and free <= after[7] + EPSILON
        for record in records:
            waiting = sum(each[6] <= record[6] < each[7] for each in records)
            assert link.max_packet_queue < 0 or waiting <= link.max_packet_queue
    in_service = defaultdict[float, list[tuple[float, int]]](list)
    for record in memory.records("vnf_starts"):
        in_service[record[2]] += [(record[10], 1), (record[11], -1)]
    vnf_of = {number: given.vnfs[vnf] for number, _, vnf, _ in memory.instances}
    for number, changes in in_service.items():
        busy = most = 0
        for _, change in sorted(changes):  # ends first
            busy += change
            most = max(most, busy)
        assert most <= vnf_of[int(number)].max_share


def holds(setting: Setting) -> Simulated:
    memory = Memory()
    one = Round(setting.scenario, 0, setting.placement(), setting.scalings(), memory, core_class=Checked)
    assert isinstance(one.core, Checked)
    one.core.state = one.state
    done = Simulated(one, memory, one.run())
    nothing_is_over_committed(done.state)
    every_packet_is_somewhere(done)
    packets_go_their_way(done)
    nobody_does_more_than_it_can(done)
    return done


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(settings_of_rounds())
def test_with_any_placement_and_any_scaling(setting: Setting) -> None:
    holds(setting)


@pytest.mark.parametrize("placement", PLACEMENTS.built_in())
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spec=SPECS, data=st.data())
def test_with_ours(placement: str, spec: Any, data: Any) -> None:
    chosen = parse_parameters(data.draw(parameters(placement)))
    simulation = chosen.simulation
    drawn = generate(parse_specs(spec), simulation.random_seed, simulation.total_time, simulation.time_window)
    scenario = Scenario(drawn, simulation, data.draw(st.booleans()))
    found, scalings = algorithms(Job(scenario, chosen, None))  # type: ignore[arg-type]  # it writes nothing
    holds(Setting(scenario, lambda: found, lambda: scalings))
