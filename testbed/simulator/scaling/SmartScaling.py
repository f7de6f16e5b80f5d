"""The document's first example of a scaling, with the three weights it has there."""

from testbed.simulator.limits import at_least
from testbed.simulator.scaling.SmartVerticalScalingUp import SmartVerticalScalingUp


class SmartScaling(SmartVerticalScalingUp):
    """SmartVerticalScalingUp with importances by what is to be saved. The document gives weights for energy, memory and latency
    (document, "Simulation Parameters") and does not say of what; here latency is CPU load, which delays packets; memory is both
    the load and the node's; energy is the node's CPU, which it is proportional to (behaviour, "node energy").

    Args:
        monitor_interval: ms.
        energy_weight, memory_weight, latency_weight: importances.
    """

    def __init__(
        self,
        monitor_interval: float = 100.0,
        energy_weight: float = 0.33,
        memory_weight: float = 0.33,
        latency_weight: float = 0.34,
    ) -> None:
        at_least(0.0, energy_weight=energy_weight, memory_weight=memory_weight, latency_weight=latency_weight)
        if memory_weight == 0 and 0 in (energy_weight, latency_weight):
            raise ValueError("memory_weight: 0: expected more than 0 where energy_weight or latency_weight is 0")
        super().__init__(
            monitor_interval,
            cpu_node_available_importance=energy_weight,
            mem_node_available_importance=memory_weight,
            cpu_vnf_load_importance=latency_weight,
            mem_vnf_load_importance=memory_weight,
        )
