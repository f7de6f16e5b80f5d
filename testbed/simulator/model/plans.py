"""What a placement answers: a plan, or why there is none; and what a plan needs.

In: types, instances. Out: values that never change. Must not do: know what is free.
"""

import itertools
from dataclasses import dataclass

from testbed.simulator.model.entities import Vnf
from testbed.simulator.model.instances import Route, SfcInstance, VnfInstance


class OverCommitError(ValueError):
    """A plan asks for more than there is. The text names what, how much, and what is free."""


@dataclass(frozen=True, slots=True)
class New:
    """An instance that a plan creates, with these resources (None: what the VNF type asks for)."""

    node: str
    cpu: float | None = None
    mem: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a request's chain runs. `stages`: an instance that exists, or New, by position. `routes`: len(stages) + 1 of them,
    from the ingress over each stage's node to the egress. `share`: use this SFC instance, and nothing else of the plan."""

    stages: tuple[VnfInstance | New, ...] = ()
    routes: tuple[Route, ...] = ()
    share: SfcInstance | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a request cannot be placed."""

    reason: str


def needs(vnf: Vnf, new: New) -> tuple[float, float]:
    """CPU and memory that a new instance takes."""
    return vnf.cpu if new.cpu is None else new.cpu, vnf.mem if new.mem is None else new.mem


def hop_bandwidths(vnfs: list[Vnf]) -> list[float]:
    """Mbit/s that a chain's hops hold: none to the first VNF, then what each VNF needs to send its results (document, "VNF")."""
    return [0.0, *(vnf.min_bandwidth for vnf in vnfs)]


def pairs(nodes: list[str]) -> list[tuple[str, str]]:
    """Neighbours in a sequence."""
    return list(itertools.pairwise(nodes))


def check_route(route: Route, source: str, target: str) -> None:
    """A route must lead from one node to the other.

    Raises:
        OverCommitError: it does not.
    """
    at = source
    for link in route:
        if link.source != at:
            raise OverCommitError(f"{link.name} does not begin at {at}")
        at = link.target
    if at != target:
        raise OverCommitError(f"a route from {source} ends at {at}: expected {target}")
