"""The document's LPP placement: all requests of a time window as one mixed-integer program, solved to proven optimality.

In: requests and the state. Out: plans that together are the best there are. Must not do: look beyond the window.

For each slice, with r a request, k a position of its chain (v its VNF), h a hop (k-1 to k), c a candidate for a position, either an
instance i that exists or a new one on node n, p a route of the state from node m to n, l a link:

    a[r]           1: the request is accepted           x[r,k,c]   1: candidate c serves position k
    z[r,h,m,n,p]   1: hop h takes route p               y[v,n]     how many instances of v are created on n, whole
    e[r,s]         1: it shares the SFC instance s      (only where the simulation lets SFC instances be shared)

    sum over p, m of z[r,k,m,n,p]   = sum over c on n of x[r,k,c]      what comes in at a position's node is served there,
    sum over p, n of z[r,k+1,m,n,p] = sum over c on m of x[r,k,c]      and goes on from there;
    sum over p, n of z[r,0,ingress,n,p] = sum over p, m of z[r,last,m,egress,p] = a[r] - sum over s of e[r,s]
    sum of x[.,.,i] + sum over s with i of e[.,s]  <= max_share[v] - requests in i
    sum over r, k of x[r,k,n] <= max_share[v]*y[v,n];  x[r,k,n] <= y[v,n]
    sum over v of cpu[v]*y[v,n] <= free cpu[n];  the same for memory
    sum of min_bandwidth*z over hops with l on their route <= free bandwidth[l]
    sum of service*x + sum of delay*z <= max_latency*(a[r] - sum over s of e[r,s])

First the greatest sum of a is found, then, with no fewer accepted, the least score (`cost.py`; a new instance counts by the mean of
the requests' factors). The layered assignment of VNFs with flow balances and pooled instances follows Mehraghdam, Keller and Karl,
"Specifying and placing chains of virtual network functions" (CloudNet 2014), and Luizelli et al., "Piecing together the NFV
provisioning puzzle" (IM 2015). The optimum is over the state's routes, and shares SFC instances that existed before the window only.

The search begins with what `SmartPlacement` finds, so an answer is never worse than that; with a Lagrangian bound (`relaxation.py`) it
tells which columns cannot be part of a better answer; they are left out (`program.py`).
"""

import time
from collections.abc import Sequence

from testbed.simulator.limits import at_least
from testbed.simulator.model.entities import SfcRequest
from testbed.simulator.model.plans import Plan, Refused
from testbed.simulator.model.state import State
from testbed.simulator.placement.base import Commit, Placement
from testbed.simulator.placement.books import Books
from testbed.simulator.placement.program import Program
from testbed.simulator.placement.relaxation import Part, Relaxation
from testbed.simulator.placement.window import Search, Window


class LPPPlacement(Placement):
    """Optimal placement of a window.

    Args:
        time_limit_s: for a window of one slice; half of it at most for acceptance. What was found until then is used.
        mip_gap: what the score may be over its bound, relatively, to count as optimal.

    Attributes, of the last window, summed over its slices; the gap is the greatest of theirs, the status the worst:
        last_objective: score; last_bound: no plans as many have less; last_gap: (score - bound) / score.
        last_accepted, last_accept_bound: requests accepted, and what no plans exceed.
        last_status: `optimal`, or why not. last_seconds: time it took.
    """

    def __init__(self, time_limit_s: float = 60.0, mip_gap: float = 1e-6) -> None:
        super().__init__()
        at_least(0.0, time_limit_s=time_limit_s, mip_gap=mip_gap)
        self.time_limit_s, self.mip_gap = time_limit_s, mip_gap
        self._reset()

    def plan(self, request: SfcRequest, state: State) -> Plan | Refused:
        """One request by itself."""
        self._reset()
        window = self._solved([request], state)
        chain = window.chains.get(request.name)
        return window.books.plan(chain) if chain else window.refusal(request)

    def plan_window(self, requests: Sequence[SfcRequest], state: State, commit: Commit) -> None:
        """All requests of a window together, and placed in their order."""
        self._reset()
        slices = dict.fromkeys(state.slice_of(request).name for request in requests)
        windows = {
            name: self._solved([each for each in requests if state.slice_of(each).name == name], state)
            for name in slices
        }
        for request in requests:
            windows[state.slice_of(request).name].commit(request, commit)

    def report(self) -> str | None:
        """How near to the optimum the last window is."""
        if self.last_status == "optimal":
            return f"proven optimal in {self.last_seconds:.2f} s"
        accepted = f"{self.last_accepted} of at most {self.last_accept_bound} requests"
        return f"{self.last_status}: {accepted}, gap {self.last_gap:.1%} after {self.last_seconds:.1f} s"

    def _reset(self) -> None:
        self.last_objective = self.last_bound = self.last_gap = self.last_seconds = 0.0
        self.last_accepted = self.last_accept_bound = 0
        self.last_status = "optimal"

    def _solved(self, requests: Sequence[SfcRequest], state: State) -> Window:
        began = time.perf_counter()
        window = Window(requests, state, Search(), self.share_vnf_instances, self.share_sfc_instances)
        window.solve()
        books = Books(state, window.books.slice, self.share_vnf_instances, window.books.aim)
        parts = [Part.of(request, window, books) for request in requests]
        parts = [part for part in parts if part.least < float("inf")]
        most, score, bound = len(parts), 0.0, 0.0
        if len(window.chains) < most:
            most = self._accept(window, books, parts)
        if window.chains:
            bound = Relaxation(parts, window, len(window.chains)).raise_bound(window.score())
            left = self.time_limit_s - (time.perf_counter() - began)
            program = Program(window, books, parts, accept=False)
            found = program.mip.solve(left, self.mip_gap, program.values())
            if found.values is not None and found.objective < window.score() - 1e-12:
                window.adopt(program.chains(found.values))
            self._note(found.status)
            score = window.score()
            bound = min(score, max(bound, found.bound))
        self.last_objective += score
        self.last_bound += bound
        self.last_gap = max(self.last_gap, (score - bound) / score if score > bound else 0.0)
        self.last_accepted += len(window.chains)
        self.last_accept_bound += most
        self.last_seconds += time.perf_counter() - began
        return window

    def _accept(self, window: Window, books: Books, parts: list[Part]) -> int:
        """Accept as many as can be; gives the number that cannot be exceeded."""
        program = Program(window, books, parts, accept=True)
        found = program.mip.solve(self.time_limit_s / 2, 0.0, program.values())
        if found.values is not None and -found.objective > len(window.chains) + 0.5:
            window.adopt(program.chains(found.values))
            window.improve()
        if found.optimal:
            return len(window.chains)
        self._note(f"{found.status} (acceptance)")
        return min(len(parts), int(-found.bound + 1e-6)) if found.bound > -len(parts) else len(parts)

    def _note(self, status: str) -> None:
        if self.last_status == "optimal":
            self.last_status = status
