"""More and fewer VNF instances at the stages of chains, by the decision that an orchestrator of containers makes, too."""

from collections.abc import Sequence
from dataclasses import dataclass

from testbed.scaling_decision.decide import decide
from testbed.scaling_decision.model import (
    Decision,
    Direction,
    Forecast,
    History,
    InstanceSample,
    Policy,
    Rules,
    Sample,
)
from testbed.simulator.limits import above, at_least
from testbed.simulator.model.instances import SfcInstance, VnfInstance
from testbed.simulator.model.plans import New
from testbed.simulator.scaling.base import Action, AddReplica, Observation, RemoveReplica, Scaling
from testbed.simulator.scaling.nodes import Nodes, packet_size

WINDOW_INTERVALS = 20
"""Intervals in the default window for fewer replicas, as Kubernetes has it: 300 s with a decision every 15 s."""


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `amount` replicas, or percent of those there were, in any `period` ms."""

    amount: float
    period: float
    percent: bool = False

    def policy(self) -> Policy:
        """As the decision has it."""
        return Policy(self.amount, self.period / 1000, self.percent)


@dataclass(frozen=True, slots=True)
class Announcement:
    """What was said beforehand: this many packets per second come to each instance of an SFC, from `start` to `end` (ms)."""

    sfc: str
    start: float
    end: float
    packets_per_second: float


class HorizontalScaling(Scaling):
    """For each stage of each chain: as many replicas as `testbed.scaling_decision` says, one by one where the chain's neighbours are
    nearest, or less the least used ones. A stage whose instances another stage shares waits where that one changed in the same
    decision: what it did is then seen first. Missing data: see the decision; what starts has no load yet.

    Args:
        monitor_interval, monitor_window_size: ms.
        min_replicas, max_replicas: of a stage.
        target_load: instructions offered over capacity, mean of a stage's instances.
        target_queue: packets that wait, mean of a stage's instances; None: not looked at.
        tolerance: part of a target by which the mean may be off it.
        scale_up_window, scale_down_window: ms for which recommendations must agree; down, None is 20 intervals.
        scale_up_rates, scale_down_rates: the fastest of them holds; None is 4 or as many again in an interval for up, and no limit
            for down, as Kubernetes has it.
        announcements, announcement_horizon: what is foreseen, and how many ms before it begins replicas are to be ordered.
    """

    def __init__(
        self,
        monitor_interval: float = 500.0,
        monitor_window_size: float | None = None,
        min_replicas: int = 1,
        max_replicas: int = 10,
        target_load: float = 0.6,
        target_queue: float | None = None,
        tolerance: float = 0.1,
        scale_up_window: float = 0.0,
        scale_down_window: float | None = None,
        scale_up_rates: Sequence[Rate] | None = None,
        scale_down_rates: Sequence[Rate] = (),
        announcements: Sequence[Announcement] = (),
        announcement_horizon: float = 0.0,
    ) -> None:
        super().__init__(monitor_interval, monitor_window_size)
        above(0.0, target_load=target_load, target_queue=1.0 if target_queue is None else target_queue)
        at_least(
            0.0,
            tolerance=tolerance,
            scale_up_window=scale_up_window,
            scale_down_window=scale_down_window or 0.0,
            announcement_horizon=announcement_horizon,
        )
        if tolerance >= 1:
            raise ValueError(f"tolerance: {tolerance:g}: expected less than 1")
        _check_rates("scale_up_rates", scale_up_rates or ())
        _check_rates("scale_down_rates", scale_down_rates)
        _check_announcements(announcements)
        down_ms = WINDOW_INTERVALS * monitor_interval if scale_down_window is None else scale_down_window
        if scale_up_rates is None:
            scale_up_rates = (Rate(4, monitor_interval), Rate(100, monitor_interval, percent=True))
        self.rules = Rules(
            min_replicas,
            max_replicas,
            target_load,
            target_queue,
            forecast_horizon_s=announcement_horizon / 1000,
            up=Direction(scale_up_window / 1000, tolerance, tuple(each.policy() for each in scale_up_rates)),
            down=Direction(down_ms / 1000, tolerance, tuple(each.policy() for each in scale_down_rates)),
        )
        self.announcements = tuple(announcements)
        self._histories: dict[tuple[str, int], History] = {}

    def decide(self, seen: Observation) -> list[Action]:
        """Replicas to add and to remove, chain by chain in order of creation, stage by stage."""
        actions: list[Action] = []
        nodes, changed, histories = Nodes(seen.state), set[str](), dict[tuple[str, int], History]()
        for chain in seen.state.sfc_instances.values():
            for position, stage in enumerate(chain.stages):
                key, names = (chain.name, position), {each.name for each in stage.instances}
                history = self._histories.get(key, History())
                if names.isdisjoint(changed):
                    decision, history = decide(
                        self._sample(chain, position, seen), self.rules, history, seen.now / 1000
                    )
                    found = _carry_out(decision, chain, position, seen, nodes)
                    changed |= names if found else set()
                    actions += found
                histories[key] = history
        self._histories = histories
        return actions

    def _sample(self, chain: SfcInstance, position: int, seen: Observation) -> Sample:
        instances, size = chain.stages[position].instances, packet_size(chain, seen.state)
        forecasts = tuple(
            Forecast("announcement", each.start / 1000, each.end / 1000, each.packets_per_second)
            for each in self.announcements
            if each.sfc == chain.sfc.name
        )
        return Sample(len(instances), tuple(_instance_sample(each, seen, size) for each in instances), forecasts)


def _check_rates(name: str, rates: Sequence[Rate]) -> None:
    for i, rate in enumerate(rates):
        above(0.0, **{f"{name}[{i}].amount": rate.amount, f"{name}[{i}].period": rate.period})


def _check_announcements(announcements: Sequence[Announcement]) -> None:
    for i, each in enumerate(announcements):
        at_least(0.0, **{f"announcements[{i}].packets_per_second": each.packets_per_second})
        at_least(each.start, **{f"announcements[{i}].end": each.end})


def _instance_sample(instance: VnfInstance, seen: Observation, size: float) -> InstanceSample:
    """Capacity is what was measured, or without packets that of its CPU for packets of a size (behaviour, "VNF instance")."""
    measured, ready = seen.vnfs.get(instance.name), instance.ready_at <= seen.now
    if measured is None:
        return InstanceSample(instance.name, ready=ready, healthy=instance.active)
    work = instance.vnf.packet_cpu_demand * size
    capacity_pps = instance.cpu / work if work else None
    if measured.offered > 0 and measured.arrived_pps > 0:
        capacity_pps = measured.arrived_pps / measured.offered
    return InstanceSample(
        instance.name,
        measured.offered,
        measured.arrived_pps,
        capacity_pps,
        measured.queue,
        ready=ready,
        healthy=instance.active,
    )


def _carry_out(decision: Decision, chain: SfcInstance, position: int, seen: Observation, nodes: Nodes) -> list[Action]:
    """Actions that make the replicas as many as were decided."""
    more, where = decision.enforced - decision.replicas, f"{chain.name}, stage {position}: {decision.reason}"
    if more < 0:
        least_used = sorted(chain.stages[position].instances, key=lambda each: _use(each, seen))
        return [RemoveReplica(chain, position, each, where) for each in least_used[:-more]]
    chosen = [nodes.best(chain, position) for _ in range(more)]
    return [AddReplica(chain, position, New(best[0]), f"{where}; on {best[1]}") for best in chosen if best]


def _use(instance: VnfInstance, seen: Observation) -> tuple[float, int, int]:
    """By load, then by chains that use it, then the newest first. Without a measurement it is taken to be idle: it starts."""
    measured = seen.vnfs.get(instance.name)
    return measured.offered if measured else 0.0, len(instance.sfc_instances), -instance.number
