"""What the requests of a window cost at least: a Lagrangian relaxation of the program in `LPPPlacement`.

In: requests and the books before the window. Out: for each arc of each request's graph, the least that a chain over it costs; the sum
of the requests' least costs is a lower bound of the whole. Must not do: place.

A new instance of VNF v on node n costs f, and serves at most max_share chains. The relaxed program drops the instance and charges
request r an extra u[r,v,n] >= 0 for using it. As x[r] <= y and sum of x[r] <= max_share*y hold in the program, this charges nobody
too much as long as the sum of the max_share greatest u[.,v,n] is at most f; each request's least cost is then a shortest path, and
CPU, memory and bandwidth are left out altogether. The extras are raised by subgradient steps (Held, Wolfe and Crowder, "Validation of
subgradient optimization", Math. Prog. 1974): more where chains want an instance, scaled back to the limit f.
"""

import itertools
from dataclasses import dataclass
from typing import Any, Self

import numpy
from numpy.typing import NDArray

from testbed.simulator.model.entities import SfcRequest
from testbed.simulator.placement.books import Books, Chain, Seat
from testbed.simulator.placement.demand import Demand
from testbed.simulator.placement.layered import Layers
from testbed.simulator.placement.network import Floats, Ints
from testbed.simulator.placement.window import Window

STEPS = 200
PATIENCE = 8


@dataclass(frozen=True, slots=True)
class Candidates:
    """What may serve a VNF: instances that may be shared, then new ones. Arrays by candidate."""

    seats: list[Seat]
    nodes: Ints
    ms: Floats
    path: Floats

    @classmethod
    def of(cls, position: int, demand: Demand, books: Books) -> Self:
        """Of a position in the chain."""
        vnf = demand.vnfs[position]
        new = [books.new_seat(vnf, int(node)) for node in numpy.flatnonzero(books.rooms(demand)[position])]
        seats = [*books.sharable(vnf.name), *new]
        ms = numpy.array([demand.seat_ms(position, seat) for seat in seats])
        return cls(seats, numpy.array([seat.node for seat in seats], dtype=numpy.int64), ms, demand.aim.latency * ms)


@dataclass(slots=True)
class Part:
    """A request's graph, by node. `places[k]`: nodes of layer k, the ends included (layer 0: ingress). `arc_*`, `score`, `through`: by
    hop, of shape (places[h], parallel, places[h + 1]), `score` infinite where an arc is closed, `flat` its least over parallel arcs.
    `through`: least score of a chain over an arc, infinite where it would be too slow; `least`: of all, with shared SFC instances.
    """

    request: SfcRequest
    demand: Demand
    candidates: list[Candidates]
    places: list[Ints]
    arc_path: list[Floats]
    arc_ms: list[Floats]
    arc_ids: list[Ints]
    score: list[Floats]
    flat: list[Floats]
    shares: list[Chain]
    through: list[Floats]
    least: float

    @classmethod
    def of(cls, request: SfcRequest, window: Window, books: Books) -> Self:
        """The graph in the books as they were before the window."""
        layers = Layers(request, books)
        demand, network = layers.demand, books.network
        candidates = [Candidates.of(position, demand, books) for position in range(len(demand.vnfs))]
        ends = ([network.index[request.ingress]], [network.index[request.egress]])
        places = [numpy.array(ends[0]), *(numpy.unique(each.nodes) for each in candidates), numpy.array(ends[1])]
        shares = window.placed_shares(request)
        part = cls(request, demand, candidates, places, [], [], [], [], [], shares, [], numpy.inf)
        for hop, pair in enumerate(itertools.pairwise(places)):
            part.score.append(_between(layers.edges[hop], *pair))
            part.arc_path.append(_between(demand.hops[hop].score, *pair))
            part.arc_ms.append(_between(demand.hops[hop].ms, *pair))
            part.arc_ids.append(_between(network.ids, *pair))
        part.relax([numpy.zeros(len(each.seats)) for each in candidates])
        part.flat = [
            numpy.where(numpy.isfinite(through), score, numpy.inf).min(axis=1, initial=numpy.inf)
            for through, score in zip(part.through, part.score, strict=True)
        ]
        return part

    def relax(self, extra: list[Floats]) -> None:
        """Let candidates cost `extra`, by layer, beyond their own path."""
        least = [self._by_place(layer, here.path + extra[layer]) for layer, here in enumerate(self.candidates)]
        fastest = [self._by_place(layer, here.ms) for layer, here in enumerate(self.candidates)]
        open_ms = [
            numpy.where(numpy.isfinite(each), ms, numpy.inf) for each, ms in zip(self.score, self.arc_ms, strict=True)
        ]
        slowest = self.demand.sfc.max_latency
        self.through = [
            numpy.where(ms <= slowest, total, numpy.inf)
            for total, ms in zip(_through(self.score, least), _through(open_ms, fastest), strict=True)
        ]
        least_shared = min((each.path_score for each in self.shares), default=numpy.inf)
        self.least = min(float(self.through[0].min(initial=numpy.inf)), least_shared)

    def cheapest(self, extra: list[Floats]) -> tuple[float, list[int]]:
        """Least score with these extras, and the candidates that have it; none where an SFC instance is shared, or nothing fits.

        Arcs that would be too slow whatever else is chosen are left out; a chain may still be too slow.
        """
        least = [self._by_place(layer, here.path + extra[layer]) for layer, here in enumerate(self.candidates)]
        after = [numpy.zeros(1)]
        for arc, place in zip(reversed(self.flat[1:]), reversed(least), strict=True):
            after.insert(0, place + (arc + after[0]).min(axis=1, initial=numpy.inf))
        shared = min((each.path_score for each in self.shares), default=numpy.inf)
        total = float((self.flat[0] + after[0]).min(initial=numpy.inf))
        if not total < shared:
            return shared, []
        at, chosen = 0, []
        for layer, here in enumerate(self.candidates):
            at = int((self.flat[layer][at] + after[layer]).argmin())
            there = numpy.flatnonzero(here.nodes == self.places[layer + 1][at])
            chosen.append(int(there[(here.path[there] + extra[layer][there]).argmin()]))
        return total, chosen

    def _by_place(self, layer: int, values: Floats) -> Floats:
        result = numpy.full(len(self.places[layer + 1]), numpy.inf)
        numpy.minimum.at(result, numpy.searchsorted(self.places[layer + 1], self.candidates[layer].nodes), values)
        return result


def _between(whole: NDArray[Any], sources: Ints, targets: Ints) -> NDArray[Any]:
    return whole[:, sources[:, None], targets[None, :]].transpose(1, 0, 2)


def _through(arcs: list[Floats], places: list[Floats]) -> list[Floats]:
    """Least sum over all ways through each arc."""
    before = [numpy.zeros(1)]
    for arc, place in zip(arcs, places, strict=False):
        before.append((before[-1][:, None, None] + arc).min(axis=(0, 1), initial=numpy.inf) + place)
    after = [numpy.zeros(1)]
    for arc, place in zip(reversed(arcs[1:]), reversed(places), strict=True):
        after.insert(0, place + (arc + after[0]).min(axis=(1, 2), initial=numpy.inf))
    return [first[:, None, None] + arc + last for first, arc, last in zip(before, arcs, after, strict=True)]


class Relaxation:
    """Extras of all requests, and the best bound so far. `extras[r][k]`: by candidate of position k, 0 for instances that exist."""

    def __init__(self, parts: list[Part], window: Window, count: int) -> None:
        """`count`: how many requests are to be accepted."""
        self.parts, self.count = parts, count
        books = window.books
        groups: dict[tuple[str, int], list[tuple[int, int, int]]] = {}
        self.extras = [[numpy.zeros(len(each.seats)) for each in part.candidates] for part in parts]
        for r, part in enumerate(parts):
            for k, each in enumerate(part.candidates):
                for c, seat in enumerate(each.seats):
                    if seat.real is None:
                        groups.setdefault((seat.vnf.name, seat.node), []).append((r, k, c))
        self._places = {member: (g, m) for g, group in enumerate(groups.values()) for m, member in enumerate(group)}
        self._groups = list(groups.values())
        seats = [parts[r].candidates[k].seats[c] for r, k, c in (group[0] for group in self._groups)]
        self._cost = numpy.array([books.seat_score(seat) for seat in seats])
        self._share = numpy.array([seat.vnf.max_share if books.share else 1 for seat in seats])
        widest = max((len(group) for group in self._groups), default=0)
        self._matrix: Floats = numpy.zeros((len(seats), widest))
        for g, group in enumerate(self._groups):
            self._matrix[g, : len(group)] = self._cost[g] / self._share[g]

    def raise_bound(self, target: float) -> float:
        """Subgradient steps; leaves the parts with the best extras, and gives their bound. `target`: a score that is possible."""
        best, kept, size, waited = -numpy.inf, self._matrix.copy(), 1.0, 0
        for _ in range(STEPS):
            self._spread()
            found = [part.cheapest(extra) for part, extra in zip(self.parts, self.extras, strict=True)]
            bound = sum(sorted(least for least, _ in found)[: self.count])
            waited += 1
            if bound > best + 1e-9:
                best, kept, waited = bound, self._matrix.copy(), 0
            if waited >= PATIENCE:
                size, waited = size / 2, 0
            wanted = [self._places.get((r, k, c)) for r, (_, chosen) in enumerate(found) for k, c in enumerate(chosen)]
            new = [each for each in wanted if each is not None]
            if not new or target - best < 1e-9 or size < 0.01:
                break
            rows, columns = (numpy.array(each) for each in zip(*new, strict=True))
            self._matrix[rows, columns] += size * (target - bound) / len(new)
            self._scale()
        self._matrix = kept
        self._spread()
        for part, extra in zip(self.parts, self.extras, strict=True):
            part.relax(extra)
        return float(best)

    def _scale(self) -> None:
        """The `max_share` greatest of a row sum up to the instance's cost at most."""
        ordered = numpy.cumsum(numpy.sort(self._matrix, axis=1)[:, ::-1], axis=1)
        last = numpy.minimum(self._share, self._matrix.shape[1]) - 1
        total = ordered[numpy.arange(len(last)), last]
        factor = numpy.where(total > self._cost, self._cost / numpy.maximum(total, 1e-300), 1.0)
        self._matrix *= factor[:, None]

    def _spread(self) -> None:
        for g, group in enumerate(self._groups):
            for m, (r, k, c) in enumerate(group):
                self.extras[r][k][c] = self._matrix[g, m]
