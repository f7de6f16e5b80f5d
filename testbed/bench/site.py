"""A site: one bridge in the userspace datapath with a client, servants and functions, each in a network namespace of its own.

In: a number and how many of each. Out: running peers, and ways to break a function. No delay line, no container: nothing but
what is measured. Everything that is started is recorded; undoing the record ends it. Sites do not see each other.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from testbed.lab.record import LabRecord, run, started_at, stop_process

ROOT = Path(__file__).resolve().parents[2]
VIP = "10.0.0.100"
CLIENT = "10.2.0.1"
SERVICE_MAC = "02:5f:c0:00:00:01"
HTTP_PORTS = (80, 81)
CLIENT_PORT, SERVANT_PORT, FUNCTION_PORT = 1, 10, 20


class Site:
    """Bridge `bnK`, datapath id 900 + K, ports 1 (client), 10.. (servants), 20, 21, 22.. (function in, out, ...)."""

    def __init__(self, record: LabRecord, number: int, datapath: str) -> None:
        self.record, self.number, self.bridge = record, number, f"bn{number}"
        self.dpid = 900 + number
        self.client_pid = 0
        self.servants: list[tuple[str, str]] = []  # address, MAC
        self.functions: dict[int, tuple[int, int]] = {}  # number -> namespace's process, health page's process
        record.add("bridge", name=self.bridge)
        kind = "netdev" if datapath == "user" else "system"
        _must(
            "ovs-vsctl", "--may-exist", "add-br", self.bridge, "--",
            "set", "bridge", self.bridge, f"datapath_type={kind}", "fail_mode=secure",
            f"other-config:datapath-id={self.dpid:016x}", "other-config:disable-in-band=true",
        )  # fmt: skip

    # hosts ----------------------------------------------------------------------------------------------------------
    def client_mac(self) -> str:
        """The client's MAC address."""
        return f"02:bb:{self.number:02x}:00:02:01"

    def servant_mac(self, n: int) -> str:
        """A servant's MAC address."""
        return f"02:bb:{self.number:02x}:00:01:{10 + n:02x}"

    def add_client(self, service_mac: str | None) -> None:
        """The client. With `service_mac` it need not ask for the service's MAC address."""
        self.client_pid = self._namespace()
        self._plug(self.client_pid, f"{self.bridge}c", "eth0", CLIENT_PORT, self.client_mac())
        extra = f"ip neigh add {VIP} lladdr {service_mac} dev eth0\n" if service_mac else ""
        self._inside(self.client_pid, f"ip addr add {CLIENT}/8 dev eth0\n{extra}")

    def add_servant(self, static_neighbours: bool) -> None:
        """One more servant; it owns the service's address on its loopback."""
        n = len(self.servants)
        address, mac = f"10.1.0.{10 + n}", self.servant_mac(n)
        pid = self._namespace()
        self._plug(pid, f"{self.bridge}s{n}", "eth0", SERVANT_PORT + n, mac)
        extra = f"ip neigh add {CLIENT} lladdr {self.client_mac()} dev eth0\n" if static_neighbours else ""
        script = f"""ip addr add {address}/8 dev eth0
            ip addr add {VIP}/32 dev lo
            sysctl -qw net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2 net.ipv4.tcp_syncookies=0 net.core.somaxconn=4096
            {extra}"""
        self._inside(pid, script)
        self._peer(pid, "servant", address=VIP, ports=list(HTTP_PORTS))
        self.servants.append((address, mac))

    def add_function(self, n: int) -> None:
        """Function `n`: a bridge between two ports. A health page answers beside it. It may be added again after a crash."""
        for side in "io":
            run("ovs-vsctl", "--if-exists", "del-port", self.bridge, f"{self.bridge}f{n}{side}")
        if n in self.functions:
            namespace, page = self.functions.pop(n)
            os.kill(page, signal.SIGCONT)  # a stopped one would not end
            for pid in (page, namespace):
                stop_process(pid, started_at(pid))
            self._gone(f"{self.bridge}m{n}")
        pid = self._namespace()
        for place, side in enumerate("io"):
            port = FUNCTION_PORT + 2 * n + place
            mac = f"02:bb:{self.number:02x}:{n:02x}:03:{place:02x}"
            self._plug(pid, f"{self.bridge}f{n}{side}", f"data{place}", port, mac)
        outside = f"{self.bridge}m{n}"
        here, there = self._management(n)
        _must("ip", "link", "add", outside, "type", "veth", "peer", "name", "mgmt0", "netns", str(pid))
        _must("ip", "addr", "add", f"{here}/30", "dev", outside)
        _must("ip", "link", "set", outside, "up")
        script = f"""ip link add br0 type bridge
            ip link set data0 master br0
            ip link set data1 master br0
            ip link set br0 up
            ip link set mgmt0 up
            ip addr add {there}/30 dev mgmt0"""
        self._inside(pid, script)
        self.functions[n] = (pid, self._peer(pid, "health", address=there))

    def _management(self, n: int) -> tuple[str, str]:
        return f"10.253.{self.number}.{4 * n + 1}", f"10.253.{self.number}.{4 * n + 2}"

    def function_body(self, n: int, health: bool) -> dict[str, Any]:
        """How function `n` is registered."""
        ports = [f"{self.bridge}f{n}{side}" for side in "io"]
        body: dict[str, Any] = {"instance_id": f"f{n}", "attachment": {"switch": self.dpid, "ports": ports}}
        return body | ({"health_url": f"http://{self._management(n)[1]}:8000/health"} if health else {})

    def servant_body(self, n: int) -> dict[str, Any]:
        """How servant `n` is registered."""
        address, mac = self.servants[n]
        attachment = {"switch": self.dpid, "ports": [f"{self.bridge}s{n}"]}
        return {"instance_id": f"s{n}", "attachment": attachment, "address": address, "mac": mac}

    def crash(self, n: int) -> None:
        """The function's port is gone, as when a container dies."""
        _must("ip", "link", "del", f"{self.bridge}f{n}i")

    def hang(self, n: int) -> None:
        """The function passes nothing and answers no probe; its ports stay up."""
        namespace, page = self.functions[n]
        os.kill(page, signal.SIGSTOP)
        self._inside(namespace, "ip link set data0 nomaster")

    # running --------------------------------------------------------------------------------------------------------
    def connect(self, openflow_port: int) -> None:
        """Give the bridge to a controller."""
        _must("ovs-vsctl", "set-controller", self.bridge, f"tcp:127.0.0.1:{openflow_port}")

    def measure(self, role: str, **facts: Any) -> dict[str, Any]:
        """Run one of the client's roles to its end."""
        process = self.begin(role, **facts)
        return result_of(process)

    def begin(self, role: str, **facts: Any) -> "subprocess.Popen[str]":
        """Start one of the client's roles."""
        process = subprocess.Popen(
            self._command(self.client_pid, role, facts), stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        self.record.add("process", pid=process.pid, name=role)
        return process

    def flows(self) -> list[str]:
        """All flow entries, as text with counters."""
        command = ["ovs-ofctl", "-O", "OpenFlow13", "dump-flows", self.bridge]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[1:]

    def packet_ins(self) -> int:
        """Packets that met an entry which sends them to the controller; link probes are not counted."""
        total = 0
        for line in self.flows():
            if "CONTROLLER" in line and "dl_type=0x88b5" not in line:
                total += int(line.partition("n_packets=")[2].partition(",")[0])
        return total

    def _command(self, pid: int, role: str, facts: dict[str, Any]) -> list[str]:
        return ["nsenter", "-t", str(pid), "-n", sys.executable, "-m", "testbed.bench.peer", role, json.dumps(facts)]

    def _peer(self, pid: int, role: str, **facts: Any) -> int:
        process = subprocess.Popen(self._command(pid, role, facts), cwd=ROOT, start_new_session=True)
        self.record.add("process", pid=process.pid, name=role)
        return process.pid

    def _namespace(self) -> int:
        process = subprocess.Popen(["unshare", "-n", "sleep", "infinity"], start_new_session=True)
        self.record.add("process", pid=process.pid, name="namespace")
        own = os.readlink("/proc/self/ns/net")
        end = time.monotonic() + 5
        while os.readlink(f"/proc/{process.pid}/ns/net") == own:
            if time.monotonic() > end:
                raise RuntimeError("there is no new network namespace")
            time.sleep(0.005)
        self._inside(process.pid, "ip link set lo up\nsysctl -qw net.ipv6.conf.all.disable_ipv6=1")
        self._inside(process.pid, "sysctl -qw 'net.ipv4.ip_local_port_range=10000 65000'")
        return process.pid

    def _inside(self, pid: int, script: str) -> None:
        _must("nsenter", "-t", str(pid), "-n", "sh", "-ec", script)

    def _plug(self, pid: int, outside: str, inside: str, port: int, mac: str) -> None:
        self._gone(outside)
        _must("ip", "link", "add", outside, "type", "veth", "peer", "name", inside, "netns", str(pid))
        self._inside(
            pid,
            f"ip link set {inside} address {mac} mtu 1500 up\nethtool -K {inside} tx off rx off >/dev/null 2>&1 || true\n"
            f"sysctl -qw net.ipv6.conf.{inside}.disable_ipv6=1",
        )
        run("sysctl", "-qw", f"net.ipv6.conf.{outside}.disable_ipv6=1")
        _must("ip", "link", "set", outside, "up")
        _must(
            "ovs-vsctl", "--may-exist", "add-port", self.bridge, outside, "--",
            "set", "interface", outside, f"ofport_request={port}",
        )  # fmt: skip

    def _gone(self, link: str) -> None:
        """Namespaces end in the background, and their links with them."""
        end = time.monotonic() + 5
        while Path(f"/sys/class/net/{link}").exists():
            run("ip", "link", "del", link)
            if time.monotonic() > end:
                raise RuntimeError(f"{link} does not go away")
            time.sleep(0.01)


def result_of(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """The last line that a client said."""
    said = process.communicate()[0].splitlines()
    if process.returncode or not said:
        raise RuntimeError(f"{process.args}: exit code {process.returncode}")
    result: dict[str, Any] = json.loads(said[-1])
    return result


def _must(*command: str) -> None:
    problem = run(*command)
    if problem is not None:
        raise RuntimeError(f"{' '.join(command)}: {problem}")
