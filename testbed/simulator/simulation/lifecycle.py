"""From a request's plan to the end of what it started: flows, SFC instances and VNF instances, with their start-ups and time-outs.

In: plans, and the core's clock. Out: changes of the state, flows in the core, rows of the rare files. Rules: an SFC instance ends
after its SFC's `timeout` without any packet, or at its `lifetime`; a VNF instance that no SFC instance uses for its `timeout`
takes nothing new, shuts down, and holds its resources until that is done. Packets on their way to something that has ended are
orphans.
"""

from collections.abc import Callable, Iterator
from functools import partial

from testbed.simulator.engine.base import Engine
from testbed.simulator.engine.parts import Flow, PlacedSfc
from testbed.simulator.engine.streams import Recorder
from testbed.simulator.model.entities import SfcRequest
from testbed.simulator.model.instances import SfcInstance, VnfInstance
from testbed.simulator.model.plans import Plan
from testbed.simulator.model.state import State

DRAIN_CHECK_MS = 10.0
Packets = Callable[[SfcRequest], Iterator[tuple[float, float]]]


class Lifecycle:
    """Carries plans out. `flows`: by request, as long as its packets are created; `numbers`: of requests;
    `placed`: by request, its SFC instance; `served`: by SFC instance, all requests that it is or was for.

    Args:
        packets: a request's gaps and sizes; None where no packets are simulated.
        until: no packet is created after it (ms).
    """

    def __init__(self, state: State, core: Engine, recorder: Recorder, packets: Packets | None, until: float) -> None:
        self.state, self.core, self.recorder, self.packets, self.until = state, core, recorder, packets, until
        self.flows: dict[str, Flow] = {}
        self.placed: dict[str, SfcInstance] = {}
        self.served: dict[str, list[str]] = {}
        self.ended_sfcs: list[SfcInstance] = []
        self.ended_vnfs: list[VnfInstance] = []
        self.numbers = {name: number for number, name in enumerate(state.entities.sfc_requests)}
        self._sfcs: dict[str, PlacedSfc] = {}

    def place(self, request: SfcRequest, plan: Plan, order: int) -> SfcInstance:
        """Carry a plan out now.

        Raises:
            OverCommitError: it cannot be; nothing has changed.
        """
        now = self.core.now
        instance, created = self.state.place(request, plan)
        for each in created:
            self._start(each)
        if plan.share is None:
            instance.placed_at = instance.last_packet = now
            self._sfcs[instance.name] = PlacedSfc(instance)
            self.recorder.event("sfc_instance", "SFC_INSTANCE_CREATED", now, SFC_Instance=instance.name)
            for each in instance.vnf_instances:
                self._map(instance, each)
            self._await_sfc_timeout(instance)
            if instance.sfc.lifetime is not None:
                self.core.at(
                    now + instance.sfc.lifetime, partial(self.end_sfc, instance, "SFC_INSTANCE_LIFETIME_ENDED")
                )
        self.placed[request.name] = instance
        self.served.setdefault(instance.name, []).append(request.name)
        number = self.numbers[request.name]
        self.recorder.placed(number, instance.name)
        self.recorder.event(
            "sfc_request",
            "SFC_REQUEST_PLACED",
            now,
            SFC_Request=request.name,
            SFC_Instance=instance.name,
            Placement_Order=order,
        )
        self._begin(request, number, instance)
        return instance

    def add_replica(self, replica: VnfInstance, instance: SfcInstance) -> None:
        """A stage got one more instance."""
        self._start(replica)
        self._map(instance, replica)

    def drain(self, replica: VnfInstance) -> None:
        """A stage has an instance less: it ends when it is done with the last packet that is to go there, unless other chains use it."""
        if replica.sfc_instances:
            return
        replica.accepts, replica.draining = False, True
        under_way = self.core.under_way(self.state.vnf_instances.values())
        if any(replica in packet.steps[packet.position :] for packet in under_way):
            self.core.at(self.core.now + DRAIN_CHECK_MS, partial(self.drain, replica))
        else:
            self._shut_down(replica)

    # requests --------------------------------------------------------------------------------------------------------
    def _begin(self, request: SfcRequest, number: int, instance: SfcInstance) -> None:
        core, ends = self.core, self.core.now + request.duration
        core.at(ends, partial(self._request_ends, request, instance))
        if self.packets is None:
            return
        flow = Flow(
            number,
            request.name,
            self._sfcs[instance.name],
            self.packets(request),
            min(ends, self.until),
            core.watches[request.sfc],
        )
        self.flows[request.name] = flow
        core.begin(flow)

    def _request_ends(self, request: SfcRequest, instance: SfcInstance) -> None:
        flow = self.flows.pop(request.name, None)
        if flow is not None:
            self.core.end(flow)
        if request.name in instance.requests:
            self.state.leave(instance, request.name)
        self.recorder.event(
            "sfc_request",
            "SFC_REQUEST_ENDED",
            self.core.now,
            SFC_Request=request.name,
            SFC_Instance=instance.name,
            Placement_Order="",
        )

    # SFC instances ---------------------------------------------------------------------------------------------------
    def _await_sfc_timeout(self, instance: SfcInstance) -> None:
        """Look again when it would be over if no packet came."""
        due = instance.last_packet + instance.sfc.timeout
        self.core.at(max(due, self.core.now), partial(self._sfc_timeout, instance))

    def _sfc_timeout(self, instance: SfcInstance) -> None:
        if not instance.active:
            return
        under_way = instance.created > instance.ended
        if instance.last_packet + instance.sfc.timeout > self.core.now:
            self._await_sfc_timeout(instance)
        elif under_way:
            instance.last_packet = self.core.now
            self._await_sfc_timeout(instance)
        else:
            self.end_sfc(instance, "SFC_INSTANCE_TIMEOUT")

    def end_sfc(self, instance: SfcInstance, event: str) -> None:
        """End an SFC instance now; packets that are created for it from now on are orphans."""
        if not instance.active:
            return
        used = instance.vnf_instances
        self.state.release_sfc(instance)
        instance.version += 1
        self.ended_sfcs.append(instance)
        self.recorder.event("sfc_instance", event, self.core.now, SFC_Instance=instance.name)
        for each in dict.fromkeys(used):
            if not each.sfc_instances:
                each.idle_since = self.core.now
                self.core.at(self.core.now + each.vnf.timeout, partial(self._vnf_timeout, each, self.core.now))

    # VNF instances ---------------------------------------------------------------------------------------------------
    def _start(self, instance: VnfInstance) -> None:
        now = self.core.now
        takes = instance.vnf.startup_ipt / instance.node.cpu * 1000  # behaviour, "start-up"
        instance.ready_at = now + (int(takes) if self.core.rules.integer_times else takes)
        self.recorder.created(instance.number, instance.name, instance.vnf.name, instance.node.name)
        self.tell(instance, "INSTANCE_CREATED")
        if instance.ready_at > now:
            self.core.at(instance.ready_at, partial(self._ready, instance))

    def _ready(self, instance: VnfInstance) -> None:
        if instance.active:
            self.tell(instance, "INSTANCE_STARTED")
            self.core.wake(instance)

    def _vnf_timeout(self, instance: VnfInstance, idle_since: float) -> None:
        unused = not instance.sfc_instances and instance.idle_since == idle_since
        if instance.active and instance.accepts and unused:  # what is drained ends without this
            instance.accepts = False
            self._shut_down(instance)

    def _shut_down(self, instance: VnfInstance) -> None:
        takes = instance.vnf.shutdown_ipt / instance.node.cpu * 1000
        takes = int(takes) if self.core.rules.integer_times else takes
        self.tell(instance, "INSTANCE_SHUTDOWN_STARTED")
        self.core.at(self.core.now + takes, partial(self._gone, instance))

    def _gone(self, instance: VnfInstance) -> None:
        self.state.release_vnf(instance)
        self.core.abandon(instance)
        self.ended_vnfs.append(instance)
        self.tell(instance, "INSTANCE_REMOVED")

    # rows ------------------------------------------------------------------------------------------------------------
    def _map(self, instance: SfcInstance, each: VnfInstance) -> None:
        self.recorder.event(
            "sfc_instance_vnf_mapping",
            "VNF_INSTANCE_MAPPED",
            self.core.now,
            SFC_Instance=instance.name,
            VNF_Instance=each.name,
        )

    def tell(self, instance: VnfInstance, event: str) -> None:
        """A row of vnf_instance: what it is and has now."""
        self.recorder.event(
            "vnf_instance",
            event,
            self.core.now,
            VNF_Instance=instance.name,
            Node=instance.node.name,
            VNF=instance.vnf.name,
            VNF_CPU=instance.cpu,
            VNF_Mem=instance.mem,
        )
