"""The event core: packets through links and VNF instances, on a heap of plain tuples. `reference.py` says the same in SimPy.

In: flows, and actions at given times (`at`). Out: counters of instances, and the recorder's streams. What happens at equal times
happens in the order of kinds below, then of requests and packets, so that a run does not depend on the order of insertion.

A link is first come, first served with a known time for each packet, so a packet's times on it are known when it arrives, and
it takes one event. A VNF instance has `max_share` servers and one queue; its speed may change while packets wait.
"""

from collections.abc import Callable, Iterable, Mapping
from heapq import heappop, heappush, heapreplace
from math import ceil, nan
from random import Random
from typing import Any

from testbed.simulator.engine.parts import Flow, LinkAtWork, Packet, Rules, Watch
from testbed.simulator.engine.streams import PacketEvent, Recorder
from testbed.simulator.model.entities import Entities
from testbed.simulator.model.instances import VnfInstance

# Kinds of events, in the order in which they happen at equal times. STOP: everything up to a time has been handled.
ACTION, SERVED, ARRIVAL, DEADLINE, CREATION, STOP = range(6)
FLUSH_FIRST, FLUSH_EVERY = 512, 2048  # packets created: few at first, so that who writes has something to do

Event = tuple[float, int, int, Any]


class Core:
    """A round's events. `now`: the time of the event that is being handled (ms).

    Args:
        seeds: gives the random stream of something by its kind and number: ("link", 3), ("vnf", 0).
    """

    def __init__(
        self, entities: Entities, rules: Rules, recorder: Recorder, seeds: Callable[[str, int], Random]
    ) -> None:
        self.rules, self.recorder = rules, recorder
        self._links, self._arrivals, self._packets = recorder.links, recorder.vnf_arrivals, recorder.packets
        self._starts, self._ends, self._ended = recorder.vnf_starts, recorder.vnf_ends, recorder.ended
        self.now = 0.0
        self.created = 0
        self.active_requests = 0
        self.links: dict[str, LinkAtWork] = {
            name: LinkAtWork(link, number) for number, (name, link) in enumerate(entities.links.items())
        }
        self.watches: Mapping[str, Watch] = {
            name: Watch(number, sfc) for number, (name, sfc) in enumerate(entities.sfcs.items())
        }
        self._heap: list[Event] = []
        self._due = False  # the first event is being handled, and still on the heap
        self._actions = 0
        self._seeds = seeds
        self._randoms: dict[tuple[str, int], Random] = {}

    # what the simulation asks for ------------------------------------------------------------------------------------
    def at(self, time: float, action: Callable[[], None]) -> None:
        """Do this at a time that is not before now; before everything else of that time, in the order of asking."""
        self._actions += 1
        self._schedule((time, ACTION, self._actions, action))

    def begin(self, flow: Flow) -> None:
        """Create a flow's packets from now on."""
        self.active_requests += 1
        event = self._next_creation(flow)
        if event is not None:
            self._schedule(event)

    def end(self, flow: Flow) -> None:
        """Create no more packets of a flow."""
        if not flow.ended:
            flow.ended = True
            self.active_requests -= 1

    def wake(self, instance: VnfInstance) -> None:
        """Packets that waited for an instance to start up, or for more servers, are served."""
        while instance.queue and instance.busy < instance.vnf.max_share and self.now >= instance.ready_at:
            self._schedule(self._serve(instance.queue.popleft(), instance))

    def abandon(self, instance: VnfInstance) -> None:
        """An instance is gone: the packets that wait in it are orphans; those in service will be."""
        while instance.queue:
            instance.abandoned += 1
            self._finish(instance.queue.popleft(), PacketEvent.ORPHAN)

    def run(self, until: float) -> None:
        """Handle every event up to and including this time."""
        heap, flush_at = self._heap, self.created + FLUSH_FIRST
        heappush(heap, (until, STOP, 0, None))
        while True:
            now, kind, _, subject = heap[0]
            self.now = now
            self._due = True
            if kind == ARRIVAL:
                self._arrive(subject)
            elif kind == SERVED:
                self._served(subject)
            elif kind == CREATION:
                self._create(subject)
            else:
                if kind == DEADLINE:
                    self._deadline(subject)
                elif kind == ACTION:
                    subject()
                else:
                    self._done()
                    return
                if self.created >= flush_at:
                    flush_at = self.created + min(self.created, FLUSH_EVERY)
                    self.recorder.flush(now)
            self._done()

    def close(self, instances: Iterable[VnfInstance]) -> None:
        """Record the packets that are under way, on links and in these instances."""
        for packet in sorted(self.under_way(instances), key=lambda each: each.key):
            self._record_end(packet, PacketEvent.ACTIVE)

    def under_way(self, instances: Iterable[VnfInstance]) -> list[Packet]:
        """Packets that are not done: on links, in service, and those that wait in these instances. Takes time for all of them."""
        packets = [event[3] for event in self._heap if isinstance(event[3], Packet)]
        return packets + [packet for instance in instances for packet in instance.queue]

    # events ----------------------------------------------------------------------------------------------------------
    def _schedule(self, event: Event) -> None:
        """The first event that follows from another one takes its place: half the work of taking one off and putting one on."""
        if self._due:
            self._due = False
            heapreplace(self._heap, event)
        else:
            heappush(self._heap, event)

    def _done(self) -> None:
        if self._due:
            self._due = False
            heappop(self._heap)

    # packets begin ---------------------------------------------------------------------------------------------------
    def _next_creation(self, flow: Flow) -> Event | None:
        if flow.ended:
            return None
        following = next(flow.packets, None)
        if following is None:
            return None
        gap, flow.next_size = following
        time = self.now + gap
        return (time, CREATION, flow.number, flow) if time <= flow.until else None

    def _create(self, flow: Flow) -> None:
        if flow.ended:
            return
        now, size, sfc, watch = self.now, flow.next_size, flow.sfc.instance, flow.watch
        following = self._next_creation(flow)
        if following is not None:
            self._schedule(following)
        packet = Packet(flow, flow.created, size, now, flow.sfc.next_path(self.links), self.active_requests)
        flow.created += 1
        self.created += 1
        sfc.created += 1
        sfc.last_packet = now
        if self._packets is not None:
            self._packets.add((flow.number, packet.number, PacketEvent.CREATED, now))
        while watch.packets and watch.packets[0].done:  # few wait here, however late they are due
            watch.packets.popleft()
        watch.packets.append(packet)
        if not watch.armed:
            watch.armed = True
            self._schedule((now + watch.max_latency, DEADLINE, watch.number, watch))
        if flow.penalty is None:
            self._arrive(packet)
        else:
            penalty = size * flow.penalty[0] + flow.penalty[1]
            packet.penalty = float(2 * ceil(penalty / 2)) if self.rules.integer_times else penalty  # there, and back
            self._schedule((now + packet.penalty, ARRIVAL, packet.key, packet))

    # packets move ----------------------------------------------------------------------------------------------------
    def _arrive(self, packet: Packet) -> None:
        """At the step that it has reached: a link, an instance, its end, or what is left of its chain."""
        step = packet.steps[packet.position]
        if isinstance(step, LinkAtWork):
            self._send(packet, step)
        elif isinstance(step, VnfInstance):
            self._enter(packet, step)
        else:
            self._finish(packet, PacketEvent.PROCESSED if step is None else PacketEvent.ORPHAN)

    def _send(self, packet: Packet, link: LinkAtWork) -> None:
        start = max(link.free_at, self.now)
        if link.limited and self._refuses(link, packet, start):
            return
        sent = start + packet.carried * link.ms_per_size
        there = sent + link.propagation
        link.free_at = there if self.rules.hold_link else sent
        self._record_link(packet, link, 0, start, there)
        packet.position += 1
        self._schedule((there, ARRIVAL, packet.key, packet))

    def _refuses(self, link: LinkAtWork, packet: Packet, start: float) -> bool:
        """Whether a link drops a packet, as too many wait, or loses it while it sends it."""
        now, limit, starts = self.now, link.limit, link.starts
        if limit >= 0:
            while starts and starts[0] <= now:
                starts.popleft()
            if start > now:
                if len(starts) >= limit:
                    link.dropped += 1
                    self._record_link(packet, link, 1, nan, nan)
                    self._finish(packet, PacketEvent.DROPPED_LINK_QUEUE)
                    return True
                starts.append(start)
        if link.loss and self._random("link", link.number).random() < link.loss:
            link.lost += 1
            ends = start + packet.carried * link.ms_per_size
            link.free_at = ends + link.propagation if self.rules.hold_link else ends
            self._record_link(packet, link, 2, start, ends)
            self._finish(packet, PacketEvent.LOST)
            return True
        return False

    def _enter(self, packet: Packet, instance: VnfInstance) -> None:
        if not instance.active:
            self._finish(packet, PacketEvent.ORPHAN)
            return
        now = packet.arrived = self.now
        instance.arrived += 1
        instance.offered += packet.size * instance.cpu_demand
        free = instance.busy < instance.servers and instance.ready_at <= now
        full = not free and 0 <= instance.limit <= len(instance.queue)
        if self._arrivals is not None:
            self._arrivals.add((packet.flow.number, packet.number, instance.number, packet.size, full, now))
        if free:
            self._schedule(self._serve(packet, instance))
        elif full:
            instance.dropped += 1
            self._finish(packet, PacketEvent.DROPPED_VNF_QUEUE)
        else:
            instance.queue.append(packet)

    def _serve(self, packet: Packet, instance: VnfInstance) -> Event:
        """Behaviour, "VNF instance": work / cpu, and access to remote data and to the disk, slower where it has too much to do."""
        work = packet.size * instance.cpu_demand
        instance.busy += 1
        instance.cpu_usage += work
        if instance.cpu_usage > instance.cpu_peak:
            instance.cpu_peak = instance.cpu_usage
        remote = disk = 0.0
        if instance.remote and self._random("vnf", instance.number).random() < instance.remote:
            remote = instance.vnf.remote_data_access_cost
        if instance.mem_usage > instance.mem:
            disk = instance.node.disk_delay
        took = work / instance.cpu * 1000 + remote + disk
        if instance.cpu_usage > instance.cpu:
            took *= instance.cpu_usage / instance.cpu
        if self.rules.integer_times:
            took = float(int(took))
        instance.busy_ms += took
        ends = self.now + took
        if self._starts is not None:
            self._starts.add((
                packet.flow.number, packet.number, instance.number, packet.size, remote, disk, instance.cpu,
                instance.cpu_usage, instance.mem, instance.mem_usage, self.now, ends
            ))  # fmt: skip
        return (ends, SERVED, packet.key, packet)

    def _served(self, packet: Packet) -> None:
        instance = packet.steps[packet.position]
        assert isinstance(instance, VnfInstance)
        instance.busy -= 1
        if instance.busy:
            instance.cpu_usage -= packet.size * instance.cpu_demand
        else:  # no sum of rounding errors
            instance.cpu_usage = 0.0
        if self._ends is not None:
            self._ends.add((
                packet.flow.number, packet.number, instance.number, packet.size, packet.arrived, instance.cpu,
                instance.cpu_usage, instance.mem, instance.mem_usage, self.now
            ))  # fmt: skip
        if instance.queue and instance.busy < instance.servers:
            self._schedule(self._serve(instance.queue.popleft(), instance))
        if not instance.active:
            self._finish(packet, PacketEvent.ORPHAN)
            return
        if self.rules.size_by_demand:
            packet.carried = packet.size * instance.network_demand
        packet.position += 1
        self._arrive(packet)

    # packets end -----------------------------------------------------------------------------------------------------
    def _finish(self, packet: Packet, fate: PacketEvent) -> None:
        packet.done = True
        instance = packet.flow.sfc.instance
        instance.last_packet = self.now
        if fate is PacketEvent.PROCESSED:
            instance.processed += 1
        elif fate is PacketEvent.ORPHAN:
            instance.orphaned += 1
        else:
            instance.dropped += 1
        if self._packets is not None:
            self._packets.add((packet.flow.number, packet.number, fate, self.now))
        self._record_end(packet, fate)

    def _deadline(self, watch: Watch) -> None:
        """Mark what is still under way at its deadline, at the exact time (document, "Packet"); wait for the next one."""
        now, latency, waiting = self.now, watch.max_latency, watch.packets
        while waiting:
            packet = waiting[0]
            if not packet.done:
                if packet.created + latency > now:
                    self._schedule((packet.created + latency, DEADLINE, watch.number, watch))
                    return
                packet.violated = True
                packet.flow.sfc.instance.violated += 1
                if self._packets is not None:
                    self._packets.add((packet.flow.number, packet.number, PacketEvent.VIOLATED, now))
            waiting.popleft()
        watch.armed = False

    # records ---------------------------------------------------------------------------------------------------------
    def _record_link(self, packet: Packet, link: LinkAtWork, fate: int, start: float, sent: float) -> None:
        if self._links is not None:
            self._links.add((
                packet.flow.number, packet.number, link.number, packet.way.following[packet.position],
                packet.carried, fate, self.now, start, sent
            ))  # fmt: skip

    def _record_end(self, packet: Packet, fate: PacketEvent) -> None:
        if self._ended is not None:
            self._ended.add((
                packet.flow.number, packet.number, packet.created, packet.size, packet.active_requests,
                self.now - packet.created, packet.penalty, packet.violated, fate
            ))  # fmt: skip

    def _random(self, kind: str, number: int) -> Random:
        key = (kind, number)
        random = self._randoms.get(key)
        if random is None:
            random = self._randoms[key] = self._seeds(*key)
        return random
