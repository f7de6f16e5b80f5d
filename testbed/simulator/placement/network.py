"""Nodes, links and routes as numpy arrays: what a search over all pairs of nodes reads.

In: a state, for its entities and routes; what is free is not kept. Out: arrays by route, or by (parallel route, source, target), shape
(p, n, n), infinite where there is no such route; and what requests ask of them (`demand.py`). Must not do: change with the state.
"""

from weakref import WeakKeyDictionary

import numpy
from numpy.typing import NDArray

from testbed.simulator.model.entities import SfcRequest
from testbed.simulator.model.instances import Route
from testbed.simulator.model.state import State
from testbed.simulator.placement import cost
from testbed.simulator.placement.demand import Demand, Hop

Floats = NDArray[numpy.float64]
Ints = NDArray[numpy.int64]
Bools = NDArray[numpy.bool_]

_known: "WeakKeyDictionary[State, Network]" = WeakKeyDictionary()


class Network:
    """Routes of a state. `ids`: route by (p, source, target), -1 for none; `steps`: links of a route, padded with len(links);
    `over`: the same without padding. `busy`: watts an IPT, by node."""

    def __init__(self, state: State) -> None:
        entities = state.entities
        self.nodes = list(entities.nodes.values())
        self.index = {node.name: number for number, node in enumerate(self.nodes)}
        self.links = list(entities.links.values())
        numbers = {link.name: number for number, link in enumerate(self.links)}
        between = [[state.routes(a.name, b.name) for b in self.nodes] for a in self.nodes]
        self.parallel = max((len(routes) for row in between for routes in row), default=0) or 1
        self.routes: list[Route] = []
        self.ids: Ints = numpy.full((self.parallel, len(self.nodes), len(self.nodes)), -1, dtype=numpy.int64)
        for source, row in enumerate(between):
            for target, routes in enumerate(row):
                for number, route in enumerate(routes):
                    self.ids[number, source, target] = len(self.routes)
                    self.routes.append(route)
        self.over = [[numbers[link.name] for link in route] for route in self.routes]
        pad, absent = len(self.links), len(self.links) + 1
        longest = max(map(len, self.routes), default=0)
        self.steps: Ints = numpy.full((len(self.routes) + 1, max(longest, 1)), pad, dtype=numpy.int64)
        for number, numbered in enumerate(self.over):
            self.steps[number, : len(numbered)] = numbered
        self.steps[-1, :] = absent
        self.busy: Floats = numpy.array([cost.busy_watts(node) / node.cpu for node in self.nodes])
        self._over: dict[int, Bools] = {}
        self._hops: dict[tuple[float, float, cost.Aim], Hop] = {}
        self._demands: dict[tuple[str, str, cost.Aim | None], Demand] = {}

    @classmethod
    def of(cls, state: State) -> "Network":
        """The state's network, made once."""
        if state not in _known:
            _known[state] = cls(state)
        return _known[state]

    def sums(self, by_link: Floats) -> Floats:
        """Sum of a link's value over each route, by route."""
        extended = numpy.concatenate((by_link, (0.0, 0.0)))
        result: Floats = extended[self.steps[:-1]].sum(axis=1)
        return result

    def by_ends(self, by_route: Floats) -> Floats:
        """The same values by (p, source, target), infinite where there is no route."""
        result: Floats = numpy.concatenate((by_route, (numpy.inf,)))[self.ids]
        return result

    def routes_over(self, link: int) -> Bools:
        """Which routes take a link, by (p, source, target)."""
        known = self._over.get(link)
        if known is None:
            takes = (self.steps == link).any(axis=1)
            known = self._over[link] = takes[self.ids]
        return known

    def hop(self, size: float, rate: float, aim: cost.Aim) -> Hop:
        """What routes count for packets of this size (Mbit) and rate (packets a ms)."""
        key = size, rate, aim
        if key not in self._hops:
            ms = self.sums(numpy.array([link.delay_ms(size) for link in self.links], dtype=numpy.float64))
            watts = self.sums(numpy.array([cost.link_energy_w(link, size, rate) for link in self.links]))
            score = self.by_ends(aim.latency * ms + aim.energy * watts)
            self._hops[key] = Hop(ms.tolist(), watts.tolist(), self.by_ends(ms), score, score.min(axis=0))
        return self._hops[key]

    def demand(self, request: SfcRequest, state: State, aim: cost.Aim | None = None) -> Demand:
        """What a request asks; `aim`: by what its paths count, instead of its own priorities."""
        key = request.sfc, request.data_source, aim
        if key not in self._demands:
            self._demands[key] = Demand(self, state.entities, request, aim)
        return self._demands[key]
