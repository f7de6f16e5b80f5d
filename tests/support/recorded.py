"""Network namespaces and containers that tests make outside of a lab: written down, so that what an aborted session left goes away.

In: names, which tests use again and again. Out: the same, made; `RECORD` ends them, before the first test and after the last.
"""

import subprocess
from typing import Any

from testbed.lab.record import LabRecord

RECORD = LabRecord("tests-made")


def new_namespace(name: str) -> None:
    """Make a network namespace, with its loopback up."""
    _note("namespace", name=name)
    for command in (["ip", "netns", "add", name], ["ip", "-n", name, "link", "set", "lo", "up"]):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"


def new_container(client: Any, tag: str, name: str, **options: Any) -> Any:
    """Create a container; it is not started."""
    _note("container", id=name)
    return client.containers.create(tag, name=name, **options)


def _note(kind: str, **facts: str) -> None:
    if {"kind": kind, **facts} not in RECORD.entries():
        RECORD.add(kind, **facts)
