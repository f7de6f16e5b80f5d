"""The engine as a reader would write it with SimPy: every packet is a process, every link a resource. `core.py` must do the same.

In, out: as `core`. The two agree record by record, at equal times too; tests compare them. Must not do: share code with `core.py`
beyond the core's order of kinds, or be fast. It never flushes its recorder: the records of links are complete only when it closes.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from heapq import heappush
from math import ceil, isnan, nan
from random import Random
from typing import Any

import simpy

from testbed.simulator.engine.core import ACTION, ARRIVAL, CREATION, DEADLINE, SERVED
from testbed.simulator.engine.parts import Flow, LinkAtWork, Packet, Rules, Watch
from testbed.simulator.engine.streams import PacketEvent, Recorder
from testbed.simulator.model.entities import Entities
from testbed.simulator.model.instances import VnfInstance

AT_ONCE, FREED = -2, -1  # before all of the core's kinds: what an event causes within SimPy, and links that become free
FATE, START, SENT = 5, 7, 8  # places in a record of `links`
TAKEN, REFUSED, LOST = 0, 1, 2  # fates of packets on links

Steps = Generator[simpy.Event, Any, bool]
"""A part of a packet's way; its value: whether the packet goes on."""


class Clock(simpy.Environment):
    """SimPy's environment with times that are exact, and with an order of what happens at equal times."""

    def schedule(self, event: simpy.Event, priority: Any = None, delay: float = 0) -> None:
        """SimPy's own events, of processes that begin and of turns that come, are parts of the event that caused them."""
        heappush(self._queue, (self._now + delay, (AT_ONCE, 0), next(self._eid), event))  # type: ignore[misc]

    def when(self, time: float, kind: int, order: int = 0) -> simpy.Event:
        """An event at a time; `now + (time - now)` is not always that time."""
        event = simpy.Event(self)
        event._ok, event._value = True, None
        heappush(self._queue, (time, (kind, order), next(self._eid), event))  # type: ignore[misc]
        return event

    def run_through(self, until: float) -> None:
        """All events up to and including this time; SimPy's `run` leaves out those at it."""
        while self._queue and self.peek() <= until:
            self.step()
        self._now = until


class ReferenceCore:
    """A round's events, as in `core.Core`."""

    def __init__(
        self, entities: Entities, rules: Rules, recorder: Recorder, seeds: Callable[[str, int], Random]
    ) -> None:
        self.rules, self.recorder = rules, recorder
        self.created = self.active_requests = 0
        self.links: dict[str, LinkAtWork] = {
            name: LinkAtWork(link, number) for number, (name, link) in enumerate(entities.links.items())
        }
        self.watches: Mapping[str, Watch] = {
            name: Watch(number, sfc) for number, (name, sfc) in enumerate(entities.sfcs.items())
        }
        self._clock = Clock()
        self._wires = [simpy.Resource(self._clock) for _ in self.links]  # by the links' numbers
        self._actions = 0
        self._under_way: dict[int, Packet] = {}  # by key
        self._turns: dict[int, simpy.Event] = {}  # of packets that wait in VNF instances, by key
        self._crossings: list[tuple[LinkAtWork, Packet, list[float]]] = []  # with records of `links`, as they arrived
        self._seeds = seeds
        self._randoms: dict[tuple[str, int], Random] = {}

    @property
    def now(self) -> float:
        """The time of the event that is being handled (ms)."""
        return self._clock.now

    # what the simulation asks for ------------------------------------------------------------------------------------
    def at(self, time: float, action: Callable[[], None]) -> None:
        """Do this at a time that is not before now; before everything else of that time, in the order of asking."""
        self._actions += 1
        _then(self._clock.when(time, ACTION, self._actions), action)

    def begin(self, flow: Flow) -> None:
        """Create a flow's packets from now on."""
        self.active_requests += 1
        self._clock.process(self._create_packets(flow))

    def end(self, flow: Flow) -> None:
        """Create no more packets of a flow."""
        if not flow.ended:
            flow.ended = True
            self.active_requests -= 1

    def wake(self, instance: VnfInstance) -> None:
        """Packets that waited for an instance to start up, or for a server, are served."""
        while instance.queue and instance.busy < instance.vnf.max_share and instance.ready_at <= self.now:
            packet = instance.queue.popleft()
            self._turns.pop(packet.key).succeed(self._start(packet, instance))

    def abandon(self, instance: VnfInstance) -> None:
        """An instance is gone: the packets that wait in it are orphans; those in service will be."""
        while instance.queue:
            packet = instance.queue.popleft()
            instance.abandoned += 1
            self._finish(packet, PacketEvent.ORPHAN)
            self._turns.pop(packet.key).succeed(None)

    def run(self, until: float) -> None:
        """Handle every event up to and including this time."""
        self._clock.run_through(until)

    def close(self, instances: Iterable[VnfInstance]) -> None:
        """Record the packets that are under way, wherever they are, and the links' records."""
        for packet in sorted(self.under_way(instances), key=lambda each: each.key):
            self._record_end(packet, PacketEvent.ACTIVE)
        for link, packet, record in self._crossings:
            if record[FATE] != REFUSED and isnan(record[START]):  # it waits, and will start as soon as the link is free
                self._occupy(link, packet, record, link.free_at)
            if self.recorder.links is not None:
                self.recorder.links.add(tuple(record))
        self._crossings.clear()

    def under_way(self, instances: Iterable[VnfInstance]) -> list[Packet]:
        """Packets that are not done, wherever they are."""
        return list(self._under_way.values())

    # packets begin and end -------------------------------------------------------------------------------------------
    def _create_packets(self, flow: Flow) -> Generator[simpy.Event, Any, None]:
        for gap, size in flow.packets:
            time = self.now + gap
            if time > flow.until:
                return
            yield self._clock.when(time, CREATION, flow.number)
            if flow.ended:
                return
            self._create(flow, size)

    def _create(self, flow: Flow, size: float) -> None:
        sfc = flow.sfc.instance
        way = flow.sfc.next_path(self.links)
        packet = Packet(flow, flow.created, size, self.now, way, self.active_requests)
        self._under_way[packet.key] = packet
        flow.created += 1
        self.created += 1
        sfc.created += 1
        sfc.last_packet = self.now
        self._record_packet(packet, PacketEvent.CREATED)
        deadline = self._clock.when(self.now + flow.watch.max_latency, DEADLINE, flow.watch.number)
        _then(deadline, lambda: self._violate(packet))
        self._clock.process(self._travel(packet, flow.penalty))

    def _violate(self, packet: Packet) -> None:
        if not packet.done:
            packet.violated = True
            packet.flow.sfc.instance.violated += 1
            self._record_packet(packet, PacketEvent.VIOLATED)

    def _finish(self, packet: Packet, fate: PacketEvent) -> None:
        packet.done = True
        del self._under_way[packet.key]
        sfc = packet.flow.sfc.instance
        sfc.last_packet = self.now
        sfc.processed += fate is PacketEvent.PROCESSED
        sfc.orphaned += fate is PacketEvent.ORPHAN
        sfc.dropped += fate not in (PacketEvent.PROCESSED, PacketEvent.ORPHAN)
        self._record_packet(packet, fate)
        self._record_end(packet, fate)

    # packets move ----------------------------------------------------------------------------------------------------
    def _travel(self, packet: Packet, penalty: tuple[float, float] | None) -> Generator[simpy.Event, Any, None]:
        """A packet's whole way."""
        if penalty is not None:
            packet.penalty = packet.size * penalty[0] + penalty[1]
            if self.rules.integer_times:
                packet.penalty = 2 * ceil(packet.penalty / 2)  # there, and back
            yield self._clock.when(self.now + packet.penalty, ARRIVAL, packet.key)
        for position, step in enumerate(packet.steps):
            packet.position = position
            if step is None:
                self._finish(packet, PacketEvent.PROCESSED)
            elif isinstance(step, LinkAtWork):
                if not (yield from self._cross(packet, step)):
                    return
            elif isinstance(step, VnfInstance) and step.active:
                if not (yield from self._pass(packet, step)):
                    return
            else:
                self._finish(packet, PacketEvent.ORPHAN)
                return

    def _cross(self, packet: Packet, link: LinkAtWork) -> Steps:
        """Wait for a link, be sent, and propagate. Whether it will be lost is known, and counted, when it arrives."""
        wire = self._wires[link.number]
        following = next((each.number for each in packet.steps[packet.position :] if isinstance(each, VnfInstance)), -1)
        record = [packet.flow.number, packet.number, link.number, following, packet.carried, TAKEN, self.now, nan, nan]
        self._crossings.append((link, packet, record))
        if wire.count and 0 <= link.limit <= len(wire.queue):
            record[FATE] = REFUSED
            link.dropped += 1
            self._finish(packet, PacketEvent.DROPPED_LINK_QUEUE)
            return False
        if link.loss and self._random("link", link.number).random() < link.loss:
            record[FATE] = LOST
            link.lost += 1
            self._finish(packet, PacketEvent.LOST)
        with wire.request() as turn:
            yield turn
            self._occupy(link, packet, record, self.now)
            yield self._clock.when(link.free_at, FREED)
        if record[FATE] == LOST:
            return False
        yield self._clock.when(record[SENT], ARRIVAL, packet.key)
        return True

    def _occupy(self, link: LinkAtWork, packet: Packet, record: list[float], start: float) -> None:
        """Note when a packet starts, when it is on the link's other side, and when the next one may start."""
        transmitted = start + packet.carried * link.ms_per_size
        propagated = transmitted + link.propagation
        record[START] = start
        record[SENT] = transmitted if record[FATE] == LOST else propagated
        link.free_at = propagated if self.rules.hold_link else transmitted

    def _pass(self, packet: Packet, instance: VnfInstance) -> Steps:
        """Wait for a server of a VNF instance, and be served."""
        vnf = instance.vnf
        packet.arrived = self.now
        instance.arrived += 1
        instance.offered += packet.size * vnf.packet_cpu_demand
        free = instance.ready_at <= self.now and instance.busy < vnf.max_share
        full = not free and 0 <= vnf.max_packet_queue <= len(instance.queue)
        if self.recorder.vnf_arrivals is not None:
            self.recorder.vnf_arrivals.add((*self._whose(packet, instance), full, self.now))
        if full:
            instance.dropped += 1
            self._finish(packet, PacketEvent.DROPPED_VNF_QUEUE)
            return False
        if free:
            ends = self._start(packet, instance)
        else:
            instance.queue.append(packet)
            self._turns[packet.key] = self._clock.event()
            ends = yield self._turns[packet.key]
            if ends is None:  # abandoned
                return False
        yield self._clock.when(ends, SERVED, packet.key)
        self._stop(packet, instance)
        self.wake(instance)
        if not instance.active:
            self._finish(packet, PacketEvent.ORPHAN)
            return False
        packet.carried = packet.size * (vnf.packet_network_demand if self.rules.size_by_demand else 1)
        return True

    def _start(self, packet: Packet, instance: VnfInstance) -> float:
        """Take a server; gives when the service ends."""
        vnf, rules = instance.vnf, self.rules
        work = packet.size * vnf.packet_cpu_demand
        instance.busy += 1
        instance.cpu_usage += work
        instance.cpu_peak = max(instance.cpu_peak, instance.cpu_usage)
        remote = disk = 0.0
        if vnf.remote_data_access_prob:
            asks = self._random("vnf", instance.number).random() < vnf.remote_data_access_prob
            remote = vnf.remote_data_access_cost if asks else 0.0
        if instance.mem_usage > instance.mem:
            disk = instance.node.disk_delay
        took = (work / instance.cpu * 1000 + remote + disk) * max(1.0, instance.cpu_load)
        ends = self.now + (int(took) if rules.integer_times else took)
        instance.busy_ms += int(took) if rules.integer_times else took
        if self.recorder.vnf_starts is not None:
            loads = (instance.cpu, instance.cpu_usage, instance.mem, instance.mem_usage)
            self.recorder.vnf_starts.add((*self._whose(packet, instance), remote, disk, *loads, self.now, ends))
        return ends

    def _stop(self, packet: Packet, instance: VnfInstance) -> None:
        """Give a server back. The last one leaves nothing in use, not even what rounding left."""
        work = packet.size * instance.vnf.packet_cpu_demand
        instance.busy -= 1
        instance.cpu_usage = instance.cpu_usage - work if instance.busy else 0.0
        if self.recorder.vnf_ends is not None:
            loads = (instance.cpu, instance.cpu_usage, instance.mem, instance.mem_usage)
            self.recorder.vnf_ends.add((*self._whose(packet, instance), packet.arrived, *loads, self.now))

    # records ---------------------------------------------------------------------------------------------------------
    def _whose(self, packet: Packet, instance: VnfInstance) -> tuple[float, ...]:
        return (packet.flow.number, packet.number, instance.number, packet.size)

    def _record_packet(self, packet: Packet, event: PacketEvent) -> None:
        if self.recorder.packets is not None:
            self.recorder.packets.add((packet.flow.number, packet.number, event, self.now))

    def _record_end(self, packet: Packet, fate: PacketEvent) -> None:
        if self.recorder.ended is not None:
            whose = (packet.flow.number, packet.number, packet.created, packet.size, packet.active_requests)
            self.recorder.ended.add((*whose, self.now - packet.created, packet.penalty, packet.violated, fate))

    def _random(self, kind: str, number: int) -> Random:
        if (kind, number) not in self._randoms:
            self._randoms[kind, number] = self._seeds(kind, number)
        return self._randoms[kind, number]


def _then(event: simpy.Event, action: Callable[[], None]) -> None:
    assert event.callbacks is not None  # it has not been handled
    event.callbacks.append(lambda _: action())
