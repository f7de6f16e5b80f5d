"""A small edge: nodes in a ring, one chain of two VNF types, and loads as a test wants them."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from testbed.simulator.model.entities import DataSource, Entities, Link, Node, NodeType, Sfc, SfcRequest, User, Vnf
from testbed.simulator.model.instances import SfcInstance
from testbed.simulator.model.plans import New, Plan
from testbed.simulator.model.state import State
from testbed.simulator.scaling.base import Observation, SfcLoad, VnfLoad

IDLE = VnfLoad(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0)


def load(offered: float, mem_peak: float = 0.0, usage: float = 0.0, pps: float = 100.0, queue: int = 0) -> VnfLoad:
    """A load. Utilisation is what was offered, at most 1; what was not done was dropped."""
    done = pps / offered if offered > 1 else pps
    return VnfLoad(offered, min(1.0, offered), mem_peak, usage, pps, done, pps - done, queue)


def vnf(name: str, cpu: float = 100.0, mem: float = 100.0, demand: float = 1.0, bandwidth: float = 10.0) -> Vnf:
    return Vnf(name, cpu, mem, 10, bandwidth, demand, 1.0, 1.0, 0.0, 0.0, 10.0, 10.0, 100.0, -1)


def node(name: str, cpu: float = 1000.0, mem: float = 1000.0, vnfs: str = "v_0 v_1") -> Node:
    return Node(name, 0, NodeType.CORE, cpu, mem, 100.0, 10.0, 0.0, None, frozenset(vnfs.split()))


@dataclass
class World:
    """An edge with chains placed on it, and what was measured."""

    state: State
    chains: list[SfcInstance]
    vnfs: dict[str, VnfLoad] = field(default_factory=dict)
    sfcs: dict[str, SfcLoad] = field(default_factory=dict)

    def seen(self, now: float = 1000.0, window_ms: float = 500.0) -> Observation:
        return Observation(now, window_ms, self.state, self.vnfs, self.sfcs)


def make(
    *,
    nodes: list[Node] | None = None,
    vnfs: list[Vnf] | None = None,
    placed: list[tuple[str, ...]] | None = None,
    bandwidth: float = 1000.0,
    delays: dict[tuple[str, str], float] | None = None,
) -> World:
    """`placed`: for each chain, the node of each of its stages. Every node has a link to every other one and to itself."""
    nodes = nodes or [node("n_0"), node("n_1"), node("n_2")]
    vnfs = vnfs or [vnf("v_0"), vnf("v_1")]
    links = [
        Link(f"l_{a.name}_{b.name}", a.name, b.name, 0, bandwidth, 0.0, (delays or {}).get((a.name, b.name), 1.0), 1.0)
        for a in nodes
        for b in nodes
    ]
    first = nodes[0].name
    placed = [("n_0", "n_1")] if placed is None else placed
    sfcs = {f"s_{i}": Sfc(f"s_{i}", tuple(v.name for v in vnfs), 100.0, 1, 100.0) for i in range(len(placed))}
    requests = {
        f"r_{i}": SfcRequest(f"r_{i}", "u_0", f"s_{i}", 1, 0.0, "d_0", first, first, 1000.0) for i in range(len(placed))
    }
    state = State(
        Entities(
            {each.name: each for each in nodes},
            {each.name: each for each in links},
            {each.name: each for each in vnfs},
            sfcs,
            {"u_0": User("u_0", first, 0.0, 100.0, 0.0, 1, {})},
            {"d_0": DataSource("d_0", 1.0, 10.0, 10.0, 1)},
            requests,
        )
    )
    chains = []
    for i, stages in enumerate(placed):
        stops = [first, *stages, first]
        routes = tuple(state.routes(a, b)[0] for a, b in itertools.pairwise(stops))
        chains.append(state.place(requests[f"r_{i}"], Plan(tuple(New(n) for n in stages), routes))[0])
    world = World(state, chains)
    world.vnfs = dict.fromkeys(state.vnf_instances, IDLE)
    world.sfcs = {each.name: SfcLoad(0, 0) for each in chains}
    return world


@pytest.fixture
def world() -> Callable[..., World]:
    return make


@pytest.fixture
def a_load() -> Callable[..., VnfLoad]:
    return load


@pytest.fixture
def a_node() -> Callable[..., Node]:
    return node


@pytest.fixture
def a_vnf() -> Callable[..., Vnf]:
    return vnf
