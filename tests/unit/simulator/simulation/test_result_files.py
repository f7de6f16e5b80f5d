"""A simulation's files: the same bytes for the same seed, however many processes, on either engine; and what they say adds up."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from testbed.simulator.engine.base import EngineClass
from testbed.simulator.engine.core import Core
from testbed.simulator.engine.reference import ReferenceCore
from testbed.simulator.model.entities import DataSource, Entities
from testbed.simulator.records.tables import ROUND_TABLES
from testbed.simulator.records.writer import RoundRecorder
from testbed.simulator.runner import Job, RoundFailedError, run
from testbed.simulator.simulation.round import Round, RoundResult, Scenario
from testbed.simulator.specification.parameters import Parameters, parse_parameters
from tests.support import simulated as sim
from tests.support.simulated import First, contents


def busy() -> Entities:
    """Two users on two nodes, with loss, limits, remote data, start-ups and time-outs."""
    vnfs = [
        sim.vnf("v_0", cpu=400.0, max_share=3, remote_data_access_cost=1.0, remote_data_access_prob=0.3, timeout=20.0),
        sim.vnf("v_1", cpu=400.0, max_share=2, max_packet_queue=2, startup_ipt=10.0, timeout=20.0),
    ]
    chains = [sim.sfc("s_0", "v_0", "v_1", max_latency=9.0, timeout=60.0), sim.sfc("s_1", "v_1", lifetime=150.0)]
    requests = [
        sim.request(f"r_{i}", sfc=f"s_{i % 2}", arrival_time=37.0 * i, duration=200.0, egress="n_1") for i in range(4)
    ]
    links = [sim.link(a, b, loss_rate=0.2 * (a != b)) for a in ("n_0", "n_1") for b in ("n_0", "n_1")]
    nodes = [sim.node("n_0", cpu=4000.0), sim.node("n_1", cpu=4000.0)]
    sources = {"src_0": DataSource("src_0", 1.0, 3.0, 20.0, 4)}
    return sim.entities(nodes, vnfs, chains, requests, links, data_sources=sources)


def parameters(**changes: Any) -> Parameters:
    simulation = {"total_time": 400, "time_window": 50, "num_rounds": 2, "random_seed": 11, **changes}
    return parse_parameters(
        {
            "simulation": simulation,
            "placement": {"heuristic": "NaivePlacement"},
            "scaling": {"heuristic": "BasicCPUScaling", "parameters": {"monitor_interval": 25}},
        }
    )


def simulate(folder: Path, jobs: int = 1, **changes: Any) -> list[RoundResult]:
    chosen = parameters(**changes)
    return run(Job(Scenario(busy(), chosen.simulation), chosen, folder), jobs)


def rows(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / f"{table}.csv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[RoundResult]]:
    folder = tmp_path_factory.mktemp("once")
    return folder, simulate(folder)


def test_the_same_seed_gives_the_same_bytes(once: tuple[Path, list[RoundResult]], tmp_path: Path) -> None:
    simulate(tmp_path)
    assert contents(tmp_path) == contents(once[0])
    assert {f"Round_{number}/{table}.csv" for number in (0, 1) for table in ROUND_TABLES} < contents(tmp_path).keys()


def test_rounds_in_several_processes_give_the_same_files(once: tuple[Path, list[RoundResult]], tmp_path: Path) -> None:
    told: list[int] = []
    chosen = parameters()
    results = run(
        Job(Scenario(busy(), chosen.simulation), chosen, tmp_path), 2, lambda number, time, packets: told.append(number)
    )
    assert contents(tmp_path) == contents(once[0])
    assert [each.created for each in results] == [each.created for each in once[1]]
    assert {*told} == {0, 1}


def test_rounds_and_seeds_differ(once: tuple[Path, list[RoundResult]], tmp_path: Path) -> None:
    simulate(tmp_path, random_seed=12, num_rounds=1)
    first, second, other = once[0] / "Round_0", once[0] / "Round_1", tmp_path / "Round_0"
    for table in ("packets", "links", "vnf_instance_packets"):
        assert len({(folder / f"{table}.csv").read_bytes() for folder in (first, second, other)}) == 3


def test_a_round_is_the_same_however_many_there_are(once: tuple[Path, list[RoundResult]], tmp_path: Path) -> None:
    simulate(tmp_path, num_rounds=1)
    of_first = {name: data for name, data in contents(once[0]).items() if name.startswith("Round_0")}
    assert {name: data for name, data in contents(tmp_path).items() if name.startswith("Round_0")} == of_first


def test_files_add_up(once: tuple[Path, list[RoundResult]]) -> None:
    for number, result in enumerate(once[1]):
        folder = once[0] / f"Round_{number}"
        fates = rows(folder, "packets_entities")
        assert len(fates) == result.created > 0

        def count(column: str, fates: list[dict[str, str]] = fates) -> int:
            return sum(row[column] == "True" for row in fates)

        assert count("Processed") == result.processed
        assert count("Dropped") == result.dropped > 0
        assert count("Orphan") == result.orphaned > 0
        assert count("Active") == result.in_flight
        assert count("SLA_Violated") == result.violated > 0
        events = [row["Event"] for row in rows(folder, "packets")]
        assert events.count("PACKET_CREATED") == result.created
        assert events.count("PACKET_PROCESSED") == result.processed
        placed = [row for row in rows(folder, "sfc_request") if row["Event"] == "SFC_REQUEST_PLACED"]
        assert {row["SFC_Request"]: row["SFC_Instance"] for row in placed} == result.outcomes
        assert float((folder / "process_time.txt").read_text()) == pytest.approx(result.seconds, abs=0.001)
    outcomes = {
        row["Name"]: row["Associated_SFC_Instance"]
        for row in rows(once[0] / "Entities", "sfc_requests")
        if row["Placed"] == "True"
    }
    assert outcomes == once[1][0].outcomes


@pytest.mark.parametrize("number", [0, 1])
def test_a_whole_simulation_has_the_same_rows_on_either_engine(tmp_path: Path, number: int) -> None:
    def of(core_class: EngineClass, folder: Path) -> dict[str, list[bytes]]:
        scenario = Scenario(busy(), parameters().simulation)
        with RoundRecorder(folder, scenario.entities) as recorder:
            Round(scenario, number, First(), [], recorder, core_class=core_class).run()
        return {name: sorted(data.splitlines()) for name, data in contents(folder).items()}

    assert of(Core, tmp_path / "fast") == of(ReferenceCore, tmp_path / "readable")


def test_rows_are_in_order_of_time_in_a_long_run_that_is_flushed_on_the_way(tmp_path: Path) -> None:
    """Requests that come before a flush, and are placed after it; others that end between the two."""
    requests = [sim.request(f"r_{i}", arrival_time=90.0 * i, duration=130.0) for i in range(9)]
    given = sim.entities([sim.node(cpu=1e5)], [sim.vnf(cpu=1e4)], [sim.sfc(timeout=40.0)], requests)
    flows = {("u_0", "s_0"): sim.flow(*[(0.1, 0.5)] * 3000)}
    scenario = sim.setting(
        given, flows, total_time=1000.0, time_window=100.0, sfc_instance_monitor_interval=10.0
    ).scenario
    with RoundRecorder(tmp_path, given) as recorder:
        result = Round(scenario, 0, First(), [], recorder).run()
    assert result.created > 2 * 4096
    for table, header in ROUND_TABLES.items():
        if "Time" in header:
            times = [float(row["Time"]) for row in rows(tmp_path, table)]
            assert times == sorted(times), table


def test_a_round_that_fails_leaves_what_it_wrote_and_its_traceback(tmp_path: Path) -> None:
    algorithms = tmp_path / "own"
    algorithms.mkdir()
    (algorithms / "Broken.py").write_text(
        "from testbed.simulator.placement.base import Placement\n"
        "class Broken(Placement):\n"
        "    def plan(self, request, state):\n"
        "        raise KeyError('no such thing')\n"
    )
    chosen = parameters()
    chosen = replace(chosen, placement=replace(chosen.placement, heuristic="Broken"))
    job = Job(
        Scenario(busy(), chosen.simulation), chosen, tmp_path / "results", (algorithms,), errors=tmp_path / "errors"
    )
    with pytest.raises(RoundFailedError, match="round 0: KeyError: 'no such thing'"):
        run(job)
    assert "raise KeyError" in (tmp_path / "errors" / "round_0.txt").read_text()
    assert [row["Event"] for row in rows(tmp_path / "results" / "Round_0", "time_window")] == ["TIME_WINDOW_STARTED"]
