"""What the algorithms are compared on: networks of topohub, with capacities and requests from their demand matrices.

In: a network's name, a number of requests, a seed. Out: entities. Must not do: place.

topohub has positions, link lengths and, for SNDlib's networks, demands, but no capacities. They are set so:

- All demands are routed over the paths of least delay. Their unit is such that together they are the requests' number times what a
  chain's hop needs on average. A link's two directions get the greater of their two loads, at least the mean load, times `headroom`:
  links are as unequal as the traffic, and visits to VNFs off the direct path have to fit into the headroom.
- propagation: 5 microseconds a kilometre (light in glass).
- A node's CPU is in proportion to the demand that begins or ends there, but at least that of one of the largest VNFs; all together
  about `cpu_room` times what the requests need if two share each instance. Each node may run four of six VNFs, drawn.

A request goes between two places that have a demand, drawn in proportion to it; its chain is one of four, in turn. `max_latency` is a
multiple of the network's diameter with the service times of all VNFs.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import networkx
import numpy
import topohub

from testbed.simulator.model.entities import DataSource, Entities, Link, Node, NodeType, Sfc, SfcRequest, User, Vnf
from testbed.simulator.placement import cost

MS_PER_KM = 0.005
# cpu, Mbit/s sent on
KINDS = {
    "nat": (1000.0, 40.0),
    "firewall": (2000.0, 40.0),
    "balancer": (1000.0, 40.0),
    "monitor": (1000.0, 10.0),
    "cache": (2000.0, 30.0),
    "transcoder": (4000.0, 20.0),
}
CHAINS = (
    ("nat", "firewall", "cache"),
    ("firewall", "balancer", "transcoder"),
    ("nat", "firewall", "monitor", "balancer"),
    ("firewall", "transcoder", "cache"),
)
MAX_SHARE = 4
VNFS_A_NODE = 4
SOURCE = DataSource("src_0", packet_size=0.01, packet_interval=2.0, burst_interval=20.0, burst_size=10)

Demands = Mapping[tuple[int, int], float]


@dataclass(frozen=True, slots=True)
class Room:
    """How tight it is. `headroom`: link capacity over routed demand; `cpu_room`: CPU over need; `latency`: `max_latency` over the
    network's diameter and service; `order`: priorities of all chains, 0 for all three in turn."""

    headroom: float = 4.0
    cpu_room: float = 1.5
    latency: float = 1.5
    order: int = 1


def entities(network: str, requests: int, seed: int, room: Room) -> Entities:
    """A network with this many requests."""
    graph, demands = read(network)
    random = numpy.random.default_rng(seed)
    vnfs = {name: _vnf(name, *kind) for name, kind in KINDS.items()}
    diameter_ms = max(
        max(reached.values()) for _, reached in networkx.all_pairs_dijkstra_path_length(graph, weight="ms")
    )
    service_ms = sum(cost.service_ms(vnf, 0.0, SOURCE.packet_size, (vnf.cpu, vnf.mem)) for vnf in vnfs.values())
    max_latency = room.latency * (diameter_ms + service_ms)
    sfcs = {
        f"s_{number}": Sfc(f"s_{number}", chain, max_latency, 1, 1e5, room.order or number % 3 + 1)
        for number, chain in enumerate(CHAINS)
    }
    asked = dict(_requests(demands, list(sfcs), random, requests))
    need = sum(vnfs[name].cpu for each in asked.values() for name in sfcs[each.sfc].vnfs) / 2
    users = {
        each.user: User(each.user, each.ingress, 1.0, 1000.0, 0.0, 1, {each.sfc: (each.ingress, each.egress)})
        for each in asked.values()
    }
    mbits = requests * float(numpy.mean([vnfs[name].min_bandwidth for chain in CHAINS for name in chain]))
    links = {link.name: link for link in _links(graph, demands, mbits * room.headroom, random)}
    nodes = {node.name: node for node in _nodes(graph, demands, need * room.cpu_room, random)}
    return Entities(nodes, links, vnfs, sfcs, users, {SOURCE.name: SOURCE}, asked)


def read(network: str) -> tuple["networkx.Graph[int]", Demands]:
    """A graph with `ms` on its edges, and the demand between its nodes.

    Raises:
        ValueError: there is no such network, or it has no demands.
    """
    try:
        data = topohub.get(f"sndlib/{network}")
    except (KeyError, FileNotFoundError) as error:
        raise ValueError(f"network {network!r}: expected one of SNDlib's, as topohub has them") from error
    graph: networkx.Graph[int] = networkx.Graph()
    graph.add_nodes_from(node["id"] for node in data["nodes"])
    for edge in data["edges"]:
        graph.add_edge(edge["source"], edge["target"], ms=edge["dist"] * MS_PER_KM)
    demands = {
        (source, target): float(amount)
        for source, row in data["graph"].get("demands", {}).items()
        for target, amount in row.items()
        if amount > 0 and source != target
    }
    if not demands:
        raise ValueError(f"network {network!r}: topohub has no demands for it")
    return graph, demands


def _vnf(name: str, cpu: float, mbits: float) -> Vnf:
    return Vnf(name, cpu, cpu, MAX_SHARE, mbits, 100.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1e5, -1)


def _requests(
    demands: Demands, sfcs: list[str], random: numpy.random.Generator, count: int
) -> Iterator[tuple[str, SfcRequest]]:
    pairs = list(demands)
    amounts = numpy.array([demands[pair] for pair in pairs])
    for number, drawn in enumerate(random.choice(len(pairs), size=count, p=amounts / amounts.sum())):
        source, target = pairs[int(drawn)]
        sfc = sfcs[number % len(sfcs)]
        yield (
            f"r_{number}",
            SfcRequest(f"r_{number}", f"u_{number}", sfc, 1, 0.0, SOURCE.name, f"n_{source}", f"n_{target}", 1e4),
        )


def _links(
    graph: "networkx.Graph[int]", demands: Demands, mbits: float, random: numpy.random.Generator
) -> Iterator[Link]:
    load = dict.fromkeys([*graph.edges, *((b, a) for a, b in graph.edges)], 0.0)
    paths = dict(networkx.all_pairs_dijkstra_path(graph, weight="ms"))
    for (source, target), amount in demands.items():
        path = paths[source][target]
        for hop in itertools.pairwise(path):
            load[hop] += amount
    mean, unit = sum(load.values()) / len(load), mbits / sum(demands.values())
    for a, b, ms in graph.edges(data="ms"):
        capacity = max(load[a, b], load[b, a], mean) * unit
        watts = float(random.integers(13, 17))
        for source, target in ((a, b), (b, a)):
            yield Link(f"l_{source}_{target}_0", f"n_{source}", f"n_{target}", 0, capacity, 0.0, ms, watts)
    for node in graph:
        yield Link(f"l_{node}_{node}_0", f"n_{node}", f"n_{node}", 0, 1e5, 0.0, 0.0, 0.0)


def _nodes(
    graph: "networkx.Graph[int]", demands: Demands, cpu: float, random: numpy.random.Generator
) -> Iterator[Node]:
    weight = dict.fromkeys(graph, 0.0)
    for (source, target), amount in demands.items():
        weight[source] += amount
        weight[target] += amount
    total, least = sum(weight.values()), max(kind[0] for kind in KINDS.values())
    kinds = list(KINDS)
    for number, node in enumerate(graph):
        here = max(cpu * weight[node] / total, least)
        watts = float(random.choice([100.0, 150.0, 200.0]))
        drawn = random.choice(len(kinds), size=VNFS_A_NODE, replace=False)
        names = {kinds[number % len(kinds)], *(kinds[each] for each in drawn)}
        yield Node(f"n_{node}", 1, NodeType.DEFAULT, here, here, watts, watts * 0.7, 1.0, None, frozenset(names))
