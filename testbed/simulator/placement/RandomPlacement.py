"""Random placement: VNF by VNF, any instance or node that fits.

In: a request and the state. Out: a plan that fits, or why there is none. Must not do: look at latency or energy.
"""

from testbed.simulator.model.entities import SfcRequest
from testbed.simulator.model.plans import Plan, Refused
from testbed.simulator.model.state import State
from testbed.simulator.placement.base import Placement
from testbed.simulator.placement.draft import Draft


class RandomPlacement(Placement):
    """Each choice as likely as any other; checks resources and bandwidth, not latency."""

    def plan(self, request: SfcRequest, state: State) -> Plan | Refused:
        """Choose for one VNF after another; what was chosen is not taken back."""
        if shared := self.shared(request, state):
            return shared
        draft = Draft(request, state, self.share_vnf_instances)
        for _ in draft.vnfs:
            choices = draft.choices()
            if not choices:
                return draft.stuck()
            draft.take(choices[int(self.random.integers(len(choices)))])
        return draft.finish(latency=False)
