"""The requests of a time window planned together, one slice at a time: in turn first, then each again among the others.

In: requests, and the books of their slice. Out: a chain or a reason for each. Must not do: place anything, or look at another slice.

1. In turn, each request gets its cheapest chain (`layered`).
2. If some found no place, all are planned anew, with prices on scarce resources, and with those first that found none; the try that
   accepts most is kept, of equals the cheapest.
3. Each chain is given back and planned again, as long as that makes the whole cheaper.
4. Groups of chains are given back and planned again (`regroup`).

Steps 3 and 4 end where a lower bound (`bound`) shows that little can be gained: what they may spend is in proportion to the gap, and
less where so few requests are planned that there are not many ways to plan them. The work is limited by numbers of searches, not by
time, and its random numbers have a fixed seed: the same requests in the same state give the same plans.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from testbed.simulator.model.entities import SfcRequest
from testbed.simulator.model.plans import Refused
from testbed.simulator.model.state import State
from testbed.simulator.placement import cost, reasons
from testbed.simulator.placement.base import Commit
from testbed.simulator.placement.books import Books, Chain
from testbed.simulator.placement.bound import Bound
from testbed.simulator.placement.layered import Layers
from testbed.simulator.placement.network import Network
from testbed.simulator.placement.regroup import Regroup

WORTH = 1e-9
"""Smaller gains are rounding."""
FEW = 6
"""Requests of a window below which there are not as many ways to plan them, and not the whole effort is spent."""
WIDE = 0.1
"""Gap to the lower bound, as a part of the score, from which on the whole effort is spent."""

Rank = tuple[int, float]
"""What is better is less: minus the requests accepted, then their score."""


@dataclass(frozen=True, slots=True)
class Search:
    """How a window is searched. `limit`: partial chains a search may look at; `effort`: searches a request beyond the first,
    at most `most` a window; `scarcity`: score of a resource's last unit, always, and `scarcities` when some requests found no place."""

    limit: int = 2000
    effort: int = 120
    most: int = 1000
    scarcity: float = 0.0
    scarcities: tuple[float, ...] = (0.1, 1.0)


class Window:
    """Requests of one slice. `chains`: what is planned, by request; `reasons`: why others are not; `searches`: done so far."""

    def __init__(
        self, requests: Sequence[SfcRequest], state: State, search: Search, share_vnf: bool, share_sfc: bool
    ) -> None:
        self.requests, self.state, self.search, self.share_sfc = list(requests), state, search, share_sfc
        network = Network.of(state)
        aim = cost.Aim.mean([network.demand(each, state).aim for each in requests])
        self.books = Books(state, state.slice_of(requests[0]).name, share_vnf, aim)
        self.bound = Bound(self.requests, self.books, share_sfc) if search.effort else None
        self.chains: dict[str, Chain] = {}
        self.reasons: dict[str, str] = {}
        self.searches = 0

    # outcomes --------------------------------------------------------------------------------------------------------
    def score(self) -> float:
        """Of all chains and the instances planned for them."""
        return self.books.score(self.chains.values())

    def rank(self) -> Rank:
        """How good the window is; sums are rounded, so that nothing is better than itself."""
        return -len(self.chains), round(self.score(), 9)

    def solve(self) -> None:
        """Plan all requests."""
        self.in_turn(self.requests, self.search.scarcity)
        self.searches = 0
        if not self.goes_on(self.rank()):
            return
        if len(self.chains) < len(self.requests):
            self._try_prices()
        self.improve()

    def improve(self) -> None:
        """Make the whole better, one move after another."""
        better = True
        while better and self.goes_on(self.rank()):
            better = any([self._again(name) for name in list(self.chains)])
        if len(self.requests) > 1 and self.goes_on(self.rank()):
            Regroup(self).run()

    def goes_on(self, best: Rank) -> bool:
        """Whether what may still be gained is worth another search."""
        if self.bound is None:
            return False
        count = len(self.requests)
        most = min(self.search.effort * count * min(1.0, count / FEW) ** 2, self.search.most)
        if -best[0] < self.bound.possible:
            return self.searches < most
        gap = best[1] - self.bound.of(-best[0])
        return gap > WORTH and self.searches < most * min(1.0, gap / best[1] / WIDE)

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
        self.searches = 0
        self.restore({chain.request.name: chain for chain in chains})

    # steps -----------------------------------------------------------------------------------------------------------
    def in_turn(self, requests: Sequence[SfcRequest], scarcity: float = 0.0) -> None:
        """Give each of these requests the cheapest chain that the ones before it leave."""
        for request in requests:
            self.place(request, scarcity)

    def _try_prices(self) -> None:
        best = self.rank(), dict(self.chains)
        for scarcity in self.search.scarcities:
            left_out = [each for each in self.requests if each.name not in self.chains]
            others = [each for each in self.requests if each.name in self.chains]
            for order in (self.requests, [*left_out, *others]):
                self.restore({})
                self.in_turn(order, scarcity)
                best = min(best, (self.rank(), dict(self.chains)), key=lambda kept: kept[0])
        self.restore(best[1])

    def _again(self, name: str) -> bool:
        """Plan one chain again; whether that was worth it."""
        chain = self.chains[name]
        if chain.followers:
            return False
        before = self.books.marginal(chain)
        self.drop(name)
        found = self._find(chain.request, 0.0)
        if isinstance(found, Chain):
            self.take(found)
            if self.books.marginal(found) < before - WORTH:
                return True
            self.drop(name)
        self.take(chain)
        return False

    # one request -----------------------------------------------------------------------------------------------------
    def place(self, request: SfcRequest, scarcity: float = 0.0) -> None:
        """Take the cheapest chain there is, or note why there is none."""
        found = self._find(request, scarcity)
        if isinstance(found, str):
            self.reasons[request.name] = found
        else:
            self.take(found)

    def take(self, chain: Chain) -> None:
        """Plan a chain that fits."""
        self.books.take(chain)
        self.chains[chain.request.name] = chain

    def drop(self, name: str) -> None:
        """Give a request's chain back."""
        self.books.give_back(self.chains.pop(name))

    def restore(self, chains: dict[str, Chain]) -> None:
        """Plan these chains, in place of all others."""
        for name in reversed(list(self.chains)):
            self.drop(name)
        for chain in chains.values():
            self.take(chain)

    def tied(self, request: SfcRequest) -> bool:
        """Whether its chain is shared as a whole."""
        chain = self.chains.get(request.name)
        return chain is not None and (chain.leader is not None or chain.followers > 0)

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

    def _find(self, request: SfcRequest, scarcity: float) -> Chain | str:
        self.searches += 1
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

    def _sharable(self, request: SfcRequest) -> list[Chain]:
        found, demand = self.placed_shares(request), self.books.demand(request)
        mine = request.sfc, request.ingress, request.egress
        for other in self.chains.values():
            theirs = other.request
            if other.leader is None and mine == (theirs.sfc, theirs.ingress, theirs.egress):
                latency = self.books.latency_ms(other, demand)
                found.append(Chain(request, other.seats, other.routes, latency, demand.aim.latency * latency, other))
        most = demand.sfc.max_latency
        return [each for each in found if each.latency_ms <= most and all(seat.room > 0 for seat in each.seats)]
