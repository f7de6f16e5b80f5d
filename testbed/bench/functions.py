"""Each network function at a share of one processor, against containers of the same image that only bridge.

In: images. Out: rows. A client, one container (two for encryption, which is a pair) and a server in a row, cabled to each other: no
switch, no controller. The rival's containers run the same image with the same limits, and a bridge made from outside.
"""

import json
import os
import secrets
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from testbed.bench.site import ROOT, result_of
from testbed.bench.table import Row, middle, percentile
from testbed.lab.dockerd import ensure_docker
from testbed.lab.images import ensure_image, image_spec
from testbed.lab.machine import examine
from testbed.lab.record import LabRecord, run

CPUS = 1.0
CLIENT, SERVER = "10.2.0.1", "10.1.0.1"
CLIENT_MAC, SERVER_MAC = "02:bf:00:00:02:01", "02:bf:00:00:01:01"
HTTP, FILES, SMTP = 80, 8080, 25  # ports that functions look into
BODY = 8 << 20
MTU = 1600  # what data ports have in the lab
MAIL_PROGRAM = ROOT / "testbed" / "traffic" / "mail.py"
READY_WITHIN_S = 60.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Kind:
    """How a function is measured: its containers' environments, in order from the client to the server."""

    vnf_type: str
    environments: tuple[dict[str, str], ...] = ({},)
    mail: bool = False


def kinds(keys: Path) -> tuple[Kind, ...]:
    """All functions. `keys` is encryption's key file, as the containers see it."""
    pair = tuple({"PLAIN_SIDE": side, "KEY_FILE": f"/keys/{keys.name}"} for side in ("in0", "out0"))
    return (
        Kind("firewall"),
        Kind("antivirus"),
        Kind("contentfilter"),
        Kind("spamfilter", mail=True),
        Kind("encryption", pair),
    )


class Line:
    """A client, containers and a server, cabled one after another."""

    def __init__(self, record: LabRecord, client: Any, kind: Kind, keys: Path, working: bool) -> None:
        self._record, self._docker, self._kind, self._working = record, client, kind, working
        self._serial = 0
        self.client, self.server = self._namespace(), self._namespace()
        self.containers = [self._container(n, environment, keys) for n, environment in enumerate(kind.environments)]
        pids = [int(each.attrs["State"]["Pid"]) for each in self.containers]
        ends = [
            (self.client, "eth0"),
            *((pid, port) for pid in pids for port in ("in0", "out0")),
            (self.server, "eth0"),
        ]
        for (a, a_port), (b, b_port) in zip(ends[::2], ends[1::2], strict=True):
            self._cable(a, a_port, b, b_port)
        self._host(self.client, CLIENT, CLIENT_MAC, SERVER, SERVER_MAC)
        self._host(self.server, SERVER, SERVER_MAC, CLIENT, CLIENT_MAC)
        for pid in pids if not working else ():
            bridge = "ip link add br0 type bridge; ip link set br0 up"
            ports = "; ".join(f"ip link set {port} master br0 up" for port in ("in0", "out0"))
            self._inside(pid, f"{bridge}; {ports}")
        self._serve()
        self._until_ready()

    def measure(self, role: str, **facts: Any) -> dict[str, Any]:
        """Run one of the client's roles of `peer` to its end."""
        command = [
            "nsenter",
            "-t",
            str(self.client),
            "-n",
            sys.executable,
            "-m",
            "testbed.bench.peer",
            role,
            json.dumps(facts),
        ]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        self._record.add("process", pid=process.pid, name=role)
        return result_of(process)

    def _container(self, n: int, environment: dict[str, str], keys: Path) -> Any:
        spec = image_spec(self._kind.vnf_type)
        management = f"10.253.250.{2 + n}"
        options = spec.run_options({**environment, "MGMT_ADDRESS": f"{management}/24"}, cpus=CPUS)
        if not self._working:
            options |= {"entrypoint": ["sleep", "infinity"], "healthcheck": {"test": ["NONE"]}}
        volumes = {str(keys.parent): {"bind": "/keys", "mode": "ro"}}
        container = self._docker.containers.create(spec.tag, volumes=volumes, **options)
        self._record.add("container", id=container.id, name=container.name)
        container.start()
        container.reload()
        if self._working:
            outside = f"bfm{n}"
            self._record.add("link", name=outside)
            pid = container.attrs["State"]["Pid"]
            _must("ip", "link", "add", outside, "type", "veth", "peer", "name", "mgmt0", "netns", str(pid))
            _must("ip", "addr", "add", "10.253.250.1/32", "peer", management, "dev", outside)
            _must("ip", "link", "set", outside, "up")
        return container

    def _cable(self, a: int, a_port: str, b: int, b_port: str) -> None:
        self._serial += 1
        one, other = f"bfa{self._serial}", f"bfb{self._serial}"
        _must("ip", "link", "add", one, "mtu", str(MTU), "type", "veth", "peer", "name", other, "mtu", str(MTU))
        for pid, name, port in ((a, one, a_port), (b, other, b_port)):
            _must("ip", "link", "set", name, "netns", str(pid), "name", port)
            self._inside(pid, f"ip link set {port} up; ethtool -K {port} tx off rx off")

    def _host(self, pid: int, address: str, mac: str, other: str, other_mac: str) -> None:
        """Addresses, and the other's, since ARP need not pass a function."""
        script = f"""ip link set eth0 address {mac} mtu 1500 up
            ip addr add {address}/8 dev eth0
            ip neigh replace {other} lladdr {other_mac} dev eth0"""
        self._inside(pid, script)

    def _serve(self) -> None:
        for command in (
            [sys.executable, "-m", "testbed.bench.peer", "servant", json.dumps({"address": SERVER, "ports": [HTTP]})],
            [sys.executable, "-m", "testbed.bench.peer", "files", json.dumps({"port": FILES})],
            [sys.executable, str(MAIL_PROGRAM), "sink", SERVER, str(SMTP)],
        ):
            entered = ["nsenter", "-t", str(self.server), "-n", *command]
            process = subprocess.Popen(entered, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL)
            self._record.add("process", pid=process.pid, name="server")

    def _until_ready(self) -> None:
        end = time.monotonic() + READY_WITHIN_S
        while time.monotonic() < end:
            if all(self._healthy(n) for n in range(len(self.containers))):
                try:
                    if self.measure("connections", address=SERVER, port=HTTP, seconds=0.05, at_once=1)["done"]:
                        return
                except RuntimeError:
                    pass
            time.sleep(0.3)
        logs = "\n".join(each.logs().decode(errors="replace")[-1500:] for each in self.containers)
        raise RuntimeError(f"{self._kind.vnf_type} lets no connection through:\n{logs}")

    def _healthy(self, n: int) -> bool:
        if not self._working:
            return True
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(f"http://10.253.250.{2 + n}:8000/health", timeout=3) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def _namespace(self) -> int:
        process = subprocess.Popen(["unshare", "-n", "sleep", "infinity"], start_new_session=True)
        self._record.add("process", pid=process.pid, name="namespace")
        own = os.readlink("/proc/self/ns/net")
        while os.readlink(f"/proc/{process.pid}/ns/net") == own:
            time.sleep(0.005)
        self._inside(
            process.pid, "ip link set lo up; sysctl -qw net.ipv6.conf.all.disable_ipv6=1 net.core.somaxconn=4096"
        )
        return process.pid

    def _inside(self, pid: int, script: str) -> None:
        _must("nsenter", "-t", str(pid), "-n", "sh", "-ec", script)


@contextmanager
def hosts(client: Any, kind: Kind, keys: Path, working: bool) -> Iterator[Line]:
    """A row of hosts, ended with the block."""
    record = LabRecord("bench-functions")
    record.undo()
    try:
        yield Line(record, client, kind, keys, working)
    finally:
        record.undo()


def measure_functions(seconds: float, repeats: int, requests: int, say: Say) -> list[Row]:
    """All rows."""
    daemons = LabRecord("bench-daemons")
    keys = daemons.folder / "keys" / "keys"
    rows: list[Row] = []
    try:
        examine(daemons)
        client = ensure_docker(daemons)
        keys.parent.mkdir(parents=True, exist_ok=True)
        daemons.add("file", name=str(keys))
        keys.write_text(f"1 = {secrets.token_hex(32)}\nsend = 1\n")
        for kind in kinds(keys):
            ensure_image(client, kind.vnf_type)
            figures: dict[bool, dict[str, list[float]]] = {}
            for working in (True, False):
                say(f"{kind.vnf_type}: {'at work' if working else 'as a plain bridge'}")
                with hosts(client, kind, keys, working) as row:
                    figures[working] = _figures(row, kind, seconds, repeats, requests)
            rows += _rows(kind.vnf_type, figures[True], figures[False])
    finally:
        for problem in daemons.undo():
            say(f"could not end {problem}")
    return rows


def _figures(row: Line, kind: Kind, seconds: float, repeats: int, requests: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {"pps": [], "cps": [], "waits": [], "mails": [], "mail waits": []}
    for _ in range(repeats):
        found["pps"].append(row.measure("download", address=SERVER, port=FILES, seconds=seconds, octets=BODY)["per_s"])
        found["cps"].append(row.measure("connections", address=SERVER, port=HTTP, seconds=seconds, at_once=16)["per_s"])
        alone = row.measure("connections", address=SERVER, port=HTTP, seconds=seconds / 2, at_once=1)
        found["waits"] += alone["waits_ms"]
        if kind.mail:
            mail = row.measure("mail", address=SERVER, port=SMTP, seconds=max(seconds, requests / 10))
            found["mails"].append(mail["per_s"])
            found["mail waits"] += mail["waits_ms"]
    return found


def _rows(vnf_type: str, ours: dict[str, list[float]], plain: dict[str, list[float]]) -> list[Row]:
    rival = "the same container as a plain bridge"
    wanted = [
        ("packets of HTTP downloads, 1/s", "pps", middle, True),
        ("new HTTP connections, 1/s", "cps", middle, True),
        ("TCP handshake p50, ms", "waits", lambda values: percentile(values, 50), False),
        ("TCP handshake p99, ms", "waits", lambda values: percentile(values, 99), False),
        ("letters over one SMTP session, 1/s", "mails", middle, True),
        ("a letter's reply p50, ms", "mail waits", lambda values: percentile(values, 50), False),
        ("a letter's reply p99, ms", "mail waits", lambda values: percentile(values, 99), False),
    ]
    return [
        Row(f"{vnf_type}: {name}", "", figure(ours[key]), rival, figure(plain[key]), higher)
        for name, key, figure, higher in wanted
        if ours[key]
    ]


def _must(*command: str) -> None:
    problem = run(*command)
    if problem is not None:
        raise RuntimeError(f"{' '.join(command)}: {problem}")
