"""Results of two short rounds, written by the recorder from packets made up at random: no engine is needed."""

from itertools import pairwise
from pathlib import Path

import numpy
import pytest

from testbed.simulator.engine.streams import PacketEvent
from testbed.simulator.model.entities import DataSource, Entities, Link, Node, NodeType, Sfc, SfcRequest, User, Vnf
from testbed.simulator.model.instances import SfcInstance
from testbed.simulator.model.plans import New, Plan
from testbed.simulator.model.state import State
from testbed.simulator.records.entities import Outcome, write_end, write_entities, write_process_time
from testbed.simulator.records.writer import RoundRecorder

NODES, REQUESTS, PACKETS, TOTAL_MS, WINDOW_MS = 4, 6, 60, 2000.0, 500.0
LOST_PACKET, VIOLATING_MS = 7, 15.0


def entities() -> Entities:
    """Nodes in full mesh, two SFCs of two VNFs, a request a user."""
    kinds = list(NodeType)
    nodes = [
        Node(f"n_{i}", 1, kinds[i % 3], 1000.0, 1000.0, 200.0, 100.0, 1.0, None, frozenset({"v_0", "v_1"}))
        for i in range(NODES)
    ]
    links = [
        Link(f"l_{a}_{b}", f"n_{a}", f"n_{b}", 0, 100.0, 0.0, 1.0, 5.0) for a in range(NODES) for b in range(NODES)
    ]
    vnfs = [Vnf(f"v_{i}", 100.0, 100.0, 3, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1000.0, -1) for i in range(2)]
    sfcs = [Sfc("s_0", ("v_0", "v_1"), VIOLATING_MS, 1, 1000.0), Sfc("s_1", ("v_1",), 50.0, 1, 1000.0)]
    ends = ("n_0", "n_1")
    users = [User(f"u_{i}", "n_0", 1.0, 10.0, 0.0, 1, {f"s_{i % 2}": ends}) for i in range(REQUESTS)]
    requests = [
        SfcRequest(f"r_{i}", f"u_{i}", f"s_{i % 2}", 1, 100.0 * i, "ds_0", *ends, 1000.0) for i in range(REQUESTS)
    ]
    named = [{each.name: each for each in some} for some in (nodes, links, vnfs, sfcs, users)]
    return Entities(*named, {"ds_0": DataSource("ds_0", 10.0, 5.0, 50.0, 3)}, {each.name: each for each in requests})


def placed(state: State) -> dict[str, SfcInstance]:
    """All requests but the last one have a chain, each VNF on a node of its own."""
    made = {}
    for number, request in enumerate(list(state.entities.sfc_requests.values())[:-1]):
        length = len(state.entities.sfcs[request.sfc].vnfs)
        where = [f"n_{(number + step) % NODES}" for step in range(length)]
        ends = [request.ingress, *where, request.egress]
        routes = tuple(state.routes(a, b)[0] for a, b in pairwise(ends))
        made[request.name], _ = state.place(request, Plan(tuple(New(node) for node in where), routes))
    return made


def write_packets(recorder: RoundRecorder, state: State, chains: dict[str, SfcInstance], seed: int) -> None:
    """Every request's packets: over a link and through an instance in turn, each 1 ms and 3 ms or more."""
    random = numpy.random.default_rng(seed)
    links = {name: number for number, name in enumerate(state.entities.links)}
    assert recorder.links is not None and recorder.packets is not None and recorder.ended is not None
    assert recorder.vnf_arrivals is not None and recorder.vnf_starts is not None and recorder.vnf_ends is not None
    records: dict[str, list[tuple[float, ...]]] = {}
    for number, chain in enumerate(chains.values()):
        for packet, created in enumerate(numpy.sort(random.uniform(WINDOW_MS, TOTAL_MS - 100, PACKETS)).tolist()):
            at, route = created, [each[0] for each in chain.routes.values() if each]
            fate = PacketEvent.LOST if packet == LOST_PACKET else PacketEvent.PROCESSED
            events = [(PacketEvent.CREATED, created)]
            for link, instance in zip(route, [*chain.vnf_instances, None], strict=False):
                target = -1 if instance is None else instance.number
                lost = 2 if fate is PacketEvent.LOST and instance is None else 0
                records.setdefault("links", []).append(
                    (number, packet, links[link.name], target, 10, lost, at, at, at + 1, at)
                )
                at += 1
                if instance is not None:
                    took, key = float(random.gamma(3.0, 2.0)), (number, packet, target, 10)
                    records.setdefault("vnf_arrivals", []).append((*key, 0, at, at))
                    records.setdefault("vnf_starts", []).append((*key, 0, 0, 100, 10, 100, 10, at, at + took, at))
                    records.setdefault("vnf_ends", []).append((*key, at, 100, 0, 100, 0, at + took, at + took))
                    at += took
            events.append((fate, at))
            violated = at - created > chain.sfc.max_latency
            if violated:
                events.append((PacketEvent.VIOLATED, created + chain.sfc.max_latency))
            records.setdefault("packets", []).extend((number, packet, event, when, when) for event, when in events)
            records.setdefault("ended", []).append(
                (number, packet, created, 10, 5, at - created, 0, violated, fate, at)
            )
    for stream, lines in records.items():
        for line in sorted(lines, key=lambda each: each[-1]):
            getattr(recorder, stream).add(line[:-1])


def write_windows(recorder: RoundRecorder, chains: dict[str, SfcInstance]) -> None:
    """One request is refused in the last window; power grows by 10 W a window."""
    for instance in (each for chain in chains.values() for each in chain.vnf_instances):
        told = {"VNF_Instance": instance.name, "Node": instance.node.name, "VNF": instance.vnf.name}
        recorder.event("vnf_instance", "INSTANCE_CREATED", WINDOW_MS, **told)
    for window in range(1, int(TOTAL_MS / WINDOW_MS) + 1):
        last = window * WINDOW_MS == TOTAL_MS
        told = {"SFC_Requests_Placed": 2 if last else 1, "SFC_Requests_Not_Placed": int(last)}
        watts = {"Total_Energy_Consumption": 400.0 + 10 * window}
        recorder.event("time_window", "TIME_WINDOW_STARTED", window * WINDOW_MS)
        recorder.event("time_window", "TIME_WINDOW_PROCESSED", window * WINDOW_MS, **told, **watts)


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder."""
    folder = tmp_path_factory.mktemp("simulated") / "results"
    for number in range(2):
        state = State(entities())
        chains = placed(state)
        with RoundRecorder(folder / f"Round_{number}", state.entities) as recorder:
            for each in state.vnf_instances.values():
                recorder.created(each.number, each.name, each.vnf.name, each.node.name)
            for request, chain in enumerate(chains.values()):
                recorder.placed(request, chain.name)
            write_windows(recorder, chains)
            write_packets(recorder, state, chains, number)
        write_end(folder / f"Round_{number}", chains.values(), state.vnf_instances.values(), {})
        write_process_time(folder / f"Round_{number}", 1.5)
    write_entities(folder / "Entities", entities(), {name: Outcome(chain.name) for name, chain in chains.items()})
    return folder


@pytest.fixture(scope="session")
def placed_state() -> State:
    """A state with chains on its nodes."""
    state = State(entities())
    placed(state)
    return state
