"""The document's Dijkstra placement: the shortest path through the layered graph of one request, then of the next.

In: a request and the state. Out: a plan that fits and is fast enough, or why there is none. Must not do: look at other requests.

The layered graph is that of `layered.py`. By default an edge costs its latency with transmission, and the service after it. An edge
that takes what an earlier one of the same path needs is left out; as the path to a candidate is then fixed already, a chain may be
missed, and a path over `max_latency` has no second try: that is this algorithm, `SmartPlacement` does better.
"""

import heapq
import itertools

import numpy

from testbed.simulator.model.entities import SfcRequest
from testbed.simulator.model.plans import Plan, Refused
from testbed.simulator.model.state import State
from testbed.simulator.placement import cost, reasons
from testbed.simulator.placement.base import Placement
from testbed.simulator.placement.books import Books
from testbed.simulator.placement.layered import Layers, Step


class DijkstraPlacement(Placement):
    """Sequential layered shortest path.

    Args:
        latency_weight, cpu_weight, energy_weight: cost of a ms, of an IPT newly allocated, of a watt.
    """

    def __init__(self, latency_weight: float = 1.0, cpu_weight: float = 0.0, energy_weight: float = 0.0) -> None:
        super().__init__()
        self.aim = cost.Aim(latency_weight, cpu_weight, energy_weight)

    def plan(self, request: SfcRequest, state: State) -> Plan | Refused:
        """The shortest path that fits."""
        shared = self.shared(request, state)
        if shared and not reasons.slow(request, shared, state):
            return shared
        books = Books(state, state.slice_of(request).name, self.share_vnf_instances, self.aim)
        layers = Layers(request, books, aim=self.aim)
        last = shortest(layers)
        if last is None:
            return Refused(layers.why_none())
        plan = books.plan(layers.chain(last))
        return reasons.slow(request, plan, state) or plan


def shortest(layers: Layers) -> Step | None:
    """Dijkstra's algorithm over (layer, node)."""
    count = itertools.count()
    queue: list[tuple[float, int, Step]] = [(0.0, next(count), layers.start)]
    least = [numpy.full(layers.score.shape[1], numpy.inf) for _ in layers.score]
    while queue:
        score, _, step = heapq.heappop(queue)
        if step.layer == layers.last:
            return step
        if step.layer >= 0 and score > least[step.layer][step.node]:
            continue
        following = step.layer + 1
        reached = least[following]
        scores = score + layers.edges[following][:, step.node] + layers.score[following]
        for column in numpy.flatnonzero(scores < reached):
            fitting = (each for each in layers.steps(step, int(column)) if layers.fits(each))
            found = next(fitting, None)
            if found is not None and found.score < reached[found.node]:
                reached[found.node] = found.score
                heapq.heappush(queue, (found.score, next(count), found))
    return None
