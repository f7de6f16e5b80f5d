"""From desired state and what the switches have to a `Plan` and the dealer's tables.

In: desired state, inventory, graph, the path registry before. Out: the registry after, the plan that rules are compiled
from, and per target which path a new connection can be dealt. It writes nothing to switches; SPIs and ids are allocated
in the store by the functions that it is given.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address

from sdn_app.chains.model import (
    IP_PROTOCOL,
    Balancing,
    Chain,
    Classifier,
    DesiredState,
    Instance,
    InstanceState,
    OnFailure,
    Protocol,
    Service,
)
from sdn_app.chains.overlap import port_masks
from sdn_app.control.inventory import Inventory
from sdn_app.network.graph import Host, NetworkGraph
from sdn_app.paths.registry import PathRegistry, Status, advance
from sdn_app.paths.render import PathKey, Stop, Terminal, links_intact, render, reverse_segments
from sdn_app.paths.turns import Candidate, combinations, cycle
from sdn_app.rules import pipeline as p
from sdn_app.rules.entries import Match, match
from sdn_app.rules.plan import Binding, Plan, PlannedPath, SwitchFacts, Target

INTACT = frozenset({InstanceState.ACTIVE, InstanceState.DRAINING})
FLOW_PREFIX = "flow:"


@dataclass(frozen=True, slots=True)
class View:
    """A consistent look at everything that a plan depends on."""

    desired: DesiredState
    inventory: Inventory
    graph: NetworkGraph
    switch_index: dict[int, int]
    now: float


@dataclass(frozen=True, slots=True)
class DealTable:
    """What the dealer needs for one target."""

    target_id: int
    chain: Chain
    options: tuple[tuple[Candidate, ...], ...]
    keys: dict[int, tuple[PathKey | None, ...]]  # per ingress, one a option


@dataclass(frozen=True, slots=True)
class Planned:
    """The outcome of planning."""

    plan: Plan
    registry: PathRegistry
    deals: dict[int, DealTable]
    functions: frozenset[tuple[int, int]]


class Resolver:
    """Instances and hosts with their ports resolved to numbers. `places` maps an id to (switch, port numbers)."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.places: dict[str, tuple[int, tuple[int, ...]]] = {}
        for instance in view.desired.instances.values():
            switch = view.inventory.switches.get(instance.attachment.switch)
            if switch is None:
                continue
            numbers = [switch.number_of(name) for name in instance.attachment.ports]
            found = tuple(number for number in numbers if number is not None)
            if len(found) == len(numbers):
                self.places[instance.instance_id] = (instance.attachment.switch, found)
        self.functions = frozenset(
            (switch, number)
            for iid, (switch, numbers) in self.places.items()
            if len(numbers) == 2
            for number in numbers
        )
        servants = {i.address for i in view.desired.instances.values() if i.address is not None}
        self.clients = tuple(
            host
            for address, host in sorted(view.inventory.hosts.items())
            if address not in servants
            and host.switch in view.inventory.switches
            and (host.switch, host.port) not in self.functions
        )
        self.servants = tuple(self._servant_hosts())

    def _servant_hosts(self) -> Iterator[Host]:
        for instance in self.view.desired.instances.values():
            place = self.places.get(instance.instance_id)
            if place and instance.is_servant and instance.address and instance.mac:
                yield Host(int(instance.mac.replace(":", ""), 16), instance.address, place[0], place[1][0])

    def healthy(self, vnf_type: str, pinned: str | None) -> list[Instance]:
        """Instances that a new connection may be dealt to, by id."""
        return [
            instance
            for _, instance in sorted(self.view.desired.instances.items())
            if instance.vnf_type == vnf_type
            and instance.state is InstanceState.ACTIVE
            and instance.instance_id in self.places
            and pinned in (None, instance.instance_id)
        ]

    def stop(self, instance_id: str) -> Stop:
        """Where a path passes through an inline instance."""
        switch, (enter, leave) = self.places[instance_id]
        return Stop(instance_id, switch, enter, leave)

    def terminal(self, instance_id: str) -> Terminal:
        """Where a path ends at a servant."""
        switch, (port,) = self.places[instance_id]
        instance = self.view.desired.instances[instance_id]
        assert instance.address is not None and instance.mac is not None
        return Terminal(switch, port, int(instance.mac.replace(":", ""), 16), instance.address, instance_id)

    def intact(self, key: PathKey) -> bool:
        """True where every instance, port and link of a path is still there."""
        instances = self.view.desired.instances
        for stop in key.stops:
            instance = instances.get(stop.instance_id)
            if instance is None or instance.state not in INTACT:
                return False
            if self.places.get(stop.instance_id) != (stop.switch, (stop.enter_port, stop.leave_port)):
                return False
        end = key.terminal
        if end.instance_id is not None:
            servant = instances.get(end.instance_id)
            if servant is None or servant.state not in INTACT:
                return False
            if self.places.get(end.instance_id) != (end.switch, (end.port,)):
                return False
        elif Host(end.mac, end.address, end.switch, end.port) not in self.clients:
            return False
        if key.ingress not in self.view.graph.switches:
            return False
        return links_intact(self.view.graph, key)


def effective_chains(desired: DesiredState) -> list[Chain]:
    """Chains as users stated them, `/flows` rules as chains of one pinned function, and one without functions for every
    service, which takes what no other chain takes."""
    chains = [chain for _, chain in sorted(desired.chains.items())]
    for flow_id, rule in sorted(desired.flows.items()):
        classifier = replace(rule.classifier, priority=rule.priority)
        chains.append(Chain(FLOW_PREFIX + flow_id, (rule.vnf_type,), classifier, pinned=(rule.instance_id,)))
    for name in sorted(desired.services):
        chains.append(Chain(f"service:{name}", (), Classifier(priority=-1), service=name))
    return chains


def make_plan(
    view: View,
    registry: PathRegistry,
    allocate_spi: Callable[[PathKey], int],
    target_id: Callable[[str], int],
    unknown_rate_pps: int,
) -> Planned:
    """Plan everything anew. Equal input gives an equal plan."""
    resolver = Resolver(view)
    targets: list[tuple[Target, DealTable]] = []
    for chain in effective_chains(view.desired):
        targets.extend(_targets(resolver, chain, target_id))
    wanted = [key for _, table in targets for row in table.keys.values() for key in row if key is not None]
    chains = {table.chain.name: table.chain for _, table in targets}
    after = advance(
        registry,
        wanted,
        resolver.intact,
        lambda key: _alternative(resolver, chains.get(key.chain), key),
        allocate_spi,
        view.now,
    )
    live = {entry.path.key: spi for spi, entry in after.entries.items() if entry.status is Status.LIVE}
    complete = tuple(replace(target, live=_live(table, live)) for target, table in targets)
    plan = Plan(
        view.graph,
        _switches(resolver),
        resolver.clients + resolver.servants,
        tuple(sorted({int(service.address) for service in view.desired.services.values()})),
        complete,
        tuple(_planned_paths(view.graph, after, chains)),
        unknown_rate_pps,
    )
    return Planned(plan, after, {table.target_id: table for _, table in targets}, resolver.functions)


def _targets(resolver: Resolver, chain: Chain, target_id: Callable[[str], int]) -> Iterator[tuple[Target, DealTable]]:
    view = resolver.view
    classifier, implicit = chain.classifier, chain.classifier.priority < 0
    priority = p.CLASSIFY_IMPLICIT if implicit else p.CLASSIFY_CHAIN + classifier.priority
    clients = {host.switch for host in resolver.clients}
    ingresses = frozenset(clients if classifier.domain is None else clients & {classifier.domain})
    for name, terminals, matches in _destinations(resolver, chain):
        options = _options(resolver, chain, terminals)
        tid = target_id(f"{chain.name}>{name}")
        keys = {ingress: _render_row(view.graph, resolver, chain, ingress, name, options) for ingress in ingresses}
        by_group = chain.balancing is Balancing.HASH
        yield (
            Target(tid, priority, matches, ingresses, {}, by_group),
            DealTable(tid, chain, options, keys),
        )


def _destinations(resolver: Resolver, chain: Chain) -> Iterator[tuple[str, Sequence[Candidate], tuple[Match, ...]]]:
    """(name, candidates to end at, matches) of everything that a chain's traffic can be addressed to."""
    desired = resolver.view.desired
    if chain.service is not None:
        service = desired.services.get(chain.service)
        if service is not None:
            ends = [Candidate(i.instance_id, i.weight) for i in resolver.healthy(service.servant_type, None)]
            yield service.name, ends, matches_of(chain.classifier, int(service.address), service)
        return
    prefix = chain.classifier.destination
    for host in resolver.clients + resolver.servants:
        if prefix is None or host.address in prefix:
            ends = [Candidate(str(host.address), 1)]
            yield str(host.address), ends, matches_of(chain.classifier, int(host.address), None)


def matches_of(classifier: Classifier, destination: int, service: Service | None) -> tuple[Match, ...]:
    """The matches that a classifier comes to for one destination address; port ranges become masks."""
    fields: dict[str, int | tuple[int, int]] = {"eth_type": p.ETH_IPV4, "ipv4_dst": destination}
    if classifier.source is not None and classifier.source.prefixlen:
        fields["ipv4_src"] = (int(classifier.source.network_address), int(classifier.source.netmask))
    protocol = service.protocol if service else classifier.protocol
    if protocol is None:
        return (match(**fields),)
    fields["ip_proto"] = IP_PROTOCOL[protocol]
    if protocol is Protocol.ICMP:
        return (match(**fields),)
    ranges: list[list[dict[str, int | tuple[int, int]]]] = []
    for side, ports in (("src", classifier.source_ports), ("dst", classifier.destination_ports)):
        if side == "dst" and service is not None:
            ranges.append([{f"{protocol}_dst": service.port}])
        elif ports is None:
            ranges.append([{}])
        else:
            masks = port_masks(ports)
            ranges.append([{f"{protocol}_{side}": v if m == 0xFFFF else (v, m)} for v, m in masks])
    return tuple(match(**fields, **source, **to) for source in ranges[0] for to in ranges[1])


def _options(resolver: Resolver, chain: Chain, terminals: Sequence[Candidate]) -> tuple[tuple[Candidate, ...], ...]:
    """The tuples of instances that connections are dealt in turn; the terminal is the last of each."""
    positions: list[Sequence[Candidate]] = []
    for place, vnf_type in enumerate(chain.functions):
        pinned = chain.pinned[place] if place < len(chain.pinned) else None
        healthy = resolver.healthy(vnf_type, pinned)
        if not healthy and chain.on_failure is OnFailure.FAIL_OPEN:
            continue
        positions.append([Candidate(i.instance_id, i.weight) for i in healthy])
    positions.append(terminals)
    if not all(positions):
        return ()
    if chain.balancing in (Balancing.LEAST_LOADED, Balancing.STICKY):
        return combinations(positions)
    if chain.balancing is Balancing.ROUND_ROBIN:
        positions = [[Candidate(c.id) for c in position] for position in positions]
    return cycle(positions)


def _render_row(
    graph: NetworkGraph,
    resolver: Resolver,
    chain: Chain,
    ingress: int,
    name: str,
    options: tuple[tuple[Candidate, ...], ...],
) -> tuple[PathKey | None, ...]:
    row = []
    for option in options:
        *stops, end = (candidate.id for candidate in option)
        through = tuple(resolver.stop(iid) for iid in stops)
        row.append(render(graph, chain, ingress, name, through, _terminal(resolver, end)))
    return tuple(row)


def _terminal(resolver: Resolver, name: str) -> Terminal:
    if name in resolver.view.desired.instances:
        return resolver.terminal(name)
    address = IPv4Address(name)
    host = next(h for h in resolver.clients + resolver.servants if h.address == address)
    return Terminal(host.switch, host.port, host.mac, host.address, None)


def _alternative(resolver: Resolver, chain: Chain | None, key: PathKey) -> PathKey | None:
    """A path that takes over a broken one's connections: same end, other instances where they broke. None where the end
    itself is gone, or a position has no healthy instance and the chain is fail-closed."""
    if chain is None:
        return None
    end = key.terminal
    if end.instance_id is not None:
        servant = resolver.view.desired.instances.get(end.instance_id)
        if servant is None or servant.state not in INTACT or servant.instance_id not in resolver.places:
            return None
        end = resolver.terminal(servant.instance_id)
    elif Host(end.mac, end.address, end.switch, end.port) not in resolver.clients:
        return None
    stops: list[Stop] = []
    used = {stop.instance_id for stop in key.stops}
    for place, vnf_type in enumerate(chain.functions):
        pinned = chain.pinned[place] if place < len(chain.pinned) else None
        healthy = resolver.healthy(vnf_type, pinned)
        kept = [i for i in healthy if i.instance_id in used]
        if healthy:
            stops.append(resolver.stop((kept or healthy)[0].instance_id))
        elif chain.on_failure is OnFailure.FAIL_CLOSED:
            return None
    return render(resolver.view.graph, chain, key.ingress, key.target, tuple(stops), end)


def _live(table: DealTable, live: dict[PathKey, int]) -> dict[int, tuple[tuple[int, int], ...]]:
    """Per ingress the SPIs that can be dealt, with how often each stands in the cycle as its weight."""
    result = {}
    for ingress, row in table.keys.items():
        shares: dict[int, int] = {}
        for key in row:
            if key is not None and key in live:
                shares[live[key]] = shares.get(live[key], 0) + 1
        result[ingress] = tuple(sorted(shares.items()))
    return result


def _planned_paths(graph: NetworkGraph, registry: PathRegistry, chains: dict[str, Chain]) -> Iterator[PlannedPath]:
    for _, entry in sorted(registry.entries.items()):
        if entry.status is Status.DEAD:
            yield PlannedPath(entry.path, (), True, entry.replacement)
            continue
        chain = chains.get(entry.path.key.chain)
        avoid = chain.constraints.avoid_domains if chain else frozenset()
        back = reverse_segments(graph, entry.path.key, avoid)
        if back:
            yield PlannedPath(entry.path, back)


def _switches(resolver: Resolver) -> dict[int, SwitchFacts]:
    """Roles of the ports of every connected switch."""
    view = resolver.view
    trunks: dict[int, set[int]] = {}
    for link in view.graph.links.values():
        trunks.setdefault(link.a, set()).add(link.a_port)
        trunks.setdefault(link.b, set()).add(link.b_port)
    facts = {}
    for dpid, index in view.switch_index.items():
        if dpid not in view.inventory.switches:
            continue
        functions = frozenset(port for switch, port in resolver.functions if switch == dpid)
        facts[dpid] = SwitchFacts(
            dpid, index, frozenset(trunks.get(dpid, ())), functions, tuple(_bindings(resolver, dpid))
        )
    return facts


def _bindings(resolver: Resolver, dpid: int) -> Iterator[Binding]:
    desired = resolver.view.desired
    plain = any(chain.service is None for chain in effective_chains(desired))
    for host in resolver.clients:
        if host.switch == dpid:
            yield Binding(host.port, host.mac, (int(host.address),), plain)
    services: dict[str, list[int]] = {}
    for service in desired.services.values():
        services.setdefault(service.servant_type, []).append(int(service.address))
    owners = {i.address: i for i in desired.instances.values() if i.address is not None}
    for host in resolver.servants:
        if host.switch == dpid:
            owned = services.get(owners[host.address].vnf_type, [])
            yield Binding(host.port, host.mac, (int(host.address), *sorted(set(owned))), True)
