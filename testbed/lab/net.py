"""A running lab: a topology on Open vSwitch, Docker-backed instances, and the controller, as one context manager.

In: a Mininet topology and where instances stand. Out: real hosts, switches, containers, and calls to change them while they
run. Everything started is recorded; `stop` ends just that. Traffic stays inside the lab's namespaces.
"""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from mininet.log import setLogLevel
from mininet.net import Mininet
from mininet.node import OVSSwitch, RemoteController
from mininet.topo import Topo

from testbed.lab.docker_host import DockerHost, Plug
from testbed.lab.dockerd import ensure_docker
from testbed.lab.images import ensure_images, image_spec
from testbed.lab.links import TRUNK_MTU, DelayLineTrunk, NetemTrunk, as_json, link_of, parameters_of
from testbed.lab.machine import Machine, examine
from testbed.lab.record import LabRecord, run
from topologies.four_domain import FourDomain

MGMT_BRIDGE = "sfc-mgmt"
MGMT_NET = "10.254.0"
SERVICE_ADDRESS = "10.0.0.100"
REST = "http://127.0.0.1:8080"
ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN_S = 20.0
PATIENCE = float(
    os.environ.get("SFC_LAB_PATIENCE", "1")
)  # how many times longer to wait, on a machine as slow as an emulated one


@dataclass(frozen=True, slots=True)
class Vnf:
    """An instance to be started: its id, image and switch. `environment` goes to the container, `mounts` are folders of this
    machine and where the container sees them, read-only."""

    name: str
    vnf_type: str
    switch: int
    environment: tuple[tuple[str, str], ...] = ()
    cpus: float | None = None
    mounts: tuple[tuple[str, str], ...] = ()


DEFAULT_VNFS = (
    Vnf("fw1", "firewall", 1),
    Vnf("fw2", "firewall", 3),
    Vnf("srv1", "servant", 1),
    Vnf("srv2", "servant", 1),
    Vnf("srv3", "servant", 1),
)


class Lab:
    """Build with `with Lab() as lab:`; or `start()` and `stop()`. `say` is told of every step."""

    def __init__(
        self,
        topo: Topo | None = None,
        vnfs: Sequence[Vnf] = DEFAULT_VNFS,
        name: str = "lab",
        say: Callable[[str], None] = print,
    ) -> None:
        self.topo = topo if topo is not None else FourDomain()
        self.name, self.say = name, say
        self.record = LabRecord(name)
        self.instances: dict[str, DockerHost] = {}
        self.net: Mininet | None = None
        self.machine: Machine | None = None
        self.controller: subprocess.Popen[bytes] | None = None
        self.database = self.record.folder / "controller.sqlite"
        self.log_folder = self.record.folder / "logs"
        self._vnfs = tuple(vnfs)
        self._numbers = 0
        self._servants: dict[int, int] = {}
        self._mine = False  # whether what the record names was started by this object

    # life -----------------------------------------------------------------------------------------------------------
    def __enter__(self) -> "Lab":
        try:
            self.start()
        except BaseException:
            self.stop(failed=True)
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self.stop(failed=kind is not None and kind is not KeyboardInterrupt)

    def start(self) -> None:
        """Bring everything up. Raises RuntimeError with the reason where it cannot."""
        if self.record.entries():
            raise RuntimeError(f"a lab named {self.name!r} is up or was not ended: ./scripts/lab down")
        self._mine = True
        self._forget()
        setLogLevel("error")
        self.machine = examine(self.record)
        for line in self.machine.lines():
            self.say(line)
        client = ensure_docker(self.record)
        ensure_images(client, sorted({vnf.vnf_type for vnf in self._vnfs}))
        self._client = client
        self._build(self.machine)
        self._management()
        for vnf in self._vnfs:
            self.add_instance(vnf, register=False)
        self.say(f"{len(self.instances)} containers run: {', '.join(self.instances)}")

    def stop(self, failed: bool = False) -> list[str]:
        """End everything that was started; gives what could not be ended. After a failure the logs are kept.

        A lab that refused to start because another one is up ends nothing: the record is the other one's.
        """
        if not self._mine:
            return []
        if failed:
            for host in self.instances.values():
                host.save_log(self.log_folder)
            self.say(f"logs are in {self.log_folder}")
        self.stop_controller()
        for host in list(self.instances.values()):
            host.remove()
        self.instances.clear()
        if self.net is not None:
            self.net.stop()
            self.net = None
        problems = self.record.undo()
        self._forget()
        for problem in problems:
            self.say(f"could not end {problem}")
        return problems

    def _forget(self) -> None:
        """What a controller knew of a lab that is gone."""
        for path in self.record.folder.glob("controller.sqlite*"):
            path.unlink()

    def _build(self, machine: Machine) -> None:
        kind = NetemTrunk if machine.netem else DelayLineTrunk
        DelayLineTrunk.record, DelayLineTrunk.parameters = self.record, []
        self.net = Mininet(
            topo=self.topo,
            switch=lambda name, **options: OVSSwitch(name, datapath=machine.datapath, failMode="secure", **options),
            controller=None,
            link=link_of(kind),
            build=False,
            autoSetMacs=False,
            waitConnected=False,
        )
        for switch in self.topo.switches():
            self._must_be_free(switch)
            self.record.add("bridge", name=switch)
        self.net.build()
        for host in self.net.hosts:
            self.record.add("process", pid=host.shell.pid, name=f"shell of {host.name}")
            host.cmd("sysctl -qw net.ipv6.conf.all.disable_ipv6=1")
        for switch in self.net.switches:
            self.record.add("process", pid=switch.shell.pid, name=f"shell of {switch.name}")
        if not machine.netem:
            self._start_delay_line()
        self.net.addController("c0", controller=RemoteController, ip="127.0.0.1", port=6653)
        for switch in self.net.switches:
            switch.start(self.net.controllers)
        self.say(f"{len(self.net.switches)} switches, {len(self.net.hosts)} clients, {len(self.links())} trunks")

    @staticmethod
    def _must_be_free(name: str) -> None:
        """Nothing that was there before may be recorded as ours, or it would be ended as ours."""
        if Path(f"/sys/class/net/{name}").exists() or run("ovs-vsctl", "--timeout=5", "br-exists", name) is None:
            raise RuntimeError(f"there is an interface or bridge named {name} already, which is not the lab's")

    def _start_delay_line(self) -> None:
        self.log_folder.mkdir(parents=True, exist_ok=True)
        with (self.log_folder / "delay-line.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "testbed.lab.delay_line"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                start_new_session=True,
                cwd=ROOT,
            )
        self.record.add("process", pid=process.pid, name="delay line")
        self._delay_line = process
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(as_json(DelayLineTrunk.parameters)).encode())
        process.stdin.close()
        if process.stdout.readline() != b"ready\n":
            raise RuntimeError("the delay line did not start")

    def _management(self) -> None:
        self._must_be_free(MGMT_BRIDGE)
        self.record.add("link", name=MGMT_BRIDGE)
        for command in (
            ("ip", "link", "add", MGMT_BRIDGE, "type", "bridge"),
            ("ip", "addr", "add", f"{MGMT_NET}.1/24", "dev", MGMT_BRIDGE),
            ("ip", "link", "set", MGMT_BRIDGE, "up"),
        ):
            problem = run(*command)
            if problem is not None:
                raise RuntimeError(f"management bridge: {problem}")

    # what there is --------------------------------------------------------------------------------------------------
    def links(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Trunks as the topology states them: two switches and the options."""
        switches = set(self.topo.switches())
        return [(a, b, info) for a, b, info in self.topo.links(withInfo=True) if {a, b} <= switches]

    def configured_delay_ms(self, a: int, b: int) -> float:
        """One-way latency of the trunk between two switches.

        Raises:
            KeyError: there is none.
        """
        for one, other, info in self.links():
            if {one, other} == {f"s{a}", f"s{b}"}:
                return parameters_of(one, other, info).delay_ms
        raise KeyError((a, b))

    def clients(self) -> list[str]:
        """Names of the plain hosts."""
        return sorted(self.topo.hosts())

    def popen(self, host: str, *command: str, **options: Any) -> subprocess.Popen[Any]:
        """Run a command in a client's namespace."""
        assert self.net is not None
        process: subprocess.Popen[Any] = self.net[host].popen(list(command), **options)
        self.record.add("process", pid=process.pid, name=command[0])
        return process

    # instances ------------------------------------------------------------------------------------------------------
    def add_instance(self, vnf: Vnf, register: bool = True) -> DockerHost:
        """Start a container, plug it in, and tell the controller of it."""
        assert self.net is not None
        ensure_images(self._client, [vnf.vnf_type])
        self._numbers += 1
        management = f"{MGMT_NET}.{self._numbers + 1}"
        environment = {"MGMT_ADDRESS": f"{management}/24", "INSTANCE_ID": vnf.name, **dict(vnf.environment)}
        switch = f"s{vnf.switch}"
        if vnf.vnf_type == "servant":
            serial = self._servants[vnf.switch] = self._servants.get(vnf.switch, 0) + 1
            environment.update(DATA_ADDRESS=f"10.{vnf.switch}.0.{10 + serial}/8", SERVICE_ADDRESS=SERVICE_ADDRESS)
            mac = f"02:5f:c3:{vnf.switch:02x}:00:{10 + serial:02x}"
            plugs = [Plug(f"{vnf.name}-d", "in0", switch, True, mac)]
        else:
            # A function may make packets longer than a host's (encryption does): its ports take what trunks take.
            plugs = [
                Plug(f"{vnf.name}-{end[0]}", end, switch, True, mtu=TRUNK_MTU)
                for end in image_spec(vnf.vnf_type).data_ports
            ]
        # one MAC for life: after a restart the machine's ARP entry still holds, and the first probe gets through
        own = f"02:5f:c3:ff:{self._numbers >> 8:02x}:{self._numbers & 255:02x}"
        plugs.append(Plug(f"{vnf.name}-m", "mgmt0", MGMT_BRIDGE, False, own))
        host: DockerHost = self.net.addHost(
            vnf.name,
            cls=DockerHost,
            client=self._client,
            spec=image_spec(vnf.vnf_type),
            record=self.record,
            plugs=tuple(plugs),
            health_url=f"http://{management}:8000/health",
            environment=environment,
            cpus=vnf.cpus,
            mounts=vnf.mounts,
        )
        host.vnf, host.data_address = vnf, environment.get("DATA_ADDRESS", "").partition("/")[0]
        self.instances[vnf.name] = host
        if register:
            self.register(vnf.name)
        return host

    def register(self, name: str) -> dict[str, Any]:
        """Tell the controller of an instance."""
        host = self.instances[name]
        ports = [plug.outside for plug in host.plugs if plug.to_switch]
        body: dict[str, Any] = {
            "instance_id": name,
            "attachment": {"switch": host.vnf.switch, "ports": ports},
            "health_url": host.health_url,
        }
        if host.vnf.vnf_type == "servant":
            body |= {"address": host.data_address, "mac": host.plugs[0].mac}
        return dict(self.call("POST", f"/vnf/{host.vnf.vnf_type}/instances", body))

    def remove_instance(self, name: str) -> None:
        """Tell the controller, then end the container."""
        host = self.instances.pop(name)
        self.call("DELETE", f"/vnf/{host.vnf.vnf_type}/instances/{name}")
        host.remove()

    def kill_instance(self, name: str) -> None:
        """Let a container die at once, as in a crash."""
        self.instances[name].container.kill()

    def pause_instance(self, name: str) -> None:
        """Let a container hang: its interfaces stay up."""
        self.instances[name].container.pause()

    def unpause_instance(self, name: str) -> None:
        """Let it go on."""
        self.instances[name].container.unpause()

    def restart_instance(self, name: str) -> None:
        """Start a container again; the watcher plugs it in."""
        self.instances[name].container.restart(timeout=2)

    def set_link(self, a: int, b: int, up: bool) -> None:
        """Cut a trunk (both ends go down), or bring it back."""
        assert self.net is not None
        for one, other, _ in self.links():
            if {one, other} == {f"s{a}", f"s{b}"}:
                for link in self.net.linksBetween(self.net[one], self.net[other]):
                    for intf in (link.intf1, link.intf2):
                        run("ip", "link", "set", intf.name, "up" if up else "down")
                return
        raise KeyError((a, b))

    # the controller -------------------------------------------------------------------------------------------------
    def start_controller(self, **settings: str) -> None:
        """Run `ryu-manager sdn_app.app` and wait until REST answers. `settings` are SFC_ variables."""
        self.log_folder.mkdir(parents=True, exist_ok=True)
        beside = Path(sys.executable).parent / "ryu-manager"
        command = [str(beside)] if beside.exists() else [sys.executable, "-m", "sdn_app.openflow.launcher"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "SFC_DATABASE": str(self.database), **settings}
        with (self.log_folder / "controller.log").open("ab") as log:
            self.controller = subprocess.Popen(
                [*command, "sdn_app.app"], cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        self.record.add("process", pid=self.controller.pid, name="ryu-manager")
        self.wait_until(lambda: bool(self.call("GET", "/health")), "the controller's REST API")

    def stop_controller(self) -> None:
        """End the controller, if it runs."""
        if self.controller is not None:
            self.controller.terminate()
            try:
                self.controller.wait(5)
            except subprocess.TimeoutExpired:
                self.controller.kill()
                self.controller.wait(5)
            self.controller = None

    def call(self, method: str, path: str, body: Any = None, timeout_s: float = 40.0) -> Any:
        """One REST call. A refusal raises RuntimeError with the problem document."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(REST + path, data, {"Content-Type": "application/json"}, method=method)
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{method} {path}: {error.code} {error.read().decode(errors='replace')}") from None
        return json.loads(text) if text else None

    def wait_until(self, true: Callable[[], bool], what: str, within_s: float = READY_WITHIN_S) -> float:
        """Wait for something; gives the seconds it took. RuntimeError where it does not happen in time."""
        within_s *= PATIENCE
        began = time.monotonic()
        while True:
            try:
                if true():
                    return time.monotonic() - began
            except (OSError, RuntimeError) as error:
                last = str(error)
            else:
                last = "not yet"
            if self.controller is not None and self.controller.poll() is not None:
                log = (self.log_folder / "controller.log").read_text()[-3000:]
                raise RuntimeError(f"the controller ended with {self.controller.returncode}:\n{log}")
            if time.monotonic() - began > within_s:
                raise RuntimeError(f"{what}: not within {within_s:g} s ({last})")
            time.sleep(0.05)

    def ready(self, within_s: float = READY_WITHIN_S) -> None:
        """Wait until every instance is active, every trunk is known both ways, and the rules follow."""

        def everything() -> bool:
            states = [
                i["status"]
                for t in sorted({host.vnf.vnf_type for host in self.instances.values()})
                for i in self.call("GET", f"/vnf/{t}/instances")["instances"]
            ]
            links = self.call("GET", "/topology")["links"]
            return set(states) == {"active"} and len(links) == 2 * len(self.links()) and self.settled()

        self.wait_until(everything, "all instances active, all links found, and the rules for them", within_s)

    def settled(self) -> bool:
        """True where the switches' rules are those for all that the controller knows."""
        return bool(self.call("GET", "/health")["pending_changes"] == 0)
