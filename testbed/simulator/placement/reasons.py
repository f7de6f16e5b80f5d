"""Why a request was refused, in words: one place, so that logs of all algorithms can be counted together.

In: what was looked for, and the state. Out: text. Must not do: search.
"""

from collections.abc import Sequence

from testbed.simulator.model.entities import SfcRequest, Vnf
from testbed.simulator.model.plans import Plan, Refused
from testbed.simulator.model.state import TOLERANCE, State
from testbed.simulator.placement import cost

OTHERS = "others of its time window leave no room for it"


def no_host(vnf: Vnf, hosts: Sequence[tuple[float, float]]) -> str:
    """No node takes a new instance of a VNF; `hosts`: free CPU and memory of those that may run it."""
    if not hosts:
        return f"no node may run {vnf.name}"
    if all(cpu < vnf.cpu - TOLERANCE for cpu, _ in hosts):
        return f"no node has {vnf.cpu:g} cpu left for {vnf.name}"
    if all(mem < vnf.mem - TOLERANCE for _, mem in hosts):
        return f"no node has {vnf.mem:g} mem left for {vnf.name}"
    return f"no node has {vnf.cpu:g} cpu and {vnf.mem:g} mem left for {vnf.name}"


def no_route(source: str, target: str, bandwidth: float) -> str:
    """No open route between two nodes."""
    return f"no route from {source} to {target} has {bandwidth:g} Mbit/s left"


def no_way(vnf: Vnf, source: str, bandwidths: list[float]) -> str:
    """Nodes have room for a VNF, routes to or from them have not."""
    needed = " and ".join(f"{each:g}" for each in bandwidths)
    return f"no route from {source} over a node with room for {vnf.name} has {needed} Mbit/s left"


def slow(request: SfcRequest, plan: Plan, state: State) -> Refused | None:
    """A refusal where a plan would take longer than its SFC may."""
    latency, sfc = cost.of(request, plan, state).latency_ms, state.entities.sfcs[request.sfc]
    return Refused(too_slow("the plan", latency, sfc.name, sfc.max_latency)) if latency > sfc.max_latency else None


def too_slow(what: str, latency_ms: float, sfc: str, max_latency: float) -> str:
    """A packet would take too long."""
    return f"{what} takes {latency_ms:.2f} ms: {sfc} allows {max_latency:g}"


def no_routes(source: str, target: str, bandwidth: float) -> str:
    """Nodes have room for all VNFs, but no routes join them."""
    return f"no routes from {source} over nodes with room to {target} have up to {bandwidth:g} Mbit/s left"


def together(sfc: str) -> str:
    """Each VNF fits alone."""
    return f"what is left suffices for each VNF of {sfc}, not for all of them together within its max_latency"
