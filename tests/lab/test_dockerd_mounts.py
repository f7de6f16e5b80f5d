"""Real mounts of a daemon that the lab started by hand go with it; those that are somebody's stay.

The daemon is one of its own, in folders and on a socket of its own, beside the one of the tests' session.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.lab import dockerd, mounts
from testbed.lab import record as record_module
from testbed.lab.record import LabRecord

pytestmark = pytest.mark.lab


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose mounts are taken away after the test, all of them. Its path is short, as a socket's must be."""
    with tempfile.TemporaryDirectory(prefix="dockerd-") as name:
        folder = Path(name).resolve()
        try:
            yield folder
        finally:
            while left := below(folder):
                subprocess.run(["umount", "--lazy", left[-1].point], check=True)


@pytest.fixture
def record(folder: Path, monkeypatch: pytest.MonkeyPatch) -> LabRecord:
    monkeypatch.setattr(record_module, "RUN_FOLDER", folder / "run")
    monkeypatch.setattr(dockerd, "RUN_FOLDER", folder / "run")
    monkeypatch.setattr(dockerd, "STATE_FOLDER", folder / "state")
    (folder / "run").mkdir()
    return LabRecord("own")


def below(folder: Path) -> list[mounts.Mount]:
    every = mounts.parse(Path("/proc/self/mountinfo").read_text())
    return [mount for mount in every if Path(mount.point).is_relative_to(folder)]


def mount(*words: str | Path) -> None:
    subprocess.run(["mount", *words], check=True)


def bind_on_itself(folder: Path, times: int) -> None:
    for _ in range(times):
        mount("--bind", folder, folder)
    mount("--make-shared", folder)  # as dockerd does


def unmount(folder: Path) -> None:
    mounts.unmount_left(folder, f"--data-root={folder}", folder.parent / "lock")


@pytest.fixture
def daemon(record: LabRecord, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[subprocess.Popen[bytes]]:
    """Started as the lab does it, but with a socket of its own, and ended by its record if the test did not."""
    program = shutil.which("dockerd", path=os.pathsep.join([os.environ["PATH"], *dockerd.SYSTEM_FOLDERS]))
    socket = f"unix://{folder / 'socket'}"
    (folder / "bin").mkdir()
    (folder / "bin/dockerd").write_text(f'#!/bin/sh\nexec {program} --host={socket} "$@"\n')
    (folder / "bin/dockerd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_HOST", socket)
    process = dockerd._start_by_hand(record)
    try:
        dockerd._wait_for_answer(process).close()
        yield process
    finally:
        problems = record.undo()
        assert not problems, problems


def test_a_daemon_ends_without_leaving_a_mount(
    daemon: subprocess.Popen[bytes], record: LabRecord, folder: Path
) -> None:
    assert [entry["kind"] for entry in record.entries()] == ["mounts", "mounts", "process"]
    assert below(folder)
    assert record.undo() == []
    assert below(folder) == [] and record.entries() == [] and daemon.poll() is not None


def test_a_daemon_that_was_killed_is_cleaned_up_from_the_record_alone(
    daemon: subprocess.Popen[bytes], record: LabRecord, folder: Path
) -> None:
    daemon.send_signal(signal.SIGKILL)
    daemon.wait()
    assert folder / "state/docker" in {Path(mount.point) for mount in below(folder)}
    assert LabRecord("own").undo() == []
    assert below(folder) == []


def test_mounts_of_a_running_daemon_stay(daemon: subprocess.Popen[bytes], record: LabRecord, folder: Path) -> None:
    there = below(folder)
    for entry in record.entries():
        if entry["kind"] == "mounts":
            mounts.unmount_left(Path(entry["name"]), entry["user"], Path(entry["lock"]))
    assert there and below(folder) == there and daemon.poll() is None


def test_stacked_mounts_go_with_what_is_in_them(folder: Path) -> None:
    data = folder / "docker"
    for name in ("netns", "shm"):
        (data / name).mkdir(parents=True)
    (data / "netns/default").touch()
    (data / "kept").write_text("data")
    bind_on_itself(data, 1)
    bind_on_itself(data, 1)
    for _ in range(2):
        mount("--bind", "/proc/self/ns/net", data / "netns/default")
    mount("-t", "tmpfs", "shm", data / "shm")
    assert len(below(folder)) >= 5
    unmount(data)
    assert below(folder) == [] and (data / "kept").read_text() == "data"
    unmount(data)  # nothing is there


def test_a_busy_mount_goes_too(folder: Path) -> None:
    data = folder / "docker"
    data.mkdir()
    (data / "kept").write_text("data")
    bind_on_itself(data, 1)
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], cwd=data) as user:
        try:
            unmount(data)
            assert below(folder) == []
            assert Path(f"/proc/{user.pid}/cwd/kept").read_text() == "data"
        finally:
            user.kill()


def test_somebodys_disk_stays(folder: Path) -> None:
    data = folder / "docker"
    data.mkdir()
    mount("-t", "tmpfs", "disk", data)
    bind_on_itself(data, 2)
    unmount(data)
    assert [mount.source for mount in below(folder)] == ["disk"]
    (data / "volumes").mkdir()
    bind_on_itself(data, 1)
    mount("-t", "tmpfs", "other", data / "volumes")
    there = below(folder)
    unmount(data)
    assert below(folder) == there and there[-1].source == "other"
