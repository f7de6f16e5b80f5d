"""What a scaling algorithm is: a class that looks at what was measured since the last time, and says what is to change.

In: an Observation. Out: actions with reasons, which the simulation tries in order and logs. To add one, write one file with one class.
Must not do: change anything itself.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from testbed.simulator.model.instances import SfcInstance, VnfInstance
from testbed.simulator.model.plans import New
from testbed.simulator.model.state import State


@dataclass(frozen=True, slots=True)
class VnfLoad:
    """A VNF instance over the window. `offered`: instructions asked for over those that its CPU could do (may exceed 1);
    `utilisation`: time its servers were busy, over all there was (0..1); `mem_peak`: greatest memory in use over memory allocated;
    `cpu_usage_load`: instructions of packets in service now, over its CPU (the original's "load"); packets per second."""

    offered: float
    utilisation: float
    mem_peak: float
    cpu_usage_load: float
    arrived_pps: float
    processed_pps: float
    dropped_pps: float
    queue: int


@dataclass(frozen=True, slots=True)
class SfcLoad:
    """An SFC instance over the window: packets that violated, and packets that were under way or created in it."""

    violated: int
    active: int

    @property
    def violation_rate(self) -> float:
        """Violated of active (behaviour, "Smart up"); 0 without packets."""
        return self.violated / self.active if self.active else 0.0


@dataclass(frozen=True, slots=True)
class Observation:
    """What a scaling algorithm sees at `now`: the state, to read, and loads over the last `window_ms`, by name."""

    now: float
    window_ms: float
    state: State
    vnfs: Mapping[str, VnfLoad]
    sfcs: Mapping[str, SfcLoad]


@dataclass(frozen=True, slots=True)
class Resize:
    """Give a VNF instance these resources."""

    instance: VnfInstance
    cpu: float
    mem: float
    reason: str


@dataclass(frozen=True, slots=True)
class AddReplica:
    """One more VNF instance at a stage of a chain."""

    sfc_instance: SfcInstance
    position: int
    new: New
    reason: str


@dataclass(frozen=True, slots=True)
class RemoveReplica:
    """One VNF instance less at a stage of a chain; it finishes the packets that it has."""

    sfc_instance: SfcInstance
    position: int
    instance: VnfInstance
    reason: str


Action = Resize | AddReplica | RemoveReplica


class Scaling(ABC):
    """Base of all scaling algorithms. A subclass's `__init__` takes what its `parameters` may hold, as keyword arguments with
    types and defaults, and calls `super().__init__(monitor_interval, monitor_window_size)`.

    Args:
        monitor_interval: ms between two questions what to change.
        monitor_window_size: ms back that are looked at; the interval where it is None or 0.

    Raises:
        ValueError: an interval that is not positive, or a negative window.
    """

    def __init__(self, monitor_interval: float = 100.0, monitor_window_size: float | None = None) -> None:
        if not 0 < monitor_interval < math.inf:
            raise ValueError(f"monitor_interval: {monitor_interval!r}: expected ms greater than 0")
        if not 0 <= (monitor_window_size or 0.0) < math.inf:
            raise ValueError(f"monitor_window_size: {monitor_window_size!r}: expected ms, or 0 for the interval")
        self.monitor_interval = monitor_interval
        self.monitor_window_size = monitor_window_size or monitor_interval

    @abstractmethod
    def decide(self, seen: Observation) -> list[Action]:
        """What is to change, in order."""

    def done(self, action: Action, now: float, problem: str | None, **facts: Any) -> None:  # noqa: B027  # may be left out
        """Told after each action whether it could be carried out."""
