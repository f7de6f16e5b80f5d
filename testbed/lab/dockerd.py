"""Finds a Docker daemon, or starts one and remembers that it is ours.

In: the machine as it is, and a record of what the lab started. Out: a connected client. A daemon that runs is used as it is;
an installed but inactive systemd unit is started; otherwise `dockerd` is started by hand, without a bridge and without a
packet filter (containers of the lab have no Docker network, and images are built on the host's). Must not stop or reconfigure
a daemon that it did not start, nor touch the machine's own Docker data: ours lives in a folder of its own.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import docker
from docker.errors import DockerException

RUN_FOLDER = Path("/run/sfc-lab")
STATE_FOLDER = Path("/var/lib/sfc-lab")
SYSTEMD_UNIT = "docker.service"
ANSWER_WITHIN_S = 60.0
STOP_WITHIN_S = 20.0
SYSTEM_FOLDERS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


class DockerUnavailable(RuntimeError):
    """No daemon answers and none could be started; the message says why and where the log is."""


class Record(Protocol):
    """What the lab notes down so that it ends only what it started."""

    def add(self, kind: str, **facts: object) -> None: ...


def ensure_docker(record: Record | None = None) -> docker.DockerClient:
    """A client of a daemon that answers; prints which daemon that is.

    `record` is told what was started: `process` with `pid`, `name` and `within_s`, and before it, as they go after it,
    `mounts` with `name`, `user` and `lock` for each of its two folders; or `systemd-unit` with `name`; nothing when the
    daemon ran before.

    Raises DockerUnavailable.
    """
    with locked("dockerd"):
        client = _connect()
        if client is not None:
            ours = running_pid()
            _say(
                f"using the running daemon{f' that the lab started (pid {ours})' if ours else ''}: {_describe(client)}"
            )
            return client
        if "DOCKER_HOST" in os.environ:
            raise DockerUnavailable("DOCKER_HOST is set, but no daemon answers there")
        if _has_inactive_unit():
            subprocess.run(["systemctl", "start", SYSTEMD_UNIT], check=True)
            if record is not None:
                record.add("systemd-unit", name=SYSTEMD_UNIT)
            client = _wait_for_answer(None)
            _say(f"started {SYSTEMD_UNIT}: {_describe(client)}")
            return client
        process = _start_by_hand(record)
        client = _wait_for_answer(process)
        _say(f"started dockerd by hand (pid {process.pid}, log {_log()}): {_describe(client)}")
        return client


def running_pid() -> int | None:
    """The process id of the daemon that the lab started by hand, if it still runs."""
    try:
        pid = int(_pidfile().read_text())
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, ValueError):
        return None
    return pid if f"--pidfile={_pidfile()}" in words and state != "Z" else None


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the machine-wide lock `name` of the lab, so that two sessions do not start or build the same thing at once."""
    RUN_FOLDER.mkdir(parents=True, exist_ok=True)
    with _lock(name).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            _say(f"waiting for another session that holds the {name} lock")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _connect() -> docker.DockerClient | None:
    try:
        client = docker.from_env(timeout=120)
        client.ping()
    except DockerException:
        return None
    except OSError:
        return None
    return client


def _describe(client: docker.DockerClient) -> str:
    info = client.info()
    return f"Docker {info['ServerVersion']}, {info['Driver']} storage, cgroup v{info.get('CgroupVersion', '1')}"


def _has_inactive_unit() -> bool:
    if not Path("/run/systemd/system").is_dir():
        return False
    shown = subprocess.run(
        ["systemctl", "show", "--property=LoadState", "--value", SYSTEMD_UNIT], capture_output=True, text=True
    )
    return shown.stdout.strip() == "loaded"


def _start_by_hand(record: Record | None) -> subprocess.Popen[bytes]:
    path = os.pathsep.join([os.environ.get("PATH", ""), *SYSTEM_FOLDERS])
    program = shutil.which("dockerd", path=path)
    if program is None:
        raise DockerUnavailable(
            "no Docker daemon answers and dockerd is not installed (Debian's package docker.io has it)"
        )
    if os.geteuid() != 0:
        raise DockerUnavailable("no Docker daemon answers, and only root may start one")
    STATE_FOLDER.mkdir(parents=True, exist_ok=True)
    config = RUN_FOLDER / "dockerd.json"
    config.write_text("{}\n")
    folders = {"--data-root": STATE_FOLDER / "docker", "--exec-root": RUN_FOLDER / "docker"}
    command = [
        program,
        f"--config-file={config}",
        f"--pidfile={_pidfile()}",
        *(f"{option}={folder}" for option, folder in folders.items()),
        "--bridge=none",
        "--iptables=false",
        "--ip6tables=false",
        "--ip-forward=false",
        "--ip-masq=false",
    ]
    if record is not None:
        for option, folder in folders.items():
            record.add("mounts", name=str(folder), user=f"{option}={folder}", lock=str(_lock("dockerd")))
    with _log().open("wb") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "PATH": path},
            start_new_session=True,
        )
    if record is not None:
        record.add("process", pid=process.pid, name="dockerd", within_s=STOP_WITHIN_S)
    return process


def _wait_for_answer(process: subprocess.Popen[bytes] | None) -> docker.DockerClient:
    deadline = time.monotonic() + ANSWER_WITHIN_S
    while time.monotonic() < deadline:
        client = _connect()
        if client is not None:
            return client
        if process is not None and process.poll() is not None:
            raise DockerUnavailable(f"dockerd ended with {process.returncode}; the end of {_log()}:\n{_log_end()}")
        time.sleep(0.1)
    if process is not None:
        process.terminate()
        raise DockerUnavailable(
            f"dockerd did not answer within {ANSWER_WITHIN_S:.0f} s; the end of {_log()}:\n{_log_end()}"
        )
    raise DockerUnavailable(f"{SYSTEMD_UNIT} was started but did not answer within {ANSWER_WITHIN_S:.0f} s")


def _lock(name: str) -> Path:
    return RUN_FOLDER / f"{name}.lock"


def _pidfile() -> Path:
    return RUN_FOLDER / "dockerd.pid"


def _log() -> Path:
    return RUN_FOLDER / "dockerd.log"


def _log_end(lines: int = 15) -> str:
    return "\n".join(_log().read_text(errors="replace").splitlines()[-lines:])


def _say(text: str) -> None:
    print(f"docker: {text}", file=sys.stderr, flush=True)
