"""A firewall's container between a client's and a server's namespace, and what both ends can do.

Each end has the other's address as a static neighbour, and an interface with a path's tag for a MAC address: what arrives has
kept it.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.lab.test_images import CLIENT, Bench, eventually, run
from tests.support.recorded import new_namespace

SERVER = "imgt-srv"
MANAGEMENT = "10.254.0.12"
TO_SERVER, TO_CLIENT = "0a:5f:00:00:01:ff", "0a:5f:00:00:02:ff"  # MAC addresses of the server's and the client's ends
HERE, THERE = {4: "10.2.0.1", 6: "fd00::1"}, {4: "10.1.0.11", 6: "fd00::11"}
NO_DAD: dict[int, tuple[str, ...]] = {4: (), 6: ("nodad",)}  # an address can be used at once
STREAM, DATAGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
CLOSED = 'default = "deny"\n[[rules]]\nid = "web"\naction = "allow"\nprotocol = "tcp"\ndestination_ports = "80-99"\n'
OPEN = 'default = "allow"\n'


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread's new sockets belong to the namespace; they stay there afterwards."""
    libc = ctypes.CDLL(None, use_errno=True)
    before, there = os.open("/proc/thread-self/ns/net", os.O_RDONLY), os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    try:
        assert libc.setns(there, 0) == 0, os.strerror(ctypes.get_errno())
        yield
    finally:
        assert libc.setns(before, 0) == 0
        os.close(before)
        os.close(there)


def made(namespace: str, version: int, kind: int) -> socket.socket:
    with inside(namespace):
        new = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, kind)
    new.settimeout(2)
    return new


class Echo:
    """Sends back what it gets, on one port of one end; one thread a connection."""

    def __init__(self, namespace: str, version: int, kind: int, port: int) -> None:
        self.socket = made(namespace, version, kind)
        self.socket.settimeout(None)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if version == 6:  # IPv4 has a socket of its own
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self.socket.bind(("", port) if version == 4 else ("::", port))
        if kind == STREAM:
            self.socket.listen(64)
        threading.Thread(target=self._accept if kind == STREAM else self._datagrams, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self.socket.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    def _datagrams(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                data, peer = self.socket.recvfrom(65536)
                if peer is None:  # it was closed
                    return
                self.socket.sendto(data, peer)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()


class Wire:
    """client -- in0 firewall out0 -- server, and the firewall's management."""

    def __init__(self) -> None:
        self.bench = Bench()
        self.echoes: list[Echo] = []
        new_namespace(SERVER)

    def start(self, rules: str | None = OPEN, file: str = "rules.toml") -> Any:
        """A firewall with these rules, or with the image's own."""
        self.path = Path(self.bench.folder.name) / file
        settings = {} if rules is None else {"RULES_FILE": f"/rules/{file}"}
        self.path.write_text(rules or "")
        volumes = {self.bench.folder.name: {"bind": "/rules", "mode": "ro"}}
        self.container = self.bench.start("firewall", "fw1", volumes, MGMT_ADDRESS=f"{MANAGEMENT}/24", **settings)
        return self.container

    def plug(self) -> None:
        self.bench.cable(self.container, "mgmt0", "fm0", "10.254.0.2/24")
        run("ip", "-n", CLIENT, "route", "replace", f"{MANAGEMENT}/32", "dev", "fm0")
        self.end(CLIENT, "in0", "f-in", TO_CLIENT, HERE, THERE, TO_SERVER)
        self.end(SERVER, "out0", "f-out", TO_SERVER, THERE, HERE, TO_CLIENT)
        eventually(lambda: self.bench.ok(MANAGEMENT))

    def end(
        self, where: str, port: str, name: str, mac: str, own: dict[int, str], peer: dict[int, str], peer_mac: str
    ) -> None:
        """A veth between a namespace and the container, with the ends' addresses."""
        self.container.reload()
        pid = str(self.container.attrs["State"]["Pid"])
        run("ip", "-n", where, "link", "add", name, "type", "veth", "peer", "name", port, "netns", pid)
        run("ip", "netns", "exec", where, "ethtool", "-K", name, "tx", "off", "rx", "off")
        run("ip", "-n", where, "link", "set", name, "address", mac, "up")
        for version, address in own.items():
            run(
                "ip",
                "-n",
                where,
                "addr",
                "add",
                f"{address}/{8 if version == 4 else 64}",
                "dev",
                name,
                *NO_DAD[version],
            )
            run("ip", "-n", where, "neigh", "replace", peer[version], "lladdr", peer_mac, "dev", name)

    def echo(self, *ports: int, kind: int = STREAM, version: int = 4, where: str = SERVER) -> None:
        self.echoes += [Echo(where, version, kind, port) for port in ports]

    def connect(self, port: int, version: int = 4, timeout_s: float = 2.0) -> socket.socket:
        new = made(CLIENT, version, STREAM)
        new.settimeout(timeout_s)
        new.connect((THERE[version], port))
        return new

    def answers(self, port: int, version: int = 4) -> bool:
        """Whether a new connection to the server is served."""
        try:
            with self.connect(port, version, 0.6) as connection:
                return says(connection, b"hello")
        except OSError:
            return False

    def datagram(self, port: int, size: int = 10, version: int = 4, where: str = CLIENT) -> bool:
        """Whether a datagram comes back."""
        peer = THERE if where == CLIENT else HERE
        with made(where, version, DATAGRAM) as sender:
            sender.settimeout(0.6)
            sender.sendto(b"d" * size, (peer[version], port))
            try:
                return len(sender.recv(65536)) == size
            except OSError:
                return False

    def rest(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        given = [] if body is None else ["-d", body if isinstance(body, str) else json.dumps(body)]
        url = f"http://{MANAGEMENT}:8000{path}"
        code, text = self.bench.curl("-X", method, *given, "-w", "\n%{http_code}", url)
        assert code == 0, text
        text, _, status = text.rpartition("\n")
        return int(status), json.loads(text) if text else None

    def metric(self, line: str) -> float:
        return self.bench.metric(MANAGEMENT, line)

    def close(self) -> None:
        for echo in self.echoes:
            echo.close()
        self.bench.close()
        run("ip", "netns", "del", SERVER)


def says(connection: socket.socket, data: bytes) -> bool:
    """Whether what was sent comes back on a connection."""
    try:
        connection.sendall(data)
        got = b""
        while len(got) < len(data):
            if not (more := connection.recv(65536)):
                return False
            got += more
    except OSError:
        return False
    return got == data


def restart(wire: Wire) -> None:
    """The container forgets everything; meanwhile nothing passes."""
    wire.container.restart(timeout=5)
    eventually(lambda: "f-in" not in run("ip", "-n", CLIENT, "-br", "link"))
    wire.plug()


def raw(namespace: str, interface: str) -> socket.socket:
    """Whole frames of an interface."""
    with inside(namespace):
        new = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0003))
    new.bind((interface, 0x0003))
    new.settimeout(0.4)
    return new


def heard(on: socket.socket, ports: bytes) -> bool:
    """Whether a TCP segment of these ports arrives within a while."""
    with contextlib.suppress(TimeoutError):
        while True:
            data, (_, _, kind, *_) = on.recvfrom(65536)
            if kind != socket.PACKET_OUTGOING and ports in data:
                return True
    return False
