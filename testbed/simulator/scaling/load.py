"""Measures that scaling algorithms share: the load of a VNF instance, and how much of a node is free.

In: an observation. Out: numbers. Must not do: decide. Missing data: an instance without a measurement is not changed, neither
up nor down.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from testbed.simulator.model.instances import VnfInstance
from testbed.simulator.model.state import State
from testbed.simulator.scaling.base import Observation, VnfLoad


class LoadMetric(StrEnum):
    """Load in the window, or as the original has it: of the packets in service at the moment of the decision."""

    OFFERED = "offered"
    INSTANTANEOUS = "instantaneous"

    @classmethod
    def _missing_(cls, value: object) -> "LoadMetric":
        raise ValueError(f"load_metric: {value!r}: expected one of {', '.join(cls)}")


@dataclass(frozen=True, slots=True)
class Weights:
    """Importance of CPU and of memory in a mean.

    Raises:
        ValueError: one is negative, or both are 0. The text names `of`.
    """

    of: str
    cpu: float
    mem: float

    def __post_init__(self) -> None:
        if min(self.cpu, self.mem) < 0 or self.cpu + self.mem <= 0:
            raise ValueError(
                f"cpu_{self.of}, mem_{self.of}: {self.cpu:g}, {self.mem:g}: expected none below 0 and one above"
            )

    def mean(self, cpu: float, mem: float) -> float:
        """(cpu * w_cpu + mem * w_mem) / (w_cpu + w_mem) (behaviour, "Smart up")."""
        return (cpu * self.cpu + mem * self.mem) / (self.cpu + self.mem)


def settled(seen: Observation, instances: Iterable[VnfInstance]) -> Iterator[tuple[VnfInstance, VnfLoad]]:
    """Those instances that can be judged, each with its loads: measured, started, and not about to end."""
    for instance in instances:
        measured = seen.vnfs.get(instance.name)
        if measured is not None and instance.active and not instance.draining and instance.ready_at <= seen.now:
            yield instance, measured


def cpu_load(measured: VnfLoad, metric: LoadMetric) -> float:
    """CPU load, 1 is all of it; may be greater."""
    return measured.offered if metric is LoadMetric.OFFERED else measured.cpu_usage_load


def vnf_load(instance: VnfInstance, measured: VnfLoad, metric: LoadMetric, weights: Weights) -> float:
    """The document's VNF Instance Load Metric: mean of CPU and memory load (document, "cpu_vnf_load_importance")."""
    mem = measured.mem_peak if metric is LoadMetric.OFFERED else instance.mem_load
    return weights.mean(cpu_load(measured, metric), mem)


def free_share(state: State, instance: VnfInstance, weights: Weights) -> float:
    """Mean of the shares of CPU and memory that an instance's node has free for its slice, 0 to 1 (behaviour, "Smart up":
    (free cpu % * w + free mem % * w) / sum of w)."""
    node, part = instance.node, state.entities.slices[instance.slice].node_share
    cpu = part_of(state.free_cpu(node.name, instance.slice), node.cpu * part)
    mem = part_of(state.free_mem(node.name, instance.slice), node.mem * part)
    return weights.mean(cpu, mem)


def part_of(free: float, whole: float) -> float:
    """Free of all there is; 0 where there is nothing."""
    return free / whole if whole else 0.0
