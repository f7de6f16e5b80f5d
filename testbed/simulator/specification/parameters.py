"""The simulation parameter file: how a simulation is executed, and with which placement and scaling (document, "Simulation
Parameters Configuration").

In: JSON. Out: Parameters, checked but for the arguments of the algorithms (see `arguments`). Must not do: load algorithms.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from testbed.simulator.specification.checks import (
    AT_LEAST_ONE,
    COUNT,
    FLAG,
    NOT_NEGATIVE,
    OBJECT,
    POSITIVE,
    TEXT,
    Kind,
    Section,
    one_of,
)
from testbed.simulator.specification.problems import Problems, read_json

SIMILARITY = {0: "none", 1: "asc"}
"""The document's example has numbers where its table has words."""


@dataclass(frozen=True, slots=True)
class SimulationParameters:
    """Names and units (ms) as in the document; what its example leaves out has a default.

    Our own: `log_packet_events`; `integer_times`: service, start-up and penalty times are cut to whole ms, as the original does;
    `hold_link_while_propagating`: a link takes the next packet only when the one before has arrived, as the original's do;
    `link_size_by_network_demand`: a link carries size * packet_network_demand of the VNF before it, and not (as the original's)
    the size that the packet was created with; `log_format`.
    """

    total_time: float
    time_window: float
    time_limit_to_packet_generation: float
    packet_generation: bool = True
    num_rounds: int = 1
    random_seed: int = 200
    share_sfc_instance: bool = False
    compute_loopback_time: bool = True
    sfc_instance_monitor_interval: float = 100.0
    sfc_instance_monitor_window_size: float = 100.0
    max_sla_violation_sfc_instance_shared: int = 2
    order_sfc_request_by_similarity: str = "none"
    order_sfc_request_by_priority: bool = True
    execute_user_mobility: bool = True
    log_link_events: bool = True
    log_vnf_instance_events: bool = True
    log_link_entity: bool = True
    log_packet_events: bool = True
    integer_times: bool = False
    hold_link_while_propagating: bool = False
    link_size_by_network_demand: bool = True
    log_format: str = "csv"


@dataclass(frozen=True, slots=True)
class Algorithm:
    """A class by name, and the arguments of its constructor as the file has them."""

    heuristic: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Parameters:
    """The whole file. Every scaling that is given runs, each at its own interval."""

    simulation: SimulationParameters
    placement: Algorithm
    scaling: Algorithm | None = None
    scaling_up: Algorithm | None = None
    scaling_down: Algorithm | None = None


def load_parameters(path: Path | str) -> Parameters:
    """Raises:
    SpecificationError: the file cannot be read, or something in it is wrong.
    """
    return parse_parameters(read_json(path), str(path))


def parse_parameters(value: object, file: str = "") -> Parameters:
    """Raises:
    SpecificationError: something in it is wrong; names all of it.
    """
    problems = Problems(file)
    root = Section(value, "", problems)
    scalings = {
        name: _algorithm(root.section(name)) if root.has(name) else None
        for name in ("scaling", "scaling_up", "scaling_down")
    }
    root.declare("simulation", "placement", *scalings)
    result = Parameters(
        simulation=_simulation(root.section("simulation")), placement=_algorithm(root.section("placement")), **scalings
    )
    root.close()
    problems.close()
    return result


def _simulation(section: Section) -> SimulationParameters:
    total_time = section.get("total_time", POSITIVE)
    interval = section.get("sfc_instance_monitor_interval", POSITIVE, 100.0)

    def flag(name: str, default: bool) -> bool:
        return section.get(name, FLAG, default)

    result = SimulationParameters(
        total_time=total_time,
        time_window=section.get("time_window", NOT_NEGATIVE),
        time_limit_to_packet_generation=section.get("time_limit_to_packet_generation", NOT_NEGATIVE, total_time),
        packet_generation=flag("packet_generation", True),
        num_rounds=section.get("num_rounds", AT_LEAST_ONE, 1),
        random_seed=section.get("random_seed", COUNT, 200),
        share_sfc_instance=flag("share_sfc_instance", False),
        compute_loopback_time=flag("compute_loopback_time", True),
        sfc_instance_monitor_interval=interval,
        sfc_instance_monitor_window_size=section.get("sfc_instance_monitor_window_size", POSITIVE, interval),
        max_sla_violation_sfc_instance_shared=section.get("max_sla_violation_sfc_instance_shared", COUNT, 2),
        order_sfc_request_by_similarity=section.get("order_sfc_request_by_similarity", _ORDER, "none"),
        order_sfc_request_by_priority=flag("order_sfc_request_by_priority", True),
        execute_user_mobility=flag("execute_user_mobility", True),
        log_link_events=flag("log_link_events", True),
        log_vnf_instance_events=flag("log_vnf_instance_events", True),
        log_link_entity=flag("log_link_entity", True),
        log_packet_events=flag("log_packet_events", True),
        integer_times=flag("integer_times", False),
        hold_link_while_propagating=flag("hold_link_while_propagating", False),
        link_size_by_network_demand=flag("link_size_by_network_demand", True),
        log_format=section.get("log_format", one_of("csv", "parquet"), "csv"),
    )
    section.close()
    return result


def _algorithm(section: Section) -> Algorithm:
    result = Algorithm(section.get("heuristic", TEXT), section.get("parameters", OBJECT, {}))
    section.close()
    return result


def _read_order(value: object) -> str:
    if not isinstance(value, bool) and isinstance(value, int) and value in SIMILARITY:
        return SIMILARITY[value]
    return one_of("asc", "desc", "none").read(value)


_ORDER = Kind('"asc" (or 1), "desc" or "none" (or 0)', _read_order)
