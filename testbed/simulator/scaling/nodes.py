"""Where one more replica of a chain's stage would be best.

In: a chain, a position, the state, and what was promised since the state was as it is. Out: a node's name. Must not do: create
anything.
"""

from collections import defaultdict

from testbed.simulator.model.instances import SfcInstance
from testbed.simulator.model.plans import hop_bandwidths
from testbed.simulator.model.state import State
from testbed.simulator.scaling.load import part_of


class Nodes:
    """Chooses nodes for the replicas of one decision, and counts what it promised so far."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._cpu: dict[tuple[str, str], float] = defaultdict(float)
        self._mem: dict[tuple[str, str], float] = defaultdict(float)

    def best(self, chain: SfcInstance, position: int) -> tuple[str, str] | None:
        """A node, and why it.

        The least delay to and from the neighbours' nodes counts, then what is free, then order, of nodes that have room and routes
        with bandwidth. Where there is none, any node that may run the VNF, by the same rule, so that the refusal is tried and
        told. None: no node may run it.
        """
        vnf, slice_name = chain.stages[position].vnf, chain.slice
        hosts = [(node.name, self._delay_ms(chain, position, node.name)) for node in self._state.hosts(vnf.name)]
        open_hosts = [
            (name, delay_ms)
            for name, delay_ms in hosts
            if delay_ms is not None
            and self._state.fits(
                name, slice_name, vnf.cpu + self._cpu[name, slice_name], vnf.mem + self._mem[name, slice_name]
            )
        ]
        ranked = sorted(
            open_hosts or hosts,
            key=lambda each: (float("inf") if each[1] is None else each[1], -self._free(each[0], slice_name)),
        )
        if not ranked:
            return None
        name, delay_ms = ranked[0]
        self._cpu[name, slice_name] += vnf.cpu
        self._mem[name, slice_name] += vnf.mem
        why = "no node has room and routes" if not open_hosts else f"{delay_ms:.3g} ms to its neighbours"
        return name, f"{name}: {why}"

    def _delay_ms(self, chain: SfcInstance, position: int, node: str) -> float | None:
        """Mean delay from the nodes before plus that to the nodes after, for the chain's packets; None: no route is open."""
        bandwidths = hop_bandwidths([each.vnf for each in chain.stages])
        before = [((each, node), bandwidths[position]) for each in chain.nodes_at(position - 1)]
        after = [((node, each), bandwidths[position + 1]) for each in chain.nodes_at(position + 1)]
        size, total = packet_size(chain, self._state), 0.0
        for hops in (before, after):
            for pair, bandwidth in hops:
                route = chain.routes.get(pair)
                if route is None:
                    routes = self._state.open_routes(*pair, bandwidth, chain.slice)
                    if not routes:
                        return None
                    route = routes[0]  # the one that the state takes
                total += sum(link.delay_ms(size) for link in route) / len(hops)
        return total

    def _free(self, node: str, slice_name: str) -> float:
        given, part = self._state.entities.nodes[node], self._state.entities.slices[slice_name].node_share
        cpu = part_of(self._state.free_cpu(node, slice_name) - self._cpu[node, slice_name], given.cpu * part)
        mem = part_of(self._state.free_mem(node, slice_name) - self._mem[node, slice_name], given.mem * part)
        return (cpu + mem) / 2


def packet_size(chain: SfcInstance, state: State) -> float:
    """Mean size of the packets of a chain's requests; 1 where none is left."""
    sizes = [state.entities.data_sources[each.data_source].packet_size for each in chain.requests.values()]
    return sum(sizes) / len(sizes) if sizes else 1.0
