"""One request's cheapest chain, exactly: backward dynamic programming over the layered graph, then best-first search with it.

In: a request and the books of its slice. Out: the chain of least score that fits and is fast enough, or why there is none.
Must not do: change the books.

The layered graph (Dwaraki and Wolf, "Adaptive service-chain routing for virtual network functions in software-defined networks",
HotMIddlebox 2016) has a layer for each VNF, with a candidate for each instance that may be shared and each node with room for a new
one; between layers an edge for each open route. With s the score of a candidate and e that of an edge,

    to_go[k][i] = min over j of e[k+1][i, j] + s[k+1][j] + to_go[k+1][j]

is exact but for what the candidates of one chain take from each other: two new instances on one node, two hops over one link,
and the SFC's max_latency. Best-first search with to_go as its bound (A*; the bound never exceeds the truth) looks at alternatives
in order of score until one passes these checks; mostly the first does. All is vectorised over candidates.
"""

import heapq
import itertools
from dataclasses import dataclass

import numpy

from testbed.simulator.model.entities import SfcRequest, Vnf
from testbed.simulator.model.plans import hop_bandwidths
from testbed.simulator.model.state import TOLERANCE
from testbed.simulator.placement import cost, reasons
from testbed.simulator.placement.books import Books, Chain, Seat
from testbed.simulator.placement.network import Floats, Ints

STEEPNESS = 1000.0
"""Base of the price of scarce resources, (base ** utilisation - 1) / (base - 1): 0.03 half full, 1 full (Awerbuch, Azar and Plotkin,
"Throughput-competitive on-line routing", FOCS 1993)."""


@dataclass(slots=True)
class Layer:
    """Candidates of a VNF: shared seats, then new ones. All arrays by candidate; `instance`: score of a new instance, else 0."""

    seats: list[Seat]
    nodes: Ints
    latency: Floats
    path: Floats
    score: Floats


@dataclass(slots=True)
class Edges:
    """From each candidate to each (parallel route, next candidate), flat: `score` infinite where there is none."""

    score: Floats
    latency: Floats


@dataclass(slots=True, eq=False)
class Step:
    """A chain so far: its last candidate, and the step before."""

    before: "Step | None"
    layer: int
    candidate: int
    route: int
    score: float
    latency: float


START = Step(None, -1, 0, -1, 0.0, 0.0)


class Layers:
    """The layered graph of a request. `scarcity`: score of a resource's last unit; `aim`: by what new instances count, `own`: by what
    the rest does (None: as `cost` says)."""

    def __init__(
        self,
        request: SfcRequest,
        books: Books,
        aim: cost.Aim | None = None,
        scarcity: float = 0.0,
        own: cost.Aim | None = None,
    ) -> None:
        state = books.state
        self.request, self.books, self.scarcity = request, books, scarcity
        self.sfc = state.entities.sfcs[request.sfc]
        self.own = own or cost.Aim.of(request, state.entities)
        self.aim = aim or self.own
        self.vnfs = [state.entities.vnfs[name] for name in self.sfc.vnfs]
        source = state.entities.data_sources[request.data_source]
        self.size, self.rate = source.packet_size, cost.packets_per_ms(source)
        self.bandwidths = hop_bandwidths(self.vnfs)
        self.layers = [self._layer(vnf) for vnf in self.vnfs]
        index = books.network.index
        ends = [numpy.array([index[request.ingress]]), *(layer.nodes for layer in self.layers)]
        ends.append(numpy.array([index[request.egress]]))
        sizes = cost.hop_sizes(self.vnfs, self.size)
        self.edges = [
            self._edges(size, bandwidth, *pair)
            for size, bandwidth, pair in zip(sizes, self.bandwidths, itertools.pairwise(ends), strict=True)
        ]
        self._bounds()

    def _layer(self, vnf: Vnf) -> Layer:
        books, nodes = self.books, self.books.network.nodes
        shared = books.sharable(vnf.name)
        room = vnf.max_share if books.share else 1
        new = [Seat(vnf, number, vnf.cpu, vnf.mem, room) for number in books.hosts(vnf)]
        seats = [*shared, *new]
        at = numpy.array([seat.node for seat in seats], dtype=numpy.int64)
        fresh = at[len(shared) :]
        latency = numpy.empty(len(seats))
        latency[len(shared) :] = books.service_ms(vnf, self.size)[fresh]
        latency[: len(shared)] = [
            cost.service_ms(vnf, nodes[seat.node].disk_delay, self.size, (seat.cpu, seat.mem)) for seat in shared
        ]
        path = self.own.latency * latency
        score = path.copy()
        score[len(shared) :] += (books.opening * books.instance_scores(vnf, self.aim))[fresh]
        if self.scarcity:
            used = 1 - (books.free_cpu[fresh] - vnf.cpu) / books.cpu[fresh]
            score[len(shared) :] += self.scarcity * _price(used)
            used = 1 - (books.free_mem[fresh] - vnf.mem) / books.mem[fresh]
            score[len(shared) :] += self.scarcity * _price(used)
        return Layer(seats, at, latency, path, score)

    def _edges(self, size: float, bandwidth: float, sources: Ints, targets: Ints) -> Edges:
        books, network = self.books, self.books.network
        path = self.path(size)
        score = numpy.where(network.least(books.free_bandwidth) >= bandwidth - TOLERANCE, path, numpy.inf)
        if self.scarcity and bandwidth and books.state.restrict_bandwidth:
            used = 1 - (books.free_bandwidth - bandwidth) / books.bandwidth
            score = score + network.sums(self.scarcity * _price(numpy.maximum(used, 0.0)))
        rows, columns = sources[:, None], targets[None, :]
        if network.parallel == 1:
            return Edges(score[0, rows, columns], network.delay_ms(size)[0, rows, columns])
        flat = [
            numpy.concatenate([each[number, rows, columns] for number in range(network.parallel)], axis=1)
            for each in (score, network.delay_ms(size))
        ]
        return Edges(*flat)

    def path(self, size: float) -> Floats:
        """What routes count for packets of this size."""
        network = self.books.network
        energy = self.own.energy * network.energy_w(size, self.rate) if self.own.energy else 0.0
        path: Floats = self.own.latency * network.delay_ms(size) + energy
        return path

    def _bounds(self) -> None:
        """`score_tail[k]`, `latency_tail[k]`: of candidate k and all after it, by column of `edges[k]`."""
        parallel = self.books.network.parallel
        self.score_tail: list[Floats] = [numpy.zeros(parallel)]
        self.latency_tail: list[Floats] = [numpy.zeros(parallel)]
        for layer, edges in zip(reversed(self.layers), reversed(self.edges), strict=False):
            open_ms = numpy.where(numpy.isfinite(edges.score), edges.latency, numpy.inf)
            score = layer.score + (edges.score + self.score_tail[0]).min(axis=1, initial=numpy.inf)
            latency = layer.latency + (open_ms + self.latency_tail[0]).min(axis=1, initial=numpy.inf)
            self.score_tail.insert(0, numpy.tile(score, parallel))
            self.latency_tail.insert(0, numpy.tile(latency, parallel))

    def best(self, limit: int) -> Chain | str:
        """The cheapest chain, or why there is none. Looks at no more than `limit` partial chains."""
        queue: list[tuple[float, int, int, Step, Ints, Floats, int]] = []
        count = itertools.count()
        self._expand(queue, count, START)
        for _ in range(limit):
            if not queue:
                return self.why_none()
            _, depth, _, before, order, bounds, place = heapq.heappop(queue)
            if place + 1 < len(order) and numpy.isfinite(bounds[order[place + 1]]):
                heapq.heappush(
                    queue, (float(bounds[order[place + 1]]), depth, next(count), before, order, bounds, place + 1)
                )
            step = self.step(before, int(order[place]))
            if step is None:
                continue
            if step.layer == len(self.layers):
                return self.chain(step)
            self._expand(queue, count, step)
        return f"no chain that fits among the {limit} cheapest"

    def _expand(
        self,
        queue: list[tuple[float, int, int, Step, Ints, Floats, int]],
        count: "itertools.count[int]",
        step: Step,
    ) -> None:
        edges, following = self.edges[step.layer + 1], step.layer + 1
        bounds = step.score + edges.score[step.candidate] + self.score_tail[following]
        latency = step.latency + edges.latency[step.candidate] + self.latency_tail[following]
        bounds = numpy.where(latency <= self.sfc.max_latency, bounds, numpy.inf)
        order = numpy.argsort(bounds, kind="stable")
        if len(order) and numpy.isfinite(bounds[order[0]]):
            heapq.heappush(queue, (float(bounds[order[0]]), -following, next(count), step, order, bounds, 0))

    def step(self, before: Step, column: int) -> Step | None:
        """The chain that goes on with this column of its layer's edges; None where that does not fit."""
        number = before.layer + 1
        edges = self.edges[number]
        route = self._route(before, column)
        score = before.score + float(edges.score[before.candidate, column])
        latency = before.latency + float(edges.latency[before.candidate, column])
        if number == len(self.layers):
            step = Step(before, number, 0, route, score, latency)
        else:
            layer = self.layers[number]
            candidate = column % len(layer.seats)
            score, latency = score + float(layer.score[candidate]), latency + float(layer.latency[candidate])
            step = Step(before, number, candidate, route, score, latency)
        return step if self._fits(step) else None

    def _route(self, before: Step, column: int) -> int:
        index, number = self.books.network.index, before.layer + 1
        count = len(self.layers[number].seats) if number < len(self.layers) else 1
        parallel, candidate = divmod(column, count)
        source = index[self.request.ingress] if number == 0 else self.layers[before.layer].nodes[before.candidate]
        target = index[self.request.egress] if number == len(self.layers) else self.layers[number].nodes[candidate]
        return int(self.books.network.ids[parallel, source, target])

    def _fits(self, step: Step) -> bool:
        """Whether the last step of a chain leaves enough to those before it."""
        books, steps = self.books, _steps(step)
        if step.layer < len(self.layers):
            seat = self.layers[step.layer].seats[step.candidate]
            seats = [self.layers[each.layer].seats[each.candidate] for each in steps[:-1]]
            if seat in seats:
                return False
            here = [each for each in [*seats, seat] if each.node == seat.node and each.real is None and not each.users]
            if seat.real is None and not seat.users and len(here) > 1 and not (
                sum(each.cpu for each in here) <= books.free_cpu[seat.node] + TOLERANCE
                and sum(each.mem for each in here) <= books.free_mem[seat.node] + TOLERANCE
            ):  # fmt: skip
                return False
        if not books.state.restrict_bandwidth or step.layer == 0:
            return True
        held: dict[int, float] = {}
        for each in steps:
            for link in books.network.steps[each.route]:
                held[int(link)] = held.get(int(link), 0.0) + self.bandwidths[each.layer]
        free = books.free_bandwidth
        return all(total <= free[link] + TOLERANCE for link, total in held.items() if link < len(free))

    def chain(self, last: Step) -> Chain:
        """A chain whose last step is the egress."""
        steps = _steps(last)
        seats = [self.layers[each.layer].seats[each.candidate] for each in steps[:-1]]
        return self.books.chain(self.request, seats, [each.route for each in steps])

    def why_none(self) -> str:
        """Why there is no chain that fits and is fast enough."""
        books = self.books
        for vnf, layer in zip(self.vnfs, self.layers, strict=True):
            if not layer.seats:
                free = zip(books.network.nodes, books.free_cpu, books.free_mem, strict=True)
                return reasons.no_host(vnf, [(cpu, mem) for node, cpu, mem in free if vnf.name in node.vnfs])
        score, latency = (
            float((array[0] + tail[0]).min(initial=numpy.inf))
            for array, tail in (
                (self.edges[0].score, self.score_tail),
                (numpy.where(numpy.isfinite(self.edges[0].score), self.edges[0].latency, numpy.inf), self.latency_tail),
            )
        )
        if not numpy.isfinite(score):
            return reasons.no_routes(self.request.ingress, self.request.egress, max(self.bandwidths))
        if latency > self.sfc.max_latency:
            return reasons.too_slow("the fastest chain that fits", latency, self.sfc.name, self.sfc.max_latency)
        return reasons.together(self.sfc.name)


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
