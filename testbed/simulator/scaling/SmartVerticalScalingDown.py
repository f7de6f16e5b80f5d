"""Less CPU and memory for idle VNF instances of chains that meet their SLA (document, "Smart Vertical Scaling Down")."""

from testbed.simulator.limits import at_least
from testbed.simulator.model.instances import SfcInstance, VnfInstance
from testbed.simulator.scaling.base import Action, Observation, Resize, Scaling, VnfLoad
from testbed.simulator.scaling.load import LoadMetric, Weights, free_share, settled, vnf_load


class SmartVerticalScalingDown(Scaling):
    """For each SFC instance of which no packet violates (behaviour, "Smart down"), the one VNF instance with the greatest

        w_load * load + w_process * packet_cpu_demand + w_available * (1 - free)        (ibid.)

    gets (1 - decrement) times CPU and memory, but never less than when it was created (ibid.). It is chosen from those with load
    below `load_vnf_instance_limit`, that have more than when they were created, and of which no chain violates. load: (cpu load *
    w + mem load * w) / sum of w; free: (free cpu % * w + free mem % * w) / sum of w; the last term is w_available * free with
    `prioritize_nodes_with_more_resource_available`, so that instances of freer nodes come first (document, ibid.).
    Missing data: a chain or an instance without a measurement stays as it is.

    Args:
        monitor_interval, monitor_window_size: ms.
        load_vnf_instance_limit: load, 1 is all there is.
        resource_decrement: part of CPU and memory allocated.
        cpu_*_importance, mem_*_importance: weights of the two means.
        prioritize_nodes_with_more_resource_available: 1 balances nodes, 0 consolidates.
        load_metric_importance, process_contribution_importance, resource_available_importance: w_load, w_process, w_available.
        load_metric: as of BasicCPUScaling.
    """

    def __init__(
        self,
        monitor_interval: float = 100.0,
        monitor_window_size: float | None = 500.0,
        load_vnf_instance_limit: float = 0.5,
        resource_decrement: float = 0.1,
        cpu_node_available_importance: float = 1.0,
        mem_node_available_importance: float = 1.0,
        cpu_vnf_load_importance: float = 1.0,
        mem_vnf_load_importance: float = 1.0,
        prioritize_nodes_with_more_resource_available: bool = False,
        load_metric_importance: float = 1.0,
        process_contribution_importance: float = 1.0,
        resource_available_importance: float = 1.0,
        load_metric: str = "offered",
    ) -> None:
        super().__init__(monitor_interval, monitor_window_size)
        at_least(
            0.0,
            load_vnf_instance_limit=load_vnf_instance_limit,
            resource_decrement=resource_decrement,
            load_metric_importance=load_metric_importance,
            process_contribution_importance=process_contribution_importance,
            resource_available_importance=resource_available_importance,
        )
        if resource_decrement >= 1:
            raise ValueError(f"resource_decrement: {resource_decrement:g}: expected less than 1")
        self.load_limit, self.decrement = load_vnf_instance_limit, resource_decrement
        self.node_weights = Weights(
            "node_available_importance", cpu_node_available_importance, mem_node_available_importance
        )
        self.load_weights = Weights("vnf_load_importance", cpu_vnf_load_importance, mem_vnf_load_importance)
        self.freest_first = bool(prioritize_nodes_with_more_resource_available)
        self.w_load, self.w_process = load_metric_importance, process_contribution_importance
        self.w_available, self.load_metric = resource_available_importance, LoadMetric(load_metric)

    def decide(self, seen: Observation) -> list[Action]:
        """At most one VNF instance of each chain, chain by chain in order of creation; none twice."""
        actions: dict[str, Action] = {}
        for chain in seen.state.sfc_instances.values():
            if not _meets_sla(chain, seen):
                continue
            candidates = [
                (self._rank(instance, load, seen), load, instance)
                for instance, measured in settled(seen, dict.fromkeys(chain.vnf_instances))
                if instance.name not in actions
                and (load := self._load(instance, measured)) < self.load_limit
                and (instance.cpu > instance.first_cpu or instance.mem > instance.first_mem)
                and all(_meets_sla(each, seen) for each in instance.sfc_instances.values())
            ]
            if candidates:
                _, load, top = max(candidates, key=lambda each: each[0])
                actions[top.name] = self._shrink(top, f"{chain.name}: no SLA violation; load {load:.3g}")
        return list(actions.values())

    def _load(self, instance: VnfInstance, measured: VnfLoad) -> float:
        return vnf_load(instance, measured, self.load_metric, self.load_weights)

    def _rank(self, instance: VnfInstance, load: float, seen: Observation) -> float:
        free = free_share(seen.state, instance, self.node_weights)
        available = free if self.freest_first else 1 - free
        return self.w_load * load + self.w_process * instance.vnf.packet_cpu_demand + self.w_available * available

    def _shrink(self, instance: VnfInstance, why: str) -> Resize:
        cpu = min(instance.cpu, max(instance.first_cpu, instance.cpu * (1 - self.decrement)))
        mem = min(instance.mem, max(instance.first_mem, instance.mem * (1 - self.decrement)))
        return Resize(instance, cpu, mem, f"{why} below load_vnf_instance_limit {self.load_limit:g}")


def _meets_sla(chain: SfcInstance, seen: Observation) -> bool:
    measured = seen.sfcs.get(chain.name)
    return measured is not None and measured.violated == 0
