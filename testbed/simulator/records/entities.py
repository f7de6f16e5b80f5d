"""The files that tell what was simulated, and how a round ended: the folder Entities, and a round's `*_entities` and process time.

In: the entities, what became of the requests, and instances as they are at the end. Out: files. Must not do: change anything.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from testbed.simulator.model.entities import Entities, Link, SfcRequest, User
from testbed.simulator.model.instances import SfcInstance, VnfInstance
from testbed.simulator.records.sheets import SHEETS
from testbed.simulator.records.tables import ENTITY_TABLES, FINAL_TABLES

Rows = list[tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a request: its SFC instance, None if it was never placed, and how often it was placed again."""

    sfc_instance: str | None = None
    replacements: int = 0


def write_entities(
    folder: Path,
    entities: Entities,
    outcomes: Mapping[str, Outcome] | None = None,
    log_format: str = "csv",
    links: bool = True,
    at_node: Mapping[str, str] | None = None,
) -> None:
    """Write the folder Entities, which is made; `outcomes` by the requests' names and `at_node`, where users are, after a run;
    without `links`, their file has a header only."""
    of_users: dict[str, list[SfcRequest]] = {name: [] for name in entities.users}
    for request in entities.sfc_requests.values():
        of_users.setdefault(request.user, []).append(request)
    known = outcomes or {}
    rows: dict[str, Rows] = {
        "data_source": [
            (each.name, each.packet_size, each.packet_interval, each.burst_interval, each.burst_size)
            for each in entities.data_sources.values()
        ],
        "links": [_link(each) for each in entities.links.values()] if links else [],
        "nodes": [
            (
                *(each.name, each.group, each.type.value, each.cpu, each.mem, each.energy_max, each.energy_idle),
                *(each.disk_delay, each.location.name if each.location else None, sorted(each.vnfs)),
            )
            for each in entities.nodes.values()
        ],
        "sfc_requests": [_request(each, known.get(each.name, Outcome())) for each in entities.sfc_requests.values()],
        "sfcs": [
            (each.name, each.max_latency, each.priority, each.timeout, each.vnfs) for each in entities.sfcs.values()
        ],
        "users": [
            _user(each, (at_node or {}).get(each.name, each.node), of_users[each.name])
            for each in entities.users.values()
        ],
        "vnfs": [
            (
                *(each.name, each.cpu, each.mem, each.max_share, each.min_bandwidth, each.packet_mem_demand),
                *(each.remote_data_access_cost, each.remote_data_access_prob, each.packet_cpu_demand),
                *(each.packet_network_demand, each.startup_ipt, each.shutdown_ipt, each.timeout),
                *(each.max_packet_queue, each.resource_intensive),
            )
            for each in entities.vnfs.values()
        ],
    }
    _write(folder, ENTITY_TABLES, rows, log_format)


def write_end(
    folder: Path,
    sfc_instances: Iterable[SfcInstance],
    vnf_instances: Iterable[VnfInstance],
    served: Mapping[str, Sequence[str]],
    log_format: str = "csv",
) -> None:
    """Write a round's sfc_instance_entities and vnf_instances_entities: whoever is given, ended or not. `served`: by SFC instance,
    the requests that it was for."""
    rows: dict[str, Rows] = {
        "sfc_instance_entities": [
            (
                *(each.name, each.sfc.name, each.sfc.timeout, each.slice, each.accepts, each.active),
                *(list(served.get(each.name, ())), each.ingress, each.egress, _links(each)),
                [one.name for one in each.vnf_instances],
            )
            for each in sfc_instances
        ],
        "vnf_instances_entities": [
            (
                *(each.name, each.vnf.name, each.cpu, each.mem, each.cpu_load, each.mem_load, each.node.name),
                *(list(each.sfc_instances), _ms(each.vnf.startup_ipt, each), _ms(each.vnf.shutdown_ipt, each)),
                *(each.vnf.timeout, each.active, each.accepts),
            )
            for each in vnf_instances
        ],
    }
    _write(folder, FINAL_TABLES, rows, log_format)


def write_process_time(folder: Path, seconds: float) -> None:
    """Write how long a round took, in seconds of the clock on the wall: the one file that differs between equal runs."""
    (folder / "process_time.txt").write_text(f"{seconds:.3f}\n")


def _link(link: Link) -> tuple[object, ...]:
    return (
        *(link.name, link.source, link.target, link.counter, link.bandwidth, link.loss_rate, link.propagation),
        *(link.energy, link.max_packet_queue),
    )


def _request(request: SfcRequest, outcome: Outcome) -> tuple[object, ...]:
    return (
        *(request.name, request.user, request.sfc, request.priority, request.arrival_time, request.data_source),
        *(request.ingress, request.egress, request.duration),
        *(outcome.sfc_instance is not None, outcome.replacements, outcome.sfc_instance),
    )


def _user(user: User, node: str, requests: Sequence[SfcRequest]) -> tuple[object, ...]:
    ends = {
        sfc: {"ingress_node": ingress, "egress_node": egress} for sfc, (ingress, egress) in user.ingress_egress.items()
    }
    sfcs = list(dict.fromkeys(each.sfc for each in requests))
    return (user.name, node, user.node, user.latency, user.bandwidth, user.loss_rate, sfcs, ends, user.priority)


def _links(instance: SfcInstance) -> dict[str, object]:
    """By where packets come from (`ingress`, or the VNF before): the link; none within a node; a list where there are several."""
    found: dict[str, object] = {}
    for position in range(len(instance.stages) + 1):
        pairs = product(instance.nodes_at(position - 1), instance.nodes_at(position))
        links = list(dict.fromkeys(link.name for pair in pairs for link in instance.routes.get(pair, ())))
        name = instance.sfc.vnfs[position - 1] if position else "ingress"
        found[name if name not in found else f"{name} ({position})"] = links if len(links) > 1 else "".join(links)
    return found


def _ms(instructions: float, instance: VnfInstance) -> int:
    """How long a start or a stop takes (behaviour, "start-up")."""
    return int(instructions / instance.node.cpu * 1000)


def _write(folder: Path, tables: Mapping[str, tuple[str, ...]], rows: Mapping[str, Rows], log_format: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for table, header in tables.items():
        sheet = SHEETS[log_format](folder / table, header)
        sheet.values(rows[table])
        sheet.close()
