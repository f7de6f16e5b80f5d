"""How fast the simulator is, and how much memory it takes: its core against the same rules in SimPy, with and without logs.

In: an effort. Out: rows. The scenario is the one on which the original simulator was measured (10 nodes in a full mesh, 10 users, chains of
3 VNFs, bursts of 10 packets), made longer for more packets. Every run is a process of its own, which tells its rate and its memory.
Aims: 25,000 packets/s with all logs, 100,000 without; a packet takes the same time, and a run the same memory, however long it is.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.bench.table import Row, middle
from testbed.simulator import compiled

if TYPE_CHECKING:
    from testbed.simulator.simulation.round import Scenario
    from testbed.simulator.specification.parameters import Parameters

EXAMPLE = Path(__file__).resolve().parents[1] / "simulator" / "examples"
SIZES = {"6 thousand": 5_000.0, "100 thousand": 40_500.0, "1 million": 382_500.0, "10 million": 3_802_500.0}
"""Packets, and ms that give about as many."""
BASE = "100 thousand"  # what longer runs are held against
LOGS_UP_TO, REFERENCE_UP_TO = 382_500.0, 40_500.0
AIM_LOGS, AIM_PLAIN = 25_000, 100_000
MEMORY_GROWTH = 1.25
TIME_GROWTH = 1.5
"""Of 10 and 100 times as many packets, on disks and machines that vary by a fifth."""
PLACEMENTS = ("GreedyPlacement", "DijkstraPlacement", "SmartPlacement", "LPPPlacement")


def measure_simulator(repeats: int, quick: bool, say: Callable[[str], None]) -> list[Row]:
    """All rows; without the greater sizes where it has to be quick."""
    rows: list[Row] = []
    base: dict[bool, dict[str, float]] = {}
    say(f"simulator: engine: {compiled.described()}")
    for name, total_time in SIZES.items():
        if quick and total_time > SIZES[BASE]:
            break
        for logs in (True, False):
            if logs and total_time > LOGS_UP_TO:
                continue
            what = f"{name} packets, {'all logs' if logs else 'no logs'}"
            say(f"simulator: {what}")
            times = repeats if total_time <= LOGS_UP_TO else 1
            ours = [run(total_time, logs) for _ in range(times)]
            rivals = [
                run(total_time, logs, reference=True) for _ in range(times if total_time <= REFERENCE_UP_TO else 0)
            ]
            rows.append(_speed(what, logs, ours, rivals))
            worst = {"us": _us(ours), "mb": max(each["memory_mb"] for each in ours)}
            if name == BASE:
                base[logs] = worst
            elif total_time > SIZES[BASE]:
                rows += [
                    _growth(f"time a packet, {what}", "µs", worst["us"], base[logs]["us"], TIME_GROWTH),
                    _growth(f"memory, {what}", "MB", worst["mb"], base[logs]["mb"], MEMORY_GROWTH),
                ]
    say("simulator: placement")
    placed = {name: run(5_000.0, False, placement=name, packets=False) for name in PLACEMENTS}
    rows += [
        Row(
            f"simulator, {name}",
            "ms a request",
            each["algorithm_s"] / each["requests"] * 1000,
            "LPPPlacement" if name != "LPPPlacement" else "",
            placed["LPPPlacement"]["algorithm_s"] / each["requests"] * 1000 if name != "LPPPlacement" else None,
            False,
        )
        for name, each in placed.items()
    ]
    return rows


def _speed(what: str, logs: bool, ours: list[dict[str, float]], rivals: list[dict[str, float]]) -> Row:
    rates, aim = _rates(ours), AIM_LOGS if logs else AIM_PLAIN
    rival = middle(_rates(rivals)) if rivals else None
    name = f"simulator, {what}"
    met = middle(rates) >= aim
    return Row(
        name, "packets/s", middle(rates), "SimPy" if rivals else "", rival, True, f">= {aim:,}", met, samples=rates
    )


def _growth(what: str, unit: str, ours: float, base: float, most: float) -> Row:
    """Long runs cost as much a packet, and as much memory, as shorter ones."""
    met = ours <= most * base
    return Row(f"simulator, {what}", unit, ours, f"at {BASE}", base, False, f"<= {most} times", met)


def _rates(runs: list[dict[str, float]]) -> list[float]:
    return [each["packets"] / each["seconds"] for each in runs]


def _us(runs: list[dict[str, float]]) -> float:
    return 1e6 / middle(_rates(runs))


def run(
    total_time: float, logs: bool, *, reference: bool = False, placement: str = "SmartPlacement", packets: bool = True
) -> dict[str, float]:
    """One round in a process of its own: packets, seconds, requests, algorithm_s, memory_mb."""
    wish = json.dumps([total_time, logs, reference, placement, packets])
    done = subprocess.run([sys.executable, "-m", __name__, wish], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"simulator {wish}: {done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout)
    return result


def _run_here(wish: str) -> dict[str, float]:
    import resource  # only here: the parent does not need the simulator's packages

    from testbed.simulator.runner import Job, algorithms, run_round

    total_time, logs, reference, placement, packets = json.loads(wish)
    parameters, described = _scenario(total_time, logs, placement, packets)
    with tempfile.TemporaryDirectory() as folder:
        job = Job(described, parameters, Path(folder), reference=reference)
        algorithms(job)  # as the command, which checks them before anything runs
        result = run_round(job, 0)
    return {
        "packets": result.created,
        "seconds": result.seconds,
        "requests": len(described.entities.sfc_requests),
        "algorithm_s": result.algorithm_s,
        "memory_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _scenario(total_time: float, logs: bool, placement: str, packets: bool) -> "tuple[Parameters, Scenario]":
    from testbed.simulator.simulation.round import Scenario
    from testbed.simulator.specification.generate import generate
    from testbed.simulator.specification.parameters import parse_parameters
    from testbed.simulator.specification.specs_file import parse_specs

    said = json.loads((EXAMPLE / "parameters.json").read_text())
    names = ("log_link_events", "log_vnf_instance_events", "log_packet_events")
    said["simulation"] |= {"total_time": total_time, "packet_generation": packets} | dict.fromkeys(names, int(logs))
    said["placement"]["heuristic"] = placement
    parameters = parse_parameters(said)
    specs = json.loads((EXAMPLE / "specs.json").read_text())
    specs["sfc_requests"]["duration"] = [total_time]
    # All users come at once: the packets of a run are as many as its length, and the load is the same throughout.
    entities = generate(parse_specs(specs), parameters.simulation.random_seed, 5_000.0, 500.0)
    return parameters, Scenario(entities, parameters.simulation)


if __name__ == "__main__":
    print(json.dumps(_run_here(sys.argv[1])))
