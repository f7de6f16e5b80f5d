"""CPU of each VNF instance up or down by a fixed part where its load passes a fixed limit (document, "Basic CPU Scaling")."""

from testbed.simulator.limits import at_least
from testbed.simulator.scaling.base import Action, Observation, Resize, Scaling
from testbed.simulator.scaling.load import LoadMetric, cpu_load, settled


class BasicCPUScaling(Scaling):
    """Load above `cpu_usage_max`: `cpu_increment` more CPU, whether it fits or not: what does not fit is refused and logged.
    Load below `cpu_usage_min`: `cpu_decrement` less, unless that is less than the VNF type's CPU (document, ibid.).

    Args:
        monitor_interval: ms from one decision to the next, and what the load is measured over.
        cpu_usage_max, cpu_usage_min: loads, 1 is all of the CPU.
        cpu_increment, cpu_decrement: parts of the CPU allocated.
        load_metric: "offered": instructions asked for over those the CPU could do, in the window; "instantaneous": those of the
            packets in service over the CPU, now (the original's).
    """

    def __init__(
        self,
        monitor_interval: float = 100.0,
        cpu_usage_max: float = 1.0,
        cpu_increment: float = 0.1,
        cpu_usage_min: float = 0.7,
        cpu_decrement: float = 0.1,
        load_metric: str = "offered",
    ) -> None:
        super().__init__(monitor_interval)
        at_least(0.0, cpu_usage_min=cpu_usage_min, cpu_increment=cpu_increment, cpu_decrement=cpu_decrement)
        if cpu_decrement >= 1:
            raise ValueError(f"cpu_decrement: {cpu_decrement:g}: expected less than 1")
        if cpu_usage_max < cpu_usage_min:
            raise ValueError(f"cpu_usage_max: {cpu_usage_max:g}: expected no less than cpu_usage_min {cpu_usage_min:g}")
        self.cpu_usage_max, self.cpu_increment = cpu_usage_max, cpu_increment
        self.cpu_usage_min, self.cpu_decrement = cpu_usage_min, cpu_decrement
        self.load_metric = LoadMetric(load_metric)

    def decide(self, seen: Observation) -> list[Action]:
        """A change for each VNF instance whose load is beyond a limit, in order of creation."""
        actions: list[Action] = []
        for instance, measured in settled(seen, seen.state.vnf_instances.values()):
            load = cpu_load(measured, self.load_metric)
            if load > self.cpu_usage_max:
                cpu, limit = instance.cpu * (1 + self.cpu_increment), f"above cpu_usage_max {self.cpu_usage_max:g}"
            elif load < self.cpu_usage_min and instance.cpu * (1 - self.cpu_decrement) >= instance.vnf.cpu:
                cpu, limit = instance.cpu * (1 - self.cpu_decrement), f"below cpu_usage_min {self.cpu_usage_min:g}"
            else:
                continue
            actions.append(Resize(instance, cpu, instance.mem, f"CPU load {load:.3g} {limit}"))
        return actions
