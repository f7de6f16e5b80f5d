"""A plan that grows VNF by VNF, and what may come next: what the simple algorithms choose from.

In: a request and the state. Out: choices that fit together with what was taken before, a plan, or why there is none.
Must not do: choose.
"""

from collections import defaultdict
from dataclasses import dataclass

from testbed.simulator.model.entities import SfcRequest, Vnf
from testbed.simulator.model.instances import Route, VnfInstance
from testbed.simulator.model.plans import New, Plan, Refused, hop_bandwidths, needs
from testbed.simulator.model.state import TOLERANCE, State
from testbed.simulator.placement import cost, reasons


@dataclass(frozen=True, slots=True)
class Choice:
    """An instance for the next VNF, the route to it, and what both cost."""

    stage: VnfInstance | New
    node: str
    route: Route
    cost: cost.Cost


class Draft:
    """A plan for a request so far. Invariant: what was taken fits into the state as a whole."""

    def __init__(self, request: SfcRequest, state: State, share_vnf_instances: bool) -> None:
        self.request, self.state, self.share_vnf_instances = request, state, share_vnf_instances
        entities = state.entities
        self.sfc = entities.sfcs[request.sfc]
        self.vnfs: list[Vnf] = [entities.vnfs[name] for name in self.sfc.vnfs]
        source = entities.data_sources[request.data_source]
        self.size, self.rate = source.packet_size, cost.packets_per_ms(source)
        self.sizes, self.bandwidths = cost.hop_sizes(self.vnfs, self.size), hop_bandwidths(self.vnfs)
        self.at = request.ingress
        self.stages: list[VnfInstance | New] = []
        self.routes: list[Route] = []
        self._cpu: dict[str, float] = defaultdict(float)
        self._mem: dict[str, float] = defaultdict(float)
        self._held: dict[str, float] = defaultdict(float)

    @property
    def position(self) -> int:
        """The VNF that comes next."""
        return len(self.stages)

    def routes_to(self, node: str, source: str | None = None) -> list[Route]:
        """Open routes for the next hop, or for the hop after it from `source`."""
        hop = self.position + (source is not None)
        bandwidth, slice_name = self.bandwidths[hop], self.sfc.slice
        routes = self.state.open_routes(source or self.at, node, bandwidth, slice_name)
        if not self.state.restrict_bandwidth:
            return routes
        return [
            route
            for route in routes
            if all(
                self.state.free_bandwidth(link, slice_name) - self._held[link.name] >= bandwidth - TOLERANCE
                for link in route
            )
        ]

    def candidates(self) -> list[tuple[VnfInstance | New, str]]:
        """Instances that the next VNF may share, then nodes with room for a new one; whatever the routes."""
        vnf, name = self.vnfs[self.position], self.sfc.slice
        found: list[tuple[VnfInstance | New, str]] = []
        if self.share_vnf_instances:
            taken = [each for each in self.stages if isinstance(each, VnfInstance)]
            sharable = self.state.sharable_vnf_instances(vnf.name, name)
            found += [(each, each.node.name) for each in sharable if each not in taken]
        for node in self.state.hosts(vnf.name):
            new = New(node.name)
            cpu, mem = needs(vnf, new)
            if self.state.fits(node.name, name, cpu + self._cpu[node.name], mem + self._mem[node.name]):
                found.append((new, node.name))
        return found

    def choices(self) -> list[Choice]:
        """What may serve the next VNF, over each open route. For the last VNF, with a route to the egress after it."""
        vnf, found = self.vnfs[self.position], []
        last = self.position == len(self.vnfs) - 1
        for stage, node in self.candidates():
            if last and not self.routes_to(self.request.egress, node):
                continue
            service = cost.stage_cost(stage, vnf, self.size, self.state.entities)
            found += [Choice(stage, node, route, self._with(service, route)) for route in self.routes_to(node)]
        return found

    def take(self, choice: Choice) -> None:
        """Serve the next VNF with this choice."""
        if isinstance(choice.stage, New):
            cpu, mem = needs(self.vnfs[self.position], choice.stage)
            self._cpu[choice.node] += cpu
            self._mem[choice.node] += mem
        self._hold(choice.route)
        self.stages.append(choice.stage)
        self.at = choice.node

    def finish(self, latency: bool = True) -> Plan | Refused:
        """The plan, over the fastest open route to the egress; refused where there is none, or `latency` is over the SFC's."""
        routes = self.routes_to(self.request.egress)
        if not routes:
            return Refused(reasons.no_route(self.at, self.request.egress, self.bandwidths[-1]))
        self._hold(min(routes, key=lambda route: cost.route_ms(route, self.sizes[self.position])))
        plan = Plan(tuple(self.stages), tuple(self.routes))
        return reasons.slow(self.request, plan, self.state) or plan if latency else plan

    def stuck(self) -> Refused:
        """Why there is no choice for the next VNF."""
        vnf = self.vnfs[self.position]
        if not self.candidates():
            name, state = self.sfc.slice, self.state
            hosts = [node.name for node in state.hosts(vnf.name)]
            free = [
                (state.free_cpu(node, name) - self._cpu[node], state.free_mem(node, name) - self._mem[node])
                for node in hosts
            ]
            return Refused(reasons.no_host(vnf, free))
        return Refused(reasons.no_way(vnf, self.at, self.bandwidths[self.position : self.position + 2]))

    def _with(self, service: cost.Cost, route: Route) -> cost.Cost:
        size = self.sizes[self.position]
        watts = sum(cost.link_energy_w(link, size, self.rate) for link in route)
        return cost.Cost(service.latency_ms + cost.route_ms(route, size), service.cpu, service.energy_w + watts)

    def _hold(self, route: Route) -> None:
        for link in route:
            self._held[link.name] += self.bandwidths[self.position]
        self.routes.append(route)
