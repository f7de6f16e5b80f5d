"""What runs: instances of VNFs, and of the SFCs that they make up.

In: types and requests (`entities`). Out: mutable objects that the state, the lifecycle and the engine change. Must not do: decide.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from testbed.simulator.model.entities import Link, Node, Sfc, SfcRequest, Vnf

Route = tuple[Link, ...]
"""Links from one node to another, in order; empty where both are the same and loopback is not counted."""


class VnfInstance:
    """A running VNF. Attributes below the line belong to the engine.

    cpu, mem: allocated now. first_cpu, first_mem: allocated when created. sfc_instances: who uses it.
    accepts: may be given to further SFC instances. active: holds resources and takes packets.
    """

    __slots__ = (
        "abandoned",
        "accepts",
        "active",
        "arrived",
        "busy",
        "busy_ms",
        "cpu",
        "cpu_demand",
        "cpu_peak",
        "cpu_usage",
        "draining",
        "dropped",
        "first_cpu",
        "first_mem",
        "idle_since",
        "limit",
        "mem",
        "mem_demand",
        "name",
        "network_demand",
        "node",
        "number",
        "offered",
        "queue",
        "ready_at",
        "remote",
        "servers",
        "sfc_instances",
        "slice",
        "vnf",
    )

    def __init__(self, name: str, number: int, vnf: Vnf, node: Node, slice_name: str, cpu: float, mem: float) -> None:
        self.name, self.number, self.vnf, self.node, self.slice = name, number, vnf, node, slice_name
        self.cpu = self.first_cpu = cpu
        self.mem = self.first_mem = mem
        self.sfc_instances: dict[str, SfcInstance] = {}
        self.accepts, self.active, self.draining = True, True, False
        self.ready_at = 0.0
        self.idle_since = 0.0
        self.queue: deque[Any] = deque()
        self.busy = 0
        self.busy_ms = self.cpu_usage = self.cpu_peak = self.offered = 0.0
        self.arrived = self.dropped = self.abandoned = 0
        # What the engine asks for with every packet.
        self.cpu_demand, self.mem_demand = vnf.packet_cpu_demand, vnf.packet_mem_demand
        self.network_demand, self.remote = vnf.packet_network_demand, vnf.remote_data_access_prob
        self.servers, self.limit = vnf.max_share, vnf.max_packet_queue

    @property
    def requests(self) -> int:
        """SFC requests that use it: what `max_share` limits."""
        return sum(len(each.requests) for each in self.sfc_instances.values())

    @property
    def processed(self) -> int:
        """Packets that it has done its work on."""
        return self.arrived - self.dropped - self.abandoned - self.busy - len(self.queue)

    @property
    def mem_usage(self) -> float:
        """MB that packets in service take: `packet_mem_demand` for each of their instructions (document, "VNF")."""
        return self.cpu_usage * self.mem_demand

    @property
    def mem_peak(self) -> float:
        """The greatest `mem_usage` since `cpu_peak` was set back."""
        return self.cpu_peak * self.mem_demand

    @property
    def cpu_load(self) -> float:
        """Instructions of the packets in service over the CPU allocated (behaviour, "VNF instance")."""
        return self.cpu_usage / self.cpu

    @property
    def mem_load(self) -> float:
        """Memory of the packets in service over the memory allocated."""
        return self.mem_usage / self.mem


@dataclass(slots=True, eq=False)
class Stage:
    """One position of a chain: the instances that share its packets in turn."""

    vnf: Vnf
    instances: list[VnfInstance]


@dataclass(slots=True, eq=False)
class SfcInstance:
    """A placed chain. `stages` by position; `routes` by (node, node) from ingress over the stages to egress.
    `held`: bandwidth by link.
    accepts: may be shared with further requests. created, violated, processed, dropped, orphaned:
    packets so far, counted by the engine.
    """

    name: str
    number: int
    sfc: Sfc
    ingress: str
    egress: str
    stages: list[Stage]
    routes: dict[tuple[str, str], Route] = field(default_factory=dict)
    requests: dict[str, SfcRequest] = field(default_factory=dict)
    held: list[tuple[str, float]] = field(default_factory=list)
    accepts: bool = True
    active: bool = True
    placed_at: float = 0.0
    last_packet: float = 0.0
    created: int = 0
    violated: int = 0
    processed: int = 0
    dropped: int = 0
    orphaned: int = 0
    version: int = 0  # changes with its stages: the engine's paths of before are not used for new packets

    @property
    def ended(self) -> int:
        """Packets that are under way no more."""
        return self.processed + self.dropped + self.orphaned

    @property
    def slice(self) -> str:
        """The slice that its resources are of."""
        return self.sfc.slice

    @property
    def vnf_instances(self) -> list[VnfInstance]:
        """All instances of all stages, in order."""
        return [instance for stage in self.stages for instance in stage.instances]

    def nodes_at(self, position: int) -> list[str]:
        """Nodes of a stage's instances; the ingress before the first stage, the egress after the last one."""
        if position < 0:
            return [self.ingress]
        if position >= len(self.stages):
            return [self.egress]
        return list(dict.fromkeys(each.node.name for each in self.stages[position].instances))
