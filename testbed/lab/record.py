"""What the lab started, written down as it starts, so that teardown ends that and nothing else, also after a crash.

In: facts about processes, bridges, links, namespaces and containers, one JSON line each in `<folder>/record.jsonl`. Out: the
machine as it was, by undoing the lines in reverse. Identity is checked before anything ends: a process by pid and start time, a
link by name and index, a bridge by its mark, a container by id. Must not end anything by name alone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

RUNS_FOLDER = Path(os.environ.get("SFC_LAB_RUNS", "/run/sfc-lab"))
BRIDGE_MARK = "sfc-lab"  # external id of an OVS bridge that a lab made; its value is the record's name
STOP_WITHIN_S = 8.0
Facts = dict[str, Any]


def start_time(pid: int) -> int | None:
    """Clock ticks after boot at which the process started; None where there is no such process, or only its corpse."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


def network_namespace(pid: int | str) -> int | None:
    """The inode of a process's network namespace."""
    try:
        return os.stat(f"/proc/{pid}/ns/net").st_ino
    except OSError:
        return None


def link_index(name: str) -> int | None:
    """The index of a link of the root namespace."""
    try:
        return int(Path(f"/sys/class/net/{name}/ifindex").read_text())
    except OSError:
        return None


class Record:
    """The lines of one lab. Invariant: a line is on disk before, or right after, the thing that it names exists."""

    def __init__(self, name: str, runs_folder: Path = RUNS_FOLDER) -> None:
        self.name = name
        self.folder = runs_folder / name
        self.path = self.folder / "record.jsonl"

    def add(self, kind: str, **facts: object) -> None:
        """Note one thing. Kinds: process, host (a namespace with its shell), link, bridge, container, systemd-unit."""
        line: Facts = {"kind": kind, **facts}
        if kind in {"process", "host"}:
            pid = int(str(facts["pid"]))
            line.setdefault("start", start_time(pid))
            if kind == "host":
                line.setdefault("netns", network_namespace(pid))
        if kind == "link":
            line.setdefault("index", link_index(str(facts["name"])))
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")

    def entries(self) -> list[Facts]:
        """The lines, oldest first; a line that a crash cut short is left out."""
        if not self.path.exists():
            return []
        found = []
        for line in self.path.read_text().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def tear_down(self, keep_pid: int | None = None) -> list[str]:
        """Undo every line, newest first, and forget them. `keep_pid` is spared (the caller). Returns what would not go."""
        problems = []
        remaining = []
        for facts in reversed(self.entries()):
            if facts.get("pid") == keep_pid and keep_pid is not None:
                continue
            try:
                _UNDO[facts["kind"]](facts, self.name)
            except Exception as problem:
                problems.append(f"{facts['kind']} {facts.get('name', facts.get('pid'))}: {problem}")
                remaining.append(facts)
        if remaining:
            self.path.write_text("".join(json.dumps(facts) + "\n" for facts in reversed(remaining)))
        else:
            self.path.unlink(missing_ok=True)
        return problems


def end_process(pid: int, start: int | None, first_signal: int = signal.SIGTERM, within_s: float = STOP_WITHIN_S) -> None:
    """End exactly the process that had this pid at this start time: a signal, patience, then SIGKILL."""
    if start is None or start_time(pid) != start:
        return
    try:
        os.kill(pid, first_signal)
        deadline = time.monotonic() + within_s
        while start_time(pid) == start:
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGKILL)
                return
            _reap(pid)
            time.sleep(0.01)
    except ProcessLookupError:
        return


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def _undo_process(facts: Facts, _name: str) -> None:
    patience_s = 20.0 if facts.get("name") == "dockerd" else STOP_WITHIN_S
    end_process(facts["pid"], facts["start"], within_s=patience_s)
    if facts.get("pidfile"):
        Path(facts["pidfile"]).unlink(missing_ok=True)


def _undo_host(facts: Facts, _name: str) -> None:
    """Everything in the namespace goes with its shell; what is older than the shell only shares a reused inode number."""
    if facts["netns"] and facts["netns"] != network_namespace("self"):
        for pid in (int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()):
            start = start_time(pid)
            if pid != facts["pid"] and start and network_namespace(pid) == facts["netns"] and start >= facts["start"]:
                end_process(pid, start, within_s=1.0)
    end_process(facts["pid"], facts["start"], signal.SIGHUP, within_s=1.0)


def _undo_link(facts: Facts, _name: str) -> None:
    if facts["index"] is not None and link_index(facts["name"]) == facts["index"]:
        _run("ip", "link", "del", facts["name"])


def _undo_bridge(facts: Facts, name: str) -> None:
    found = subprocess.run(
        ["ovs-vsctl", "--timeout=5", "--if-exists", "get", "Bridge", facts["name"], f"external_ids:{BRIDGE_MARK}"],
        capture_output=True,
        text=True,
    )
    if found.stdout.strip().strip('"') == name:
        _run("ovs-vsctl", "--timeout=5", "--if-exists", "del-br", facts["name"])


def _undo_container(facts: Facts, _name: str) -> None:
    import docker
    from docker.errors import NotFound

    try:
        docker.from_env().containers.get(facts["id"]).remove(force=True)
    except NotFound:
        return


def _undo_unit(facts: Facts, _name: str) -> None:
    _run("systemctl", "stop", facts["name"])


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip() or f"{command[0]} ended with {done.returncode}")


_UNDO: dict[str, Callable[[Facts, str], None]] = {
    "process": _undo_process,
    "host": _undo_host,
    "link": _undo_link,
    "bridge": _undo_bridge,
    "container": _undo_container,
    "systemd-unit": _undo_unit,
}
