"""Smart placement: the cheapest chain by the SFC's priorities or its slice's weights, planned for a time window's requests together.

In: requests and the state. Out: plans that fit and are fast enough, or why there are none. Must not do: use more than is free.

`layered` (ours) finds each chain exactly (`layered.py`) and improves the window as a whole (`window.py`). `stepwise` is the
original's rule (behaviour, "Smart placement"): VNF by VNF it shares an instance that has room, else creates one, and takes the
candidates that are best in the first of the SFC's priorities, of these the best in the second, of these in the third, of these one
at random.
"""

from collections.abc import Sequence

from testbed.simulator.limits import at_least
from testbed.simulator.model.entities import SfcRequest
from testbed.simulator.model.plans import New, Plan, Refused
from testbed.simulator.model.state import State
from testbed.simulator.placement import cost, reasons
from testbed.simulator.placement.base import Commit, Placement
from testbed.simulator.placement.draft import Choice, Draft
from testbed.simulator.placement.window import Search, Window

SEARCHES = ("layered", "stepwise")


class SmartPlacement(Placement):
    """Our heuristic.

    Args:
        search: `layered` or `stepwise`.
        effort: searches a request that a window may spend on improving its plans, at most 1000 a window, fewer where a lower bound
            shows that less can be gained and in windows of fewer than 6 requests; 0: each request gets the cheapest chain that the
            ones before it leave.
        scarcity: what the last unit of a node's CPU or memory or a link's bandwidth counts while requests get their first chain,
            in scores (1 is about what a chain of `max_latency` costs); dearer resources are kept for later windows.
    """

    def __init__(self, search: str = "layered", effort: int = 120, scarcity: float = 0.0) -> None:
        super().__init__()
        if search not in SEARCHES:
            raise ValueError(f"search: {search!r}: expected one of {', '.join(SEARCHES)}")
        at_least(0.0, effort=effort, scarcity=scarcity)
        self.search = search
        self.how = Search(effort=effort, scarcity=scarcity)

    def plan(self, request: SfcRequest, state: State) -> Plan | Refused:
        """One request by itself."""
        if self.search == "stepwise":
            return self._stepwise(request, state)
        window = self._solved([request], state)
        chain = window.chains.get(request.name)
        return window.books.plan(chain) if chain else window.refusal(request)

    def plan_window(self, requests: Sequence[SfcRequest], state: State, commit: Commit) -> None:
        """All requests of a window together, and placed in their order."""
        if self.search == "stepwise":
            super().plan_window(requests, state, commit)
            return
        slices = dict.fromkeys(state.slice_of(request).name for request in requests)
        windows = {
            name: self._solved([each for each in requests if state.slice_of(each).name == name], state)
            for name in slices
        }
        for request in requests:
            windows[state.slice_of(request).name].commit(request, commit)

    def _solved(self, requests: Sequence[SfcRequest], state: State) -> Window:
        window = Window(requests, state, self.how, self.share_vnf_instances, self.share_sfc_instances)
        window.solve()
        return window

    def _stepwise(self, request: SfcRequest, state: State) -> Plan | Refused:
        shared = self.shared(request, state)
        if shared and not reasons.slow(request, shared, state):
            return shared
        draft = Draft(request, state, self.share_vnf_instances)
        for _ in draft.vnfs:
            choices = draft.choices()
            if not choices:
                return draft.stuck()
            existing = [choice for choice in choices if not isinstance(choice.stage, New)]
            draft.take(self._pick(existing or choices, request, state))
        return draft.finish()

    def _pick(self, choices: Sequence[Choice], request: SfcRequest, state: State) -> Choice:
        """The best choices, one after another criterion or by the slice's weights; of equals one at random."""
        sfc = state.entities.sfcs[request.sfc]
        best = list(choices)
        if state.entities.slices[sfc.slice].weights is not None:
            aim = cost.Aim.of(request, state.entities)
            best = _least(best, [aim.score(choice.cost) for choice in best])
        else:
            for criterion in cost.ORDERS[sfc.priorities_order]:
                best = _least(best, [cost.by_name(choice.cost, criterion) for choice in best])
        return best[int(self.random.integers(len(best)))] if len(best) > 1 else best[0]


def _least(choices: list[Choice], values: list[float]) -> list[Choice]:
    least = min(values)
    return [choice for choice, value in zip(choices, values, strict=True) if value <= least + 1e-12]
