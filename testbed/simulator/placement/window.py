"""The requests of a time window planned together, one slice at a time: in turn first, then each again among the others.

In: requests, and the books of their slice. Out: a chain or a reason for each. Must not do: place anything, or look at another slice.

1. In turn, each request gets its cheapest chain (`layered`).
2. If some found no place, all are planned anew, with prices on scarce resources, and with those first that found none; the try that
   accepts most is kept, of equals the cheapest.
3. Each chain is given back and planned again, as long as that makes the whole cheaper.
4. Groups of related requests, those without a place first, are given back and planned again in another order, sometimes without one
   of their instances; what is much worse is undone, and the best is kept (large neighbourhood search: Shaw, "Using constraint
   programming and local search methods to solve vehicle routing problems", CP 1998).

The work is limited by numbers of searches, not by time, and its random numbers have a fixed seed: the same requests in the same
state give the same plans.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy

from testbed.simulator.model.entities import SfcRequest
from testbed.simulator.model.plans import Refused
from testbed.simulator.model.state import State
from testbed.simulator.placement import cost, reasons
from testbed.simulator.placement.base import Commit
from testbed.simulator.placement.books import Books, Chain
from testbed.simulator.placement.layered import Layers
from testbed.simulator.placement.network import Floats, Network

WORTH = 1e-9
"""Smaller gains are rounding."""
GROUP = 9
"""Requests planned again together are fewer than this."""
CLOSE = 0.3
"""How often one of their instances is closed meanwhile."""
EVEN = 0.5
"""How often new instances count the same part on all nodes."""
WORSE = 0.01
"""What a group's new plans may make the whole dearer than the best so far, which is kept aside."""
OPENINGS = (1.0, 0.5, 0.25)
"""What a new instance counts while a group is planned again: less than all of it, as others may come to share it."""


@dataclass(frozen=True, slots=True)
class Search:
    """How a window is searched. `limit`: partial chains a search may look at; `effort`: searches a request beyond the first,
    at most `most` a window;
    `scarcity`: score of a resource's last unit, always, and `scarcities` when some requests found no place."""

    limit: int = 2000
    effort: int = 40
    most: int = 1000
    scarcity: float = 0.0
    scarcities: tuple[float, ...] = (0.1, 1.0)


class Window:
    """Requests of one slice. `chains`: what is planned, by request; `reasons`: why others are not."""

    def __init__(
        self, requests: Sequence[SfcRequest], state: State, search: Search, share_vnf: bool, share_sfc: bool
    ) -> None:
        self.requests, self.state, self.search, self.share_sfc = list(requests), state, search, share_sfc
        network = Network.of(state)
        aim = cost.Aim.mean([network.demand(each, state).aim for each in requests])
        self.books = Books(state, state.slice_of(requests[0]).name, share_vnf, aim)
        self.chains: dict[str, Chain] = {}
        self.reasons: dict[str, str] = {}
        self._left = 0

    # outcomes --------------------------------------------------------------------------------------------------------
    def score(self) -> float:
        """Of all chains and the instances planned for them."""
        return self.books.score(self.chains.values())

    def solve(self) -> None:
        """Plan all requests."""
        self._left = min(self.search.effort * len(self.requests), self.search.most)
        self._in_turn(self.requests, self.search.scarcity)
        if self._left <= 0:
            return
        if len(self.chains) < len(self.requests):
            self._try_prices()
        self.improve()

    def improve(self) -> None:
        """Make the whole better, one move after another."""
        better = True
        while better and self._left > 0:
            better = any([self._again(name) for name in list(self.chains)])
        if len(self.requests) > 1 and any(not self._tied(each) for each in self.requests):
            self._shake()

    def refusal(self, request: SfcRequest) -> Refused:
        """Why a request has no chain."""
        return Refused(self.reasons.get(request.name) or reasons.OTHERS)

    def commit(self, request: SfcRequest, commit: Commit) -> None:
        """Decide one request as planned. In their order: who uses a planned instance first creates it."""
        chain = self.chains.get(request.name)
        if chain is None:
            commit(request, self.refusal(request))
            return
        instance = commit(request, self.books.plan(chain))
        if instance is not None:
            self.books.placed(chain, instance)

    def adopt(self, chains: Sequence[Chain]) -> None:
        """Plan these chains, which fit together, in place of its own."""
        self._left = min(self.search.effort * len(self.requests), self.search.most)
        self._clear()
        self._restore({chain.request.name: chain for chain in chains})

    # steps -----------------------------------------------------------------------------------------------------------
    def _in_turn(self, requests: Sequence[SfcRequest], scarcity: float) -> None:
        for request in requests:
            self._place(request, scarcity)

    def _try_prices(self) -> None:
        best = self._kept()
        for scarcity in self.search.scarcities:
            left_out = [each for each in self.requests if each.name not in self.chains]
            others = [each for each in self.requests if each.name in self.chains]
            for order in (self.requests, [*left_out, *others]):
                if self._left < len(self.requests):
                    break
                self._clear()
                self._in_turn(order, scarcity)
                best = min(best, self._kept(), key=lambda kept: kept[:2])
        self._clear()
        self._restore(best[2])

    def _shake(self) -> None:
        """Plan a few related requests again, in another order and with other views on new instances; keep what is better."""
        random = numpy.random.default_rng(len(self.requests))
        best, kept = self._rank(), dict(self.chains)
        while self._left > 0:
            group = self._related(random)
            old = [self.chains[each.name] for each in group if each.name in self.chains]
            for chain in old:
                self._drop(chain.request.name)
            if old and random.random() < CLOSE:
                seats = [seat for chain in old for seat in chain.seats if seat.real is None]
                seat = seats[int(random.integers(len(seats)))] if seats else None
                self.books.closed = (seat.vnf.name, seat.node) if seat else None
            self.books.opening = self._openings(random)
            for number in random.permutation(len(group)):
                self._place(group[number], 0.0)
            self.books.closed, self.books.opening = None, 1.0
            rank = self._rank()
            if rank < best:
                best, kept = rank, dict(self.chains)
            if rank <= (best[0], best[1] * (1 + WORSE)):
                continue
            for each in group:
                if each.name in self.chains:
                    self._drop(each.name)
            for chain in old:
                self._take(chain)
        self._clear()
        self._restore(kept)

    def _openings(self, random: numpy.random.Generator) -> float | Floats:
        """The same part of every new instance's score, or another at each node, so that chains meet where it is small."""
        part = float(random.choice(OPENINGS))
        return part if random.random() < EVEN else part * random.random(len(self.books.cpu))

    def _related(self, random: numpy.random.Generator) -> list[SfcRequest]:
        """A request, one without a place if there are any, and others that use its VNFs or instances."""
        free = [each for each in self.requests if not self._tied(each)]
        left_out = [each for each in free if each.name not in self.chains]
        first = (left_out or free)[int(random.integers(len(left_out or free)))]
        others = [each for each in free if each is not first and each.name in self.chains]
        if not others:
            return [first]
        chain = self.chains.get(first.name)
        seats = set(map(id, chain.seats)) if chain else set()
        vnfs = set(self.state.entities.sfcs[first.sfc].vnfs)
        weights = numpy.array(
            [
                0.1
                + len(vnfs.intersection(self.state.entities.sfcs[each.sfc].vnfs))
                + 3 * sum(id(seat) in seats for seat in self.chains[each.name].seats)
                for each in others
            ]
        )
        count = min(len(others), int(random.integers(1, GROUP)))
        chosen = random.choice(len(others), size=count, replace=False, p=weights / weights.sum())
        return [first, *(others[int(number)] for number in chosen)]

    def _tied(self, request: SfcRequest) -> bool:
        """Whether its chain is shared as a whole."""
        chain = self.chains.get(request.name)
        return chain is not None and (chain.leader is not None or chain.followers > 0)

    def _rank(self) -> tuple[int, float]:
        """What is better is less; sums are rounded, so that nothing is better than itself."""
        return -len(self.chains), round(self.score(), 9)

    # moves -----------------------------------------------------------------------------------------------------------
    def _again(self, name: str) -> bool:
        """Plan one chain again; whether that was worth it."""
        chain = self.chains[name]
        if chain.followers or self._left <= 0:
            return False
        before = self.books.marginal(chain)
        self._drop(name)
        found = self._find(chain.request, 0.0)
        if isinstance(found, Chain):
            self._take(found)
            if self.books.marginal(found) < before - WORTH:
                return True
            self._drop(name)
        self._take(chain)
        return False

    # one request -----------------------------------------------------------------------------------------------------
    def _find(self, request: SfcRequest, scarcity: float) -> Chain | str:
        self._left -= 1
        found = Layers(request, self.books, scarcity).best(self.search.limit)
        shared = [*self._sharable(request)] if self.share_sfc else []
        if not shared:
            return found
        best = min(shared, key=lambda chain: chain.path_score)
        if isinstance(found, Chain):
            new = [seat for seat in found.seats if seat.real is None and not seat.users]
            score = found.path_score + sum(self.books.seat_score(seat) for seat in new)
            return best if best.path_score <= score else found
        return best

    def placed_shares(self, request: SfcRequest) -> list[Chain]:
        """Placed SFC instances that a request may share, if nothing else does, and that are fast enough."""
        entities, found = self.state.entities, []
        most, aim = entities.sfcs[request.sfc].max_latency, self.books.demand(request).aim
        for instance in self.state.sharable_sfc_instances(request) if self.share_sfc else ():
            latency = cost.shared_ms(request, instance, entities)
            if latency <= most:
                seats = self.books.seats_of(instance)
                found.append(Chain(request, seats, [], latency, aim.latency * latency, instance))
        return found

    def _sharable(self, request: SfcRequest) -> list[Chain]:
        entities, found = self.state.entities, self.placed_shares(request)
        most, aim = entities.sfcs[request.sfc].max_latency, self.books.demand(request).aim
        for other in self.chains.values():
            mine, theirs = request, other.request
            if other.leader is None and (mine.sfc, mine.ingress, mine.egress) == (
                theirs.sfc,
                theirs.ingress,
                theirs.egress,
            ):
                latency = self.books.latency_ms(other, self.books.demand(request))
                found.append(Chain(request, other.seats, other.routes, latency, aim.latency * latency, other))
        return [each for each in found if each.latency_ms <= most and all(seat.room > 0 for seat in each.seats)]

    def _place(self, request: SfcRequest, scarcity: float) -> bool:
        found = self._find(request, scarcity)
        if isinstance(found, str):
            self.reasons[request.name] = found
            return False
        self._take(found)
        return True

    def _take(self, chain: Chain) -> None:
        self.books.take(chain)
        self.chains[chain.request.name] = chain

    def _drop(self, name: str) -> None:
        self.books.give_back(self.chains.pop(name))

    def _kept(self) -> tuple[int, float, dict[str, Chain]]:
        return -len(self.chains), self.score(), dict(self.chains)

    def _clear(self) -> None:
        for name in reversed(list(self.chains)):
            self._drop(name)

    def _restore(self, chains: dict[str, Chain]) -> None:
        for chain in chains.values():
            self._take(chain)
