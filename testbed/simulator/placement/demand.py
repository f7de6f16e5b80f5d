"""What all requests of one SFC and data source ask of the network: worked out once a run.

In: a network, a request, by what its paths count. Out: bandwidths, and scores and ms as arrays. Must not do: look at what is free.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy

from testbed.simulator.model.entities import Entities, SfcRequest
from testbed.simulator.model.plans import hop_bandwidths
from testbed.simulator.placement import cost

if TYPE_CHECKING:
    from testbed.simulator.placement.books import Seat
    from testbed.simulator.placement.network import Bools, Floats, Network


@dataclass(frozen=True, slots=True, eq=False)
class Hop:
    """What routes count for packets of one size, rate and aim. `route_ms`, `route_watts`: by route. `ms`, `score`: of shape
    (parallel, nodes, nodes), infinite where there is no route; `least`: of the scores, of shape (nodes, nodes)."""

    route_ms: "list[float]"
    route_watts: "list[float]"
    ms: "Floats"
    score: "Floats"
    least: "Floats"


class Demand:
    """`hops`, `sizes` (Mbit), `bandwidths` (Mbit/s): from the ingress over each VNF to the egress. Arrays of shape (VNFs, nodes):
    `service_ms` and `service_score` of a new instance, and whether a node `may` run it; of shape (VNFs, 1): its `cpu` and `mem`.
    `repeats`: whether a VNF is in the chain twice."""

    def __init__(
        self, network: "Network", entities: Entities, request: SfcRequest, aim: cost.Aim | None = None
    ) -> None:
        self.sfc = entities.sfcs[request.sfc]
        self.aim = aim or cost.Aim.of(request, entities)
        self.vnfs = [entities.vnfs[name] for name in self.sfc.vnfs]
        self.repeats = len(set(self.sfc.vnfs)) < len(self.sfc.vnfs)
        source = entities.data_sources[request.data_source]
        self.size, self.rate = source.packet_size, cost.packets_per_ms(source)
        self.bandwidths = hop_bandwidths(self.vnfs)
        self.sizes = cost.hop_sizes(self.vnfs, self.size)
        self.hops = [network.hop(size, self.rate, self.aim) for size in self.sizes]
        self.cpu: Floats = numpy.array([[vnf.cpu] for vnf in self.vnfs])
        self.mem: Floats = numpy.array([[vnf.mem] for vnf in self.vnfs])
        self.may: Bools = numpy.array([[vnf.name in node.vnfs for node in network.nodes] for vnf in self.vnfs])
        self._delays = [node.disk_delay for node in network.nodes]
        self.service_ms: Floats = numpy.array(
            [
                [cost.service_ms(vnf, delay, self.size, (vnf.cpu, vnf.mem)) for delay in self._delays]
                for vnf in self.vnfs
            ]
        )
        self.service_score: Floats = self.aim.latency * self.service_ms
        self._new_ms: list[list[float]] = self.service_ms.tolist()

    def at(self, vnf: str) -> list[int]:
        """Positions of a VNF in the chain."""
        return [position for position, name in enumerate(self.sfc.vnfs) if name == vnf]

    def new_ms(self, position: int, node: int) -> float:
        """Service of a VNF of the chain in a new instance."""
        return self._new_ms[position][node]

    def seat_ms(self, position: int, seat: "Seat") -> float:
        """Service of a VNF of the chain in this instance."""
        vnf = self.vnfs[position]
        if seat.cpu == vnf.cpu and seat.mem == vnf.mem:
            return self._new_ms[position][seat.node]
        return cost.service_ms(vnf, self._delays[seat.node], self.size, (seat.cpu, seat.mem))
