"""The document's Naive placement: one new instance for each VNF, on any node that may run it.

In: a request. Out: a plan that may not fit; the state then refuses it. Must not do: look at what is free.
"""

from testbed.simulator.model.entities import SfcRequest
from testbed.simulator.model.plans import New, Plan, Refused, pairs
from testbed.simulator.model.state import State
from testbed.simulator.placement import reasons
from testbed.simulator.placement.base import Placement


class NaivePlacement(Placement):
    """Random hosts, the first route between them; checks neither resources nor bandwidth nor latency."""

    share_vnf_instances = False

    def plan(self, request: SfcRequest, state: State) -> Plan | Refused:
        """One new instance for each VNF."""
        if shared := self.shared(request, state):
            return shared
        stops = [request.ingress]
        for name in state.entities.sfcs[request.sfc].vnfs:
            hosts = state.hosts(name)
            if not hosts:
                return Refused(reasons.no_host(state.entities.vnfs[name], ()))
            stops.append(hosts[int(self.random.integers(len(hosts)))].name)
        routes = []
        for source, target in pairs([*stops, request.egress]):
            found = state.routes(source, target)
            if not found:
                return Refused(reasons.no_route(source, target, 0.0))
            routes.append(found[0])
        return Plan(tuple(New(node) for node in stops[1:]), tuple(routes))
