"""A scenario's level in the simulator: its event core predicts every request's latency, and what becomes of it.

In: a scenario, arrivals, constants of the calibration, how many connections the controller has dealt before. Out: an `Outcome`.
Must not do: see anything of the run that it is compared with.

A simulated packet is one HTTP request on a connection of its own. It takes the way that the connection's packets take one after another:

    SYN       client, switch, controller (first packet only), firewall, servant's host (its kernel answers: no CPU quota, no queue)
    SYN-ACK   firewall, client
    request   firewall, servant (one server, one queue)
    answer    firewall, client

so that, without waiting, a request's latency is  C + 4 (D + w + f) + S + size / bandwidth of each link,  with

    D   one-way delay of the links from client over firewall to servant: configured, along the controller's shortest way
    f   a packet's time in the firewall: one over its documented capacity
    w   one way through switches and cables beyond the links' delays: calibrated `way_ms`
    C   the controller's time for a connection's first packet: calibrated `controller_ms`
    S   request_cpu_ms / (speed_cores - idle_cores): the servant works on one request at a time at the speed of its quota

Waiting: the servant's queue is first come, first served, and takes `queue` requests beside the one in work; the next one is refused. The
core has it so (`max_share` = 1, `max_packet_queue`), and so has `servant.work.Workshop`. What is left out: a refusal costs the servant
no CPU here, and ends at the servant, as a dropped packet does; only answered requests' latencies are compared.

Instances take turns over all clients together: `PlacedSfc` deals packet k to instance k modulo n at every position, and all clients' chains
share one count, as a service's connections do in the controller (decisions 0006 and 0008). Chains are put together here and not by
`State.place`, which lets `max_share` = 1 request use an instance, where `max_share` is the number of its servers too.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random

import networkx
import numpy

from testbed.experiments.two_worlds.outcome import ANSWERED, REFUSED, Constants, Outcome, Request
from testbed.experiments.two_worlds.scenario import Scenario, domain_of
from testbed.simulator.engine.core import Core
from testbed.simulator.engine.parts import Flow, PlacedSfc, Rules
from testbed.simulator.engine.streams import WIDTHS, PacketEvent, Stream
from testbed.simulator.engine.traffic import recorded
from testbed.simulator.model.entities import Entities, Link, Node, NodeType, Sfc, Vnf
from testbed.simulator.model.instances import Route, SfcInstance, Stage, VnfInstance

REQUEST_MBIT = 130 * 8 / 1e6  # a small GET with its headers
CABLE_MBPS = 10_000.0
ENDLESS_MS = 1e12
AT_ONCE = 1_000_000  # servers of what only delays
STAGES = ("controller", "firewall", "listener", "firewall", "client", "firewall", "servant", "firewall")


def documented(scenario: Scenario) -> Constants:
    """The constants of a lab without overhead."""
    return Constants(0.0, 0.0, scenario.servant.cost_ms, 0.0, scenario.servant.cpus)


def predict(
    scenario: Scenario,
    arrivals: Mapping[str, tuple[float, ...]],
    constants: Constants,
    firewall_pps: float,
    first_turn: int = 0,
) -> Outcome:
    """Simulate one level until its last request is over. `first_turn`: connections that were dealt before it."""
    model = _Model(scenario, constants, firewall_pps)
    record = _Record()
    core = Core(model.entities, Rules(), record, lambda *_: Random(0))  # no links that lose: nothing is drawn
    turns = itertools.count(first_turn)  # one for all clients
    clients = sorted(scenario.clients)
    for number, client in enumerate(clients):
        chain = model.chain(client, number)
        times = numpy.asarray(arrivals[client], dtype=float)
        packets = recorded(numpy.diff(times, prepend=0.0), numpy.full(len(times), REQUEST_MBIT))
        watch = core.watches[chain.sfc.name]
        core.begin(Flow(number, client, PlacedSfc(chain, turns), packets, ENDLESS_MS, watch))
    core.run(ENDLESS_MS)
    return _outcome(scenario, constants, model, record, clients)


@dataclass(slots=True)
class _Record:
    """Keeps two streams of the core's, and wants no other."""

    links: None = None
    vnf_arrivals: Stream | None = field(default_factory=partial(Stream, WIDTHS["vnf_arrivals"]))
    vnf_starts: None = None
    vnf_ends: None = None
    packets: None = None
    ended: Stream | None = field(default_factory=partial(Stream, WIDTHS["ended"]))

    def flush(self, now: float) -> None:
        """Nothing: all is kept."""

    def event(self, table: str, event: str, time: float, **columns: object) -> None:
        """Nothing: chains are not placed during the run."""

    def placed(self, request: int, sfc_instance: str) -> None:
        """Nothing."""

    def created(self, instance: int, name: str, vnf: str, node: str) -> None:
        """Nothing."""


class _Model:
    """The scenario in the simulator's words. Units: CPU in cores, a packet's work in core-seconds, sizes in Mbit."""

    def __init__(self, scenario: Scenario, constants: Constants, firewall_pps: float) -> None:
        self._scenario = scenario
        servant = scenario.servant
        speed = constants.speed_cores - constants.idle_cores
        delay = _vnf("delay", 0.0, AT_ONCE, -1)
        self._kinds = {
            "controller": (_vnf("controller", constants.controller_ms, AT_ONCE, -1), 1.0),
            "firewall": (_vnf("firewall", 1000 / firewall_pps, 1, -1), 1.0),
            "listener": (delay, 1.0),
            "client": (delay, 1.0),
            "servant": (_vnf("servant", constants.request_cpu_ms, 1, servant.queue), speed),
        }
        links = _links(scenario, constants.way_ms)
        self._links = {(each.source, each.target): each for each in links}
        self._graph: networkx.DiGraph[str] = networkx.DiGraph()
        for each in links:
            self._graph.add_edge(each.source, each.target, ms=each.propagation)
        self._nodes = {
            name: Node(name, 0, NodeType.CORE, 1e9, 1e9, 0.0, 0.0, 0.0, None, frozenset(self._kinds))
            for name in self._graph
        }
        sfcs = {f"for {name}": Sfc(f"for {name}", STAGES, ENDLESS_MS, 1, ENDLESS_MS) for name in scenario.clients}
        vnfs = {vnf.name: vnf for vnf, _ in self._kinds.values()}
        self.entities = Entities(self._nodes, {each.name: each for each in links}, vnfs, sfcs, {}, {}, {})
        self._instances: dict[tuple[str, str], VnfInstance] = {}
        self._firewalls = [self.instance("firewall", name, f"s{at}") for name, at in sorted(scenario.firewalls.items())]
        self.servants = [self.instance("servant", name, f"s{at}") for name, at in sorted(scenario.servants.items())]

    def instance(self, kind: str, name: str, node: str) -> VnfInstance:
        """The only instance of this kind and name."""
        key = kind, name
        if key not in self._instances:
            vnf, cores = self._kinds[kind]
            number = len(self._instances)
            self._instances[key] = VnfInstance(name, number, vnf, self._nodes[node], "default", cores, 1e9)
        return self._instances[key]

    def chain(self, client: str, number: int) -> SfcInstance:
        """A client's chain, over all instances of every position."""
        switch = f"s{domain_of(client)}"
        stages = {
            "controller": [self.instance("controller", switch, switch)],
            "firewall": self._firewalls,
            "listener": [self.instance("listener", each.name, each.node.name) for each in self.servants],
            "client": [self.instance("client", client, client)],
            "servant": self.servants,
        }
        sfc = self.entities.sfcs[f"for {client}"]
        chain = SfcInstance(
            client, number, sfc, client, client, [Stage(self._kinds[kind][0], stages[kind]) for kind in STAGES]
        )
        for position in range(len(STAGES) + 1):
            for pair in itertools.product(chain.nodes_at(position - 1), chain.nodes_at(position)):
                chain.routes[pair] = self.route(*pair)
        return chain

    def route(self, source: str, target: str) -> Route:
        """The way of least delay; none within a switch."""
        nodes = networkx.shortest_path(self._graph, source, target, weight="ms")
        return tuple(self._links[pair] for pair in itertools.pairwise(nodes))


def _vnf(name: str, work_ms: float, servers: int, queue: int) -> Vnf:
    """A VNF whose packets take this CPU time on one core."""
    demand = work_ms / 1000 / REQUEST_MBIT
    return Vnf(name, 1.0, 1.0, servers, 0.0, demand, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, ENDLESS_MS, queue)


def _links(scenario: Scenario, way_ms: float) -> list[Link]:
    """Both directions of trunks, with their configured delays, and of clients' cables, which have what one way takes beyond those."""
    ends = [(f"s{a}", f"s{b}", scenario.bandwidth_mbps, delay_ms) for (a, b), delay_ms in scenario.delays_ms.items()]
    ends += [(client, f"s{domain_of(client)}", CABLE_MBPS, way_ms) for client in scenario.clients]
    return [
        Link(f"{source}-{target}", source, target, 0, bandwidth, 0.0, delay_ms, 0.0)
        for a, b, bandwidth, delay_ms in ends
        for source, target in ((a, b), (b, a))
    ]


def _outcome(scenario: Scenario, constants: Constants, model: _Model, record: _Record, clients: list[str]) -> Outcome:
    assert record.vnf_arrivals is not None and record.ended is not None
    at_servant = {each.number: each.name for each in model.servants}
    went_to: dict[tuple[float, float], str] = {}
    for flow, packet, instance, *_ in record.vnf_arrivals.take().tolist():
        if instance in at_servant:
            went_to[flow, packet] = at_servant[int(instance)]
    requests = []
    for flow, packet, created_ms, _, _, delay_ms, _, _, fate in record.ended.take().tolist():
        told = ANSWERED if fate == PacketEvent.PROCESSED else REFUSED
        requests.append(Request(clients[int(flow)], created_ms, delay_ms, told, went_to[flow, packet]))
    elapsed_ms = max((each.sent_ms + each.latency_ms for each in requests), default=0.0)
    cpu_ms = {
        each.name: each.processed * constants.request_cpu_ms + constants.idle_cores * elapsed_ms
        for each in model.servants
    }
    return Outcome(tuple(sorted(requests, key=lambda each: (each.sent_ms, each.client))), cpu_ms, elapsed_ms)
