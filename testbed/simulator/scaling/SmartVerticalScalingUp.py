"""More CPU and memory for loaded VNF instances of chains that violate their SLA (document, "Smart Vertical Scaling Up")."""

from collections import defaultdict
from collections.abc import Mapping

from testbed.simulator.limits import at_least
from testbed.simulator.model.instances import SfcInstance, VnfInstance
from testbed.simulator.model.state import TOLERANCE, State
from testbed.simulator.scaling.base import Action, Observation, Resize, Scaling
from testbed.simulator.scaling.load import LoadMetric, Weights, free_share, settled, vnf_load

DEFAULT = "default"


class SmartVerticalScalingUp(Scaling):
    """For each SFC instance whose packets violate at the accepted rate or above:

    * violated in the window / active packets >= rate (behaviour, "Smart up"), and at least one violated;
    * its VNF instances in the order of their nodes' (free cpu % * w + free mem % * w) / sum of w (ibid.), the least free first, or
      the freest with `prioritize_nodes_with_more_resource_available`;
    * those with (cpu load * w + mem load * w) / sum of w > `load_vnf_instance_limit` get (1 + increment) times CPU and memory (ibid.).

    CPU is checked against the node's CPU and memory against its memory: where only one fits, that one grows, and the other is
    tried and refused. An instance grows once in a decision, however many chains need it. A chain of which something grew is left
    alone for `waiting_time_between_scaling_ups`; other chains are not. Missing data: no measured packets are no violation; an
    instance without a measurement does not grow.

    Args:
        monitor_interval, monitor_window_size, waiting_time_between_scaling_ups: ms.
        load_vnf_instance_limit: load, 1 is all there is.
        resource_increment: part of CPU and memory allocated.
        resource_decrement: allowed since the document has it here; nothing is decreased.
        *_importance: weights of the two means.
        prioritize_nodes_with_more_resource_available: 1 balances nodes, 0 consolidates.
        acceptable_sla_violation_rate: by SFC, "default" for others; numbers may be text, as in the document's example.
        load_metric: as of BasicCPUScaling.
    """

    def __init__(
        self,
        monitor_interval: float = 500.0,
        monitor_window_size: float | None = None,
        load_vnf_instance_limit: float = 0.5,
        resource_increment: float = 0.1,
        resource_decrement: float = 0.1,
        cpu_node_available_importance: float = 1.0,
        mem_node_available_importance: float = 1.0,
        cpu_vnf_load_importance: float = 1.0,
        mem_vnf_load_importance: float = 1.0,
        prioritize_nodes_with_more_resource_available: bool = False,
        acceptable_sla_violation_rate: Mapping[str, float | str] | None = None,
        waiting_time_between_scaling_ups: float = 4000.0,
        load_metric: str = "offered",
    ) -> None:
        super().__init__(monitor_interval, monitor_window_size)
        at_least(
            0.0,
            load_vnf_instance_limit=load_vnf_instance_limit,
            resource_increment=resource_increment,
            resource_decrement=resource_decrement,
            waiting_time_between_scaling_ups=waiting_time_between_scaling_ups,
        )
        self.load_limit, self.increment = load_vnf_instance_limit, resource_increment
        self.node_weights = Weights(
            "node_available_importance", cpu_node_available_importance, mem_node_available_importance
        )
        self.load_weights = Weights("vnf_load_importance", cpu_vnf_load_importance, mem_vnf_load_importance)
        self.freest_first = bool(prioritize_nodes_with_more_resource_available)
        self.accepted_rates = _rates(acceptable_sla_violation_rate or {DEFAULT: 0.1})
        self.waiting_ms, self.load_metric = waiting_time_between_scaling_ups, LoadMetric(load_metric)
        self._grew_at: dict[str, float] = {}
        self._chains_of: dict[Action, list[str]] = {}

    def decide(self, seen: Observation) -> list[Action]:
        """What is to grow, chain by chain in order of creation."""
        self._chains_of = {}
        free = _Free(seen.state)
        tried: dict[str, list[Action]] = {}
        for chain in seen.state.sfc_instances.values():
            why = self._violates(chain, seen)
            if why is None:
                continue
            for load, instance in self._loaded(chain, seen):
                if instance.name not in tried:
                    reason = f"{why}; load {load:.3g} above load_vnf_instance_limit {self.load_limit:g}"
                    tried[instance.name] = free.grow(instance, 1 + self.increment, reason)
                for action in tried[instance.name]:
                    self._chains_of.setdefault(action, []).append(chain.name)
        return [action for actions in tried.values() for action in actions]

    def done(self, action: Action, now: float, problem: str | None, **facts: object) -> None:
        """Chains of what grew are left alone from now on."""
        if problem is None:
            self._grew_at.update(dict.fromkeys(self._chains_of.get(action, ()), now))

    def _violates(self, chain: SfcInstance, seen: Observation) -> str | None:
        """Why a chain needs more, or None."""
        measured, grew_at = seen.sfcs.get(chain.name), self._grew_at.get(chain.name)
        waits = grew_at is not None and seen.now - grew_at < self.waiting_ms
        if measured is None or waits or not measured.violated or not chain.active:
            return None
        accepted = self.accepted_rates.get(chain.sfc.name, self.accepted_rates[DEFAULT])
        rate = measured.violation_rate
        return f"{chain.name}: SLA violation rate {rate:.3g}, accepted {accepted:g}" if rate >= accepted else None

    def _loaded(self, chain: SfcInstance, seen: Observation) -> list[tuple[float, VnfInstance]]:
        """Loads and instances above the limit, in the order of their nodes."""
        loads = [
            (vnf_load(instance, measured, self.load_metric, self.load_weights), instance)
            for instance, measured in settled(seen, chain.vnf_instances)
        ]
        above = [(load, instance) for load, instance in loads if load > self.load_limit]
        return sorted(
            above, key=lambda each: free_share(seen.state, each[1], self.node_weights), reverse=self.freest_first
        )


class _Free:
    """What nodes have left after the growth so far in this decision, which the state does not know of yet."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._cpu: dict[tuple[str, str], float] = defaultdict(float)
        self._mem: dict[tuple[str, str], float] = defaultdict(float)

    def grow(self, instance: VnfInstance, factor: float, reason: str) -> list[Action]:
        """One action for both resources; where only one fits, that one before, so that it is not refused with the other."""
        node, cpu, mem = (instance.node.name, instance.slice), instance.cpu * factor, instance.mem * factor
        more_cpu, more_mem = cpu - instance.cpu, mem - instance.mem
        cpu_fits = self._cpu[node] + more_cpu <= self._state.free_cpu(*node) + TOLERANCE
        mem_fits = self._mem[node] + more_mem <= self._state.free_mem(*node) + TOLERANCE
        self._cpu[node] += more_cpu * cpu_fits
        self._mem[node] += more_mem * mem_fits
        both = Resize(instance, cpu, mem, reason)
        if cpu_fits == mem_fits:
            return [both]
        one = (cpu, instance.mem) if cpu_fits else (instance.cpu, mem)
        return [Resize(instance, *one, reason), both]


def _rates(given: Mapping[str, float | str]) -> dict[str, float]:
    rates = {}
    for name, value in given.items():
        try:
            rates[name] = float(value)
        except (TypeError, ValueError):
            raise ValueError(f"acceptable_sla_violation_rate.{name}: {value!r}: expected a number") from None
        at_least(0.0, **{f"acceptable_sla_violation_rate.{name}": rates[name]})
    if DEFAULT not in rates:
        raise ValueError(f"acceptable_sla_violation_rate: {', '.join(rates)}: expected {DEFAULT}, too")
    return rates
