"""Compares placement algorithms with the optimum on real networks: `python -m testbed.simulator.placement_study`.

In: networks, numbers of requests and seeds. Out: a table, and the same as CSV. See `scene.py` for what is placed, `table.py` for
what the columns mean.
"""

import argparse
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from testbed.simulator.placement.base import Placement
from testbed.simulator.placement.LPPPlacement import LPPPlacement
from testbed.simulator.placement.registry import find
from testbed.simulator.placement_study import scene, table
from testbed.simulator.placement_study.measure import Attempt, attempt

ROOM = scene.Room()
VARIANTS: dict[str, dict[str, object]] = {"Smart, stepwise": {"search": "stepwise"}, "Smart, one pass": {"effort": 0}}
DEFAULT = ("NaivePlacement", "RandomPlacement", "GreedyPlacement", "DijkstraPlacement", *VARIANTS, "SmartPlacement")


def main(arguments: list[str] | None = None) -> None:
    """Run what was asked for."""
    options = _parser().parse_args(arguments)
    room = scene.Room(options.headroom, options.cpu_room, options.latency, options.order)
    rows, proved = [], []
    print(table.HEADER)
    for network in options.networks:
        scenes = [scene.entities(network, options.requests, seed, room) for seed in options.seeds]
        best, proofs = [], []
        for seed, entities in zip(options.seeds, scenes, strict=True):
            _progress(f"{network}, seed {seed}: LPP, at most {options.time_limit:g} s")
            algorithm = LPPPlacement(time_limit_s=options.time_limit)
            best.append(attempt(entities, algorithm, seed))
            proofs.append(
                table.Proof(
                    algorithm.last_bound, algorithm.last_gap, algorithm.last_accept_bound, algorithm.last_status
                )
            )
        for name in [*options.algorithms, "LPPPlacement"]:
            _progress(f"{network}: {name}")
            tried: list[Attempt] = best
            if name != "LPPPlacement":
                tried = [attempt(each, _made(name), seed) for seed, each in zip(options.seeds, scenes, strict=True)]
            rows.append(table.row(network, name, tried, best, proofs))
            _progress("")
            print(table.line(rows[-1]), flush=True)
        proved.append(table.proof_line(network, options.seeds, proofs))
    print("\n".join(proved))
    if options.csv:
        options.csv.write_text(table.csv(rows))


def _made(name: str) -> Placement:
    return find("SmartPlacement")(**VARIANTS[name]) if name in VARIANTS else find(name)()


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{time.strftime('%H:%M:%S ') if text else ''}{text}", end="", file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m testbed.simulator.placement_study", description=__doc__)
    add = parser.add_argument
    add(
        "--networks",
        type=_network,
        nargs="+",
        default=["abilene", "geant", "germany50"],
        help="of SNDlib, with demands",
    )
    add("--requests", type=_whole(1), default=12, help="a window's (default 12)")
    add("--seeds", type=_whole(0), nargs="+", default=[0, 1], help="of the requests drawn (default 0 1)")
    add(
        "--algorithms",
        type=_algorithm,
        nargs="+",
        default=list(DEFAULT),
        help=f"names as in a simulation's file, or of {', '.join(VARIANTS)}",
    )
    add("--time-limit", type=_positive, default=15.0, help="seconds that LPP may take for a scene (default 15)")
    add("--headroom", type=_positive, default=ROOM.headroom, help="link capacity over routed demand")
    add(
        "--cpu-room",
        type=_positive,
        default=ROOM.cpu_room,
        help="CPU over what is needed with two requests an instance",
    )
    add("--latency", type=_positive, default=ROOM.latency, help="max_latency over diameter and service")
    add(
        "--order",
        type=int,
        choices=range(4),
        default=ROOM.order,
        help="priorities_order of all chains (default 1: latency); 0: all three in turn",
    )
    add("--csv", type=_new_file, help="write the table here")
    return parser


def _network(text: str) -> str:
    try:
        scene.read(text)
    except ValueError as problem:
        _refuse(str(problem))
    return text


def _algorithm(text: str) -> str:
    try:
        _made(text)
    except ValueError as problem:
        _refuse(str(problem))
    return text


def _whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            _refuse(f"{text!r}: expected a whole number of at least {least}")
        return int(text)

    return read


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        _refuse(f"{text!r}: expected a number greater than 0")
    return value


def _new_file(text: str) -> Path:
    path = Path(text)
    if path.is_dir() or not path.parent.is_dir():
        _refuse(f"{text!r}: expected a file in a folder that is there")
    return path


def _refuse(problem: str) -> NoReturn:
    raise argparse.ArgumentTypeError(problem)


if __name__ == "__main__":
    main()
