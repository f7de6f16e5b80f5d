"""What a plan costs: the one function by which placements choose and are scored.

In: a request, a plan, the state. Out: milliseconds a packet takes where nothing queues, IPT that new instances take, watts that it
adds; and one number of the three. Must not do: choose, or know an algorithm.

A packet's size on a hop is the data source's `packet_size`, after a VNF times that VNF's `packet_network_demand`; what a VNF works
on is the data source's size. Start-up is left out: it delays first packets only, whatever node is chosen.

    latency = sum over hops of size/bandwidth*1000 + propagation, + sum over VNFs of service                (document, "Link")
    service = (size*packet_cpu_demand/cpu*1000 + remote cost*probability [+ disk delay]) * max(1, load)     (behaviour, "VNF instance")
    energy  = sum over new VNFs of (max - idle)*cpu/node cpu, + sum over links of energy*min(1, packets/ms * ms on the link)
    score   = w1*latency/max_latency + w2*cpu/cpu of an all-new chain + w3*energy/energy of an all-new chain on the hungriest node

The weights are the slice's. Without any, they are 1, 0.01 and 0.0001 in the SFC's `priorities_order`: the first decides, the second
where the first differs by less than one per cent, and so on. Of requests that are placed together the scores add up, but a new
instance counts by the mean of their factors: who comes first and creates it is chance.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from testbed.simulator.model.entities import DataSource, Entities, Link, Node, Sfc, SfcRequest, Vnf
from testbed.simulator.model.instances import Route, SfcInstance, VnfInstance
from testbed.simulator.model.plans import New, Plan, needs
from testbed.simulator.model.state import State

RANKS = (1.0, 0.01, 0.0001)
ORDERS = {1: ("latency", "cpu", "energy"), 2: ("cpu", "latency", "energy"), 3: ("energy", "latency", "cpu")}


@dataclass(frozen=True, slots=True)
class Cost:
    """What a plan costs. `cpu`: IPT newly allocated."""

    latency_ms: float = 0.0
    cpu: float = 0.0
    energy_w: float = 0.0


@dataclass(frozen=True, slots=True)
class Aim:
    """What a request's chain is placed for: score for each ms, each IPT and each watt."""

    latency: float
    cpu: float
    energy: float

    @classmethod
    def of(cls, request: SfcRequest, entities: Entities) -> Self:
        """The module's last equation, as factors."""
        sfc = entities.sfcs[request.sfc]
        cpu = sum(entities.vnfs[name].cpu for name in sfc.vnfs)
        energy = cpu * max((busy_watts(node) / node.cpu for node in entities.nodes.values()), default=0.0)
        latency = sfc.max_latency if 0 < sfc.max_latency < math.inf else 0.0
        weights = _weights(sfc, entities)
        return cls(*(weight / (scale or 1.0) for weight, scale in zip(weights, (latency, cpu, energy), strict=True)))

    @classmethod
    def mean(cls, aims: Sequence[Self]) -> Self:
        """By what new instances of requests that are placed together count."""
        count = len(aims)
        return cls(
            sum(each.latency for each in aims) / count,
            sum(each.cpu for each in aims) / count,
            sum(each.energy for each in aims) / count,
        )

    def score(self, cost: Cost) -> float:
        """One number, the less the better."""
        return self.latency * cost.latency_ms + self.cpu * cost.cpu + self.energy * cost.energy_w


def _weights(sfc: Sfc, entities: Entities) -> tuple[float, float, float]:
    given = entities.slices[sfc.slice].weights
    if given is not None:
        return given
    ranked = dict(zip(ORDERS[sfc.priorities_order], RANKS, strict=True))
    return ranked["latency"], ranked["cpu"], ranked["energy"]


def busy_watts(node: Node) -> float:
    """What a node draws more when all its CPU is allocated."""
    return node.energy_max - node.energy_idle


def packets_per_ms(source: DataSource) -> float:
    """Mean over bursts and the gaps between them; infinite without gaps."""
    period = (source.burst_size - 1) * source.packet_interval + source.burst_interval
    return source.burst_size / period if period > 0 else math.inf


def hop_sizes(vnfs: list[Vnf], size: float) -> list[float]:
    """A packet's size on each hop, from the ingress over each VNF to the egress."""
    return [size, *(size * vnf.packet_network_demand for vnf in vnfs)]


def service_ms(vnf: Vnf, disk_delay: float, size: float, resources: tuple[float, float]) -> float:
    """Time of one packet alone in an instance with this CPU and memory."""
    cpu, mem = resources
    work = size * vnf.packet_cpu_demand
    disk = disk_delay if work * vnf.packet_mem_demand > mem else 0.0
    return (work / cpu * 1000 + vnf.remote_data_access_cost * vnf.remote_data_access_prob + disk) * max(1.0, work / cpu)


def link_energy_w(link: Link, size: float, rate: float) -> float:
    """Watts of a link for the part of time that a chain's packets are on it; none within a node."""
    if link.loopback or link.energy == 0:
        return 0.0
    on_link = link.delay_ms(size)
    return link.energy * (min(1.0, rate * on_link) if on_link > 0 else 0.0)


def route_ms(route: Route, size: float) -> float:
    """Time of one packet alone on a route."""
    return sum(link.delay_ms(size) for link in route)


def stage_cost(chosen: VnfInstance | New, vnf: Vnf, size: float, entities: Entities) -> Cost:
    """What one VNF of a plan costs."""
    if isinstance(chosen, VnfInstance):
        return Cost(service_ms(vnf, chosen.node.disk_delay, size, (chosen.cpu, chosen.mem)))
    node, resources = entities.nodes[chosen.node], needs(vnf, chosen)
    latency = service_ms(vnf, node.disk_delay, size, resources)
    return Cost(latency, resources[0], busy_watts(node) * resources[0] / node.cpu)


def of(request: SfcRequest, plan: Plan, state: State) -> Cost:
    """What a plan costs, or adds. A shared SFC instance adds nothing but its latency, the longest over its replicas."""
    entities = state.entities
    source = entities.data_sources[request.data_source]
    if plan.share is not None:
        return Cost(shared_ms(request, plan.share, entities))
    vnfs = [entities.vnfs[name] for name in entities.sfcs[request.sfc].vnfs]
    rate = packets_per_ms(source)
    stages = [stage_cost(*pair, source.packet_size, entities) for pair in zip(plan.stages, vnfs, strict=True)]
    hops = list(zip(plan.routes, hop_sizes(vnfs, source.packet_size), strict=True))
    return Cost(
        sum(each.latency_ms for each in stages) + sum(route_ms(*hop) for hop in hops),
        sum(each.cpu for each in stages),
        sum(each.energy_w for each in stages)
        + sum(link_energy_w(link, size, rate) for route, size in hops for link in route),
    )


def shared_ms(request: SfcRequest, instance: SfcInstance, entities: Entities) -> float:
    """Time of a request's packet in an SFC instance that it shares, the longest over its replicas."""
    size = entities.data_sources[request.data_source].packet_size
    total = 0.0
    for stage in instance.stages:
        total += max(
            service_ms(stage.vnf, each.node.disk_delay, size, (each.cpu, each.mem)) for each in stage.instances
        )
    for position, hop_size in enumerate(hop_sizes([stage.vnf for stage in instance.stages], size)):
        pairs = [(a, b) for a in instance.nodes_at(position - 1) for b in instance.nodes_at(position)]
        total += max(route_ms(instance.routes.get(pair, ()), hop_size) for pair in pairs)
    return total


def by_name(value: Cost, criterion: str) -> float:
    """A cost by one of the names in `ORDERS`."""
    return {"latency": value.latency_ms, "cpu": value.cpu, "energy": value.energy_w}[criterion]
