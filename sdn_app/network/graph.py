"""The network as the controller sees it: switches, directed links with measured latency, hosts. Immutable values.

In: switches, links, latencies that somebody measured. Out: routes of least latency. No discovery, no measuring, no
clock.

Routes are least in latency, then in hops, then the smallest in the order of switch ids. Each step towards a switch
depends only on where the step starts, so forwarding hop by hop along `route(here, there, avoid)` never loops.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from itertools import pairwise

import networkx as nx

HYSTERESIS_MS, HYSTERESIS_SHARE = 0.5, 0.2
NS_PER_MS = 1_000_000


@dataclass(frozen=True, slots=True)
class Link:
    """One direction of a link: out of port `a_port` of switch `a`, into port `b_port` of switch `b`."""

    a: int
    a_port: int
    b: int
    b_port: int
    latency_ms: float


@dataclass(frozen=True, slots=True)
class Host:
    """A host or servant on the network. MAC address as an int."""

    mac: int
    address: IPv4Address
    switch: int
    port: int


def published_ms(published: float | None, measured: float) -> float:
    """Give the latency that the graph should hold, so that routes do not flap between links of like latency.

    What is published stays until what is measured differs from it by more than 0.5 ms and by more than 20 %.
    """
    if published is None or abs(measured - published) > max(HYSTERESIS_MS, HYSTERESIS_SHARE * published):
        return measured
    return published


@dataclass(frozen=True, slots=True)
class NetworkGraph:
    """Switches and the best link of each direction between two of them; domains are switch ids.

    Invariants: links join different switches of `switches`; `links[a, b]` is the one of least latency from a to b, the
    others are `spare`. Traffic only uses links that are known in both directions. Make one by `of` or a `with` method.
    """

    switches: frozenset[int] = frozenset()
    links: dict[tuple[int, int], Link] = field(default_factory=dict)
    spare: tuple[Link, ...] = ()
    _costs: dict[tuple[int, frozenset[int]], dict[int, int]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _adjacent: dict[int, tuple[int, ...]] = field(default_factory=dict, init=False, repr=False, compare=False)
    _routes: dict[tuple[int, int, frozenset[int]], tuple[int, ...] | None] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @classmethod
    def of(cls, switches: Iterable[int], links: Iterable[Link]) -> "NetworkGraph":
        """Make a graph; links to unknown switches and from a switch to itself are left out."""
        known = frozenset(switches)
        best: dict[tuple[int, int], Link] = {}
        spare: list[Link] = []
        for link in sorted(links, key=lambda each: (each.latency_ms, each.a, each.b, each.a_port, each.b_port)):
            if link.a == link.b or link.a not in known or link.b not in known:
                continue
            if (link.a, link.b) in best:
                spare.append(link)
            else:
                best[link.a, link.b] = link
        return cls(known, dict(sorted(best.items())), tuple(spare))

    def all_links(self) -> tuple[Link, ...]:
        """Give every link, parallel ones too."""
        return (*self.links.values(), *self.spare)

    def with_switches(self, switches: Iterable[int]) -> "NetworkGraph":
        """Add switches."""
        return self.of(self.switches | frozenset(switches), self.all_links())

    def without_switches(self, switches: Iterable[int]) -> "NetworkGraph":
        """Remove switches with their links."""
        return self.of(self.switches - frozenset(switches), self.all_links())

    def with_links(self, links: Iterable[Link]) -> "NetworkGraph":
        """Add links; one that leaves a port takes the place of the one that left there before."""
        by_port = {(link.a, link.a_port): link for link in (*self.all_links(), *links)}
        return self.of(self.switches, by_port.values())

    def without_port(self, switch: int, port: int) -> "NetworkGraph":
        """Remove the links that leave or enter a port."""
        gone = (switch, port)
        return self.of(
            self.switches,
            [each for each in self.all_links() if gone not in ((each.a, each.a_port), (each.b, each.b_port))],
        )

    def joined(self, a: int, b: int) -> bool:
        """Tell whether traffic can go between two switches directly, both ways."""
        return (a, b) in self.links and (b, a) in self.links

    def port_towards(self, a: int, b: int) -> int:
        """Give the port of switch `a` towards its neighbour `b`.

        Raises:
            KeyError: there is no link from a to b.
        """
        return self.links[a, b].a_port

    def latency_ms(self, route: tuple[int, ...]) -> float:
        """Give the latency along a route.

        Raises:
            KeyError: a link of it is not there.
        """
        return sum(self.links[pair].latency_ms for pair in pairwise(route))

    def route(self, src: int, dst: int, avoid: frozenset[int] = frozenset()) -> tuple[int, ...] | None:
        """Give the switches from src to dst, both included, that neither use nor cross one of `avoid` in between.

        None where there is no way, or where one of the ends is unknown.
        """
        key = (src, dst, avoid)
        if key not in self._routes:
            self._routes[key] = self._find(src, dst, avoid)
        return self._routes[key]

    def _find(self, src: int, dst: int, avoid: frozenset[int]) -> tuple[int, ...] | None:
        if src not in self.switches or dst not in self.switches:
            return None
        costs = self._costs_to(dst, avoid)
        route = [src]
        while route[-1] != dst:
            here = route[-1]
            onward = [(self._cost(here, to) + costs[to], to) for to in self._neighbours(here) if to in costs]
            if not onward:
                return None
            route.append(min(onward)[1])
        return tuple(route)

    def _neighbours(self, switch: int) -> tuple[int, ...]:
        if not self._adjacent:
            near: dict[int, list[int]] = {each: [] for each in self.switches}
            for a, b in self.links:
                if self.joined(a, b):
                    near[a].append(b)
            self._adjacent.update((each, tuple(ends)) for each, ends in near.items())
        return self._adjacent[switch]

    def _cost(self, a: int, b: int) -> int:
        """Latency in whole ns, times the number of switches, and one for the hop: exact, so that ties are ties."""
        return max(0, round(self.links[a, b].latency_ms * NS_PER_MS)) * len(self.switches) + 1

    def _costs_to(self, dst: int, avoid: frozenset[int]) -> dict[int, int]:
        """Costs to dst of every switch that may be crossed, kept for the life of the graph."""
        key = (dst, avoid)
        if key not in self._costs:
            backwards = nx.DiGraph()
            backwards.add_node(dst)
            for a, b in self.links:
                if self.joined(a, b) and (a not in avoid or a == dst) and (b not in avoid or b == dst):
                    backwards.add_edge(b, a, cost=self._cost(a, b))
            self._costs[key] = dict(nx.single_source_dijkstra_path_length(backwards, dst, weight="cost"))
        return self._costs[key]
