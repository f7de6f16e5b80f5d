"""The words of service function chaining as typed, frozen data (RFC 7665, RFC 8300).

In: nothing. Out: the dataclasses that every other package speaks in. No I/O, no clock, no behaviour beyond what a value
says of itself. Validation of what comes from outside happens in `sdn_app.api`; here values are trusted.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network


class InstanceState(StrEnum):
    """Life cycle of an instance: starting until its first good probe."""

    STARTING = "starting"
    ACTIVE = "active"
    DRAINING = "draining"
    FAILED = "failed"


class Balancing(StrEnum):
    """How a new connection is dealt to the healthy instances at every position of a chain."""

    ROUND_ROBIN = "round-robin"
    WEIGHTED = "weighted"
    LEAST_LOADED = "least-loaded"
    STICKY = "sticky"
    HASH = "hash"


class OnFailure(StrEnum):
    """What happens to a chain at a position without a healthy instance."""

    FAIL_CLOSED = "fail-closed"
    FAIL_OPEN = "fail-open"


class Protocol(StrEnum):
    """IP protocols that a classifier may name; the wire numbers are in `IP_PROTOCOL`."""

    TCP = "tcp"
    UDP = "udp"
    ICMP = "icmp"


IP_PROTOCOL = {Protocol.ICMP: 1, Protocol.TCP: 6, Protocol.UDP: 17}

SERVANT = "servant"  # the VNF type of the emergency service


@dataclass(frozen=True, slots=True)
class PortRange:
    """Inclusive range of transport ports, 0 <= first <= last <= 65535."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Classifier:
    """Which traffic takes a chain. None means any. Greater priority wins; 0 <= priority <= 999."""

    domain: int | None = None
    source: IPv4Network | None = None
    destination: IPv4Network | None = None
    protocol: Protocol | None = None
    source_ports: PortRange | None = None
    destination_ports: PortRange | None = None
    priority: int = 100


@dataclass(frozen=True, slots=True)
class Constraints:
    """What a rendered path has to satisfy: greatest one-way latency (ms) and domains that it must not cross."""

    max_latency_ms: float | None = None
    avoid_domains: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class Chain:
    """An ordered list of VNF types with the classifier that says which traffic takes it.

    With a `service` the traffic is what goes to that service, and its servants are the last position that is balanced.
    Without one, the traffic goes on to the hosts that it is addressed to. `pinned` names an instance per position where
    a position is not balanced (a `/flows` rule is a chain of one pinned function); None entries are balanced.
    """

    name: str
    functions: tuple[str, ...]
    classifier: Classifier = Classifier()
    service: str | None = None
    balancing: Balancing = Balancing.ROUND_ROBIN
    on_failure: OnFailure = OnFailure.FAIL_CLOSED
    symmetric: bool = True
    constraints: Constraints = Constraints()
    pinned: tuple[str | None, ...] = ()
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Service:
    """An address and port that clients use, answered by the instances of one servant type."""

    name: str
    address: IPv4Address
    port: int
    servant_type: str = SERVANT
    protocol: Protocol = Protocol.TCP
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Attachment:
    """Where an instance is plugged in: a datapath id and switch port *names* (numbers change when a port is re-plugged).

    An inline function has two ports, (side of the clients, side of the servants); a servant has one.
    """

    switch: int
    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Instance:
    """One container of a VNF type. `address` and `mac` are the servant's own on its data interface (None for inline)."""

    instance_id: str
    vnf_type: str
    attachment: Attachment
    health_url: str | None = None
    address: IPv4Address | None = None
    mac: str | None = None
    weight: int = 1
    state: InstanceState = InstanceState.STARTING
    created_at: float = 0.0

    @property
    def is_servant(self) -> bool:
        """True where the instance ends a path (one port) rather than stands in it (two)."""
        return len(self.attachment.ports) == 1


@dataclass(frozen=True, slots=True)
class FlowRule:
    """A `/flows` entry: a match sent to one instance. Its chain is named by `flow_id`."""

    flow_id: str
    vnf_type: str
    instance_id: str
    classifier: Classifier
    priority: int = 100
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class DesiredState:
    """Everything that users asked for. Keys are names or ids; stored by `sdn_app.store`."""

    chains: dict[str, Chain] = field(default_factory=dict)
    services: dict[str, Service] = field(default_factory=dict)
    instances: dict[str, Instance] = field(default_factory=dict)
    flows: dict[str, FlowRule] = field(default_factory=dict)
