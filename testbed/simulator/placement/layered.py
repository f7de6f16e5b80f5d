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
from collections.abc import Iterator
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
    request's priorities; new instances count by the books'.

    Of shape (VNFs + 1, nodes): `score` of a node's cheapest option, infinite without any; `to_go`. `shared[k]`: options of nodes with
    an instance that may be shared, the cheapest first; the others may have a new one only. `edges[h]`: score, of shape (parallel,
    nodes, nodes); `least[h]`: over parallel routes.
    """

    def __init__(self, request: SfcRequest, books: Books, scarcity: float = 0.0, aim: cost.Aim | None = None) -> None:
        self.request, self.books, self.scarcity = request, books, scarcity
        self.demand = books.demand(request, aim)
        index = books.network.index
        self.last = len(self.demand.vnfs)
        self.start = Step(None, -1, index[request.ingress], -1, 0.0, 0.0)
        self.score, self.shared = self._nodes(index[request.egress])
        edges = [self._edges(hop) for hop in range(self.last + 1)]
        self.edges, self.least = [scores for scores, _ in edges], [least for _, least in edges]
        self.to_go = _to_go(self.score, self.least)
        self._fastest: list[Floats] | None = None  # ms at a node and after it: worked out when a chain was too slow

    def _nodes(self, egress: int) -> tuple[Floats, list[dict[int, list[Option]]]]:
        books, demand = self.books, self.demand
        new = books.new_scores(demand)
        if self.scarcity:
            for free, total, needed in (
                (books.free_cpu, books.cpu, demand.cpu),
                (books.free_mem, books.mem, demand.mem),
            ):
                new += self.scarcity * _price(numpy.clip(1 - (free - needed) / total, 0.0, 1.0))
        score = numpy.full((self.last + 1, len(books.network.nodes)), numpy.inf)
        numpy.copyto(score[:-1], new, where=books.rooms(demand))
        score[-1, egress] = 0.0
        shared: list[dict[int, list[Option]]] = []
        for position, vnf in enumerate(demand.vnfs):
            here: dict[int, list[Option]] = {}
            for seat in books.sharable(vnf.name):
                ms = demand.seat_ms(position, seat)
                here.setdefault(seat.node, []).append((demand.aim.latency * ms, ms, seat))
            for node, options in here.items():
                alone = float(score[position, node])
                if alone < numpy.inf:
                    options.append((alone, demand.new_ms(position, node), None))
                if len(options) > 1:
                    options.sort(key=_score_of)
                score[position, node] = options[0][0]
            shared.append(here)
        return score, shared

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
        count, most = itertools.count(), self.demand.sfc.max_latency
        queue: list[tuple[float, int, int, Step, Floats | None]] = [(0.0, 0, next(count), self.start, None)]
        while queue:
            _, depth, _, step, bounds = heapq.heappop(queue)
            if bounds is None:
                if not self.fits(step):
                    continue
                if step.layer == self.last:
                    if step.latency <= most:
                        return self.chain(step)
                    if self._fastest is None:
                        self._fastest = self._fastest_ms()
                        return self.best(limit)
                    continue
                bounds = self.bounds(step)
            column = int(bounds.argmin())
            bound = float(bounds[column])
            if bound == numpy.inf:
                continue
            if queue and bound > queue[0][0]:
                heapq.heappush(queue, (bound, depth, next(count), step, bounds))
                continue
            if (limit := limit - 1) < 0:
                return "no chain that fits among the cheapest"
            bounds[column] = numpy.inf
            heapq.heappush(queue, (bound, depth, next(count), step, bounds))
            first = None
            for found in self.steps(step, column):
                first = first or found
                heapq.heappush(queue, (bound + found.score - first.score, -found.layer, next(count), found, None))
        return self.why_none()

    def bounds(self, step: Step) -> Floats:
        """The least that a chain costs that goes on over each (route, node), flat; infinite where it would be too slow."""
        following = step.layer + 1
        bounds = self.edges[following][:, step.node] + self.to_go[following]
        bounds += step.score
        if self._fastest is not None:
            ms = self.demand.hops[following].ms[:, step.node] + (step.latency + self._fastest[following])
            bounds[ms > self.demand.sfc.max_latency] = numpy.inf
        return bounds.ravel()

    def steps(self, before: Step, column: int) -> list[Step]:
        """How the chain may go on over a (route, node), the cheapest first; whether it fits or not."""
        number = before.layer + 1
        parallel, node = divmod(column, self.score.shape[1])
        route = int(self.books.network.ids[parallel, before.node, node])
        score = before.score + float(self.edges[number][parallel, before.node, node])
        latency = before.latency + self.demand.hops[number].route_ms[route]
        if number == self.last:
            return [Step(before, number, node, route, score, latency)]
        shared = self.shared[number].get(node)
        if shared is None:
            score, latency = score + float(self.score[number, node]), latency + self.demand.new_ms(number, node)
            return [Step(before, number, node, route, score, latency)]
        return [Step(before, number, node, route, score + more, latency + ms, seat) for more, ms, seat in shared]

    def fits(self, step: Step) -> bool:
        """Whether the last step of a chain leaves enough to those before it."""
        return (step.layer == self.last or self._seat_fits(step)) and self._route_fits(step)

    def _seat_fits(self, step: Step) -> bool:
        cpu = mem = 0.0
        for each in _back(step.before):
            if each.node == step.node:
                if each.seat is not None and each.seat is step.seat:
                    return False
                if each.seat is None and step.seat is None:
                    vnf = self.demand.vnfs[each.layer]
                    cpu, mem = cpu + vnf.cpu, mem + vnf.mem
        if cpu == mem == 0.0:
            return True
        vnf, free = self.demand.vnfs[step.layer], TOLERANCE
        return bool(
            cpu + vnf.cpu <= self.books.free_cpu[step.node] + free
            and mem + vnf.mem <= self.books.free_mem[step.node] + free
        )

    def _route_fits(self, step: Step) -> bool:
        bandwidths, over = self.demand.bandwidths, self.books.network.over
        if step.layer < 1 or not bandwidths[step.layer] or not self.books.state.restrict_bandwidth:
            return True
        held = dict.fromkeys(over[step.route], bandwidths[step.layer])
        twice: set[int] = set()
        for each in _back(step.before):
            for link in over[each.route]:
                if link in held:
                    held[link] += bandwidths[each.layer]
                    twice.add(link)
        return all(held[link] <= self.books.free_bandwidth[link] + TOLERANCE for link in twice)

    def chain(self, last: Step) -> Chain:
        """A chain whose last step is the egress."""
        steps = [*_back(last)][::-1]
        pairs = zip(steps, self.demand.vnfs, strict=False)
        seats = [each.seat or self.books.new_seat(vnf, each.node) for each, vnf in pairs]
        return self.books.chain(self.request, seats, [each.route for each in steps])

    def through(self, position: int) -> Floats:
        """Least score, by node, of a chain that has this VNF there in a new instance, without what that counts."""
        before = self.least[0][self.start.node]
        for number in range(position):
            before = ((before + self.score[number])[:, None] + self.least[number + 1]).min(axis=0)
        after = (self.least[position + 1] + self.to_go[position + 1]).min(axis=1)
        scores: Floats = before + self.demand.service_score[position] + after
        return scores

    # reasons ---------------------------------------------------------------------------------------------------------
    def _fastest_ms(self) -> list[Floats]:
        """Least ms at each node of a layer and after it, over open routes."""
        ms = numpy.where(self.score < numpy.inf, 0.0, numpy.inf)
        ms[:-1] += self.demand.service_ms
        for number, shared in enumerate(self.shared):
            for node, options in shared.items():
                ms[number, node] = min(option[1] for option in options)
        hops = zip(self.edges, self.demand.hops, strict=True)
        return _to_go(ms, [numpy.where(score < numpy.inf, hop.ms, numpy.inf).min(axis=0) for score, hop in hops])

    def why_none(self) -> str:
        """Why there is no chain that fits and is fast enough."""
        books, request, sfc = self.books, self.request, self.demand.sfc
        for vnf, score in zip(self.demand.vnfs, self.score, strict=False):
            if not (score < numpy.inf).any():
                free = zip(books.network.nodes, books.free_cpu, books.free_mem, strict=True)
                return reasons.no_host(vnf, [(cpu, mem) for node, cpu, mem in free if vnf.name in node.vnfs])
        first = numpy.where(self.edges[0] < numpy.inf, self.demand.hops[0].ms, numpy.inf)[:, self.start.node]
        latency = float((first + self._fastest_ms()[0]).min(initial=numpy.inf))
        if latency == numpy.inf:
            return reasons.no_routes(request.ingress, request.egress, max(self.demand.bandwidths))
        if latency > sfc.max_latency:
            return reasons.too_slow("the fastest chain that fits", latency, sfc.name, sfc.max_latency)
        return reasons.together(sfc.name)


def _to_go(nodes: Floats, least: list[Floats]) -> list[Floats]:
    """Least sum of nodes and edges from each node of a layer on, itself included, without the edge to it."""
    found = [nodes[-1]]
    for here, edges in zip(nodes[-2::-1], least[:0:-1], strict=True):
        found.append(here + (edges + found[-1]).min(axis=1))
    return found[::-1]


def _back(step: Step | None) -> Iterator[Step]:
    while step is not None and step.layer >= 0:
        yield step
        step = step.before


def _score_of(option: Option) -> float:
    return option[0]


def _price(used: Floats) -> Floats:
    price: Floats = (STEEPNESS**used - 1) / (STEEPNESS - 1)
    return price
