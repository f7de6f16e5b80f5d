"""Runs a simulation's rounds, one after another or in several processes, into a folder of results.

In: a Scenario, parameters with the algorithms' names, folders. Out: `Entities/` and `Round_N/` with the documented files, and each
round's RoundResult. A round that fails leaves what it has written, and its traceback in the error folder.
"""

import contextlib
import logging
import multiprocessing
import os
import re
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

from testbed.simulator.engine.core import Core
from testbed.simulator.engine.reference import ReferenceCore
from testbed.simulator.model.entities import Entities
from testbed.simulator.placement.base import Placement
from testbed.simulator.placement.registry import find as find_placement
from testbed.simulator.records.entities import Outcome, write_end, write_entities, write_process_time
from testbed.simulator.records.process import ProcessRecorder
from testbed.simulator.records.sheets import SHEETS
from testbed.simulator.records.tables import ENTITY_TABLES, ROUND_TABLES
from testbed.simulator.records.writer import RoundRecorder
from testbed.simulator.scaling.base import Scaling
from testbed.simulator.scaling.registry import find as find_scaling
from testbed.simulator.simulation.round import Round, RoundResult, Scenario
from testbed.simulator.specification.algorithms import make
from testbed.simulator.specification.parameters import Parameters

OF_A_RUN = re.compile(r"Entities|Round_\d+")
Progress = Callable[[int, float, int], None]
"""Told a round's number, its simulated time and its packets so far."""


@dataclass(frozen=True, slots=True)
class Job:
    """All that the rounds of one simulation need. `pictures`: of placements; `errors`: where tracebacks go.
    `reference`: run on the SimPy core. `debug`: say what is done."""

    scenario: Scenario
    parameters: Parameters
    results: Path
    algorithms: tuple[Path, ...] = ()
    pictures: bool = False
    errors: Path | None = None
    file: str = ""
    reference: bool = False
    debug: bool = False


class RoundFailedError(RuntimeError):
    """A round ended with an exception; its text is the traceback."""


def algorithms(job: Job) -> tuple[Placement, list[Scaling]]:
    """New algorithms as the parameters name them.

    Raises:
        ValueError: an unknown name, or arguments that do not fit its constructor.
        NotADirectoryError: one of the user's folders is none.
    """
    given = job.parameters
    placement = make(find_placement, given.placement, "placement", job.algorithms, job.file)
    named = {path: getattr(given, path) for path in ("scaling", "scaling_up", "scaling_down")}
    return placement, [make(find_scaling, each, path, job.algorithms, job.file) for path, each in named.items() if each]


def run_round(job: Job, number: int, progress: Progress | None = None) -> RoundResult:
    """One round, with its files.

    Raises:
        RoundFailedError: anything went wrong in it.
    """
    folder = job.results / f"Round_{number}"
    try:
        return _run_round(job, number, folder, progress)
    except Exception as problem:
        text = traceback.format_exc()
        if job.errors is not None:
            with contextlib.suppress(OSError):  # what went wrong first is what is told
                job.errors.mkdir(parents=True, exist_ok=True)
                (job.errors / f"round_{number}.txt").write_text(text)
        raise RoundFailedError(f"round {number}: {type(problem).__name__}: {problem}\n{text}") from problem


def _run_round(job: Job, number: int, folder: Path, progress: Progress | None) -> RoundResult:
    simulation = job.scenario.parameters
    began = perf_counter()
    placement, scalings = algorithms(job)
    told = None if progress is None else (lambda time, packets: progress(number, time, packets))
    core = ReferenceCore if job.reference else Core
    with _recorder(job, folder) as recorder:  # which leaves readable files however this ends
        one = Round(job.scenario, number, placement, scalings, recorder, told, core)
        if job.pictures:
            from testbed.simulator.analysis.pictures import draw  # takes a second to import

            one.on_window = lambda state, time: draw(state, folder / "Images" / f"{time:.0f}.png", f"At {time:.0f} ms")
        result = one.run()
    life = one.lifecycle
    sfcs = sorted([*life.ended_sfcs, *one.state.sfc_instances.values()], key=lambda each: each.number)
    vnfs = sorted([*life.ended_vnfs, *one.state.vnf_instances.values()], key=lambda each: each.number)
    write_end(folder, sfcs, vnfs, life.served, simulation.log_format)
    result.seconds = perf_counter() - began
    write_process_time(folder, result.seconds)
    result.outcomes = {name: instance.name for name, instance in life.placed.items()}
    return result


def _recorder(job: Job, folder: Path) -> RoundRecorder | ProcessRecorder:
    """One with a process of its own where that has a core; workers of a pool may not have one."""
    simulation = job.scenario.parameters
    logs = {
        "links": simulation.log_link_events,
        "vnf": simulation.log_vnf_instance_events,
        "packets": simulation.log_packet_events,
    }
    make = partial(RoundRecorder, folder, job.scenario.entities, simulation.log_format, **logs)
    if not any(logs.values()) or len(os.sched_getaffinity(0)) < 2 or multiprocessing.current_process().daemon:
        return make()
    return ProcessRecorder(make, **logs)


def clear(results: Path) -> bool:
    """Make the folder of results, without those of an earlier run, which would be read as this one's. True where there were some.

    Raises:
        OSError: it cannot be made.
    """
    results.mkdir(parents=True, exist_ok=True)
    old = [each for each in results.iterdir() if each.is_dir() and OF_A_RUN.fullmatch(each.name)]
    for folder in old:
        for table in (*ENTITY_TABLES, *ROUND_TABLES):
            for sheet in SHEETS.values():
                (folder / (table + sheet.suffix)).unlink(missing_ok=True)
        (folder / "process_time.txt").unlink(missing_ok=True)
        for picture in (folder / "Images").glob("*.png"):
            picture.unlink()
        with contextlib.suppress(OSError):  # what else is in them is somebody's
            (folder / "Images").rmdir()
        with contextlib.suppress(OSError):
            folder.rmdir()
    return bool(old)


def _all_at_once(entities: Entities) -> Entities:
    """Without time windows all requests come at 0 (document, "time_window")."""
    requests = {name: replace(each, arrival_time=0.0) for name, each in entities.sfc_requests.items()}
    return replace(entities, sfc_requests=requests)


def say_what_is_done() -> None:
    """From now on, this process says on stderr what is placed and scaled, and why."""
    log = logging.getLogger("testbed.simulator")
    log.setLevel(logging.DEBUG)
    log.propagate = False
    log.handlers = [logging.StreamHandler()]


def run(job: Job, jobs: int = 1, progress: Progress | None = None) -> list[RoundResult]:
    """All rounds, `jobs` at a time.

    Raises:
        ValueError: an algorithm cannot be had; nothing has been written.
        RoundFailedError: a round failed.
    """
    algorithms(job)
    clear(job.results)
    simulation = job.scenario.parameters
    folder, form, links = job.results / "Entities", simulation.log_format, simulation.log_link_entity
    entities = job.scenario.entities if simulation.time_window else _all_at_once(job.scenario.entities)
    write_entities(folder, entities, log_format=form, links=links)
    numbers = range(simulation.num_rounds)
    if jobs == 1 or len(numbers) == 1:
        results = [run_round(job, number, progress) for number in numbers]
    else:
        results = _in_processes(job, numbers, min(jobs, len(numbers)), progress)
    outcomes = {name: Outcome(instance) for name, instance in results[0].outcomes.items()}
    write_entities(folder, entities, outcomes, form, links, results[0].at_node)
    return results


def _in_processes(job: Job, numbers: Sequence[int], jobs: int, progress: Progress | None) -> list[RoundResult]:
    context = multiprocessing.get_context("spawn")
    results: dict[int, RoundResult] = {}
    with context.Manager() as manager:
        told: Any = manager.Queue()
        with context.Pool(jobs) as pool:
            waiting = {number: pool.apply_async(_work, (job, number, told)) for number in numbers}
            pool.close()
            while waiting:
                while not told.empty():
                    seen = told.get()
                    if progress is not None:
                        progress(*seen)
                for number, each in list(waiting.items()):
                    if each.ready():
                        results[number] = each.get()
                        del waiting[number]
                next(iter(waiting.values())).wait(0.1) if waiting else None
            pool.join()
    return [results[number] for number in numbers]


def _work(job: Job, number: int, told: Any) -> RoundResult:
    if job.debug:
        say_what_is_done()
    return run_round(job, number, lambda *seen: told.put(seen))


def with_seed(parameters: Parameters, seed: int | None) -> Parameters:
    """The parameters, with another seed where one is given."""
    if seed is None:
        return parameters
    return replace(parameters, simulation=replace(parameters.simulation, random_seed=seed))


def without_packets(parameters: Parameters) -> Parameters:
    """The parameters, for placements alone."""
    return replace(parameters, simulation=replace(parameters.simulation, packet_generation=False))
