"""Groups of a window's chains given back and planned again in another way: large neighbourhood search.

In: a window with its first chains. Out: the same window, with the best chains found. Must not do: tell better from worse (`Window`).

Shaw, "Using constraint programming and local search methods to solve vehicle routing problems", CP 1998. A group is planned again in
random order, in one of two ways:

- Moved: the users of a planned instance, and sometimes others of its VNF. Every node that may run the VNF is tried for all of them at
  once, by what their chains over it would cost together (`Layers.through`); about the cheapest gets the instance, and half of the
  time its old place is closed. Where the node has no room, chains whose instances are in the way are planned again, too.
- Mixed: a request, sometimes one without a place, and a few that have VNFs or instances in common with it. A new instance counts a
  part only meanwhile, as others may come to share it.

A group is left half planned where a lower bound for the rest shows that it leads nowhere. What is a little worse is kept, to go on
from there; after a while without anything better the whole window is planned anew, in random order. Chains that are shared as a whole
stay as they are.
"""

from random import Random
from typing import TYPE_CHECKING

import numpy

from testbed.simulator.model.entities import SfcRequest, Vnf
from testbed.simulator.model.state import TOLERANCE
from testbed.simulator.placement.books import Chain, Seat
from testbed.simulator.placement.layered import Layers
from testbed.simulator.placement.network import Bools

if TYPE_CHECKING:
    from testbed.simulator.placement.window import Window

MOVED = 0.5
"""How often an instance is moved, rather than a group mixed; how often its old place is closed, and full nodes count as places."""
MORE = 2
"""At most so many others of its VNF come along."""
NOISE = 0.02
"""By what part nodes may look dearer than they are."""
MIXED = 6
"""At most so many requests are mixed."""
LEFT_OUT = 0.3
"""How often a request without a place is among them, if there is one."""
PARTS = (1.0, 0.5, 0.25, 0.1)
"""What a new instance counts meanwhile."""
WORSE = 0.02
"""What a group's new plans may make the whole dearer than the best since the last beginning."""
ANEW = 20
"""Searches a request without anything better, after which the window is planned anew."""
PARTS_ANEW = (0.5, 0.25, 0.1)
"""What a new instance counts then."""


class Regroup:
    """The search in one window."""

    def __init__(self, window: "Window") -> None:
        self.window, self.books = window, window.books
        self.random = Random(len(window.requests))

    def run(self) -> None:
        """Search as long as it is worth it, and leave the best."""
        window = self.window
        best = since = window.rank()
        kept, begun = dict(window.chains), window.searches
        while window.goes_on(best):
            free = [each for each in window.requests if not window.tied(each)]
            if not free or window.searches - begun > ANEW * len(window.requests):
                self._anew()
                since, begun = window.rank(), window.searches
            else:
                self._round(free, since)
            rank = window.rank()
            if rank < since:
                since, begun = rank, window.searches
            if rank < best:
                best, kept = rank, dict(window.chains)
        window.restore(kept)

    def _anew(self) -> None:
        self.window.restore({})
        self.books.opening = self.random.choice(PARTS_ANEW)
        self.window.in_turn(self.random.sample(self.window.requests, len(self.window.requests)))
        self.books.opening = 1.0

    def _round(self, free: list[SfcRequest], since: tuple[int, float]) -> None:
        """Plan one group again; undo what is much worse than `since`."""
        window = self.window
        seats = [seat for each in free if each.name in window.chains for seat in window.chains[each.name].seats]
        planned = [seat for seat in dict.fromkeys(seats) if seat.real is None]
        if planned and self.random.random() < MOVED:
            group, old = self._moved(free, planned)
        else:
            group = self._mixed(free)
            old = self._given_back(group)
            self.books.opening = self.random.choice(PARTS)
        most = since[0], since[1] * (1 + WORSE)
        for number, each in enumerate(group):
            if number and self._hopeless(group[number:], most):
                break
            window.place(each)
        self.books.closed, self.books.target, self.books.opening = None, None, 1.0
        if window.rank() > most:
            for each in group:
                if each.name in window.chains:
                    window.drop(each.name)
            for chain in old:
                window.take(chain)

    def _hopeless(self, rest: list[SfcRequest], most: tuple[int, float]) -> bool:
        window = self.window
        if -len(window.chains) - len(rest) < most[0] or window.bound is None:
            return False  # not all of them have to find a place
        return window.score() + sum(window.bound.alone[each.name] for each in rest) > most[1]

    def _given_back(self, group: list[SfcRequest]) -> list[Chain]:
        old = [self.window.chains[each.name] for each in group if each.name in self.window.chains]
        for chain in old:
            self.window.drop(chain.request.name)
        return old

    # groups ----------------------------------------------------------------------------------------------------------
    def _moved(self, free: list[SfcRequest], planned: list[Seat]) -> tuple[list[SfcRequest], list[Chain]]:
        """The users of an instance, given back, and a place for it; the chains that they had."""
        books, chains = self.books, self.window.chains
        seat = self.random.choice(planned)
        vnf = seat.vnf
        group = [each for each in free if each.name in chains and seat in chains[each.name].seats]
        others = [each for each in free if each not in group and vnf.name in books.demand(each).sfc.vnfs]
        more = self.random.sample(others, min(len(others), self.random.randint(0, MORE)))
        group = [*group, *more][: vnf.max_share]
        self.random.shuffle(group)
        old = self._given_back(group)
        asking = [(Layers(each, books), books.demand(each).sfc.vnfs.index(vnf.name)) for each in group]
        self.window.searches += len(group)
        layers, position = asking[0]
        places = self._could_hold(vnf) if self.random.random() < MOVED else books.rooms(layers.demand)[position]
        scores = numpy.where(
            places & layers.demand.may[position], books.opening_scores(layers.demand)[position], numpy.inf
        )
        for layers, position in asking:
            scores = scores + layers.through(position)
        scores *= numpy.array([1 + NOISE * self.random.random() for _ in scores])
        if self.random.random() < MOVED:
            books.closed = vnf.name, seat.node
            scores[seat.node] = numpy.inf
        node = int(scores.argmin())
        if scores[node] < numpy.inf:
            books.target = vnf.name, node
            evicted = self._make_room(vnf, node)
            group, old = [*group, *(chain.request for chain in evicted)], [*old, *evicted]
        return group, old

    def _could_hold(self, vnf: Vnf) -> Bools:
        """Nodes that would have room for a VNF without instances that are only planned."""
        cpu, mem = self.books.free_cpu.copy(), self.books.free_mem.copy()
        for seat in {seat for chain in self.window.chains.values() for seat in chain.seats if seat.real is None}:
            cpu[seat.node] += seat.cpu
            mem[seat.node] += seat.mem
        result: Bools = (cpu >= vnf.cpu - TOLERANCE) & (mem >= vnf.mem - TOLERANCE)
        return result

    def _make_room(self, vnf: Vnf, node: int) -> list[Chain]:
        """Give chains back, at random, until a node has room; gives them."""
        window, books, gone = self.window, self.books, []
        in_the_way = [
            chain
            for chain in window.chains.values()
            if not window.tied(chain.request) and any(seat.real is None and seat.node == node for seat in chain.seats)
        ]
        self.random.shuffle(in_the_way)
        while in_the_way and not (books.free_cpu[node] >= vnf.cpu and books.free_mem[node] >= vnf.mem):
            gone.append(in_the_way.pop())
            window.drop(gone[-1].request.name)
        return gone

    def _mixed(self, free: list[SfcRequest]) -> list[SfcRequest]:
        """A request, and others that use its VNFs or instances, in random order."""
        chains = self.window.chains
        left_out = [each for each in free if each.name not in chains]
        first = self.random.choice(left_out if left_out and self.random.random() < LEFT_OUT else free)
        vnfs = set(self.books.demand(first).sfc.vnfs)
        seats = set(chains[first.name].seats) if first.name in chains else set()
        keys = {}
        for each in free:
            if each is not first and each.name in chains:
                in_common = len(vnfs.intersection(self.books.demand(each).sfc.vnfs))
                weight = 0.1 + in_common + 3 * sum(seat in seats for seat in chains[each.name].seats)
                keys[each.name] = self.random.random() ** (1 / weight)  # drawn in proportion to their weights
        others = sorted((each for each in free if each.name in keys), key=lambda each: -keys[each.name])
        group = [first, *others[: self.random.randint(1, MIXED) - 1]]
        self.random.shuffle(group)
        return group
