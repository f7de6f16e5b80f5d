"""Nodes, links and routes as numpy arrays: what a search over all pairs of nodes reads.

In: a state, for its entities and routes; what is free is not kept. Out: arrays by (parallel route, source, target), shape (p, n, n),
infinite where there is no such route. Must not do: change with the state.
"""

from collections.abc import Callable
from weakref import WeakKeyDictionary

import numpy
from numpy.typing import NDArray

from testbed.simulator.model.instances import Route
from testbed.simulator.model.state import State
from testbed.simulator.placement import cost

Floats = NDArray[numpy.float64]
Ints = NDArray[numpy.int64]

_known: "WeakKeyDictionary[State, Network]" = WeakKeyDictionary()


class Network:
    """Routes of a state. `ids`: route by (p, source, target), -1 for none; `steps`: links of a route, padded with len(links)."""

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
        longest = max(map(len, self.routes), default=0)
        pad, absent = len(self.links), len(self.links) + 1
        self.steps: Ints = numpy.full((len(self.routes) + 1, max(longest, 1)), pad, dtype=numpy.int64)
        for number, route in enumerate(self.routes):
            self.steps[number, : len(route)] = [numbers[link.name] for link in route]
        self.steps[-1, :] = absent
        self._kept: dict[tuple[float, ...], Floats] = {}

    @classmethod
    def of(cls, state: State) -> "Network":
        """The state's network, made once."""
        if state not in _known:
            _known[state] = cls(state)
        return _known[state]

    def sums(self, by_link: Floats) -> Floats:
        """Sum of a link's value over each route."""
        extended = numpy.concatenate((by_link, (0.0, numpy.inf)))
        result: Floats = extended[self.steps].sum(axis=1)[self.ids]
        return result

    def least(self, by_link: Floats) -> Floats:
        """Least of a link's value over each route; -inf where there is no route."""
        extended = numpy.concatenate((by_link, (numpy.inf, -numpy.inf)))
        result: Floats = extended[self.steps].min(axis=1)[self.ids]
        return result

    def delay_ms(self, size: float) -> Floats:
        """`cost.route_ms` of each route."""
        return self._once((size,), lambda: [link.delay_ms(size) for link in self.links])

    def energy_w(self, size: float, rate: float) -> Floats:
        """`cost.link_energy_w` of each route."""
        return self._once((size, rate), lambda: [cost.link_energy_w(link, size, rate) for link in self.links])

    def _once(self, key: tuple[float, ...], by_link: Callable[[], list[float]]) -> Floats:
        if key not in self._kept:
            self._kept[key] = self.sums(numpy.array(by_link(), dtype=numpy.float64))
        return self._kept[key]
