"""The simulator's command: `python -m testbed.simulator`, with the options and environment variables of its document.

In: files of specifications, parameters, mobility and packets. Out: a folder of results and a summary; exit code 0, 1 if a round
failed, 2 for bad input (nothing is run), 130 after Ctrl-C (what was written stays).
"""

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import NoReturn

from testbed.simulator import compiled, runner
from testbed.simulator.model.entities import Entities
from testbed.simulator.progress import Bar
from testbed.simulator.simulation.round import RoundResult, Scenario
from testbed.simulator.specification import saved
from testbed.simulator.specification.generate import generate
from testbed.simulator.specification.mobility import read_moves
from testbed.simulator.specification.packet_flow import read_packet_flow
from testbed.simulator.specification.parameters import Parameters, load_parameters
from testbed.simulator.specification.specs_file import load_specs
from testbed.simulator.specification.tables import list_all, show_first

RESULTS = Path("Experiment/Results")
DESCRIPTION = (
    """Simulates network slices: service function chains of users, placed on nodes and links, and their packets."""
)
ENVIRONMENT = """environment:
  NSS_DEBUG=1                     as --debug
  NSS_ERROR_PATH=FOLDER           where a failed round's traceback is kept
  NSS_SAVE_IMAGE_PLACEMENT=1      draw every time window's placements into Round_N/Images (takes long; off without it)
  NSS_RESTRICT_LINK_BANDWIDTH=0   let chains hold more of a link than it has (without it they may not)
  PATH_PACKET_FLOW_FILE=FILE      packets from a file: user;sfc;time;packet_size
  NSS_PURE_PYTHON=1               run the engine's Python source, where it was compiled (slower, the same results)

others:
  python -m testbed.simulator report RESULTS      a page with plots of the results
  python -m testbed.simulator.inputs              entities and packet flows from real data
  python -m testbed.simulator.placement_study     placements against the optimum on real networks"""


def options() -> argparse.ArgumentParser:
    """The document's options, and ours."""
    parser = argparse.ArgumentParser(
        prog="python -m testbed.simulator",
        description=DESCRIPTION,
        epilog=ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--specs", type=Path, metavar="FILE", help="what the entities are drawn from (JSON)")
    add("--simulation_parameters", type=Path, metavar="FILE", help="how it is simulated (JSON)")
    add("--path_result_files", type=Path, default=RESULTS, metavar="FOLDER", help=f"results (default: {RESULTS})")
    add("--random_seed", type=_seed, metavar="N", help="instead of the parameter file's")
    add(
        "--save",
        nargs="?",
        type=Path,
        const=Path(),
        metavar="FILE",
        help="keep the entities (default: entities.json in the results)",
    )
    add("--load", type=Path, metavar="FILE", help="entities that were saved, instead of --specs")
    add("--list", action="store_true", help="print all entities")
    add("--show", action="store_true", help="print the first entity of each kind")
    add(
        "--only_placement",
        action="store_true",
        help="place, and simulate no packets (deprecated: packet_generation 0 does the same)",
    )
    add("--user_mobility_file", type=Path, metavar="FILE", help="who moves where and when: UID;NID;TransitionTime")
    add("--debug", action="store_true", help="say what is done, and tracebacks of what goes wrong")
    add("--jobs", type=_jobs, default=1, metavar="N", help="rounds that run at the same time (default: 1)")
    add(
        "--algorithms",
        type=Path,
        action="append",
        default=[],
        metavar="FOLDER",
        help="where placements and scalings of your own are",
    )
    add("--quiet", action="store_true", help="no progress bar")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] == ["report"]:
        return _report(words[1:])
    chosen = options().parse_args(words)
    debug = chosen.debug or os.environ.get("NSS_DEBUG", "0") not in ("", "0")
    try:
        job = _job(chosen)
        if chosen.list:
            print(list_all(job.scenario.entities))
        if chosen.show:
            print(show_first(job.scenario.entities))
        if chosen.save is not None:
            path = job.results / "entities.json" if chosen.save == Path() else chosen.save
            path.parent.mkdir(parents=True, exist_ok=True)
            saved.save(job.scenario.entities, path)
            print(f"entities saved: {path}")
        runner.algorithms(job)
    except (ValueError, OSError) as problem:
        if debug:
            raise
        print(f"simulator: {problem}", file=sys.stderr)
        return 2
    return _run(replace(job, debug=debug), chosen.jobs, chosen.quiet)


def _run(job: runner.Job, jobs: int, quiet: bool) -> int:
    simulation = job.scenario.parameters
    try:
        if runner.clear(job.results):
            print(f"results of an earlier run were in {job.results}: they are replaced")
    except OSError as problem:
        print(f"simulator: --path_result_files: {problem}: expected a folder that can be written to", file=sys.stderr)
        return 2
    print(f"engine: {compiled.described()}")
    if job.debug:
        runner.say_what_is_done()
    bar = Bar(simulation.total_time, simulation.num_rounds, quiet)
    before = signal.signal(signal.SIGTERM, _terminated)
    try:
        with bar:
            results = runner.run(job, jobs, bar.told)
    except runner.RoundFailedError as problem:
        print(f"simulator: {problem if job.debug else str(problem).splitlines()[0]}", file=sys.stderr)
        if job.errors is not None and job.errors.exists():
            print(f"simulator: the traceback is in {job.errors}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"simulator: stopped; what was written is in {job.results}", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, before)
    for number, result in enumerate(results):
        print(_summary(number, result))
    print(f"results: {job.results}")
    return 0


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    """Leave by the way that ends the rounds' processes and closes their files."""
    sys.exit(128 + number)


def _summary(number: int, result: RoundResult) -> str:
    rate = result.created / result.seconds if result.seconds else 0.0
    asked = result.placed + len(result.refused)
    lines = [
        f"round {number}: {result.created} packets in {result.seconds:.2f} s ({rate:,.0f} packets/s)",
        f"  processed {result.processed}, dropped {result.dropped}, orphans {result.orphaned}, under way {result.in_flight}",
        f"  {result.violated} packets violated their SLA; {result.placed} of {asked} requests placed in {result.algorithm_s:.3f} s",
    ]
    lines += [f"  {said}" for said in result.placement]
    if result.scaled:
        lines.append(f"  {result.scaled} scalings, {result.scaling_failed} of them refused")
    for name, reason in list(result.refused.items())[:5]:
        lines.append(f"  {name} not placed: {reason}")
    if len(result.refused) > 5:
        lines.append(f"  and {len(result.refused) - 5} more not placed")
    return "\n".join(lines)


def _job(chosen: argparse.Namespace) -> runner.Job:
    """Everything is read and checked before anything runs."""
    if chosen.simulation_parameters is None:
        raise ValueError("--simulation_parameters: expected a file")
    if (chosen.specs is None) == (chosen.load is None):
        raise ValueError("expected --specs or --load, one of them")
    parameters = runner.with_seed(load_parameters(chosen.simulation_parameters), chosen.random_seed)
    if chosen.only_placement:
        parameters = runner.without_packets(parameters)
    entities = _entities(chosen, parameters)
    mobility, flow_file = chosen.user_mobility_file, os.environ.get("PATH_PACKET_FLOW_FILE")
    scenario = Scenario(
        entities,
        parameters.simulation,
        os.environ.get("NSS_RESTRICT_LINK_BANDWIDTH", "1") != "0",
        read_moves(mobility, entities.users, entities.nodes, parameters.simulation.total_time) if mobility else (),
        read_packet_flow(flow_file, entities.users, entities.sfcs) if flow_file else None,
    )
    errors = os.environ.get("NSS_ERROR_PATH")
    return runner.Job(
        scenario,
        parameters,
        chosen.path_result_files,
        tuple(chosen.algorithms),
        os.environ.get("NSS_SAVE_IMAGE_PLACEMENT", "0") not in ("", "0"),
        Path(errors) if errors else None,
        str(chosen.simulation_parameters),
    )


def _entities(chosen: argparse.Namespace, parameters: Parameters) -> Entities:
    if chosen.load is not None:
        return saved.load(chosen.load)
    simulation = parameters.simulation
    return generate(load_specs(chosen.specs), simulation.random_seed, simulation.total_time, simulation.time_window)


def _report(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m testbed.simulator report", description="A page with plots of a simulation's results."
    )
    parser.add_argument("results", type=Path, help="the folder of results")
    parser.add_argument("--output", type=Path, help="the page (default: report.html in the results)")
    chosen = parser.parse_args(words)
    from testbed.simulator.analysis.report import write  # plots take long to import

    output = chosen.output or chosen.results / "report.html"
    try:
        write(chosen.results, output)
    except (ValueError, OSError) as problem:
        print(f"report: {problem}", file=sys.stderr)
        return 2
    print(f"report: {output}")
    return 0


def _whole(text: str, least: int) -> int:
    if not text.isdigit() or int(text) < least:
        _refuse(f"{text!r}: expected a whole number of at least {least}")
    return int(text)


def _refuse(problem: str) -> NoReturn:
    raise argparse.ArgumentTypeError(problem)


def _seed(text: str) -> int:
    return _whole(text, 0)


def _jobs(text: str) -> int:
    return _whole(text, 1)


if __name__ == "__main__":
    sys.exit(main())
