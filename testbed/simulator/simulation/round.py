"""One round of a simulation: time windows with placements, packets, monitors, scaling and users who move.

In: entities, parameters, algorithms, a recorder. Out: the recorder's files by the recorder, and a RoundResult. Two rounds with equal
input do the same; only times that are measured on the machine (`Total_Alg_Time`) differ.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import perf_counter

from numpy.typing import NDArray

from testbed.simulator.engine.base import EngineClass
from testbed.simulator.engine.core import Core
from testbed.simulator.engine.parts import Rules
from testbed.simulator.engine.streams import Recorder
from testbed.simulator.engine.traffic import generated, recorded
from testbed.simulator.model.entities import Entities, Move, SfcRequest
from testbed.simulator.model.instances import SfcInstance
from testbed.simulator.model.plans import OverCommitError, Plan, Refused
from testbed.simulator.model.state import State
from testbed.simulator.placement.base import Placement
from testbed.simulator.placement.similarity import by_priority, ordered
from testbed.simulator.scaling.base import Scaling
from testbed.simulator.simulation.chance import Chance
from testbed.simulator.simulation.energy import total_watts
from testbed.simulator.simulation.lifecycle import Lifecycle
from testbed.simulator.simulation.monitor import Monitor
from testbed.simulator.simulation.scaler import Scaler
from testbed.simulator.specification.parameters import SimulationParameters

log = logging.getLogger(__name__)
PROGRESS_STEPS = 200
Flows = Mapping[tuple[str, str], tuple[NDArray, NDArray]]  # type: ignore[type-arg]  # gaps and sizes by user and SFC


@dataclass(frozen=True, slots=True)
class Scenario:
    """What every round of a simulation has in common."""

    entities: Entities
    parameters: SimulationParameters
    restrict_bandwidth: bool = True
    moves: Sequence[Move] = ()
    flows: Flows | None = None


@dataclass(slots=True)
class RoundResult:
    """What came of a round. Packets by fate; requests placed and not; the machine's seconds; `outcomes`: a placed
    request's SFC instance; `at_node`: where users are at the end."""

    created: int = 0
    processed: int = 0
    dropped: int = 0
    orphaned: int = 0
    violated: int = 0
    placed: int = 0
    refused: dict[str, str] = field(default_factory=dict)
    scaled: int = 0
    scaling_failed: int = 0
    algorithm_s: float = 0.0
    seconds: float = 0.0
    outcomes: dict[str, str] = field(default_factory=dict)
    at_node: dict[str, str] = field(default_factory=dict)
    placement: list[str] = field(default_factory=list)  # what it reported of each window that had requests

    @property
    def in_flight(self) -> int:
        """Packets that were under way at the end."""
        return self.created - self.processed - self.dropped - self.orphaned


class Round:
    """Run it once.

    Args:
        progress: told the simulated time and packets so far, now and then.
        core_class: the engine; the other one is `engine.reference.ReferenceCore`.
    """

    def __init__(
        self,
        scenario: Scenario,
        number: int,
        placement: Placement,
        scalings: Sequence[Scaling],
        recorder: Recorder,
        progress: Callable[[float, int], None] | None = None,
        core_class: EngineClass = Core,
    ) -> None:
        self.scenario, self.parameters = scenario, scenario.parameters
        self.entities = scenario.entities
        self.placement, self.recorder, self.progress = placement, recorder, progress
        rules = Rules(
            self.parameters.integer_times,
            self.parameters.hold_link_while_propagating,
            self.parameters.link_size_by_network_demand,
        )
        self.chance = Chance(self.parameters.random_seed, number)
        self.state = State(self.entities, scenario.restrict_bandwidth, self.parameters.compute_loopback_time)
        self.core = core_class(self.entities, rules, recorder, self.chance.plain)
        packets = self._packets if self.parameters.packet_generation else None
        until = min(self.parameters.total_time, self.parameters.time_limit_to_packet_generation)
        self.lifecycle = Lifecycle(self.state, self.core, recorder, packets, until)
        windows = [self.parameters.sfc_instance_monitor_window_size, *(each.monitor_window_size for each in scalings)]
        self.monitor = Monitor(self.state, max(windows))
        self.scaler = Scaler(scalings, self.state, self.core, self.lifecycle, self.monitor)
        self.result = RoundResult()
        self.on_window: Callable[[State, float], None] | None = None  # told after each window's placements
        self.at_node = {name: user.node for name, user in self.entities.users.items()}
        self._waiting = sorted(self.entities.sfc_requests.values(), key=lambda each: each.arrival_time)
        self._order = 0
        placement.random = self.chance.arrays("placement")
        placement.share_sfc_instances = self.parameters.share_sfc_instance
        self._moving = self.chance.arrays("mobility")

    def run(self) -> RoundResult:
        """Simulate from 0 to `total_time`."""
        self._schedule()
        self.core.run(self.parameters.total_time)
        for request in self._waiting:
            if request.arrival_time <= self.parameters.total_time:
                self.result.refused[request.name] = "it came after the last time window"
                self._tell_request("SFC_REQUEST_NOT_PLACED", request)
        self.core.close(self.state.vnf_instances.values())
        for instance in [*self.lifecycle.ended_sfcs, *self.state.sfc_instances.values()]:
            self.result.created += instance.created
            self.result.processed += instance.processed
            self.result.dropped += instance.dropped
            self.result.orphaned += instance.orphaned
            self.result.violated += instance.violated
        self.result.scaled, self.result.scaling_failed = self.scaler.tried, self.scaler.failed
        self.result.at_node = self.at_node
        return self.result

    def _schedule(self) -> None:
        core, parameters = self.core, self.parameters
        for request in self._waiting:  # rows of a time are written at that time
            time = request.arrival_time if parameters.time_window else 0.0
            core.at(time, partial(self._tell_request, "SFC_REQUEST_CREATED", request))
        core.at(parameters.time_window, partial(self._window, 0.0))
        core.at(parameters.sfc_instance_monitor_interval, self._watch_sfcs)
        if parameters.packet_generation:
            self.scaler.start()
        if parameters.execute_user_mobility:
            for move in self.scenario.moves:
                core.at(move.time, partial(self._move, move))
        if self.progress is not None:
            core.at(0.0, self._tell_progress)

    def _tell_progress(self) -> None:
        assert self.progress is not None
        self.progress(self.core.now, self.core.created)
        self.core.at(self.core.now + self.parameters.total_time / PROGRESS_STEPS, self._tell_progress)

    # placement -------------------------------------------------------------------------------------------------------
    def _window(self, begin: float) -> None:
        """Place what has arrived; all of it where there is one window only."""
        now, once = self.core.now, self.parameters.time_window == 0
        self.recorder.event("time_window", "TIME_WINDOW_STARTED", now, **{"Window Init": begin, "Window_End": now})
        self.recorder.event("placement", "EVENT_PLACEMENT_STARTED", now)
        arrived = [each for each in self._waiting if once or each.arrival_time <= now]
        self._waiting = self._waiting[len(arrived) :]
        order = by_priority if self.parameters.order_sfc_request_by_priority else ordered
        requests = order(arrived, self.entities.sfcs, self.parameters.order_sfc_request_by_similarity)
        placed_before = self.result.placed
        self.placement.now = now
        began = perf_counter()
        self.placement.plan_window(requests, self.state, self._commit)
        took_s = perf_counter() - began
        self.result.algorithm_s += took_s
        self.recorder.event("placement", "PLACEMENT_PROCESSED", now)
        self._tell_window(begin, requests, self.result.placed - placed_before, took_s)
        said = self.placement.report() if requests else None
        if said is not None:
            self.result.placement.append(f"window at {now:g} ms: {said}")
        if self.on_window is not None:
            self.on_window(self.state, now)
        if not once and now + self.parameters.time_window <= self.parameters.total_time:
            self.core.at(now + self.parameters.time_window, partial(self._window, now))

    def _commit(self, request: SfcRequest, plan: Plan | Refused) -> SfcInstance | None:
        reason = plan.reason if isinstance(plan, Refused) else None
        if isinstance(plan, Plan):
            try:
                instance = self.lifecycle.place(request, plan, self._order)
            except OverCommitError as problem:
                reason = str(problem)
            else:
                self._order += 1
                self.result.placed += 1
                self._set_penalty(request)
                nodes = ", ".join(each.node.name for each in instance.vnf_instances)
                log.debug("%g ms: %s placed: %s on %s", self.core.now, request.name, instance.name, nodes)
                return instance
        log.debug("%g ms: %s not placed: %s", self.core.now, request.name, reason)
        self.result.refused[request.name] = str(reason)
        self._tell_request("SFC_REQUEST_NOT_PLACED", request)
        return None

    def _tell_request(self, event: str, request: SfcRequest) -> None:
        self.recorder.event(
            "sfc_request", event, self.core.now, SFC_Request=request.name, SFC_Instance="", Placement_Order=""
        )

    def _tell_window(self, begin: float, requests: Sequence[SfcRequest], placed: int, took_s: float) -> None:
        now, nodes = self.core.now, self.entities.nodes
        cpu = sum(self.state.used_cpu(name) for name in nodes)
        mem = sum(self.state.used_mem(name) for name in nodes)
        self.recorder.event("resource_usage", "CPU_ALLOCATED", now, Value=cpu)
        self.recorder.event("resource_usage", "MEM_ALLOCATED", now, Value=mem)
        self.recorder.event(
            "time_window",
            "TIME_WINDOW_PROCESSED",
            now,
            **{
                "Window Init": begin,
                "Window_End": now,
                "SFC_Requests_Placed": placed,
                "SFC_Requests_Not_Placed": len(requests) - placed,
                "CPU_Allocated": cpu,
                "Mem_Allocated": mem,
                "VNF_Instances_Count": len(self.state.vnf_instances),
                "SFC_Instances_Count": len(self.state.sfc_instances),
                "Total_Alg_Time": took_s * 1000,
                "Count_SFC_Requests": len(requests),
                "SFC_Requests": [each.name for each in requests],
                "Total_Energy_Consumption": total_watts(self.state),
            },
        )

    # packets ---------------------------------------------------------------------------------------------------------
    def _packets(self, request: SfcRequest) -> Iterator[tuple[float, float]]:
        """A recorded flow of this user and SFC where there are recorded flows; else its data source's."""
        if self.scenario.flows is not None:
            flow = self.scenario.flows.get((request.user, request.sfc))
            return iter(()) if flow is None else recorded(*flow)
        random = self.chance.arrays("traffic", self.lifecycle.numbers[request.name])
        return generated(self.entities.data_sources[request.data_source], random)

    # monitors --------------------------------------------------------------------------------------------------------
    def _watch_sfcs(self) -> None:
        """An SFC instance with too many violations is not shared further (document, "max_sla_violation_sfc_instance_shared")."""
        now, parameters = self.core.now, self.parameters
        for name, load in self.monitor.sfcs(now, parameters.sfc_instance_monitor_window_size).items():
            instance = self.state.sfc_instances[name]
            accepts = load.violated <= parameters.max_sla_violation_sfc_instance_shared
            if accepts != instance.accepts:
                instance.accepts = accepts
                self.recorder.event(
                    "monitor",
                    "SFC_INSTANCE_SHARED_AGAIN" if accepts else "SFC_INSTANCE_BLOCKED",
                    now,
                    SFC_Instance=name,
                    Window_Size=parameters.sfc_instance_monitor_window_size,
                    Monitor_Interval=parameters.sfc_instance_monitor_interval,
                )
        self.core.at(now + parameters.sfc_instance_monitor_interval, self._watch_sfcs)

    # mobility --------------------------------------------------------------------------------------------------------
    def _move(self, move: Move) -> None:
        origin, self.at_node[move.user] = self.at_node[move.user], move.node
        self.recorder.event(
            "user_mobility",
            "EVENT_USER_MOVED",
            self.core.now,
            User=move.user,
            Origin_Node=origin,
            Destiny_Node=move.node,
        )
        for name in self.lifecycle.flows:
            request = self.entities.sfc_requests[name]
            if request.user == move.user:
                self._set_penalty(request)

    def _set_penalty(self, request: SfcRequest) -> None:
        """Twice the way from the node where the user is now to the one where it was (behaviour, "mobility file").

        The ingress of a user's requests was chosen when it was at its first node; who has not moved pays nothing.
        """
        flow = self.lifecycle.flows.get(request.name)
        if flow is None:
            return
        node = self.at_node[request.user]
        if node == self.entities.users[request.user].node or node == request.ingress:
            flow.penalty = None
            return
        routes = self.state.routes(node, request.ingress)
        route = routes[int(self._moving.integers(len(routes)))] if routes else ()
        flow.penalty = (
            2 * sum(1000 / link.bandwidth for link in route),
            2 * sum(link.propagation for link in route),
        )
