"""What a slice has left while the requests of a time window are planned together, before any of them is placed.

In: a state, to begin with; chains that are taken and given back. Out: arrays of what is free and of open routes, and seats: instances
that exist or are planned. Must not do: change the state.

Invariants: what is free is never below 0 by more than rounding; a planned seat is listed as long as a chain uses it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy

from testbed.simulator.model.entities import SfcRequest, Vnf
from testbed.simulator.model.instances import SfcInstance, VnfInstance
from testbed.simulator.model.plans import New, Plan
from testbed.simulator.model.state import TOLERANCE, State
from testbed.simulator.placement import cost
from testbed.simulator.placement.demand import Demand, Hop
from testbed.simulator.placement.network import Bools, Floats, Ints, Network

KEPT = 1000
"""Sets of edges that are remembered at once: at 50 nodes 20 kB each."""


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
    """One slice of a state, with planned chains on top. Bandwidth is infinite where it is not restricted.

    Args:
        aim: by what new instances count.
    """

    def __init__(self, state: State, slice_name: str, share: bool, aim: cost.Aim) -> None:
        self.state, self.slice, self.share, self.aim = state, slice_name, share, aim
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
        self._busy: list[float] = self.network.busy.tolist()
        self.seats: dict[str, list[Seat]] = {}
        self.opening: float | Floats = 1.0  # part of a new instance's score that counts, or of shape (VNFs, 1)
        self.closed: tuple[str, int] | None = None  # a VNF and a node: no chain is planned there
        self.target: tuple[str, int] | None = None  # a VNF and a node: a new instance counts nothing there
        self._opening_scores: dict[Demand, Floats] = {}
        self._at_first = self.free_bandwidth.copy()
        self._first: dict[tuple[Hop, float], Floats] = {}
        self._full: dict[float, bytes] = {}  # by bandwidth: numbers of links that have less left
        self._open: dict[tuple[Hop, bytes], tuple[Floats, Floats]] = {}
        self._by_instance: dict[str, Seat] = {}
        for each in state.vnf_instances.values():
            if each.active and each.slice == slice_name:
                room = each.vnf.max_share - each.requests
                seat = Seat(each.vnf, self.network.index[each.node.name], each.cpu, each.mem, room, each)
                seat.open = each.accepts
                self.seats.setdefault(each.vnf.name, []).append(seat)
                self._by_instance[each.name] = seat

    def demand(self, request: SfcRequest, aim: cost.Aim | None = None) -> Demand:
        """What a request asks of the network."""
        return self.network.demand(request, self.state, aim)

    def sharable(self, vnf: str) -> list[Seat]:
        """Seats that may take one more chain."""
        if not self.share:
            return []
        return [
            seat for seat in self.seats.get(vnf, ()) if seat.room > 0 and seat.open and (vnf, seat.node) != self.closed
        ]

    def rooms(self, demand: Demand) -> Bools:
        """Nodes that may run a VNF of the chain and have room for a new instance, of shape (VNFs, nodes)."""
        rooms = demand.may & (self.free_cpu >= demand.cpu - TOLERANCE) & (self.free_mem >= demand.mem - TOLERANCE)
        if self.closed is not None and self.closed[0] in demand.sfc.vnfs:
            rooms[demand.at(self.closed[0]), self.closed[1]] = False
        return rooms

    def new_scores(self, demand: Demand) -> Floats:
        """What new instances count, with the service of this demand in them, of shape (VNFs, nodes)."""
        scores: Floats = demand.service_score + self.opening * self.opening_scores(demand)
        if self.target is not None and self.target[0] in demand.sfc.vnfs:
            place = demand.at(self.target[0]), self.target[1]
            scores[place] = demand.service_score[place]
        return scores

    def new_seat(self, vnf: Vnf, node: int) -> Seat:
        """An instance to be planned."""
        return Seat(vnf, node, vnf.cpu, vnf.mem, vnf.max_share if self.share else 1)

    def edges(self, demand: Demand, hop: int) -> tuple[Floats, Floats]:
        """Scores of a hop's open routes by (p, source, target), infinite for others; and the least by (source, target)."""
        every, bandwidth = demand.hops[hop], demand.bandwidths[hop]
        full = self._full.get(bandwidth)
        if full is None:
            full = self._full[bandwidth] = numpy.flatnonzero(self.free_bandwidth < bandwidth - TOLERANCE).tobytes()
        if not full:
            return every.score, every.least
        known = self._open.get((every, full))
        if known is None:
            if len(self._open) >= KEPT:
                self._open.clear()
            known = self._open[every, full] = self._without(every, bandwidth, numpy.frombuffer(full, dtype=numpy.int64))
        return known

    def _without(self, every: Hop, bandwidth: float, full: Ints) -> tuple[Floats, Floats]:
        """Scores without routes over full links. What was full before the window stays full: that is worked out once."""
        before = self._at_first[full] < bandwidth - TOLERANCE
        first = self._first.get((every, bandwidth))
        if first is None:
            first = self._first[every, bandwidth] = self._closed(every.score, full[before])
        scores = self._closed(first, full[~before])
        return scores, scores[0] if len(scores) == 1 else scores.min(axis=0)

    def _closed(self, scores: Floats, links: Ints) -> Floats:
        result = scores.copy()
        for link in links.tolist():
            result[self.network.routes_over(link)] = numpy.inf
        return result

    def seats_of(self, instance: SfcInstance) -> list[Seat]:
        """The seats of a placed chain."""
        return [self._by_instance[each.name] for each in instance.vnf_instances]

    def opening_scores(self, demand: Demand) -> Floats:
        """`seat_score` of new instances, of shape (VNFs, nodes)."""
        known = self._opening_scores.get(demand)
        if known is None:
            known = (self.aim.cpu + self.aim.energy * self.network.busy) * demand.cpu
            self._opening_scores[demand] = known
        return known

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

    def score(self, chains: Iterable[Chain]) -> float:
        """Of these chains, and each instance planned for them once."""
        total = 0.0
        planned: set[Seat] = set()
        for chain in chains:
            total += chain.path_score
            planned.update(seat for seat in chain.seats if seat.real is None)
        return total + sum(sorted(self.seat_score(seat) for seat in planned))

    def marginal(self, chain: Chain) -> float:
        """Score that would be saved without a chain that is taken."""
        return chain.path_score + sum(
            self.seat_score(seat) for seat in chain.seats if seat.real is None and seat.users == 1
        )

    def chain(self, request: SfcRequest, seats: list[Seat], routes: list[int]) -> Chain:
        """A chain of its own over these seats and routes."""
        demand = self.demand(request)
        chain = Chain(request, seats, routes, 0.0, 0.0)
        chain.latency_ms = self.latency_ms(chain, demand)
        watts = sum(hop.route_watts[route] for hop, route in zip(demand.hops, routes, strict=True))
        chain.path_score = demand.aim.latency * chain.latency_ms + demand.aim.energy * watts
        return chain

    def latency_ms(self, chain: Chain, demand: Demand) -> float:
        """Time of a packet of this demand in a planned chain."""
        service = sum(demand.seat_ms(position, seat) for position, seat in enumerate(chain.seats))
        return service + sum(hop.route_ms[route] for hop, route in zip(demand.hops, chain.routes, strict=True))

    def seat_score(self, seat: Seat) -> float:
        """Score of a planned instance."""
        return (self.aim.cpu + self.aim.energy * self._busy[seat.node]) * seat.cpu

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
        self._full.clear()
        for seat, route in zip(chain.seats, chain.routes[1:], strict=True):
            for link in self.network.over[route]:
                self.free_bandwidth[link] += sign * seat.vnf.min_bandwidth
