"""A run's state: instances of VNFs and SFCs, and what of the nodes and links they hold. Nothing here can be over-committed.

In: the entities, and plans made by a placement. Out: what is free, and instances (`instances`). Must not do: know of time, events or logs.
"""

from collections import defaultdict
from collections.abc import Mapping
from functools import cached_property

import networkx

from testbed.simulator.model.entities import Entities, Link, Node, SfcRequest, Slice, Vnf
from testbed.simulator.model.instances import Route, SfcInstance, Stage, VnfInstance
from testbed.simulator.model.plans import New, OverCommitError, Plan, check_route, hop_bandwidths, needs, pairs

TOLERANCE = 1e-9


class State:
    """What is placed, and what is free. Invariants: free resources are never negative; a slice never uses another's.

    Args:
        restrict_bandwidth: a route must have each stage's `min_bandwidth` free on all its links, and holds it.
        loopback: routes within a node take its loopback link.
    """

    def __init__(self, entities: Entities, restrict_bandwidth: bool = True, loopback: bool = True) -> None:
        self.entities, self.restrict_bandwidth, self.loopback = entities, restrict_bandwidth, loopback
        self.vnf_instances: dict[str, VnfInstance] = {}
        self.sfc_instances: dict[str, SfcInstance] = {}
        self._used_cpu: dict[tuple[str, str], float] = defaultdict(float)
        self._used_mem: dict[tuple[str, str], float] = defaultdict(float)
        self._used_bandwidth: dict[tuple[str, str], float] = defaultdict(float)
        self._created_vnf = self._created_sfc = 0
        self._routes: dict[tuple[str, str], list[Route]] = {}

    # what is free ----------------------------------------------------------------------------------------------------
    def slice_of(self, request: SfcRequest) -> Slice:
        """The slice that a request's chain belongs to."""
        return self.entities.slices[self.entities.sfcs[request.sfc].slice]

    def free_cpu(self, node: str, slice_name: str) -> float:
        """IPT of a node that a slice has left."""
        share = self.entities.slices[slice_name].node_share
        return self.entities.nodes[node].cpu * share - self._used_cpu[node, slice_name]

    def free_mem(self, node: str, slice_name: str) -> float:
        """MB of a node that a slice has left."""
        share = self.entities.slices[slice_name].node_share
        return self.entities.nodes[node].mem * share - self._used_mem[node, slice_name]

    def free_bandwidth(self, link: Link, slice_name: str) -> float:
        """Mbit/s of a link that a slice has left; loopbacks are never short."""
        if link.loopback:
            return float("inf")
        share = self.entities.slices[slice_name].bandwidth_share
        return link.bandwidth * share - self._used_bandwidth[link.name, slice_name]

    def used_cpu(self, node: str) -> float:
        """IPT of a node that instances hold, over all slices."""
        return sum(self._used_cpu[node, name] for name in self.entities.slices)

    def used_mem(self, node: str) -> float:
        """MB of a node that instances hold, over all slices."""
        return sum(self._used_mem[node, name] for name in self.entities.slices)

    def fits(self, node: str, slice_name: str, cpu: float, mem: float) -> bool:
        """Whether a node has this much left for a slice."""
        return self.free_cpu(node, slice_name) >= cpu - TOLERANCE and self.free_mem(node, slice_name) >= mem - TOLERANCE

    def hosts(self, vnf: str) -> list[Node]:
        """Nodes that may run a VNF type, in order."""
        return [node for node in self.entities.nodes.values() if vnf in node.vnfs]

    def sharable_vnf_instances(self, vnf: str, slice_name: str) -> list[VnfInstance]:
        """Instances of a type that may take one more request, in order of creation."""
        return [
            each
            for each in self.vnf_instances.values()
            if each.vnf.name == vnf
            and each.slice == slice_name
            and each.active
            and each.accepts
            and each.requests < each.vnf.max_share
        ]

    def sharable_sfc_instances(self, request: SfcRequest) -> list[SfcInstance]:
        """Instances of its chain with the same ends that may take a request (document, "SFC Instance Share")."""
        return [
            each
            for each in self.sfc_instances.values()
            if each.sfc.name == request.sfc
            and (each.ingress, each.egress) == (request.ingress, request.egress)
            and each.active
            and each.accepts
            and all(one.requests < one.vnf.max_share and one.active for one in each.vnf_instances)
        ]

    # routes ----------------------------------------------------------------------------------------------------------
    @cached_property
    def _between(self) -> Mapping[tuple[str, str], list[Link]]:
        between: dict[tuple[str, str], list[Link]] = defaultdict(list)
        for link in self.entities.links.values():
            between[link.source, link.target].append(link)
        return between

    @cached_property
    def _graph(self) -> "networkx.DiGraph[str]":
        graph: networkx.DiGraph[str] = networkx.DiGraph()
        graph.add_nodes_from(self.entities.nodes)
        for (source, target), links in self._between.items():
            if source != target:
                graph.add_edge(source, target, weight=min(link.delay_ms(1.0) for link in links))
        return graph

    def routes(self, source: str, target: str) -> list[Route]:
        """Every route that is considered between two nodes, in a fixed order.

        Direct links where there are any: one route each. Else the shortest path by delay, over the fastest of parallel links.
        """
        if source == target and not self.loopback:
            return [()]
        known = self._routes.get((source, target))
        if known is None:
            known = [(link,) for link in self._between.get((source, target), ())]
            if not known and source == target:
                known = [()]
            elif not known and networkx.has_path(self._graph, source, target):
                nodes = networkx.shortest_path(self._graph, source, target, weight="weight")
                known = [tuple(min(self._between[pair], key=lambda link: link.delay_ms(1.0)) for pair in pairs(nodes))]
            self._routes[source, target] = known
        return known

    def open_routes(self, source: str, target: str, bandwidth: float, slice_name: str) -> list[Route]:
        """Those of `routes` that have this bandwidth left, all of them where bandwidth is not restricted."""
        routes = self.routes(source, target)
        if not self.restrict_bandwidth:
            return routes
        return [
            route
            for route in routes
            if all(self.free_bandwidth(link, slice_name) >= bandwidth - TOLERANCE for link in route)
        ]

    # changes ---------------------------------------------------------------------------------------------------------
    def place(self, request: SfcRequest, plan: Plan) -> tuple[SfcInstance, tuple[VnfInstance, ...]]:
        """Carry a plan out, wholly or not at all; gives the SFC instance and the VNF instances that were created.

        Raises:
            OverCommitError: the plan asks for what is not there, or does not fit the request.
        """
        if plan.share is not None:
            if plan.share not in self.sharable_sfc_instances(request):
                raise OverCommitError(f"{request.name}: {plan.share.name} cannot be shared with it")
            plan.share.requests[request.name] = request
            return plan.share, ()
        sfc = self.entities.sfcs[request.sfc]
        vnfs = [self.entities.vnfs[name] for name in sfc.vnfs]
        ends = self._check(request, plan, vnfs, sfc.slice)
        created: list[VnfInstance] = []
        stages: list[Stage] = []
        for vnf, chosen in zip(vnfs, plan.stages, strict=True):
            if isinstance(chosen, New):
                chosen = self._create(vnf, chosen, sfc.slice)
                created.append(chosen)
            stages.append(Stage(vnf, [chosen]))
        instance = SfcInstance(
            f"si_{self._created_sfc}", self._created_sfc, sfc, request.ingress, request.egress, stages
        )
        self._created_sfc += 1
        instance.requests[request.name] = request
        for pair, route, bandwidth in zip(ends, plan.routes, hop_bandwidths(vnfs), strict=True):
            self._hold(instance, pair, route, bandwidth)
        self.sfc_instances[instance.name] = instance
        for each in instance.vnf_instances:
            each.sfc_instances[instance.name] = instance
        return instance, tuple(created)

    def leave(self, instance: SfcInstance, request: str) -> None:
        """A request needs its SFC instance no more; the instance stays until it is released."""
        instance.requests.pop(request, None)

    def release_sfc(self, instance: SfcInstance) -> None:
        """End an SFC instance: its bandwidth is free, its VNF instances stay without it."""
        instance.active = instance.accepts = False
        for link, bandwidth in instance.held:
            self._used_bandwidth[link, instance.slice] = max(
                0.0, self._used_bandwidth[link, instance.slice] - bandwidth
            )
        instance.held.clear()
        for each in instance.vnf_instances:
            each.sfc_instances.pop(instance.name, None)
        del self.sfc_instances[instance.name]

    def release_vnf(self, instance: VnfInstance) -> None:
        """End a VNF instance: its CPU and memory are free. Its SFC instances, if any, still name it."""
        instance.active = instance.accepts = False
        self._give(instance.node.name, instance.slice, -instance.cpu, -instance.mem)
        del self.vnf_instances[instance.name]

    def resize(self, instance: VnfInstance, cpu: float, mem: float) -> None:
        """Give a VNF instance other resources.

        Raises:
            OverCommitError: its node has not got them, or they are not positive.
        """
        node, more_cpu, more_mem = instance.node.name, cpu - instance.cpu, mem - instance.mem
        if cpu <= 0 or mem <= 0:
            raise OverCommitError(f"{instance.name}: cpu {cpu:g}, mem {mem:g}: expected more than 0")
        if more_cpu > self.free_cpu(node, instance.slice) + TOLERANCE and more_cpu > 0:
            raise OverCommitError(
                f"{instance.name}: {more_cpu:g} cpu more on {node}: {self.free_cpu(node, instance.slice):g} left"
            )
        if more_mem > self.free_mem(node, instance.slice) + TOLERANCE and more_mem > 0:
            raise OverCommitError(
                f"{instance.name}: {more_mem:g} mem more on {node}: {self.free_mem(node, instance.slice):g} left"
            )
        self._give(node, instance.slice, more_cpu, more_mem)
        instance.cpu, instance.mem = cpu, mem

    def add_replica(self, instance: SfcInstance, position: int, new: New) -> VnfInstance:
        """One more VNF instance at a position of a placed chain, with routes to and from all its neighbours.

        Raises:
            OverCommitError: the node has no room for it, or a route no bandwidth.
        """
        stage, name = instance.stages[position], instance.slice
        vnfs = [each.vnf for each in instance.stages]
        bandwidths = hop_bandwidths(vnfs)
        routes = []
        held: dict[str, float] = defaultdict(float)  # by link: what these routes take together
        for pair, bandwidth in (
            *(((before, new.node), bandwidths[position]) for before in instance.nodes_at(position - 1)),
            *(((new.node, after), bandwidths[position + 1]) for after in instance.nodes_at(position + 1)),
        ):
            if pair in instance.routes:
                continue
            open_routes = [
                route
                for route in self.open_routes(*pair, bandwidth, name)
                if not self.restrict_bandwidth
                or all(self.free_bandwidth(link, name) >= held[link.name] + bandwidth - TOLERANCE for link in route)
            ]
            if not open_routes:
                raise OverCommitError(
                    f"{instance.name}: no route from {pair[0]} to {pair[1]} with {bandwidth:g} Mbit/s"
                )
            routes.append((pair, open_routes[0], bandwidth))
            for link in open_routes[0]:
                held[link.name] += bandwidth
        self._check_new(new, stage.vnf, name, {})
        replica = self._create(stage.vnf, new, name)
        for pair, route, bandwidth in routes:
            self._hold(instance, pair, route, bandwidth)
        stage.instances.append(replica)
        replica.sfc_instances[instance.name] = instance
        instance.version += 1
        return replica

    def remove_replica(self, instance: SfcInstance, position: int, replica: VnfInstance) -> None:
        """New packets go to the stage's other instances; the replica stays until it is released.

        Raises:
            ValueError: it is the stage's only one, or none of its.
        """
        stage = instance.stages[position]
        if replica not in stage.instances or len(stage.instances) == 1:
            raise ValueError(f"{replica.name}: cannot be taken out of stage {position} of {instance.name}")
        stage.instances.remove(replica)
        replica.sfc_instances.pop(instance.name, None)
        instance.version += 1

    def _create(self, vnf: Vnf, new: New, slice_name: str) -> VnfInstance:
        cpu, mem = needs(vnf, new)
        instance = VnfInstance(
            f"vi_{self._created_vnf}", self._created_vnf, vnf, self.entities.nodes[new.node], slice_name, cpu, mem
        )
        self._created_vnf += 1
        self._give(new.node, slice_name, cpu, mem)
        self.vnf_instances[instance.name] = instance
        return instance

    def _give(self, node: str, slice_name: str, cpu: float, mem: float) -> None:
        self._used_cpu[node, slice_name] = max(0.0, self._used_cpu[node, slice_name] + cpu)
        self._used_mem[node, slice_name] = max(0.0, self._used_mem[node, slice_name] + mem)

    def _hold(self, instance: SfcInstance, pair: tuple[str, str], route: Route, bandwidth: float) -> None:
        instance.routes[pair] = route
        if not self.restrict_bandwidth:
            return
        for link in route:
            if not link.loopback:
                self._used_bandwidth[link.name, instance.slice] += bandwidth
                instance.held.append((link.name, bandwidth))

    # checks of plans -------------------------------------------------------------------------------------------------
    def _check(self, request: SfcRequest, plan: Plan, vnfs: list[Vnf], slice_name: str) -> list[tuple[str, str]]:
        if len(plan.stages) != len(vnfs) or len(plan.routes) != len(vnfs) + 1:
            raise OverCommitError(
                f"{request.name}: {len(plan.stages)} stages and {len(plan.routes)} routes: "
                f"expected {len(vnfs)} and {len(vnfs) + 1}"
            )
        more: dict[str, tuple[float, float]] = {}
        for vnf, chosen in zip(vnfs, plan.stages, strict=True):
            if isinstance(chosen, New):
                self._check_new(chosen, vnf, slice_name, more)
            elif chosen not in self.sharable_vnf_instances(vnf.name, slice_name):
                raise OverCommitError(f"{request.name}: {chosen.name} cannot serve {vnf.name} for one more request")
        stops = [each.node if isinstance(each, New) else each.node.name for each in plan.stages]
        ends = pairs([request.ingress, *stops, request.egress])
        held: dict[str, float] = defaultdict(float)
        for (source, target), route, bandwidth in zip(ends, plan.routes, hop_bandwidths(vnfs), strict=True):
            check_route(route, source, target)
            for link in route:
                held[link.name] += bandwidth
                if self.restrict_bandwidth and held[link.name] > self.free_bandwidth(link, slice_name) + TOLERANCE:
                    raise OverCommitError(
                        f"{request.name}: {held[link.name]:g} Mbit/s on {link.name}: "
                        f"{self.free_bandwidth(link, slice_name):g} left"
                    )
        return ends

    def _check_new(self, new: New, vnf: Vnf, slice_name: str, more: dict[str, tuple[float, float]]) -> None:
        if new.node not in self.entities.nodes or vnf.name not in self.entities.nodes[new.node].vnfs:
            raise OverCommitError(f"{vnf.name}: cannot run on {new.node}")
        cpu, mem = needs(vnf, new)
        so_far = more.get(new.node, (0.0, 0.0))
        more[new.node] = cpu, mem = cpu + so_far[0], mem + so_far[1]
        if not self.fits(new.node, slice_name, cpu, mem):
            raise OverCommitError(
                f"{vnf.name} on {new.node}: cpu {cpu:g}, mem {mem:g}: "
                f"{self.free_cpu(new.node, slice_name):g}, {self.free_mem(new.node, slice_name):g} left"
            )
