"""Traffic of the lab tests: sockets inside clients' namespaces, connections that are held open, bounded load, conntrack.

In: a running `Lab`. Out: which servant answered, which path a connection is on, what broke. Sockets are made in a thread
that joined the client's network namespace, and then used from here like any other.
"""

from __future__ import annotations

import ctypes
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from testbed.lab.net import SERVICE_ADDRESS, Lab
from testbed.traffic.rtt import Rtt, least_of_rounds, ping_command

HTTP_LOAD = Path(__file__).resolve().parents[2] / "testbed" / "traffic" / "http_load.py"
CLONE_NEWNET = 0x40000000
T = TypeVar("T")


def run(*command: str) -> str:
    """A command's output; fails with what it said."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}{done.stdout}"
    return done.stdout


def caches_follow() -> None:
    """Wait until the switches' datapaths do what their tables say: Open vSwitch passes a barrier before its caches follow."""
    run("ovs-appctl", "revalidator/wait")


def inside(lab: Lab, client: str, make: Callable[[], T]) -> T:
    """What `make` gives in a client's network namespace."""
    assert lab.net is not None
    pid, result, errors = lab.net[client].pid, [], []

    def work() -> None:
        try:
            with open(f"/proc/{pid}/ns/net") as namespace:
                if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                    raise OSError(ctypes.get_errno(), "setns")
            result.append(make())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return result[0]


def tcp_socket(lab: Lab, client: str, source_port: int = 0, timeout_s: float = 3.0) -> socket.socket:
    """A TCP socket of a client. A chosen source port is best below 32768, where the kernel gives no port to anybody else."""
    made = inside(lab, client, lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM))
    made.settimeout(timeout_s)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if source_port:
        made.bind(("", source_port))
    return made


def address_of(lab: Lab, client: str) -> str:
    """A client's IPv4 address."""
    assert lab.net is not None
    return str(lab.net[client].IP())


class Held:
    """A connection to the service that is kept open. `ask` sends a request over it and names the servant that answered."""

    def __init__(self, lab: Lab, client: str, source_port: int = 0, timeout_s: float = 3.0) -> None:
        self.client = client
        self._socket = tcp_socket(lab, client, source_port, timeout_s)
        try:
            self._socket.connect((SERVICE_ADDRESS, 80))
        except BaseException:
            self._socket.close()
            raise
        self.port: int = self._socket.getsockname()[1]
        self.servant = self.ask()

    def ask(self, timeout_s: float = 6.0) -> str:
        """One request. Raises OSError where the connection is broken."""
        self._socket.settimeout(timeout_s)
        self._socket.sendall(b"GET /cheap HTTP/1.1\r\nHost: service\r\n\r\n")
        received = b""
        while True:
            piece = self._socket.recv(65536)
            if not piece:
                raise ConnectionResetError("closed by the servant")
            received += piece
            head, separator, body = received.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)content-length: (\d+)", head)
            if separator and length and len(body) >= int(length[1]):
                name = re.search(rb"(?i)x-servant: (\S+)", head)
                assert name is not None, head
                return name[1].decode()

    def close(self) -> None:
        """End it."""
        self._socket.close()

    def __enter__(self) -> Held:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self.close()


class HeldMany:
    """Several held connections of some clients, in turn, opened one after another."""

    def __init__(self, lab: Lab, number: int, clients: Sequence[str] = ()) -> None:
        names = list(clients) or lab.clients()
        self.all = [Held(lab, names[i % len(names)]) for i in range(number)]

    def broken(self, of: Sequence[Held] | None = None, timeout_s: float = 6.0) -> list[str]:
        """Ask on every connection at once: what broke, or is answered by another servant than before."""
        problems: list[str] = []

        def ask(held: Held) -> None:
            try:
                answered = held.ask(timeout_s)
            except OSError as error:
                problems.append(f"{held.client}:{held.port} to {held.servant}: {type(error).__name__} {error}")
            else:
                if answered != held.servant:
                    problems.append(f"{held.client}:{held.port} to {held.servant}: answered by {answered}")

        threads = [threading.Thread(target=ask, args=(each,)) for each in (self.all if of is None else of)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return problems

    def on(self, servant: str) -> list[Held]:
        """Those that a servant answered."""
        return [held for held in self.all if held.servant == servant]

    def __enter__(self) -> HeldMany:
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        for held in self.all:
            held.close()


def once(lab: Lab, client: str, source_port: int = 0, timeout_s: float = 3.0) -> str:
    """One new connection with one request: the servant. Raises OSError."""
    with Held(lab, client, source_port, timeout_s) as held:
        return held.servant


class Load:
    """http_load.py in a client's namespace; `result` waits for its end."""

    def __init__(
        self, lab: Lab, client: str, seconds: float, concurrency: int = 8, timeout_s: float = 6.0, path: str = "/cheap"
    ) -> None:
        command = [sys.executable, str(HTTP_LOAD), f"http://{SERVICE_ADDRESS}{path}", "--seconds", str(seconds)]
        command += ["--concurrency", str(concurrency), "--timeout", str(timeout_s), "--each"]
        self._within_s = seconds + timeout_s + 10
        self._process = lab.popen(client, *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def result(self) -> dict[str, Any]:
        """Its report."""
        out, err = self._process.communicate(timeout=self._within_s)
        assert self._process.returncode == 0, err.decode()
        return dict(json.loads(out))


class Stream:
    """New connections one after another from a thread: (when it began, seconds it took, servant or error)."""

    def __init__(self, lab: Lab, client: str, pause_s: float = 0.005) -> None:
        self.seen: list[tuple[float, float, str]] = []
        self._lab, self._client, self._pause_s = lab, client, pause_s
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(4)]

    def _work(self) -> None:
        while not self._end.is_set():
            began = time.monotonic()
            try:
                what = once(self._lab, self._client, timeout_s=4.0)
            except OSError as error:
                what = f"{type(error).__name__}"
            self.seen.append((began, time.monotonic() - began, what))
            self._end.wait(self._pause_s)

    def __enter__(self) -> Stream:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(15)


def path_of(lab: Lab, held: Held) -> dict[str, Any]:
    """The path that conntrack holds for a connection, as `/paths` describes it."""
    table = run("ovs-appctl", "dpctl/dump-conntrack")
    spis = set()
    for line in table.splitlines():
        if f"sport={held.port},dport=80)" not in line.partition("reply=")[0]:
            continue
        if f"src={address_of(lab, held.client)}," not in line.partition("reply=")[0]:
            continue
        zone = re.search(r"zone=(\d+)", line)
        mark = re.search(r"mark=(\d+)", line)
        if mark and int(zone[1] if zone else 0) % 2 == 0:
            spis.add(int(mark[1]))
    assert len(spis) == 1, f"port {held.port}: paths {spis} in conntrack"
    spi = spis.pop()
    return next(path for path in lab.call("GET", "/paths")["paths"] if path["spi"] == spi)


def flows_of(switch: str) -> dict[str, float]:
    """A switch's flow entries as text without counters, each with its duration in seconds."""
    found = {}
    for line in run("ovs-ofctl", "-O", "OpenFlow13", "dump-flows", switch).splitlines():
        duration = re.search(r"duration=([\d.]+)s", line)
        if duration:
            found[re.sub(r"(duration|n_packets|n_bytes|idle_age|hard_age)=[^,]+, ?", "", line).strip()] = float(
                duration[1]
            )
    return found


def kill_9(lab: Lab) -> None:
    """End the controller without any notice."""
    assert lab.controller is not None
    os.kill(lab.controller.pid, 9)
    lab.controller.wait(5)
    lab.controller = None


def ping_ms(lab: Lab, client: str, address: str, count: int = 25) -> list[float]:
    """Round-trip times of pings."""
    return [float(value) for value in re.findall(r"time=([\d.]+)", _ping(lab, client, address, count))]


def least_ms(lab: Lab, client: str, address: str, expected_ms: float) -> float:
    """The least round-trip time of pings, measured again where it is not what is expected."""

    def ping(pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Rtt]:
        return {pair: Rtt.parse(_ping(lab, *pair, 25)) for pair in pairs}

    found = least_of_rounds(ping, {(client, address): expected_ms})[client, address]
    assert found.received >= 20, f"{found.received} of {found.sent} answered"
    assert found.min_ms is not None
    print(f"{client} to {address}: expected {expected_ms:g} ms, least {found.min_ms:g}")
    return found.min_ms


def _ping(lab: Lab, client: str, address: str, count: int) -> str:
    out, _ = lab.popen(client, *ping_command(address, count, 0.05), stdout=subprocess.PIPE).communicate(timeout=30)
    return str(out.decode())
