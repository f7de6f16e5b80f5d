"""What instances did over the last window, from counters that only grow.

In: the state, each time that somebody looks. Out: an Observation. Invariant: `looks` are in order of time, and reach back as far as
the longest window.
"""

from collections import deque
from dataclasses import dataclass

from testbed.simulator.model.instances import VnfInstance
from testbed.simulator.model.state import State
from testbed.simulator.scaling.base import Observation, SfcLoad, VnfLoad

Counters = tuple[float, float, float, float, float]  # of a VNF instance: offered, busy ms, arrived, processed, dropped


@dataclass(frozen=True, slots=True)
class Look:
    """Counters at a time: of VNF instances, their greatest memory use since the look before, and of SFC instances
    (created, violated, ended)."""

    time: float
    vnfs: dict[str, Counters]
    mem_peaks: dict[str, float]
    sfcs: dict[str, tuple[int, int, int]]


NOTHING = Look(0.0, {}, {}, {})


class Monitor:
    """Keeps looks for windows of up to `longest_ms`."""

    def __init__(self, state: State, longest_ms: float) -> None:
        self._state, self._longest_ms = state, longest_ms
        self._looks: deque[Look] = deque([NOTHING])

    def look(self, now: float) -> None:
        """Write the counters down."""
        if self._looks[-1].time == now > 0:
            return
        vnfs: dict[str, Counters] = {}
        peaks = {}
        for name, each in self._state.vnf_instances.items():
            vnfs[name] = (each.offered, each.busy_ms, each.arrived, each.processed, each.dropped)
            peaks[name] = each.mem_peak
            each.cpu_peak = each.cpu_usage
        sfcs = {name: (each.created, each.violated, each.ended) for name, each in self._state.sfc_instances.items()}
        self._looks.append(Look(now, vnfs, peaks, sfcs))
        while len(self._looks) > 2 and self._looks[1].time <= now - self._longest_ms:
            self._looks.popleft()

    def observe(self, now: float, window_ms: float) -> Observation:
        """The window that ends now. It begins with the last look that is at least that old, else with the run."""
        self.look(now)
        before = next((look for look in reversed(self._looks) if look.time <= now - window_ms), self._looks[0])
        passed_ms = max(now - before.time, 1e-9)
        vnfs = {
            name: self._vnf_load(each, before.vnfs.get(name, (0.0, 0.0, 0.0, 0.0, 0.0)), before.time, passed_ms)
            for name, each in self._state.vnf_instances.items()
        }
        return Observation(now, passed_ms, self._state, vnfs, self.sfcs(now, window_ms))

    def sfcs(self, now: float, window_ms: float) -> dict[str, SfcLoad]:
        """Packets that violated, and that were under way at the window's begin or created in it, by SFC instance."""
        self.look(now)
        before = next((look for look in reversed(self._looks) if look.time <= now - window_ms), self._looks[0])
        loads = {}
        for name, each in self._state.sfc_instances.items():
            _, violated, ended = before.sfcs.get(name, (0, 0, 0))
            loads[name] = SfcLoad(each.violated - violated, each.created - ended)
        return loads

    def _vnf_load(self, each: VnfInstance, before: Counters, since: float, passed_ms: float) -> VnfLoad:
        now = (each.offered, each.busy_ms, each.arrived, each.processed, each.dropped)
        offered, busy_ms, arrived, processed, dropped = (a - b for a, b in zip(now, before, strict=True))
        peaks = [look.mem_peaks.get(each.name, 0.0) for look in self._looks if look.time > since]
        seconds = passed_ms / 1000
        return VnfLoad(
            offered=offered / (each.cpu * seconds),
            utilisation=min(busy_ms / (passed_ms * each.vnf.max_share), 1.0),
            mem_peak=max([each.mem_usage, *peaks]) / each.mem,
            cpu_usage_load=each.cpu_load,
            arrived_pps=arrived / seconds,
            processed_pps=processed / seconds,
            dropped_pps=dropped / seconds,
            queue=len(each.queue),
        )
