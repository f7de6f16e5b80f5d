"""One algorithm on one scene: what it accepts, what that costs, how long it takes.

In: entities and an algorithm. Out: an Attempt, and comparisons of two. Must not do: print.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy

from testbed.simulator.model.entities import Entities, SfcRequest
from testbed.simulator.model.instances import SfcInstance, VnfInstance
from testbed.simulator.model.plans import OverCommitError, Plan, Refused, pairs
from testbed.simulator.model.state import State
from testbed.simulator.placement import cost
from testbed.simulator.placement.base import Placement
from testbed.simulator.placement.network import Network


@dataclass(slots=True)
class Attempt:
    """What an algorithm did with all requests as one window. `seconds`: CPU time of deciding, without that of placing."""

    state: State
    chains: dict[str, SfcInstance] = field(default_factory=dict)
    costs: dict[str, cost.Cost] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def accepted(self) -> set[str]:
        """Names of the requests that have a chain."""
        return set(self.chains)

    @property
    def latency_ms(self) -> float:
        """Mean over the accepted; NaN without any."""
        return float(numpy.mean([each.latency_ms for each in self.costs.values()])) if self.costs else float("nan")

    @property
    def energy_w(self) -> float:
        """What all chains add together."""
        return sum(each.energy_w for each in self.costs.values())

    def score(self, names: Iterable[str]) -> float:
        """Of these requests: their own paths, and each VNF instance that any of them uses once."""
        entities, total = self.state.entities, 0.0
        instances: dict[str, VnfInstance] = {}
        aims = {name: cost.Aim.of(request, entities) for name, request in entities.sfc_requests.items()}
        mean = cost.Aim.mean(list(aims.values()))
        for name in names:
            chain = self.chains[name]
            path = _path_cost(entities.sfc_requests[name], chain, self.state)
            total += aims[name].score(path)
            instances.update({each.name: each for each in chain.vnf_instances})
        for each in instances.values():
            watts = cost.busy_watts(each.node) * each.first_cpu / each.node.cpu
            total += mean.score(cost.Cost(0.0, each.first_cpu, watts))
        return total


def _path_cost(request: SfcRequest, chain: SfcInstance, state: State) -> cost.Cost:
    stops = [request.ingress, *(each.node.name for each in chain.vnf_instances), request.egress]
    plan = Plan(tuple(chain.vnf_instances), tuple(chain.routes[pair] for pair in pairs(stops)))
    return cost.of(request, plan, state)


def attempt(entities: Entities, algorithm: Placement, seed: int) -> Attempt:
    """Place all requests, in their order, as one window."""
    state = State(entities)
    result = Attempt(state)
    Network.of(state)  # made once in a simulation: not part of a request's time
    algorithm.random = numpy.random.default_rng(seed)
    placing = 0.0

    def commit(request: SfcRequest, plan: Plan | Refused) -> SfcInstance | None:
        nonlocal placing
        began = time.process_time()
        try:
            if isinstance(plan, Refused):
                result.refused[request.name] = plan.reason
                return None
            expected = cost.of(request, plan, state)
            instance, _ = state.place(request, plan)
            result.chains[request.name], result.costs[request.name] = instance, expected
            return instance
        except OverCommitError as error:
            result.refused[request.name] = str(error)
            return None
        finally:
            placing += time.process_time() - began

    began = time.process_time()
    algorithm.plan_window(list(entities.sfc_requests.values()), state, commit)
    result.seconds = time.process_time() - began - placing
    return result


def gap_on_both(ours: Attempt, best: Attempt) -> float:
    """How much dearer than the best, on the requests that both accept; NaN where there are none."""
    both = sorted(ours.accepted & best.accepted)
    return ours.score(both) / best.score(both) - 1 if both else float("nan")
