"""What a window's requests cost at least, cheaply: each by itself, with new instances shared as widely as could be.

In: requests, and the books before any of them is planned. Out: a score that no plans for as many requests go below.
Must not do: change the books.

An instance serves at most max_share chains of different requests. So if each of its users is charged 1 / min(max_share, requests
whose chains have the VNF) of its score, nobody is charged too much, and nobody's chain costs less than the cheapest one alone in an
empty window (the first step of the relaxation in `relaxation.py`, without its prices). Slow chains are not left out.
"""

import math
from collections import Counter
from collections.abc import Sequence

import numpy

from testbed.simulator.model.entities import SfcRequest
from testbed.simulator.placement.books import Books
from testbed.simulator.placement.layered import Layers


class Bound:
    """`alone`: what a request's chain costs at least, by name, infinite where there is none; `possible`: how many have one.

    Args:
        share_sfc: whether chains may be shared as a whole; those who share one pay for nothing but latency, so there is no bound.
    """

    def __init__(self, requests: Sequence[SfcRequest], books: Books, share_sfc: bool) -> None:
        if share_sfc:
            self.alone = dict.fromkeys((each.name for each in requests), 0.0)
        else:
            users = Counter(vnf for each in requests for vnf in set(books.demand(each).sfc.vnfs))
            self.alone = {each.name: _alone(each, books, users) for each in requests}
        self._ordered = sorted(each for each in self.alone.values() if each < math.inf)
        self.possible = len(self._ordered)

    def of(self, count: int) -> float:
        """What as many requests cost at least."""
        return sum(self._ordered[:count])


def _alone(request: SfcRequest, books: Books, users: Counter[str]) -> float:
    vnfs = books.demand(request).vnfs
    books.opening = numpy.array([[1 / min(vnf.max_share, users[vnf.name]) if books.share else 1.0] for vnf in vnfs])
    layers = Layers(request, books)
    books.opening = 1.0
    return float(layers.bounds(layers.start).min())
