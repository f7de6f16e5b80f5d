"""Puts a network, functions and users together as entities.

In: a network, functions, and the capacities that the data does not have. Out: entities that fit together. Packets come in at the
user's node and go out at the core, where the service is. Must not do: read files.
"""

from dataclasses import dataclass

import numpy

from testbed.simulator.inputs.functions import Functions
from testbed.simulator.inputs.networks import Network
from testbed.simulator.inputs.units import CORE
from testbed.simulator.model.entities import DataSource, Entities, Link, Node, NodeType, Sfc, SfcRequest, User
from testbed.simulator.specification.consistency import check_entities
from testbed.simulator.specification.problems import Problems


@dataclass(frozen=True, slots=True)
class Capacities:
    """What the data does not say: assumptions, all to be chosen. Bandwidths in Mbit/s, energy in watts, times in ms."""

    node_cores: float = 8.0
    node_mem: float = 16_384.0
    bandwidth: float = 1000.0
    loopback_bandwidth: float = 10_000.0
    energy_max: float = 200.0
    energy_idle: float = 100.0
    link_energy: float = 10.0
    access_latency: float = 1.0
    access_bandwidth: float = 100.0
    max_latency: float = 50.0


def build(
    network: Network, functions: Functions, source: DataSource, total_time: float, random: numpy.random.Generator,
    capacities: Capacities = Capacities(),
) -> Entities:  # fmt: skip
    """Entities: every user asks for one chain at random, from 0 on, for the whole time. A chain lives as long as its request: gaps
    of recorded traces are longer than any time-out that one would choose.

    Raises:
        SpecificationError: they do not fit together.
    """
    nodes = _nodes(network, functions, capacities)
    sfcs = [Sfc(f"s_{i}", chain, capacities.max_latency, 1, total_time) for i, chain in enumerate(functions.chains)]
    core = f"n_{network.core}"
    users = [
        User(
            name=f"u_{i}",
            node=f"n_{place}",
            latency=capacities.access_latency + extra,
            bandwidth=capacities.access_bandwidth,
            loss_rate=0.0,
            priority=1,
            ingress_egress={sfcs[int(random.integers(len(sfcs)))].name: (f"n_{place}", core)},
        )
        for i, (place, extra) in enumerate(network.attached)
    ]
    requests = [
        SfcRequest(f"r_{i}", user.name, sfc, user.priority, 0.0, source.name, *ends, total_time)
        for i, (user, (sfc, ends)) in enumerate((user, item) for user in users for item in user.ingress_egress.items())
    ]
    links = _links(network, capacities)
    kinds = (nodes, links, functions.vnfs, sfcs, users, [source], requests)
    entities = Entities(*({each.name: each for each in kind} for kind in kinds))  # type: ignore[arg-type]  # by kind
    problems = Problems("")
    check_entities(entities, problems)
    problems.close()
    return entities


def _nodes(network: Network, functions: Functions, capacities: Capacities) -> list[Node]:
    return [
        Node(
            name=f"n_{i}",
            group=1,
            type=NodeType.CORE if i == network.core else NodeType.RAN,
            cpu=capacities.node_cores * CORE,
            mem=capacities.node_mem,
            energy_max=capacities.energy_max,
            energy_idle=capacities.energy_idle,
            disk_delay=0.0,
            location=place,
            vnfs=frozenset(vnf.name for vnf in functions.vnfs),
        )
        for i, place in enumerate(network.places)
    ]


def _links(network: Network, capacities: Capacities) -> list[Link]:
    """Parallel ones, which some topologies have, are numbered from 0."""
    links = [
        Link(f"l_{i}_{i}_0", f"n_{i}", f"n_{i}", 0, capacities.loopback_bandwidth, 0.0, 0.0, 0.0)
        for i in range(len(network.places))
    ]
    counters: dict[tuple[int, int], int] = {}
    for edge in network.edges:
        k = counters[edge.source, edge.target] = counters.get((edge.source, edge.target), -1) + 1
        links.append(
            Link(
                name=f"l_{edge.source}_{edge.target}_{k}",
                source=f"n_{edge.source}",
                target=f"n_{edge.target}",
                counter=k,
                bandwidth=capacities.bandwidth if edge.bandwidth is None else edge.bandwidth,
                loss_rate=0.0,
                propagation=edge.propagation_ms,
                energy=capacities.link_energy,
            )
        )
    return links
