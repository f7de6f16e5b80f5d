"""What a simulated edge environment consists of, as given before a run: nodes, links, VNFs, SFCs, users, sources, slices, requests.

In: values that the specification's parser has checked. Out: frozen data. Names follow the simulator's document; units: time ms,
cpu IPT (instructions a time unit of the specification, divided by 1000 for a millisecond), memory MB, bandwidth Mbit/s, size as
the document's packet size. Must not do: know anything of a run's state.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

DEFAULT_SLICE = "default"


class NodeType(StrEnum):
    """Where a node stands: at the radio network, in a data centre, or between."""

    RAN = "RAN"
    CORE = "CORE"
    DEFAULT = "DEFAULT"


@dataclass(frozen=True, slots=True)
class Location:
    """A place on earth, in degrees."""

    name: str
    key: str
    latitude: float
    longitude: float


@dataclass(frozen=True, slots=True)
class Node:
    """An edge node. `vnfs`: the types of which it may run instances. Energy in watts, `disk_delay` in ms."""

    name: str
    group: int
    type: NodeType
    cpu: float
    mem: float
    energy_max: float
    energy_idle: float
    disk_delay: float
    location: Location | None
    vnfs: frozenset[str]


@dataclass(frozen=True, slots=True)
class Link:
    """One direction between two nodes, or a node's loopback. `energy`: watts while in use. `max_packet_queue`: -1 has no limit."""

    name: str
    source: str
    target: str
    counter: int
    bandwidth: float
    loss_rate: float
    propagation: float
    energy: float
    max_packet_queue: int = -1

    @property
    def loopback(self) -> bool:
        """Whether both ends are the same node."""
        return self.source == self.target

    def delay_ms(self, size: float) -> float:
        """Transmission and propagation of a packet (document, "Link")."""
        return size / self.bandwidth * 1000 + self.propagation


@dataclass(frozen=True, slots=True)
class Vnf:
    """A VNF type. Demands are per unit of a packet's size; `max_share`: requests an instance may serve, and packets at once."""

    name: str
    cpu: float
    mem: float
    max_share: int
    min_bandwidth: float
    packet_cpu_demand: float
    packet_mem_demand: float
    packet_network_demand: float
    remote_data_access_cost: float
    remote_data_access_prob: float
    startup_ipt: float
    shutdown_ipt: float
    timeout: float
    max_packet_queue: int
    resource_intensive: str = "CPU"


@dataclass(frozen=True, slots=True)
class Sfc:
    """A chain of VNF types. `lifetime`: ms after which an instance ends whatever its packets; None: by `timeout` alone."""

    name: str
    vnfs: tuple[str, ...]
    max_latency: float
    priority: int
    timeout: float
    priorities_order: int = 1
    slice: str = DEFAULT_SLICE
    lifetime: float | None = None


@dataclass(frozen=True, slots=True)
class User:
    """Who asks for SFCs. `ingress_egress`: by SFC, the nodes where its packets come in and go out."""

    name: str
    node: str
    latency: float
    bandwidth: float
    loss_rate: float
    priority: int
    ingress_egress: Mapping[str, tuple[str, str]]


@dataclass(frozen=True, slots=True)
class DataSource:
    """How packets come: bursts of `burst_size` packets, exponential gaps of mean `packet_interval` in them, of mean
    `burst_interval` between them (ms)."""

    name: str
    packet_size: float
    packet_interval: float
    burst_interval: float
    burst_size: int


@dataclass(frozen=True, slots=True)
class Slice:
    """A share of every node's and every link's resources that nobody else uses. `weights`: latency, capacity, energy."""

    name: str
    node_share: float = 1.0
    bandwidth_share: float = 1.0
    weights: tuple[float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class SfcRequest:
    """A user's wish for a chain from `arrival_time` on, with packets for `duration` ms after it was placed."""

    name: str
    user: str
    sfc: str
    priority: int
    arrival_time: float
    data_source: str
    ingress: str
    egress: str
    duration: float


@dataclass(frozen=True, slots=True)
class Move:
    """A user who is at another node from `time` on."""

    time: float
    user: str
    node: str


@dataclass(frozen=True, slots=True)
class Entities:
    """Everything that is given before a run, by name; iteration order is the order of numbering."""

    nodes: Mapping[str, Node]
    links: Mapping[str, Link]
    vnfs: Mapping[str, Vnf]
    sfcs: Mapping[str, Sfc]
    users: Mapping[str, User]
    data_sources: Mapping[str, DataSource]
    sfc_requests: Mapping[str, SfcRequest]
    slices: Mapping[str, Slice] = field(default_factory=lambda: {DEFAULT_SLICE: Slice(DEFAULT_SLICE)})
