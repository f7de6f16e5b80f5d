"""Greedy placement: VNF by VNF, the nearest instance or node that fits.

In: a request and the state. Out: a plan that fits and is fast enough, or why there is none. Must not do: look ahead.
"""

from testbed.simulator.model.entities import SfcRequest
from testbed.simulator.model.plans import Plan, Refused
from testbed.simulator.model.state import State
from testbed.simulator.placement import reasons
from testbed.simulator.placement.base import Placement
from testbed.simulator.placement.draft import Draft


class GreedyPlacement(Placement):
    """Least latency of route and service to the next VNF; of equals an instance before a new one, then the nodes' order."""

    def plan(self, request: SfcRequest, state: State) -> Plan | Refused:
        """Choose for one VNF after another; what was chosen is not taken back."""
        shared = self.shared(request, state)
        if shared and not reasons.slow(request, shared, state):
            return shared
        draft = Draft(request, state, self.share_vnf_instances)
        for _ in draft.vnfs:
            choices = draft.choices()
            if not choices:
                return draft.stuck()
            draft.take(min(choices, key=lambda choice: choice.cost.latency_ms))
        return draft.finish()
