"""The recorder with a process of its own writes what the one without does, and says what went wrong in it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from testbed.simulator.records.process import ProcessRecorder, RecordsNotWrittenError
from testbed.simulator.records.writer import RoundRecorder
from testbed.simulator.runner import Job as SimulationJob
from testbed.simulator.runner import algorithms
from testbed.simulator.simulation.round import Round, Scenario
from testbed.simulator.specification.generate import generate
from testbed.simulator.specification.parameters import load_parameters
from testbed.simulator.specification.specs_file import load_specs

EXAMPLES = Path(__file__).parents[4] / "testbed" / "simulator" / "examples"
ALL = {"links": True, "vnf": True, "packets": True}


@pytest.fixture(scope="module")
def job() -> SimulationJob:
    parameters = load_parameters(EXAMPLES / "parameters.json")
    entities = generate(load_specs(EXAMPLES / "specs.json"), 3, 1_000.0, 500.0)
    return SimulationJob(Scenario(entities, parameters.simulation), parameters, Path())


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """What hangs fails."""

    def late(number: int, frame: object) -> None:
        raise TimeoutError(f"not within {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def run(job: SimulationJob, recorder: RoundRecorder | ProcessRecorder) -> None:
    placement, scalings = algorithms(job)
    with recorder:
        Round(job.scenario, 0, placement, scalings, recorder).run()


def test_the_same_bytes(job: SimulationJob, tmp_path: Path) -> None:
    run(job, RoundRecorder(tmp_path / "one", job.scenario.entities))
    make = partial(RoundRecorder, tmp_path / "two", job.scenario.entities)
    run(job, ProcessRecorder(make, **ALL))
    names = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "two").iterdir())
    for name in names:
        if name != "time_window.csv":  # it holds what the placement took on this machine
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes(), name
    assert len((tmp_path / "one" / "links.csv").read_bytes()) > 100_000


def test_what_goes_wrong_there_is_told_here(tmp_path: Path) -> None:
    def make() -> RoundRecorder:
        raise OSError("no space")

    recorder = ProcessRecorder(make, **ALL)
    with pytest.raises(RecordsNotWrittenError, match="OSError: no space"), recorder:
        pass


class Full(RoundRecorder):
    """The disk is full when the first rows come, and more rows than fit into a pipe are under way."""

    def flush(self, now: float) -> None:
        if now > 0:
            raise OSError("no space")
        super().flush(now)


def test_a_writer_that_fails_in_the_middle_ends_the_run(job: SimulationJob, tmp_path: Path) -> None:
    recorder = ProcessRecorder(partial(Full, tmp_path, job.scenario.entities), **ALL)
    with time_limit(20), pytest.raises(RecordsNotWrittenError, match="OSError: no space"):
        run(job, recorder)
    assert recorder._process.exitcode == 1


def test_a_writer_that_dies_is_told(job: SimulationJob, tmp_path: Path) -> None:
    recorder = ProcessRecorder(partial(RoundRecorder, tmp_path, job.scenario.entities), **ALL)
    pid = recorder._process.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(RecordsNotWrittenError, match="ended with -9"), recorder:
        recorder.event("placement", "EVENT_PLACEMENT_STARTED", 0.0)
