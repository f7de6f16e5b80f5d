"""Small simulations: entities with defaults, a recorder that keeps everything in memory, and algorithms that try anything."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import numpy

from testbed.simulator.engine.base import EngineClass
from testbed.simulator.engine.core import Core
from testbed.simulator.engine.streams import Stream
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
from testbed.simulator.model.plans import New, Plan, Refused, pairs
from testbed.simulator.model.state import State
from testbed.simulator.placement.base import Placement
from testbed.simulator.records.streams import Streams
from testbed.simulator.scaling.base import Action, AddReplica, Observation, RemoveReplica, Resize, Scaling
from testbed.simulator.simulation.round import Round, RoundResult, Scenario
from testbed.simulator.specification.parameters import SimulationParameters

PARAMETERS = SimulationParameters(total_time=1000.0, time_window=0.0, time_limit_to_packet_generation=1000.0)


class Memory(Streams):
    """Keeps what was written down: records of streams, and rows as (table, event, time, columns). `blind`: streams that it does
    not want."""

    def __init__(self, blind: Sequence[str] = ()) -> None:
        super().__init__(links=True, vnf=True, packets=True)
        for name in blind:
            setattr(self, name, None)
        self._taken: dict[str, list[tuple[float, ...]]] = {}
        self.rows: list[tuple[str, str, float, dict[str, object]]] = []
        self.flushed: list[float] = []
        self.placements: list[tuple[int, str]] = []
        self.instances: list[tuple[int, str, str, str]] = []

    def flush(self, now: float) -> None:
        self.flushed.append(now)

    def event(self, table: str, event: str, time: float, **columns: object) -> None:
        self.rows.append((table, event, time, columns))

    def placed(self, request: int, sfc_instance: str) -> None:
        self.placements.append((request, sfc_instance))

    def created(self, instance: int, name: str, vnf: str, node: str) -> None:
        self.instances.append((instance, name, vnf, node))

    def records(self, stream: str) -> list[tuple[float, ...]]:
        """A stream's records."""
        added: Stream = getattr(self, stream)
        taken = self._taken.setdefault(stream, [])
        taken += map(tuple, added.take().tolist())
        return taken

    def of(self, table: str, event: str | None = None) -> list[tuple[str, float, dict[str, object]]]:
        """Rows of a table, of one event or all, as (event, time, columns)."""
        return [row[1:] for row in self.rows if row[0] == table and event in (None, row[1])]


def contents(folder: Path) -> dict[str, bytes]:
    """All files but for the times that the machine took."""
    found = {}
    for path in sorted(folder.rglob("*.*")):
        data = path.read_bytes()
        if path.name == "time_window.csv":
            lines = [line.split(";") for line in data.decode().splitlines()]
            column = lines[0].index("Total_Alg_Time")
            data = "\n".join(";".join(line[:column] + line[column + 1 :]) for line in lines).encode()
        if path.name != "process_time.txt":
            found[str(path.relative_to(folder))] = data
    return found


def node(name: str = "n_0", **changes: Any) -> Node:
    default = Node(name, 1, NodeType.RAN, 1000.0, 1000.0, 200.0, 100.0, 0.0, None, frozenset({"v_0", "v_1", "v_2"}))
    return replace(default, **changes)


def link(source: str, target: str, **changes: Any) -> Link:
    default = Link(f"l_{source}_{target}", source, target, 0, 1000.0, 0.0, 0.0, 10.0)
    return replace(default, **changes)


def vnf(name: str = "v_0", **changes: Any) -> Vnf:
    default = Vnf(name, 100.0, 100.0, 1, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1e9, -1)
    return replace(default, **changes)


def sfc(name: str = "s_0", *vnfs: str, **changes: Any) -> Sfc:
    return replace(Sfc(name, vnfs or ("v_0",), 1e9, 1, 1e9), **changes)


def request(name: str = "r_0", **changes: Any) -> SfcRequest:
    return replace(SfcRequest(name, "u_0", "s_0", 1, 0.0, "src_0", "n_0", "n_0", 1e9), **changes)


def entities(
    nodes: Sequence[Node] = (),
    vnfs: Sequence[Vnf] = (),
    sfcs: Sequence[Sfc] = (),
    requests: Sequence[SfcRequest] = (),
    links: Sequence[Link] | None = None,
    **changes: Any,
) -> Entities:
    """One of each kind where none is given; every node has a link to every node."""
    nodes = nodes or [node()]
    if links is None:
        links = [link(a.name, b.name) for a, b in product(nodes, repeat=2)]
    first = nodes[0].name
    default = Entities(
        nodes={each.name: each for each in nodes},
        links={each.name: each for each in links},
        vnfs={each.name: each for each in vnfs or [vnf()]},
        sfcs={each.name: each for each in sfcs or [sfc()]},
        users={"u_0": User("u_0", first, 0.0, 1000.0, 0.0, 1, {})},
        data_sources={"src_0": DataSource("src_0", 1.0, 10.0, 0.0, 1)},
        sfc_requests={each.name: each for each in requests or [request()]},
    )
    return replace(default, **changes)


def flow(*packets: tuple[float, float]) -> tuple[Any, Any]:
    """A recorded flow of (gap, size)."""
    gaps, sizes = zip(*packets, strict=True) if packets else ((), ())
    return numpy.array(gaps, dtype=float), numpy.array(sizes, dtype=float)


class First(Placement):
    """New instances on the nodes that are named, in turn; or on the first node that may host each."""

    def __init__(self, *nodes: str) -> None:
        super().__init__()
        self.nodes = nodes

    def plan(self, request: SfcRequest, state: State) -> Plan | Refused:
        if shared := self.shared(request, state):
            return shared
        vnfs = state.entities.sfcs[request.sfc].vnfs
        stops = [
            self.nodes[i % len(self.nodes)] if self.nodes else state.hosts(name)[0].name for i, name in enumerate(vnfs)
        ]
        routes = (state.routes(*ends)[0] for ends in pairs([request.ingress, *stops, request.egress]))
        return Plan(tuple(New(stop) for stop in stops), tuple(routes))


class Anything(Placement):
    """Any host, any instance that may be shared, any route; what does not fit is for the state to refuse."""

    def plan(self, request: SfcRequest, state: State) -> Plan | Refused:
        if shared := self.shared(request, state):
            return shared
        stages: list[Any] = []
        stops = [request.ingress]
        for name in state.entities.sfcs[request.sfc].vnfs:
            new = [New(each.name) for each in state.hosts(name)]
            stages.append(self._any([*state.sharable_vnf_instances(name, state.slice_of(request).name), *new]))
            stops.append(stages[-1].node if isinstance(stages[-1], New) else stages[-1].node.name)
        ways = [state.routes(*ends) for ends in pairs([*stops, request.egress])]
        if not all(ways):
            return Refused("no way")
        return Plan(tuple(stages), tuple(self._any(way) for way in ways))

    def _any(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.random.integers(len(choices)))]


class Restless(Scaling):
    """Random actions, whether they fit or not."""

    def __init__(self, seed: int, monitor_interval: float, monitor_window_size: float) -> None:
        super().__init__(monitor_interval, monitor_window_size)
        self._random = Random(seed)

    def decide(self, seen: Observation) -> list[Action]:
        random, state, actions = self._random, seen.state, list[Action]()
        for instance in state.vnf_instances.values():
            if random.random() < 0.5:
                factor, more = random.choice((0.5, 1.5, 2.0)), random.choice((1.0, 1.0, 1.5))
                actions.append(Resize(instance, instance.cpu * factor, instance.mem * more, "any"))
        for chain in state.sfc_instances.values():
            position = random.randrange(len(chain.stages))
            stage = chain.stages[position]
            what = random.random()
            if what < 0.3:
                hosts = state.hosts(stage.vnf.name)
                actions.append(AddReplica(chain, position, New(random.choice(hosts).name), "any"))
            elif what < 0.6:
                actions.append(RemoveReplica(chain, position, random.choice(stage.instances), "any"))
        return actions


@dataclass
class Simulated:
    """A round that was run, and what it left."""

    round: Round
    memory: Memory
    result: RoundResult

    @property
    def state(self) -> State:
        return self.round.state


@dataclass
class Setting:
    """All that a round needs, so that it can be run again with another engine."""

    scenario: Scenario
    placement: Callable[[], Placement] = First
    scalings: Callable[[], list[Scaling]] = field(default=list)
    number: int = 0

    def run(self, core_class: EngineClass = Core, watched: type[Round] = Round, blind: Sequence[str] = ()) -> Simulated:
        memory = Memory(blind)
        one = watched(self.scenario, self.number, self.placement(), self.scalings(), memory, core_class=core_class)
        return Simulated(one, memory, one.run())


def setting(
    given: Entities | None = None,
    flows: Any = None,
    moves: Any = (),
    *,
    placement: Callable[[], Placement] = First,
    scalings: Callable[[], list[Scaling]] = list,
    restrict_bandwidth: bool = True,
    **parameters: Any,
) -> Setting:
    """A setting from entities, recorded flows by user and SFC, moves, and what is to differ from PARAMETERS."""
    if "total_time" in parameters:
        parameters.setdefault("time_limit_to_packet_generation", parameters["total_time"])
    scenario = Scenario(given or entities(), replace(PARAMETERS, **parameters), restrict_bandwidth, moves, flows)
    return Setting(scenario, placement, scalings)


SLICES = {
    "gold": Slice("gold", 0.5, 0.5),
    "default": Slice("default", 0.5, 0.5),
}
