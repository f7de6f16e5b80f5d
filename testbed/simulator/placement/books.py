"""What a slice has left while the requests of a time window are planned together, before any of them is placed.

In: a state, to begin with; chains that are taken and given back. Out: arrays of what is free, and seats: instances that exist or
are planned. Must not do: change the state.

Invariants: what is free is never below 0 by more than rounding; a planned seat is listed as long as a chain uses it.
"""

from dataclasses import dataclass

import numpy

from testbed.simulator.model.entities import SfcRequest, Vnf
from testbed.simulator.model.instances import SfcInstance, VnfInstance
from testbed.simulator.model.plans import New, Plan
from testbed.simulator.model.state import TOLERANCE, State
from testbed.simulator.placement import cost
from testbed.simulator.placement.network import Floats, Network


@dataclass(slots=True, eq=False)
class Seat:
    """An instance that exists (`real`) or is planned. `room`: chains it may still take; `users`: planned chains in it."""

    vnf: Vnf
    node: int
    cpu: float
    mem: float
    room: int
    real: VnfInstance | None = None
    users: int = 0
    open: bool = True


@dataclass(slots=True, eq=False)
class Chain:
    """A planned chain. `routes`: by number. `path_score`: without new instances. `leader`: the chain, planned or placed, that it
    shares as a whole; `seats` are then the leader's."""

    request: SfcRequest
    seats: list[Seat]
    routes: list[int]
    latency_ms: float
    path_score: float
    leader: "Chain | SfcInstance | None" = None
    followers: int = 0
    placed: SfcInstance | None = None


class Books:
    """One slice of a state, with planned chains on top. Bandwidth is infinite where it is not restricted."""

    def __init__(self, state: State, slice_name: str, share: bool) -> None:
        self.state, self.slice, self.share = state, slice_name, share
        self.network = Network.of(state)
        part = state.entities.slices[slice_name]
        nodes, links = self.network.nodes, self.network.links
        self.cpu: Floats = numpy.array([node.cpu * part.node_share for node in nodes], dtype=numpy.float64)
        self.mem: Floats = numpy.array([node.mem * part.node_share for node in nodes], dtype=numpy.float64)
        self.free_cpu: Floats = numpy.array([state.free_cpu(node.name, slice_name) for node in nodes])
        self.free_mem: Floats = numpy.array([state.free_mem(node.name, slice_name) for node in nodes])
        self.bandwidth: Floats = numpy.array([link.bandwidth * part.bandwidth_share for link in links])
        self.free_bandwidth: Floats = numpy.array(
            [state.free_bandwidth(link, slice_name) if state.restrict_bandwidth else numpy.inf for link in links]
        )
        self.seats: dict[str, list[Seat]] = {}
        self._service: dict[tuple[str, float], Floats] = {}
        self._scores: dict[tuple[str, cost.Aim], Floats] = {}
        self.opening: float | Floats = 1.0  # part of a new instance's score that counts, or by node
        self.closed: tuple[str, int] | None = None  # a VNF and a node: no chain is planned there
        self._by_instance: dict[str, Seat] = {}
        for each in state.vnf_instances.values():
            if each.active and each.slice == slice_name:
                room = each.vnf.max_share - each.requests
                seat = Seat(each.vnf, self.network.index[each.node.name], each.cpu, each.mem, room, each)
                seat.open = each.accepts
                self.seats.setdefault(each.vnf.name, []).append(seat)
                self._by_instance[each.name] = seat

    def sharable(self, vnf: str) -> list[Seat]:
        """Seats that may take one more chain."""
        if not self.share:
            return []
        return [
            seat for seat in self.seats.get(vnf, ()) if seat.room > 0 and seat.open and (vnf, seat.node) != self.closed
        ]

    def hosts(self, vnf: Vnf) -> list[int]:
        """Nodes that may run a VNF and have room for a new instance."""
        fits = (self.free_cpu >= vnf.cpu - TOLERANCE) & (self.free_mem >= vnf.mem - TOLERANCE)
        nodes = self.network.nodes
        return [
            number
            for number in numpy.flatnonzero(fits).tolist()
            if vnf.name in nodes[number].vnfs and (vnf.name, number) != self.closed
        ]

    def seats_of(self, instance: SfcInstance) -> list[Seat]:
        """The seats of a placed chain."""
        return [self._by_instance[each.name] for each in instance.vnf_instances]

    def service_ms(self, vnf: Vnf, size: float) -> Floats:
        """`cost.service_ms` of a new instance, by node."""
        key = vnf.name, size
        if key not in self._service:
            resources = vnf.cpu, vnf.mem
            nodes = self.network.nodes
            self._service[key] = numpy.array([cost.service_ms(vnf, node.disk_delay, size, resources) for node in nodes])
        return self._service[key]

    def instance_scores(self, vnf: Vnf, aim: cost.Aim) -> Floats:
        """`seat_score` of a new instance, by node."""
        key = vnf.name, aim
        if key not in self._scores:
            seats = [Seat(vnf, number, vnf.cpu, vnf.mem, 0) for number in range(len(self.network.nodes))]
            self._scores[key] = numpy.array([self.seat_score(seat, aim) for seat in seats])
        return self._scores[key]

    def take(self, chain: Chain) -> None:
        """Hold what a chain needs; it was found to fit."""
        for seat in chain.seats:
            if seat.real is None and seat.users == 0:
                self.seats.setdefault(seat.vnf.name, []).append(seat)
                self._change(seat, -1)
            seat.users += 1
            seat.room -= 1
        if isinstance(chain.leader, Chain):
            chain.leader.followers += 1
        self._hold(chain, -1)

    def give_back(self, chain: Chain) -> None:
        """Undo `take`."""
        for seat in chain.seats:
            seat.users -= 1
            seat.room += 1
            if seat.real is None and seat.users == 0:
                self.seats[seat.vnf.name].remove(seat)
                self._change(seat, 1)
        if isinstance(chain.leader, Chain):
            chain.leader.followers -= 1
        self._hold(chain, 1)

    def marginal(self, chain: Chain, aim: cost.Aim) -> float:
        """Score that would be saved without a chain that is taken."""
        alone = [seat for seat in chain.seats if seat.real is None and seat.users == 1]
        return chain.path_score + sum(self.seat_score(seat, aim) for seat in alone)

    def chain(self, request: SfcRequest, seats: list[Seat], routes: list[int]) -> Chain:
        """A chain of its own over these seats and routes."""
        entities, network = self.state.entities, self.network
        source, aim = entities.data_sources[request.data_source], cost.Aim.of(request, entities)
        chain = Chain(request, seats, routes, 0.0, 0.0)
        chain.latency_ms = self.latency_ms(chain, source.packet_size)
        rate = cost.packets_per_ms(source)
        sizes = cost.hop_sizes([seat.vnf for seat in seats], source.packet_size)
        hops = zip(routes, sizes, strict=True)
        watts = sum(cost.link_energy_w(link, size, rate) for route, size in hops for link in network.routes[route])
        chain.path_score = aim.latency * chain.latency_ms + aim.energy * watts
        return chain

    def latency_ms(self, chain: Chain, size: float) -> float:
        """Time of a packet of this size in a planned chain."""
        nodes, vnfs = self.network.nodes, [seat.vnf for seat in chain.seats]
        service = sum(
            cost.service_ms(seat.vnf, nodes[seat.node].disk_delay, size, (seat.cpu, seat.mem)) for seat in chain.seats
        )
        hops = zip(chain.routes, cost.hop_sizes(vnfs, size), strict=True)
        return service + sum(cost.route_ms(self.network.routes[route], hop_size) for route, hop_size in hops)

    def seat_score(self, seat: Seat, aim: cost.Aim) -> float:
        """Score of a planned instance."""
        node = self.network.nodes[seat.node]
        return aim.cpu * seat.cpu + aim.energy * cost.busy_watts(node) * seat.cpu / node.cpu

    def plan(self, chain: Chain) -> Plan:
        """A chain as a plan. Of those that share a planned chain, and those in a planned seat, the first creates it."""
        root = chain.leader if isinstance(chain.leader, Chain) else chain
        shared = root.leader if isinstance(root.leader, SfcInstance) else root.placed
        if shared is not None:
            return Plan(share=shared)
        stages = tuple(seat.real or New(self.network.nodes[seat.node].name) for seat in root.seats)
        return Plan(stages, tuple(self.network.routes[number] for number in root.routes))

    def placed(self, chain: Chain, instance: SfcInstance) -> None:
        """A chain was placed: its planned seats exist now."""
        root = chain.leader if isinstance(chain.leader, Chain) else chain
        if root.leader is None and root.placed is None:
            root.placed = instance
            for seat, made in zip(root.seats, instance.vnf_instances, strict=True):
                seat.real = made

    def _change(self, seat: Seat, sign: int) -> None:
        self.free_cpu[seat.node] += sign * seat.cpu
        self.free_mem[seat.node] += sign * seat.mem

    def _hold(self, chain: Chain, sign: int) -> None:
        if chain.leader is not None:
            return
        for seat, route in zip(chain.seats, chain.routes[1:], strict=True):
            for link in self.network.steps[route]:
                if link < len(self.free_bandwidth):
                    self.free_bandwidth[link] += sign * seat.vnf.min_bandwidth
