"""What the compiler is given: switches with their port roles, hosts, targets and paths, all numbers resolved. Pure."""

from dataclasses import dataclass

from sdn_app.network.graph import Host, NetworkGraph
from sdn_app.paths.render import RenderedPath
from sdn_app.rules.entries import Match


@dataclass(frozen=True, slots=True)
class Binding:
    """A host port's admitted source: MAC and IPv4 addresses. `terminal`: paths may end here; replies are looked up."""

    port: int
    mac: int
    addresses: tuple[int, ...]
    terminal: bool


@dataclass(frozen=True, slots=True)
class SwitchFacts:
    """One switch. `index` (>= 1, stored) selects its conntrack zones; ports are OpenFlow numbers."""

    dpid: int
    index: int
    trunks: frozenset[int]
    functions: frozenset[int]
    bindings: tuple[Binding, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """Traffic of one chain to one destination (a service or a host).

    `matches` are tried at `priority` in `classify` of every switch in `ingresses`; `live` lists, per ingress, the SPIs
    and weights that a new connection can be dealt; `by_group` leaves the choice to a select group.
    """

    target_id: int
    priority: int
    matches: tuple[Match, ...]
    ingresses: frozenset[int]
    live: dict[int, tuple[tuple[int, int], ...]]
    by_group: bool


@dataclass(frozen=True, slots=True)
class PlannedPath:
    """A path with what became of it. A dead one has no entries of its own; `replacement` takes its connections over."""

    path: RenderedPath
    reverse_segments: tuple[tuple[int, ...], ...]
    dead: bool = False
    replacement: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """All that rules are compiled from."""

    graph: NetworkGraph
    switches: dict[int, SwitchFacts]
    hosts: tuple[Host, ...] = ()
    service_addresses: tuple[int, ...] = ()
    targets: tuple[Target, ...] = ()
    paths: tuple[PlannedPath, ...] = ()
    unknown_rate_pps: int = 200
