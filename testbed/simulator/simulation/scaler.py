"""Runs scaling algorithms at their intervals, and tries what they decide.

In: algorithms, the monitor. Out: changes of the state, and rows that say what was tried and what came of it.
"""

import logging
from collections.abc import Sequence
from functools import partial

from testbed.simulator.engine.base import Engine
from testbed.simulator.engine.streams import Recorder
from testbed.simulator.model.instances import VnfInstance
from testbed.simulator.model.plans import OverCommitError
from testbed.simulator.model.state import State
from testbed.simulator.scaling.base import Action, AddReplica, RemoveReplica, Resize, Scaling
from testbed.simulator.simulation.lifecycle import Lifecycle
from testbed.simulator.simulation.monitor import Monitor

log = logging.getLogger(__name__)


class Scaler:
    """Asks each algorithm every `monitor_interval`. `tried`, `failed`: how many actions."""

    def __init__(
        self, algorithms: Sequence[Scaling], state: State, core: Engine, lifecycle: Lifecycle, monitor: Monitor
    ) -> None:
        self.algorithms, self.state, self.core, self.lifecycle, self.monitor = (
            algorithms,
            state,
            core,
            lifecycle,
            monitor,
        )
        self.tried = self.failed = 0

    def start(self) -> None:
        """Ask from now on."""
        for algorithm in self.algorithms:
            self.core.at(self.core.now + algorithm.monitor_interval, partial(self._ask, algorithm))

    def _ask(self, algorithm: Scaling) -> None:
        now = self.core.now
        for action in algorithm.decide(self.monitor.observe(now, algorithm.monitor_window_size)):
            self.tried += 1
            problem = None
            try:
                self._carry_out(action)
            except (OverCommitError, ValueError) as refusal:
                problem = str(refusal)
                self.failed += 1
                self._tell_refusal(action)
            name, came = type(algorithm).__name__, "done" if problem is None else f"refused: {problem}"
            log.debug("%g ms: %s: %s: %s: %s", now, name, type(action).__name__, action.reason, came)
            algorithm.done(action, now, problem)
        self.core.at(now + algorithm.monitor_interval, partial(self._ask, algorithm))

    @property
    def recorder(self) -> Recorder:
        """Where rows go."""
        return self.core.recorder

    def _carry_out(self, action: Action) -> None:
        now = self.core.now
        if isinstance(action, Resize):
            instance = action.instance
            before = (instance.cpu, instance.mem)
            self.state.resize(instance, action.cpu, action.mem)
            _tell_resize(self.recorder, action, now, *before, "")
            self._tell_availability(instance, *before)
            for name in instance.sfc_instances:
                self.recorder.event(
                    "sfc_instance_resources",
                    "SCALING_UP" if (action.cpu, action.mem) > before else "SCALING_DOWN",
                    now,
                    SFC_Instance=name,
                    old_CPU=before[0],
                    new_CPU=action.cpu,
                    old_Mem=before[1],
                    new_Mem=action.mem,
                )
        elif isinstance(action, AddReplica):
            replica = self.state.add_replica(action.sfc_instance, action.position, action.new)
            self.lifecycle.add_replica(replica, action.sfc_instance)
            number = len(action.sfc_instance.stages[action.position].instances)
            self._tell_replicas("SCALING_OUT", replica.name, number - 1, number)
        elif isinstance(action, RemoveReplica):
            self.state.remove_replica(action.sfc_instance, action.position, action.instance)
            self.lifecycle.drain(action.instance)
            number = len(action.sfc_instance.stages[action.position].instances)
            self._tell_replicas("SCALING_IN", action.instance.name, number + 1, number)

    def _tell_refusal(self, action: Action) -> None:
        if isinstance(action, Resize):
            instance = action.instance
            _tell_resize(self.recorder, action, self.core.now, instance.cpu, instance.mem, "_FAIL")
            return
        instances = action.sfc_instance.stages[action.position].instances
        number = len(instances)
        if isinstance(action, AddReplica):
            self._tell_replicas("SCALING_OUT_FAIL", instances[0].name, number, number + 1)
        else:
            self._tell_replicas("SCALING_IN_FAIL", action.instance.name, number, number - 1)

    def _tell_availability(self, instance: VnfInstance, cpu: float, mem: float) -> None:
        """What a resized instance now has (document, "CPU_INCREASE_AVAILABILITY"), where it is not what it had."""
        for what, old, new in (("CPU", cpu, instance.cpu), ("MEM", mem, instance.mem)):
            if old != new:
                self.lifecycle.tell(instance, f"{what}_{'INCREASE' if new > old else 'DECREASE'}_AVAILABILITY")

    def _tell_replicas(self, event: str, name: str, old: int, new: int) -> None:
        self.recorder.event("vnf_instance_scaling", event, self.core.now, VNF_Instance=name, Old=old, New=new)


def _tell_resize(recorder: Recorder, action: Resize, now: float, cpu: float, mem: float, ending: str) -> None:
    """One row for CPU and one for memory, where they differ."""
    for what, old, new in (("CPU", cpu, action.cpu), ("MEM", mem, action.mem)):
        if old != new:
            way = "UP" if new > old else "DOWN"
            recorder.event(
                "vnf_instance_scaling",
                f"SCALING_{way}_{what}{ending}",
                now,
                VNF_Instance=action.instance.name,
                Old=old,
                New=new,
            )
