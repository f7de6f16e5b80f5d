"""One request's cheapest chain, exactly: backward dynamic programming over the layered graph, then best-first search with it.

In: a request and the books of its slice. Out: the chain of least score that fits and is fast enough, or why there is none.
Must not do: change the books.

The layered graph (Dwaraki and Wolf, "Adaptive service-chain routing for virtual network functions in software-defined networks",
HotMIddlebox 2016) has a layer for each VNF, and one for the egress, each with all nodes; between layers an edge for each open route.
With s the score of a node, that of the cheapest instance that may be shared or created there, and e that of an edge,

    to_go[k][i] = s[k][i] + min over j of e[k+1][i, j] + to_go[k+1][j]

is exact but for what the parts of one chain take from each other: two new instances on one node, two hops over one link, and the
SFC's max_latency. Best-first search with to_go as its bound (A*; the bound never exceeds the truth) looks at alternatives in order of
score until one passes these checks; mostly the first does. All is vectorised over nodes.
"""

import heapq
import itertools
from dataclasses import dataclass

import numpy

from testbed.simulator.model.entities import SfcRequest
from testbed.simulator.model.state import TOLERANCE
from testbed.simulator.placement import cost, reasons
from testbed.simulator.placement.books import Books, Chain, Seat
from testbed.simulator.placement.network import Floats

STEEPNESS = 1000.0
"""Base of the price of scarce resources, (base ** utilisation - 1) / (base - 1): 0.03 half full, 1 full (Awerbuch, Azar and Plotkin,
"Throughput-competitive on-line routing", FOCS 1993)."""

Option = tuple[float, float, Seat | None]
"""How a VNF may be served at a node: score, ms, the instance to be shared (None: a new one)."""


@dataclass(slots=True)
class Layer:
    """A VNF's nodes, or the egress. `score`: of the cheapest option, infinite without any; `ms`: of a new instance. `shared`: options
    of nodes with an instance that may be shared, the cheapest first; the others may have a new one only."""

    score: Floats
    ms: Floats
    shared: dict[int, list[Option]]

    def options(self, node: int) -> list[Option]:
        """Of a node, the cheapest first; of equals who is there already."""
        return self.shared.get(node) or [(float(self.score[node]), float(self.ms[node]), None)]


@dataclass(slots=True, eq=False)
class Step:
    """A chain so far: where its last VNF is served, by which instance (None: a new one), and the step before."""

    before: "Step | None"
    layer: int
    node: int
    route: int
    score: float
    latency: float
    seat: Seat | None = None


class Layers:
    """The layered graph of a request. `scarcity`: score of a resource's last unit; `aim`: by what paths count, instead of the
    request's priorities; new instances count by the books'. `edges[h]`: score, of shape (parallel, nodes, nodes)."""

    def __init__(self, request: SfcRequest, books: Books, scarcity: float = 0.0, aim: cost.Aim | None = None) -> None:
        self.request, self.books, self.scarcity = request, books, scarcity
        self.demand = books.demand(request, aim)
        index, hops = books.network.index, range(len(self.demand.sizes))
        self.start = Step(None, -1, index[request.ingress], -1, 0.0, 0.0)
        self.layers = [self._layer(position) for position in hops[:-1]]
        self.layers.append(self._egress(index[request.egress]))
        self.edges, least = map(list, zip(*(self._edges(hop) for hop in hops), strict=True))
        self.to_go = _to_go([layer.score for layer in self.layers], least)
        self._ample = sum(self.demand.bandwidths) <= books.free_bandwidth.min(initial=numpy.inf)
        self._fastest: list[Floats] | None = None  # ms at a node and after it: worked out when a chain was too slow

    def _layer(self, position: int) -> Layer:
        books, demand, vnf = self.books, self.demand, self.demand.vnfs[position]
        score = demand.service_score[position] + books.opening * books.instance_scores(vnf)
        if self.scarcity:
            for free, all_of, needed in ((books.free_cpu, books.cpu, vnf.cpu), (books.free_mem, books.mem, vnf.mem)):
                score += self.scarcity * _price(1 - (free - needed) / all_of)
        score = numpy.where(books.hosts(vnf), score, numpy.inf)
        shared: dict[int, list[Option]] = {}
        for seat in books.sharable(vnf.name):
            ms = demand.seat_ms(position, seat)
            shared.setdefault(seat.node, []).append((demand.aim.latency * ms, ms, seat))
        for node, options in shared.items():
            if score[node] < numpy.inf:
                options.append((float(score[node]), float(demand.service_ms[position][node]), None))
            options.sort(key=lambda option: option[0])
            score[node] = options[0][0]
        return Layer(score, demand.service_ms[position], shared)

    def _egress(self, node: int) -> Layer:
        score = numpy.full(len(self.books.network.nodes), numpy.inf)
        score[node] = 0.0
        return Layer(score, numpy.zeros(len(score)), {})

    def _edges(self, hop: int) -> tuple[Floats, Floats]:
        books, bandwidth = self.books, self.demand.bandwidths[hop]
        score, least = books.edges(self.demand, hop)
        if self.scarcity and bandwidth and books.state.restrict_bandwidth:
            used = 1 - (books.free_bandwidth - bandwidth) / books.bandwidth
            network = books.network
            score = score + network.by_ends(network.sums(self.scarcity * _price(numpy.clip(used, 0.0, 1.0))))
            least = score.min(axis=0)
        return score, least

    # search ----------------------------------------------------------------------------------------------------------
    def best(self, limit: int) -> Chain | str:
        """The cheapest chain, or why there is none. Looks at no more than `limit` partial chains."""
        queue: list[tuple[float, int, int, Step, Floats | None]] = []
        count, most = itertools.count(), self.demand.sfc.max_latency

        def expand(step: Step) -> None:
            bounds = self.bounds(step)
            least = bounds.min(initial=numpy.inf)
            if least < numpy.inf:
                heapq.heappush(queue, (float(least), -step.layer, next(count), step, bounds))

        expand(self.start)
        for _ in range(limit):
            if not queue:
                return self.why_none()
            bound, depth, _, step, bounds = heapq.heappop(queue)
            if bounds is not None:
                column = int(bounds.argmin())
                bounds[column] = numpy.inf
                if (least := bounds.min()) < numpy.inf:
                    heapq.heappush(queue, (float(least), depth, next(count), step, bounds))
                first, *others = self.steps(step, column)
                for other in others:
                    later = bound + other.score - first.score
                    heapq.heappush(queue, (later, depth, next(count), other, None))
                step = first
            if not self.fits(step):
                continue
            if step.layer < len(self.layers) - 1:
                expand(step)
            elif step.latency <= most:
                return self.chain(step)
            elif self._fastest is None:
                self._fastest = self._fastest_ms()
                return self.best(limit)
        return f"no chain that fits among the {limit} cheapest"

    def bounds(self, step: Step) -> Floats:
        """The least that a chain costs that goes on over each (route, node), flat; infinite where it would be too slow."""
        following = step.layer + 1
        bounds = self.edges[following][:, step.node] + (step.score + self.to_go[following])
        if self._fastest is not None:
            ms = self.demand.ms[following][:, step.node] + (step.latency + self._fastest[following])
            bounds[ms > self.demand.sfc.max_latency] = numpy.inf
        return bounds.ravel()

    def steps(self, before: Step, column: int) -> list[Step]:
        """How the chain may go on over a (route, node), the cheapest first; whether it fits or not."""
        number, nodes = before.layer + 1, len(self.books.network.nodes)
        parallel, node = divmod(column, nodes)
        score = before.score + float(self.edges[number][parallel, before.node, node])
        latency = before.latency + float(self.demand.ms[number][parallel, before.node, node])
        route = int(self.books.network.ids[parallel, before.node, node])
        return [
            Step(before, number, node, route, score + option[0], latency + option[1], option[2])
            for option in self.layers[number].options(node)
        ]

    def fits(self, step: Step) -> bool:
        """Whether the last step of a chain leaves enough to those before it."""
        books, vnfs = self.books, self.demand.vnfs
        if step.layer < len(vnfs):
            earlier = [each for each in _steps(step)[:-1] if each.node == step.node]
            if step.seat is not None:
                if self.demand.repeats and any(each.seat is step.seat for each in earlier):
                    return False
            elif here := [vnfs[each.layer] for each in earlier if each.seat is None]:
                here.append(vnfs[step.layer])
                if (
                    sum(each.cpu for each in here) > books.free_cpu[step.node] + TOLERANCE
                    or sum(each.mem for each in here) > books.free_mem[step.node] + TOLERANCE
                ):
                    return False
        if self._ample or step.layer == 0:
            return True
        held: dict[int, float] = {}
        for each in _steps(step):
            for link in books.network.over[each.route]:
                held[link] = held.get(link, 0.0) + self.demand.bandwidths[each.layer]
        return all(total <= books.free_bandwidth[link] + TOLERANCE for link, total in held.items())

    def chain(self, last: Step) -> Chain:
        """A chain whose last step is the egress."""
        steps = _steps(last)
        pairs = zip(steps, self.demand.vnfs, strict=False)
        seats = [each.seat or self.books.new_seat(vnf, each.node) for each, vnf in pairs]
        return self.books.chain(self.request, seats, [each.route for each in steps])

    # reasons ---------------------------------------------------------------------------------------------------------
    def least(self) -> float:
        """What no chain costs less than, infinite where there is none."""
        return float(self.bounds(self.start).min(initial=numpy.inf))

    def _fastest_ms(self) -> list[Floats]:
        """Least ms at each node of a layer and after it, over open routes."""
        ms, hops = [], []
        for layer in self.layers:
            there = numpy.where(layer.score < numpy.inf, layer.ms, numpy.inf)
            for node, options in layer.shared.items():
                there[node] = min(option[1] for option in options)
            ms.append(there)
        for score, every in zip(self.edges, self.demand.ms, strict=True):
            hops.append(numpy.where(score < numpy.inf, every, numpy.inf).min(axis=0))
        return _to_go(ms, hops)

    def why_none(self) -> str:
        """Why there is no chain that fits and is fast enough."""
        books, request, sfc = self.books, self.request, self.demand.sfc
        for vnf, layer in zip(self.demand.vnfs, self.layers, strict=False):
            if not (layer.score < numpy.inf).any():
                free = zip(books.network.nodes, books.free_cpu, books.free_mem, strict=True)
                return reasons.no_host(vnf, [(cpu, mem) for node, cpu, mem in free if vnf.name in node.vnfs])
        open_ms = numpy.where(self.edges[0] < numpy.inf, self.demand.ms[0], numpy.inf)[:, self.start.node]
        latency = float((open_ms + self._fastest_ms()[0]).min(initial=numpy.inf))
        if latency == numpy.inf:
            return reasons.no_routes(request.ingress, request.egress, max(self.demand.bandwidths))
        if latency > sfc.max_latency:
            return reasons.too_slow("the fastest chain that fits", latency, sfc.name, sfc.max_latency)
        return reasons.together(sfc.name)


def _to_go(nodes: list[Floats], least: list[Floats]) -> list[Floats]:
    """Least sum of nodes and edges from each node of a layer on, itself included, without the edge to it."""
    found = [nodes[-1]]
    for here, edges in zip(reversed(nodes[:-1]), reversed(least), strict=False):
        found.append(here + (edges + found[-1]).min(axis=1))
    return found[::-1]


def _steps(last: Step) -> list[Step]:
    found: list[Step] = []
    step: Step | None = last
    while step is not None and step.layer >= 0:
        found.append(step)
        step = step.before
    return found[::-1]


def _price(used: Floats) -> Floats:
    price: Floats = (STEEPNESS**used - 1) / (STEEPNESS - 1)
    return price
