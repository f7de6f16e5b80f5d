"""What each attribute of each kind of entity may be, and how many entities there are (document, "Simulation Entities Specs File").

In: nothing. Out: the types that `specs_file` reads and of which `generate` draws; an attribute is a tuple of choices. Must not do: draw.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from testbed.simulator.model.entities import Location, Slice

Floats = tuple[float, ...]
Ints = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """How many entities of each kind there are."""

    nodes: int
    vnfs: int
    sfcs: int
    users: int
    data_sources: int


@dataclass(frozen=True, slots=True)
class NodeSpecs:
    """`energy_idle` is empty where it was left blank; `locations`: places with their weights."""

    cpu: Floats
    mem: Floats
    vnf_num: Ints
    group: Ints
    energy_max: Floats
    energy_idle: Floats
    disk_delay: Floats
    ran_node_prob: float
    core_node_prob: float
    locations: tuple[tuple[Location, float], ...]


@dataclass(frozen=True, slots=True)
class VnfSpecs:
    """Attributes of VNF types."""

    cpu: Floats
    mem: Floats
    max_share: Ints
    min_bandwidth: Floats
    packet_cpu_demand: Floats
    packet_mem_demand: Floats
    packet_network_demand: Floats
    remote_data_access_cost: Floats
    remote_data_access_prob: Floats
    startup_ipt: Floats
    shutdown_ipt: Floats
    timeout: Floats
    max_packet_queue: Ints
    resource_intensive: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SfcSpecs:
    """`lifetime`: empty where chains end by `timeout` alone."""

    vnf_num: Ints
    max_latency: Floats
    priority: Ints
    timeout: Floats
    priorities_order: Ints
    lifetime: Floats


@dataclass(frozen=True, slots=True)
class UserSpecs:
    """Attributes of users."""

    sfc_request_num: Ints
    latency: Floats
    bandwidth: Floats
    loss_rate: Floats
    priority: Ints


@dataclass(frozen=True, slots=True)
class LinkSpecs:
    """Attributes of links between nodes, and `loopback_bandwidth` of those within one."""

    bandwidth: Floats
    loss_rate: Floats
    propagation: Floats
    energy_consumption: Floats
    num_links_between_nodes: Ints
    loopback_bandwidth: Floats
    max_packet_queue: Ints


@dataclass(frozen=True, slots=True)
class DataSourceSpecs:
    """`one_per_sfc`: the file has packet patterns in its `sfc` block, so that source i is that of the requests for SFC i."""

    packet_size: Floats
    packet_interval: Floats
    packets_burst_size: Ints
    packets_burst_interval: Floats
    one_per_sfc: bool


@dataclass(frozen=True, slots=True)
class RequestSpecs:
    """`arrival`: poisson or linear; `increase_requests_per_window` is of the latter."""

    arrival: str
    increase_requests_per_window: int
    duration: Floats


@dataclass(frozen=True, slots=True)
class Specs:
    """The whole file. `slices`: the default one last, with what the others leave; `slice_of`: by SFC, where it is not in the default."""

    counts: Counts
    node: NodeSpecs
    vnf: VnfSpecs
    sfc: SfcSpecs
    user: UserSpecs
    link: LinkSpecs
    data_source: DataSourceSpecs
    sfc_requests: RequestSpecs
    slices: tuple[Slice, ...]
    slice_of: Mapping[str, str]
