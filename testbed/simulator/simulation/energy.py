"""What the environment's power is at a time.

In: the state. Out: watts. Source: behaviour, "node energy": idle + (max - idle) * round(allocated / cpu, 2), over all nodes. A link's
`energy_consumption` is watt-hours in an hour of operation, so watts, and counts for every link that a chain uses; the original left
links out of this sum, and divided their energy by 36,000 elsewhere.
"""

from testbed.simulator.model.state import State


def node_watts(state: State, node: str) -> float:
    """Power of one node."""
    each = state.entities.nodes[node]
    return each.energy_idle + (each.energy_max - each.energy_idle) * round(state.used_cpu(node) / each.cpu, 2)


def link_watts(state: State) -> float:
    """Power of the links that chains use now; loopbacks take none."""
    used = {
        link.name: link.energy
        for instance in state.sfc_instances.values()
        for route in instance.routes.values()
        for link in route
        if not link.loopback
    }
    return sum(used.values())


def total_watts(state: State) -> float:
    """Power of all nodes and of the links in use."""
    return sum(node_watts(state, name) for name in state.entities.nodes) + link_watts(state)
