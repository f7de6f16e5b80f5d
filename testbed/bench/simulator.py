"""How fast the simulator is, and how much memory it takes: its core against the same rules in SimPy, with and without logs.

In: an effort. Out: rows. The scenario is the one on which the original simulator was measured (10 nodes in a full mesh, 10 users, chains of
3 VNFs, bursts of 10 packets), made longer for more packets. Every run is a process of its own, which tells its rate and its memory.
Source of the aims: 25,000 packets/s with all logs, 100,000 without; memory that does not grow with packets.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from testbed.bench.table import Row, middle

if TYPE_CHECKING:
    from testbed.simulator.simulation.round import Scenario
    from testbed.simulator.specification.parameters import Parameters

EXAMPLE = Path(__file__).resolve().parents[1] / "simulator" / "examples"
SIZES = {
    "6 thousand": 5_000.0,
    "100 thousand": 40_500.0,
    "1 million": 382_500.0,
}  # packets, and ms that give about as many
AIM_LOGS, AIM_PLAIN = 25_000, 100_000
MEMORY_GROWTH = 1.25
REFERENCE_UP_TO = 40_500.0
PLACEMENTS = ("GreedyPlacement", "DijkstraPlacement", "SmartPlacement", "LPPPlacement")


def measure_simulator(repeats: int, quick: bool, say: Callable[[str], None]) -> list[Row]:
    """All rows; without the greatest size where it has to be quick."""
    sizes = {name: time for name, time in SIZES.items() if not (quick and time > REFERENCE_UP_TO)}
    rows: list[Row] = []
    memory: dict[tuple[str, bool], float] = {}
    for name, total_time in sizes.items():
        for logs in (True, False):
            say(f"simulator: {name} packets, {'all logs' if logs else 'no logs'}")
            times = 1 if total_time > REFERENCE_UP_TO else repeats
            ours = [run(total_time, logs, reference=False) for _ in range(times)]
            rival = (
                [run(total_time, logs, reference=True) for _ in range(times)] if total_time <= REFERENCE_UP_TO else []
            )
            rates = [each["packets"] / each["seconds"] for each in ours]
            memory[name, logs] = max(each["memory_mb"] for each in ours)
            aim = AIM_LOGS if logs else AIM_PLAIN
            rows.append(
                Row(
                    f"simulator, {name} packets, {'all logs' if logs else 'no logs'}",
                    "packets/s",
                    middle(rates),
                    "SimPy" if rival else "",
                    middle([each["packets"] / each["seconds"] for each in rival]) if rival else None,
                    True,
                    f">= {aim:,}",
                    middle(rates) >= aim,
                    samples=rates,
                )
            )
    least, most = list(sizes)[1], list(sizes)[-1]
    if least != most:
        for logs in (True, False):
            grown = memory[most, logs]
            rows.append(
                Row(
                    f"simulator, memory at {most} packets, {'all logs' if logs else 'no logs'}",
                    "MB",
                    grown,
                    f"at {least}",
                    memory[least, logs],
                    False,
                    f"<= {MEMORY_GROWTH} times",
                    grown <= MEMORY_GROWTH * memory[least, logs],
                )
            )
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

    from testbed.simulator.runner import Job, run_round

    total_time, logs, reference, placement, packets = json.loads(wish)
    parameters, described = _scenario(total_time, logs, placement, packets)
    with tempfile.TemporaryDirectory() as folder:
        result = run_round(Job(described, parameters, Path(folder), reference=reference), 0)
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
