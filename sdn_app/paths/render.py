"""From a choice of instances to a path through the network, within the chain's constraints.

In: the graph, a chain, an ingress, the chosen stops and the terminal. Out: a `PathKey`, which says all that rules
need, or None where the constraints cannot be met. It chooses no instances and numbers no paths.
"""

import json
from dataclasses import dataclass
from ipaddress import IPv4Address
from itertools import pairwise

from sdn_app.chains.model import Chain
from sdn_app.network.graph import NetworkGraph


@dataclass(frozen=True, slots=True)
class Stop:
    """An inline instance on a path: `enter_port` on the side of the clients, `leave_port` on that of the servants."""

    instance_id: str
    switch: int
    enter_port: int
    leave_port: int


@dataclass(frozen=True, slots=True)
class Terminal:
    """Where a path ends: a servant, or a plain host (`instance_id` None). MAC address as an int."""

    switch: int
    port: int
    mac: int
    address: IPv4Address
    instance_id: str | None


@dataclass(frozen=True, slots=True)
class PathKey:
    """All that makes a path what it is; equal keys are the same path and keep the same SPI.

    `target` is what the traffic is addressed to: a service's name, or a host's address as text. `segments[i]` is the
    route from the stop before (or the ingress) to stop i, the last one to the terminal; one switch alone where both
    are on it.
    """

    chain: str
    ingress: int
    target: str
    stops: tuple[Stop, ...]
    terminal: Terminal
    segments: tuple[tuple[int, ...], ...]
    symmetric: bool


@dataclass(frozen=True, slots=True)
class RenderedPath:
    """A path with its number. `spi` is even, 2 <= spi < 2**24; the odd number after it is the reverse direction's."""

    spi: int
    key: PathKey

    @property
    def reverse_spi(self) -> int:
        """The SPI of the reply direction."""
        return self.spi + 1


def render(
    graph: NetworkGraph, chain: Chain, ingress: int, target: str, stops: tuple[Stop, ...], terminal: Terminal
) -> PathKey | None:
    """Give the path of least latency from the ingress through the stops in order to the terminal.

    None where there is no way, where it takes longer than `max_latency_ms` one way, or where a stop is in an avoided
    domain or can only be reached across one. The domains of the ingress and the terminal are never avoided: the
    traffic is there anyway.
    """
    limits = chain.constraints
    avoid = limits.avoid_domains - {ingress, terminal.switch}
    switches = [stop.switch for stop in stops]
    if not avoid.isdisjoint(switches):
        return None
    segments: list[tuple[int, ...]] = []
    for src, dst in zip([ingress, *switches], [*switches, terminal.switch], strict=True):
        route = graph.route(src, dst, avoid)
        if route is None:
            return None
        segments.append(route)
    key = PathKey(chain.name, ingress, target, stops, terminal, tuple(segments), chain.symmetric)
    if limits.max_latency_ms is not None and path_latency_ms(graph, key) > limits.max_latency_ms:
        return None
    return key


def path_latency_ms(graph: NetworkGraph, key: PathKey) -> float:
    """Give the one-way latency over the links of a path, without its functions.

    Raises:
        KeyError: a link of it is not there.
    """
    return sum(graph.latency_ms(segment) for segment in key.segments)


def links_intact(graph: NetworkGraph, key: PathKey) -> bool:
    """Tell whether every switch and link of a path is there, both ways. Says nothing of its instances."""
    return all(
        graph.switches.issuperset(segment) and all(graph.joined(a, b) for a, b in pairwise(segment))
        for segment in key.segments
    )


def reverse_segments(
    graph: NetworkGraph, key: PathKey, avoid: frozenset[int] = frozenset()
) -> tuple[tuple[int, ...], ...]:
    """Give the segments of the reply direction.

    A symmetric path comes back through the same instances over the same links. Another one comes back straight from the
    terminal to the ingress, across none of `avoid` (the chain's avoided domains); () where there is no way back.
    """
    if key.symmetric:
        return tuple(segment[::-1] for segment in reversed(key.segments))
    back = graph.route(key.terminal.switch, key.ingress, avoid)
    return () if back is None else (back,)


def key_to_text(key: PathKey) -> str:
    """Write a key as one line of JSON, equal for equal keys, so that its SPI can be stored under it."""
    end = key.terminal
    stops = [[stop.instance_id, stop.switch, stop.enter_port, stop.leave_port] for stop in key.stops]
    terminal = [end.switch, end.port, end.mac, str(end.address), end.instance_id]
    parts = [key.chain, key.ingress, key.target, stops, terminal, key.segments, key.symmetric]
    return json.dumps(parts, separators=(",", ":"))


def key_from_text(text: str) -> PathKey:
    """Read what `key_to_text` wrote.

    Raises:
        ValueError, TypeError: it was written by something else.
    """
    chain, ingress, target, stops, (switch, port, mac, address, instance_id), segments, symmetric = json.loads(text)
    terminal = Terminal(switch, port, mac, IPv4Address(address), instance_id)
    routes = tuple(tuple(segment) for segment in segments)
    return PathKey(chain, ingress, target, tuple(Stop(*stop) for stop in stops), terminal, routes, symmetric)
