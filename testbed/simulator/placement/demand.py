"""What all requests of one SFC and data source ask of the network: worked out once a run.

In: a network, a request, by what its paths count. Out: sizes, bandwidths, and arrays by node or by (parallel route, source, target).
Must not do: look at what is free.
"""

from typing import TYPE_CHECKING

import numpy

from testbed.simulator.model.entities import Entities, SfcRequest
from testbed.simulator.model.plans import hop_bandwidths
from testbed.simulator.placement import cost

if TYPE_CHECKING:
    from testbed.simulator.placement.books import Seat
    from testbed.simulator.placement.network import Floats, Network


class Demand:
    """By VNF of the chain: `service_ms` and `service_score` of a new instance, by node. By hop: `sizes` (Mbit), `bandwidths` (Mbit/s),
    `route_ms` and `route_watts` by route; `ms` and `path_score` of shape (parallel, nodes, nodes), infinite where there is no route.
    `repeats`: whether a VNF is in the chain twice."""

    def __init__(self, network: "Network", entities: Entities, request: SfcRequest, aim: cost.Aim | None = None) -> None:
        self.sfc = entities.sfcs[request.sfc]
        self.aim = aim or cost.Aim.of(request, entities)
        self.vnfs = [entities.vnfs[name] for name in self.sfc.vnfs]
        self.repeats = len(set(self.sfc.vnfs)) < len(self.sfc.vnfs)
        source = entities.data_sources[request.data_source]
        self.size, self.rate = source.packet_size, cost.packets_per_ms(source)
        self.bandwidths = hop_bandwidths(self.vnfs)
        self.sizes = cost.hop_sizes(self.vnfs, self.size)
        self._delays = [node.disk_delay for node in network.nodes]
        self.service_ms: list[Floats] = [
            numpy.array([cost.service_ms(vnf, delay, self.size, (vnf.cpu, vnf.mem)) for delay in self._delays])
            for vnf in self.vnfs
        ]
        self.service_score: list[Floats] = [self.aim.latency * each for each in self.service_ms]
        self._planned_ms = [each.tolist() for each in self.service_ms]
        delays = [network.delay_ms(size) for size in self.sizes]
        watts = [network.energy_w(size, self.rate) for size in self.sizes]
        self.route_ms: list[list[float]] = [each.tolist() for each in delays]
        self.route_watts: list[list[float]] = [each.tolist() for each in watts]
        self.ms: list[Floats] = [network.by_ends(each) for each in delays]
        self.path_score: list[Floats] = [
            network.by_ends(self.aim.latency * ms + self.aim.energy * energy)
            for ms, energy in zip(delays, watts, strict=True)
        ]

    def seat_ms(self, position: int, seat: "Seat") -> float:
        """Service of a VNF of the chain in this instance."""
        vnf = self.vnfs[position]
        if (seat.cpu, seat.mem) == (vnf.cpu, vnf.mem):
            return self._planned_ms[position][seat.node]
        return cost.service_ms(vnf, self._delays[seat.node], self.size, (seat.cpu, seat.mem))
