"""A Mininet host that is a Docker container without a Docker network: its interfaces are plugged in by the lab.

In: an image's spec, the switch and the names of its ports. Out: a running container with data interfaces and a management
interface, plugged in again after every restart (a restarted container has a new network namespace). Logs are kept by `save_log`.
"""

import contextlib
import os
import select
import shlex
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException, NotFound
from mininet.node import Host

from testbed.lab.images import ImageSpec
from testbed.lab.links import checksums_off
from testbed.lab.record import LabRecord, run

LABEL = "sfc-lab"
START_WITHIN_S = 30.0
WATCH_S = 0.2


@dataclass(frozen=True, slots=True)
class Plug:
    """One cable: the name outside, the name inside, and what it is plugged into outside (a bridge's name and kind)."""

    outside: str
    inside: str
    bridge: str
    to_switch: bool
    mac: str | None = None
    mtu: int = 1500


class DockerHost(Host):  # type: ignore[misc]  # mininet is untyped
    """`mininet> NAME COMMAND` runs in the container's network namespace. Attributes: `container`, `container_pid`, `plugs`."""

    _enter = False  # whether commands enter the container's network namespace

    def __init__(self, name: str, **params: Any) -> None:
        client: docker.DockerClient = params.pop("client")
        spec: ImageSpec = params.pop("spec")
        self.record: LabRecord = params.pop("record")
        self.plugs: tuple[Plug, ...] = params.pop("plugs")
        self.health_url: str = params.pop("health_url")
        options = spec.run_options(params.pop("environment"), cpus=params.pop("cpus", None))
        volumes = {source: {"bind": inside, "mode": "ro"} for source, inside in params.pop("mounts", ())}
        lab = self.record.folder.name
        self.container = client.containers.create(
            spec.tag, name=f"{LABEL}-{lab}-{name}", labels={LABEL: lab}, hostname=name, volumes=volumes, **options
        )
        self.record.add("container", id=self.container.id, name=self.container.name)
        self.container.start()
        self.container_pid = self._wait_for_pid()
        self._closing = threading.Event()
        super().__init__(name, inNamespace=False, **params)
        self.plug()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def _popen(self, cmd: list[str], **params: Any) -> Any:
        """Mininet's commands run in the container's network namespace, with the machine's own tools."""
        if not self._enter:
            return super()._popen(cmd, **params)
        return super()._popen(["nsenter", "-t", str(self.container_pid), "-n", "--", *cmd], **params)

    def startShell(self, mnopts: str | None = None) -> None:
        """A shell outside: one inside would keep a dead container's namespace alive, and its ports up."""
        self._enter = False
        super().startShell(mnopts)
        self._enter = True
        self.record.add("process", pid=self.shell.pid, name=f"shell of {self.name}")

    def sendCmd(self, *args: Any, **kwargs: Any) -> Any:
        """Every command enters the namespace that the container has now."""
        words = args[0] if len(args) == 1 and isinstance(args[0], list) else args
        command = " ".join(str(word) for word in words)
        if self._enter and command.strip():
            command = f"nsenter -t {self.container_pid} -n -- sh -c {shlex.quote(command)}"
        return super().sendCmd(command, **kwargs)

    def _wait_for_pid(self) -> int:
        end = time.monotonic() + START_WITHIN_S
        while time.monotonic() < end:
            self.container.reload()
            pid = int(self.container.attrs["State"]["Pid"])
            if pid:
                return pid
            if self.container.status == "exited":
                break
            time.sleep(0.05)
        raise RuntimeError(f"container {self.container.name} does not run:\n{self.log()[-2000:]}")

    def plug(self) -> None:
        """Make every cable; one that is there already is left alone."""
        for plug in self.plugs:
            if Path(f"/sys/class/net/{plug.outside}").exists():
                continue
            self.record.add("link", name=plug.outside)
            mac = ("address", plug.mac) if plug.mac else ()
            mtu = ("mtu", str(plug.mtu))
            inside = ("peer", "name", plug.inside, *mac, *mtu, "netns", str(self.container_pid))
            problem = run("ip", "link", "add", plug.outside, *mtu, "type", "veth", *inside)
            if problem is not None:
                raise RuntimeError(f"{plug.outside}: {problem}")
            checksums_off(plug.outside)
            run("ip", "link", "set", plug.outside, "up")
            if plug.to_switch:
                run("ovs-vsctl", "--timeout=5", "--may-exist", "add-port", plug.bridge, plug.outside)
            else:
                run("ip", "link", "set", plug.outside, "master", plug.bridge)

    def _watch(self) -> None:
        """Unplug what died, at once; plug in what runs again."""
        while not self._closing.is_set():
            if _exited(self.container_pid, WATCH_S) and not self._closing.is_set():
                self._pull()
                self._closing.wait(WATCH_S)
            try:
                self.container.reload()
                pid = int(self.container.attrs["State"]["Pid"])
                if pid and pid != self.container_pid:
                    self.container_pid = pid
                    for plug in self.plugs:
                        if plug.to_switch:  # else the switch may go on reading from the interface that is gone
                            run("ovs-vsctl", "--timeout=5", "--if-exists", "del-port", plug.bridge, plug.outside)
                    self._pull()
                    self.plug()
            except NotFound:
                return
            except (DockerException, RuntimeError, OSError):
                self._closing.wait(WATCH_S)

    def _pull(self) -> None:
        """Take the cables out: a closed socket that still waits for its peer keeps a dead namespace, and its ports up."""
        for plug in self.plugs:
            if Path(f"/sys/class/net/{plug.outside}").exists():
                run("ip", "link", "del", plug.outside)

    def log(self) -> str:
        """What the container wrote."""
        try:
            return str(self.container.logs().decode(errors="replace"))
        except DockerException as error:
            return f"no log: {error}"

    def save_log(self, folder: Path) -> Path:
        """Keep the container's log."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{self.name}.log"
        path.write_text(self.log())
        return path

    def remove(self) -> None:
        """End the container and unplug it from the switch."""
        self._closing.set()
        for plug in self.plugs:
            if plug.to_switch:
                run("ovs-vsctl", "--timeout=5", "--if-exists", "del-port", plug.bridge, plug.outside)
        with contextlib.suppress(NotFound):
            self.container.remove(force=True)
        self.terminate()


def _exited(pid: int, within_s: float) -> bool:
    """Whether a process has ended, or does within this time."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([descriptor], [], [], within_s)[0])
    finally:
        os.close(descriptor)
