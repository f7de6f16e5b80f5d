"""What the lab started, written down before or as it starts, so that tear-down ends just that, even after a crash.

In: kinds and facts (`process`, `link`, `namespace`, `bridge`, `container`, `systemd-unit`, `file`, `mounts`). Out: a file of JSON
lines, read backwards by `undo`. Nothing is ever ended by a broad name: a process is known by its number and its start time.
"""

import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from testbed.lab.mounts import unmount_left

RUN_FOLDER = Path("/run/sfc-lab")
STOP_WITHIN_S = 5.0


def started_at(pid: int) -> str | None:
    """The kernel's start time of a process, which together with the number names it for ever; None where there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return None


class LabRecord:
    """One lab's record. `name` is the lab's; the file goes away with the last thing that was recorded."""

    def __init__(self, name: str) -> None:
        self.folder = RUN_FOLDER / name
        self.path = self.folder / "started.jsonl"

    def add(self, kind: str, **facts: object) -> None:
        """Write down that something was started."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if kind == "process" and "started" not in facts:
            facts["started"] = started_at(int(str(facts["pid"])))
        with self.path.open("a") as file:
            file.write(json.dumps({"kind": kind, **facts}) + "\n")
            file.flush()
            os.fsync(file.fileno())

    def entries(self) -> list[dict[str, Any]]:
        """Everything that was started and not undone, oldest first."""
        if not self.path.exists():
            return []
        return [json.loads(line) for line in self.path.read_text().splitlines() if line]

    def undo(self) -> list[str]:
        """End everything, newest first. Gives what could not be ended; then the record stays."""
        entries, problems = self.entries(), []
        for entry in reversed(entries):
            try:
                problem = _UNDO[entry["kind"]](entry)
            except (OSError, subprocess.SubprocessError) as error:
                problem = str(error)
            if problem:
                problems.append(f"{entry['kind']} {entry.get('name') or entry.get('pid')}: {problem}")
        if not problems and self.path.exists():
            self.path.unlink()
        return problems


def run(*command: str, timeout_s: float = 30.0) -> str | None:
    """Run a command; None where it went well, else what it said."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    return None if done.returncode == 0 else (done.stderr or done.stdout).strip() or f"exit code {done.returncode}"


def stop_process(pid: int, started: str | None, within_s: float = STOP_WITHIN_S) -> str | None:
    """End one process, politely first. A process of that number but another start time is somebody else's."""
    if started is None or started_at(pid) != started:
        return None
    for sign, patience_s in ((signal.SIGTERM, within_s), (signal.SIGKILL, 2.0)):
        try:
            os.kill(pid, sign)
        except ProcessLookupError:
            return None
        end = time.monotonic() + patience_s
        while time.monotonic() < end:
            _reap(pid)
            if started_at(pid) != started:
                return None
            time.sleep(0.02)
    return "it does not end"


def _reap(pid: int) -> None:
    try:
        os.waitpid(pid, os.WNOHANG)
    except OSError:
        return


def _undo_process(entry: dict[str, Any]) -> str | None:
    return stop_process(entry["pid"], entry.get("started"), float(entry.get("within_s", STOP_WITHIN_S)))


def _undo_link(entry: dict[str, Any]) -> str | None:
    if not Path(f"/sys/class/net/{entry['name']}").exists():
        return None
    return run("ip", "link", "del", entry["name"])


def _undo_namespace(entry: dict[str, Any]) -> str | None:
    if not Path(f"/run/netns/{entry['name']}").exists():
        return None
    return run("ip", "netns", "del", entry["name"])


def _undo_bridge(entry: dict[str, Any]) -> str | None:
    return run("ovs-vsctl", "--timeout=5", "--if-exists", "del-br", entry["name"])


def _undo_container(entry: dict[str, Any]) -> str | None:
    problem = run("docker", "rm", "--force", entry["id"])
    return None if problem is None or "No such container" in problem else problem


def _undo_unit(entry: dict[str, Any]) -> str | None:
    return run("systemctl", "stop", entry["name"])


def _undo_file(entry: dict[str, Any]) -> str | None:
    Path(entry["name"]).unlink(missing_ok=True)
    return None


def _undo_mounts(entry: dict[str, Any]) -> str | None:
    unmount_left(Path(entry["name"]), entry["user"], Path(entry["lock"]))
    return None


_UNDO = {
    "process": _undo_process,
    "link": _undo_link,
    "namespace": _undo_namespace,
    "bridge": _undo_bridge,
    "container": _undo_container,
    "systemd-unit": _undo_unit,
    "file": _undo_file,
    "mounts": _undo_mounts,
}
