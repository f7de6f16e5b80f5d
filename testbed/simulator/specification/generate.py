"""Draws the entities of an environment from specs (document, "Entities Number" to "SFC Request").

In: specs, a seed, and the time that requests spread over. Out: Entities. Every kind has a random stream of its own, derived from the
seed, so that another number of users changes no node, and what was drawn before does not change when more of a kind is drawn.
Must not do: know of files, or keep state.

Rules where the document leaves room:
- If no node was drawn to be at the radio network, one at random is. The node with most CPU (of several: most memory, then the
  first) may run every VNF type, so that at least one can.
- Every direction between two nodes has links drawn on its own. A loopback has neither propagation delay nor loss nor energy.
- A user's requests are for distinct chains until all chains were asked for, in random order. Ingress and egress of a user's
  chain are drawn apart, each with equal chance the user's node or a random CORE node; without CORE nodes, the user's node.
- Arrival times: see `arrivals`. A request's priority is uniform over 0 .. the user's.
"""

from collections.abc import Iterable, Sequence
from dataclasses import fields, replace
from itertools import product
from typing import TypeVar

import numpy

from testbed.simulator.model.entities import (
    DEFAULT_SLICE,
    DataSource,
    Entities,
    Link,
    Location,
    Node,
    NodeType,
    Sfc,
    SfcRequest,
    Slice,
    User,
    Vnf,
)
from testbed.simulator.specification.arrivals import Arrival, arrival_times
from testbed.simulator.specification.specs import NodeSpecs, Specs

T = TypeVar("T")
E = TypeVar("E", Node, Link, Vnf, Sfc, User, DataSource, SfcRequest, Slice)
Random = numpy.random.Generator
STREAMS = (
    "nodes",
    "links",
    "vnfs",
    "sfcs",
    "users",
    "data_sources",
    "wishes",
    "requests",
    "arrivals",
)  # new ones at the end
IDLE_PART = 0.7  # of energy_max, where no energy_idle is given that is less (document, "Node")


def generate(specs: Specs, seed: int, total_time: float, time_window: float) -> Entities:
    """The environment of a seed. Times in ms; `seed` is not negative."""
    children = numpy.random.SeedSequence(seed).spawn(len(STREAMS))
    streams = {name: numpy.random.default_rng(child) for name, child in zip(STREAMS, children, strict=True)}
    vnfs = _vnfs(specs, streams["vnfs"])
    nodes = _nodes(specs, vnfs, streams["nodes"])
    sfcs = _sfcs(specs, vnfs, streams["sfcs"])
    users = _users(specs, nodes, streams["users"])
    users, wishes = _wishes(specs, users, nodes, sfcs, streams["wishes"])
    arrivals = arrival_times(
        specs.sfc_requests, [len(each) for each in wishes], total_time, time_window, streams["arrivals"]
    )
    return Entities(
        nodes=_by_name(nodes),
        links=_by_name(_links(specs, nodes, streams["links"])),
        vnfs=_by_name(vnfs),
        sfcs=_by_name(sfcs),
        users=_by_name(users),
        data_sources=_by_name(_data_sources(specs, streams["data_sources"])),
        sfc_requests=_by_name(_requests(specs, users, wishes, arrivals, streams["requests"])),
        slices=_by_name(specs.slices),
    )


def choose(random: Random, values: Sequence[T]) -> T:
    """One of the values, each with equal chance."""
    return values[int(random.integers(len(values)))]


def _by_name(entities: Iterable[E]) -> dict[str, E]:
    return {each.name: each for each in entities}


def _vnfs(specs: Specs, random: Random) -> list[Vnf]:
    """Every attribute of the model has its choices under the same name."""
    names = [each.name for each in fields(specs.vnf)]
    return [
        Vnf(f"v_{i}", **{name: choose(random, getattr(specs.vnf, name)) for name in names})
        for i in range(specs.counts.vnfs)
    ]


def _nodes(specs: Specs, vnfs: Sequence[Vnf], random: Random) -> list[Node]:
    nodes = [_node(specs.node, f"n_{i}", vnfs, random) for i in range(specs.counts.nodes)]
    if all(node.type is not NodeType.RAN for node in nodes):
        at = int(random.integers(len(nodes)))
        nodes[at] = replace(nodes[at], type=NodeType.RAN)
    strongest = max(range(len(nodes)), key=lambda i: (nodes[i].cpu, nodes[i].mem, -i))
    nodes[strongest] = replace(nodes[strongest], vnfs=frozenset(vnf.name for vnf in vnfs))
    return nodes


def _node(specs: NodeSpecs, name: str, vnfs: Sequence[Vnf], random: Random) -> Node:
    energy_max = choose(random, specs.energy_max)
    idle = [value for value in specs.energy_idle if value < energy_max] or [IDLE_PART * energy_max]
    drawn = random.random()
    if drawn < specs.ran_node_prob:
        kind = NodeType.RAN
    else:
        kind = NodeType.CORE if drawn < specs.ran_node_prob + specs.core_node_prob else NodeType.DEFAULT
    hosted = random.choice(len(vnfs), size=choose(random, specs.vnf_num), replace=False)
    return Node(
        name=name,
        group=choose(random, specs.group),
        type=kind,
        cpu=choose(random, specs.cpu),
        mem=choose(random, specs.mem),
        energy_max=energy_max,
        energy_idle=choose(random, idle),
        disk_delay=choose(random, specs.disk_delay),
        location=_place(specs, random),
        vnfs=frozenset(vnfs[i].name for i in hosted),
    )


def _place(specs: NodeSpecs, random: Random) -> Location | None:
    if not specs.locations:
        return None
    weights = numpy.array([weight for _, weight in specs.locations])
    return specs.locations[int(random.choice(len(weights), p=weights / weights.sum()))][0]


def _links(specs: Specs, nodes: Sequence[Node], random: Random) -> list[Link]:
    """A node's own link first among those from it to others, in the order of nodes."""
    link = specs.link
    links: list[Link] = []
    for (a, source), (b, target) in product(enumerate(nodes), repeat=2):
        if a == b:
            bandwidth = choose(random, link.loopback_bandwidth)
            links.append(Link(f"l_{a}_{a}_0", source.name, source.name, 0, bandwidth, 0.0, 0.0, 0.0))
            continue
        links += [
            Link(
                name=f"l_{a}_{b}_{k}",
                source=source.name,
                target=target.name,
                counter=k,
                bandwidth=choose(random, link.bandwidth),
                loss_rate=choose(random, link.loss_rate),
                propagation=choose(random, link.propagation),
                energy=choose(random, link.energy_consumption),
                max_packet_queue=choose(random, link.max_packet_queue),
            )
            for k in range(choose(random, link.num_links_between_nodes))
        ]
    return links


def _sfcs(specs: Specs, vnfs: Sequence[Vnf], random: Random) -> list[Sfc]:
    return [
        Sfc(
            name=f"s_{i}",
            vnfs=tuple(
                vnfs[v].name for v in random.choice(len(vnfs), size=choose(random, specs.sfc.vnf_num), replace=False)
            ),
            max_latency=choose(random, specs.sfc.max_latency),
            priority=choose(random, specs.sfc.priority),
            timeout=choose(random, specs.sfc.timeout),
            priorities_order=choose(random, specs.sfc.priorities_order),
            slice=specs.slice_of.get(f"s_{i}", DEFAULT_SLICE),
            lifetime=choose(random, specs.sfc.lifetime) if specs.sfc.lifetime else None,
        )
        for i in range(specs.counts.sfcs)
    ]


def _data_sources(specs: Specs, random: Random) -> list[DataSource]:
    return [
        DataSource(
            name=f"src_{i}",
            packet_size=choose(random, specs.data_source.packet_size),
            packet_interval=choose(random, specs.data_source.packet_interval),
            burst_interval=choose(random, specs.data_source.packets_burst_interval),
            burst_size=choose(random, specs.data_source.packets_burst_size),
        )
        for i in range(specs.counts.data_sources)
    ]


def _users(specs: Specs, nodes: Sequence[Node], random: Random) -> list[User]:
    ran = [node.name for node in nodes if node.type is NodeType.RAN]
    return [
        User(
            name=f"u_{i}",
            node=choose(random, ran),
            latency=choose(random, specs.user.latency),
            bandwidth=choose(random, specs.user.bandwidth),
            loss_rate=choose(random, specs.user.loss_rate),
            priority=choose(random, specs.user.priority),
            ingress_egress={},
        )
        for i in range(specs.counts.users)
    ]


def _wishes(
    specs: Specs, users: Sequence[User], nodes: Sequence[Node], sfcs: Sequence[Sfc], random: Random
) -> tuple[list[User], list[list[int]]]:
    """The users with their chains' ends, and by user the numbers of the chains that they ask for."""
    core = [node.name for node in nodes if node.type is NodeType.CORE]
    wishes: list[list[int]] = []
    complete: list[User] = []
    for user in users:
        number, wished = choose(random, specs.user.sfc_request_num), list[int]()
        while len(wished) < number:
            wished += random.permutation(len(sfcs)).tolist()
        wishes.append(wished[:number])
        ends = {}
        for sfc in dict.fromkeys(wished[:number]):
            ingress, egress = (choose(random, (user.node, choose(random, core or [user.node]))) for _ in range(2))
            ends[sfcs[sfc].name] = (ingress, egress)
        complete.append(replace(user, ingress_egress=ends))
    return complete, wishes


def _requests(
    specs: Specs, users: Sequence[User], wishes: Sequence[Sequence[int]], arrivals: Sequence[Arrival], random: Random
) -> list[SfcRequest]:
    """Numbered in the order of arrival; what else is drawn does not depend on that order."""
    drawn = [
        [
            (sfc if specs.data_source.one_per_sfc else int(random.integers(specs.counts.data_sources)),
             choose(random, specs.sfc_requests.duration),
             int(random.integers(user.priority, endpoint=True)))
            for sfc in wished
        ]
        for user, wished in zip(users, wishes, strict=True)
    ]  # fmt: skip
    requests: list[SfcRequest] = []
    for time, at_user, at_wish in arrivals:
        user, sfc = users[at_user], f"s_{wishes[at_user][at_wish]}"
        source, duration, priority = drawn[at_user][at_wish]
        name = f"r_{len(requests)}"
        requests.append(
            SfcRequest(name, user.name, sfc, priority, time, f"src_{source}", *user.ingress_egress[sfc], duration)
        )
    return requests
