"""Whether entities fit together: names that exist, values within their bounds. For entities that were not drawn from specs.

In: entities. Out: problems. Must not do: know of files.
"""

from collections.abc import Mapping
from typing import Any

from testbed.simulator.model.entities import DEFAULT_SLICE, Entities
from testbed.simulator.specification.checks import (
    AT_LEAST_ONE,
    COUNT,
    FRACTION,
    LATITUDE,
    LONGITUDE,
    NOT_NEGATIVE,
    POSITIVE,
    QUEUE,
    SHARE,
    Kind,
    one_of,
    whole,
)
from testbed.simulator.specification.problems import Problems
from testbed.simulator.specification.slices import TOLERANCE, WEIGHTS


def _each(kind: Kind[Any], names: str) -> dict[str, Kind[Any]]:
    return dict.fromkeys(names.split(), kind)


def _read_priorities_order(value: object) -> int:
    order = whole().read(value)
    if order not in (1, 2, 3):
        raise ValueError
    return order


PRIORITIES_ORDER = Kind("1 (latency), 2 (resource) or 3 (energy)", _read_priorities_order)
RESOURCE = one_of("CPU", "Memory", "Network")
BOUNDS: Mapping[str, Mapping[str, Kind[Any]]] = {
    "nodes": {**_each(POSITIVE, "cpu mem"), **_each(NOT_NEGATIVE, "energy_max energy_idle disk_delay")},
    "links": {
        **_each(NOT_NEGATIVE, "propagation energy"),
        "bandwidth": POSITIVE,
        "loss_rate": FRACTION,
        "max_packet_queue": QUEUE,
    },
    "vnfs": {
        **_each(POSITIVE, "cpu mem"),
        **_each(NOT_NEGATIVE, "min_bandwidth packet_cpu_demand packet_mem_demand packet_network_demand"),
        **_each(NOT_NEGATIVE, "remote_data_access_cost startup_ipt shutdown_ipt timeout"),
        "max_share": AT_LEAST_ONE,
        "max_packet_queue": QUEUE,
        "remote_data_access_prob": FRACTION,
        "resource_intensive": RESOURCE,
    },
    "sfcs": {"max_latency": POSITIVE, "timeout": NOT_NEGATIVE, "priorities_order": PRIORITIES_ORDER},
    "users": {"latency": NOT_NEGATIVE, "bandwidth": POSITIVE, "loss_rate": FRACTION, "priority": COUNT},
    "data_sources": {
        **_each(NOT_NEGATIVE, "packet_interval burst_interval"),
        "packet_size": POSITIVE,
        "burst_size": AT_LEAST_ONE,
    },
    "sfc_requests": {"arrival_time": NOT_NEGATIVE, "duration": POSITIVE},
    "slices": {**_each(FRACTION, "node_share bandwidth_share"), "weights": WEIGHTS},
}
LOCATION: Mapping[str, Kind[Any]] = {"latitude": LATITUDE, "longitude": LONGITUDE}
REFERENCES: Mapping[str, Mapping[str, str]] = {
    "nodes": {"vnfs": "vnfs"},
    "links": {"source": "nodes", "target": "nodes"},
    "sfcs": {"vnfs": "vnfs", "slice": "slices"},
    "users": {"node": "nodes"},
    "sfc_requests": {
        "user": "users",
        "sfc": "sfcs",
        "data_source": "data_sources",
        "ingress": "nodes",
        "egress": "nodes",
    },
}
"""By kind and attribute (a name, or several), of which kind the names are."""


WITHOUT_BURSTS = "more than 0 where packets do not come in bursts with time between them"


def check_entities(entities: Entities, problems: Problems) -> None:
    """Adds what is wrong. Paths are those of a saved file ("nodes[3].cpu")."""
    for kind, bounds in BOUNDS.items():
        for i, entity in enumerate(getattr(entities, kind).values()):
            _check_bounds(entity, bounds, f"{kind}[{i}]", problems)
    for kind, references in REFERENCES.items():
        for i, entity in enumerate(getattr(entities, kind).values()):
            for attribute, to in references.items():
                value = getattr(entity, attribute)
                for name in [value] if isinstance(value, str) else sorted(value):
                    if name not in getattr(entities, to):
                        problems.add(f"{kind}[{i}].{attribute}", name, f"a name of {to}")
    _check_nodes(entities, problems)
    _check_groups(entities, problems)
    _check_slices(entities, problems)


def _check_bounds(entity: object, bounds: Mapping[str, Kind[Any]], path: str, problems: Problems) -> None:
    for attribute, bound in bounds.items():
        value = getattr(entity, attribute)
        try:
            bound.read(value)
        except (ValueError, OverflowError):
            problems.add(f"{path}.{attribute}", value, bound.expected)


def _check_nodes(entities: Entities, problems: Problems) -> None:
    for i, node in enumerate(entities.nodes.values()):
        if node.energy_idle > node.energy_max:
            problems.add(f"nodes[{i}].energy_idle", node.energy_idle, f"at most energy_max, {node.energy_max:g}")
        if node.location is not None:
            _check_bounds(node.location, LOCATION, f"nodes[{i}].location", problems)


def _check_groups(entities: Entities, problems: Problems) -> None:
    for i, sfc in enumerate(entities.sfcs.values()):
        if not sfc.vnfs or len(set(sfc.vnfs)) < len(sfc.vnfs):
            problems.add(f"sfcs[{i}].vnfs", list(sfc.vnfs), "at least one VNF, each of another type")
        if sfc.lifetime is not None and sfc.lifetime <= 0:
            problems.add(f"sfcs[{i}].lifetime", sfc.lifetime, POSITIVE.expected)
    for i, source in enumerate(entities.data_sources.values()):
        bursts = source.burst_size > 1 and source.burst_interval > 0
        if source.packet_interval == 0 and not bursts:
            problems.add(f"data_sources[{i}].packet_interval", 0, WITHOUT_BURSTS)
    for i, user in enumerate(entities.users.values()):
        for sfc_name, ends in user.ingress_egress.items():
            if sfc_name not in entities.sfcs or not all(end in entities.nodes for end in ends):
                problems.add(
                    f"users[{i}].ingress_egress.{sfc_name}", list(ends), "two names of nodes, by a name of sfcs"
                )


def _check_slices(entities: Entities, problems: Problems) -> None:
    """The default slice alone may have nothing: where all SFCs are in others."""
    in_use = {sfc.slice for sfc in entities.sfcs.values()}
    for share in ("node_share", "bandwidth_share"):
        for i, each in enumerate(entities.slices.values()):
            if getattr(each, share) == 0 and (each.name != DEFAULT_SLICE or each.name in in_use):
                problems.add(f"slices[{i}].{share}", 0, SHARE.expected)
        total = sum(getattr(each, share) for each in entities.slices.values())
        if total > 1 + TOLERANCE:
            problems.add("slices", total, f"{share} that sum to 1 at most")
