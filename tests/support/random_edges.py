"""Small random edge environments for the simulator's tests: tight enough that some requests find no place."""

import itertools
from collections.abc import Callable, Iterator

import numpy

from testbed.simulator.model.entities import (
    DataSource,
    Entities,
    Link,
    Node,
    NodeType,
    Sfc,
    SfcRequest,
    Slice,
    User,
    Vnf,
)
from testbed.simulator.model.instances import SfcInstance, VnfInstance
from testbed.simulator.model.plans import New, OverCommitError, Plan, Refused
from testbed.simulator.model.state import State
from testbed.simulator.placement import cost

Decided = dict[str, Plan | Refused]


def random_edge(seed: int, nodes: int = 5, vnfs: int = 4, requests: int = 6, slices: int = 1) -> Entities:
    """Nodes with little room, links of little bandwidth between most of them, some parallel, and requests at time 0."""
    random = numpy.random.default_rng(seed)

    def any_of(*values: float) -> float:
        return float(random.choice(values))

    names = [f"v_{number}" for number in range(vnfs)]
    types = {
        name: Vnf(
            name,
            any_of(1, 2, 3) * 1000,
            any_of(1, 2) * 1000,
            int(any_of(1, 2, 3)),
            any_of(0, 1, 2),
            any_of(1, 3),
            any_of(0, 1, 1000),
            any_of(0.5, 1, 2),
            any_of(0, 1),
            0.5,
            0,
            0,
            1e5,
            -1,
        )
        for name in names
    }
    places = {
        f"n_{number}": Node(
            f"n_{number}",
            1,
            NodeType.DEFAULT,
            any_of(2, 4, 6) * 1000,
            any_of(2, 4, 8) * 1000,
            any_of(100, 200),
            50.0,
            1.0,
            None,
            frozenset(name for name in names if random.random() < 0.7),
        )
        for number in range(nodes)
    }
    links: dict[str, Link] = {}

    def join(a: str, b: str, counter: int, bandwidth: float, propagation: float) -> None:
        name = f"l_{a[2:]}_{b[2:]}_{counter}"
        watts = any_of(0, 13, 16) if a != b else 0.0
        links[name] = Link(name, a, b, counter, bandwidth, 0.0, propagation, watts)

    for a in places:
        join(a, a, 0, 1e5, 0.0)
        for b in places:
            count = int(any_of(0, 1, 1, 1, 2)) if a != b else 0
            for counter in range(count):
                join(a, b, counter, any_of(2, 4, 8), any_of(1, 2, 5))
    parts = {f"sl_{number}": Slice(f"sl_{number}", 1 / slices, 1 / slices) for number in range(slices)}
    if random.random() < 0.3:
        parts["sl_0"] = Slice("sl_0", 1 / slices, 1 / slices, (0.4, 0.3, 0.3))
    sfcs = {
        f"s_{number}": Sfc(
            f"s_{number}",
            tuple(random.permutation(names)[: int(random.integers(1, min(3, vnfs) + 1))].tolist()),
            any_of(12, 20, 100),
            1,
            1e5,
            int(any_of(1, 2, 3)),
            f"sl_{number % slices}",
        )
        for number in range(3)
    }
    sources = {"src_0": DataSource("src_0", 0.005, 2.0, 20.0, 10)}
    ends = [tuple(f"n_{end}" for end in random.integers(0, nodes, 2)) for _ in range(requests)]
    asked = {
        f"r_{number}": SfcRequest(
            f"r_{number}", "u_0", f"s_{random.integers(0, 3)}", 1, 0.0, "src_0", ingress, egress, 1000.0
        )
        for number, (ingress, egress) in enumerate(ends)
    }
    users = {"u_0": User("u_0", "n_0", 1.0, 1000.0, 0.0, 1, {})}
    return Entities(places, links, types, sfcs, users, sources, asked, parts)


def committer(state: State) -> tuple[Callable[[SfcRequest, Plan | Refused], SfcInstance | None], Decided]:
    """A `commit` as the simulation's, and what it was told; a plan that the state refuses becomes `Refused`."""
    decided: Decided = {}

    def commit(request: SfcRequest, plan: Plan | Refused) -> SfcInstance | None:
        decided[request.name] = plan
        if isinstance(plan, Refused):
            return None
        try:
            return state.place(request, plan)[0]
        except OverCommitError as error:
            decided[request.name] = Refused(f"over-commit: {error}")
            return None

    return commit, decided


def every_plan(request: SfcRequest, state: State) -> Iterator[Plan]:
    """All plans for a request that could be carried out and are fast enough, over all instances, nodes and open routes."""
    entities = state.entities
    sfc = entities.sfcs[request.sfc]
    candidates: list[list[VnfInstance | New]] = [
        [*state.sharable_vnf_instances(name, sfc.slice), *(New(node.name) for node in state.hosts(name))]
        for name in sfc.vnfs
    ]
    for stages in itertools.product(*candidates):
        stops = [each.node if isinstance(each, New) else each.node.name for each in stages]
        hops = itertools.pairwise([request.ingress, *stops, request.egress])
        for routes in itertools.product(*(state.routes(*hop) for hop in hops)):
            plan = Plan(stages, routes)
            try:
                state._check(request, plan, [entities.vnfs[name] for name in sfc.vnfs], sfc.slice)
            except OverCommitError:
                continue
            if cost.of(request, plan, state).latency_ms <= sfc.max_latency:
                yield plan
