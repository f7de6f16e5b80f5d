"""A bounded HTTP client: every request is a connection of its own, since chains deal connections, not requests.

In: a URL whose host is an IPv4 address, how many connections or for how long, and how many at a time. Out: one JSON
object on standard output with the share of each servant, latencies and errors by kind. It ends by itself; SIGTERM and
SIGINT make it tell what it has. Must use the standard library only and import nothing of this project: it runs by its
path inside a host's network namespace. Latency is from the first SYN to the last byte of the answer.
"""

from __future__ import annotations

import argparse
import errno
import json
import signal
import socket
import struct
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

IDENTITY = "servant"  # the member of a servant's answer that tells who answered
BODY_LIMIT = 1 << 20
MIN_RTT_OFFSET, TCP_INFO_SIZE = 148, 152  # tcpi_min_rtt in linux/tcp.h's struct tcp_info, in microseconds


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and what to ask there."""

    address: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> Target:
        """The target of an `http://ADDRESS[:PORT]/PATH`; raises ValueError for anything else."""
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise ValueError(f"{url!r}: expected http://ADDRESS[:PORT]/PATH")
        socket.inet_aton(parts.hostname)  # a name would be looked up outside the lab
        return cls(parts.hostname, parts.port or 80, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""))


@dataclass(frozen=True, slots=True)
class Outcome:
    """One connection: `error` is empty where an HTTP answer came, whatever its status."""

    latency_ms: float
    status: int = 0
    servant: str = ""
    error: str = ""
    source_port: int = 0
    rtt_ms: float | None = None  # the least round trip that TCP saw, which no processing is part of
    connect_ms: float | None = None  # from the first SYN to its answer; the controller deals the connection in it


@dataclass(slots=True)
class Tally:
    """What all connections came to. Every method takes the lock; `document` may be called while others add."""

    outcomes: list[Outcome] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, outcome: Outcome) -> None:
        """Count one connection."""
        with self.lock:
            self.outcomes.append(outcome)

    def each(self) -> list[dict[str, Any]]:
        """Every answered connection by itself: its source port says which path it took."""
        with self.lock:
            answered = [outcome for outcome in self.outcomes if not outcome.error]
        return [
            {
                "source_port": o.source_port,
                "servant": o.servant,
                "rtt_ms": o.rtt_ms,
                "latency_ms": round(o.latency_ms, 3),
            }
            for o in answered
        ]

    def document(self, target: Target, elapsed_s: float) -> dict[str, Any]:
        """The report: counts, the share of each servant, latencies in ms, errors by kind."""
        with self.lock:
            outcomes = list(self.outcomes)
        answered = [outcome for outcome in outcomes if not outcome.error]
        latencies = sorted(outcome.latency_ms for outcome in answered)
        return {
            "target": f"{target.address}:{target.port}{target.path}",
            "connections": len(outcomes),
            "answered": len(answered),
            "elapsed_s": round(elapsed_s, 3),
            "rate_cps": round(len(answered) / elapsed_s, 1) if elapsed_s > 0 else 0.0,
            "servants": dict(sorted(Counter(o.servant or "unknown" for o in answered).items())),
            "statuses": {str(code): n for code, n in sorted(Counter(o.status for o in answered).items())},
            "errors": dict(sorted(Counter(o.error for o in outcomes if o.error).items())),
            "latency_ms": {
                "min": round(latencies[0], 3) if latencies else None,
                "p50": percentile(latencies, 50),
                "p99": percentile(latencies, 99),
                "max": round(latencies[-1], 3) if latencies else None,
            },
        }


def percentile(ordered: Sequence[float], percent: float) -> float | None:
    """The nearest-rank percentile of ascending values, to 3 digits; None of none."""
    if not ordered:
        return None
    rank = -(-len(ordered) * percent // 100)
    return round(ordered[max(0, int(rank) - 1)], 3)


def connect_once(target: Target, timeout_s: float) -> Outcome:
    """One connection, one request, one answer."""
    started = time.monotonic()
    try:
        with socket.create_connection((target.address, target.port), timeout=timeout_s) as connection:
            connect_ms = _since_ms(started)
            request = f"GET {target.path} HTTP/1.1\r\nHost: {target.address}\r\nConnection: close\r\n\r\n"
            connection.sendall(request.encode("ascii"))
            source_port = connection.getsockname()[1]
            status, body = _read_answer(connection, started + timeout_s)
            latency_ms, rtt_ms = _since_ms(started), min_rtt_ms(connection)
    except (OSError, ValueError) as error:
        return Outcome(_since_ms(started), error=error_kind(error))
    return Outcome(latency_ms, status, servant_of(body), source_port=source_port, rtt_ms=rtt_ms, connect_ms=connect_ms)


def min_rtt_ms(connection: socket.socket) -> float | None:
    """The least round trip of a TCP connection as the kernel saw it; None where the kernel does not tell."""
    information = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_SIZE)
    if len(information) < TCP_INFO_SIZE:
        return None
    microseconds: int = struct.unpack_from("=I", information, MIN_RTT_OFFSET)[0]
    return microseconds / 1000 if microseconds != 0xFFFFFFFF else None


def error_kind(error: BaseException) -> str:
    """refused, reset, timeout, unreachable, malformed or other."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, ConnectionResetError | BrokenPipeError | ConnectionAbortedError):
        return "reset"
    if isinstance(error, OSError) and error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ENETDOWN):
        return "unreachable"
    return "malformed" if isinstance(error, ValueError) else "other"


def servant_of(body: bytes) -> str:
    """Who answered, as a JSON body says it; empty where it does not."""
    try:
        document = json.loads(body)
    except ValueError:
        return ""
    return str(document.get(IDENTITY, "")) if isinstance(document, dict) else ""


def _read_answer(connection: socket.socket, deadline: float) -> tuple[int, bytes]:
    received = bytearray()
    while len(received) < BODY_LIMIT:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        connection.settimeout(remaining)
        piece = connection.recv(65536)
        if not piece:
            break
        received += piece
        head, separator, body = bytes(received).partition(b"\r\n\r\n")
        if separator and len(body) >= _content_length(head):
            break
    if not received:
        raise ConnectionResetError
    head, separator, body = bytes(received).partition(b"\r\n\r\n")
    words = head.split(b" ", 2)
    if not separator or len(words) < 2 or not words[0].startswith(b"HTTP/1.") or not words[1].isdigit():
        raise ValueError("not an HTTP answer")
    return int(words[1]), body


def _content_length(head: bytes) -> float:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    return float("inf")


def _since_ms(started: float) -> float:
    return (time.monotonic() - started) * 1000


@dataclass(slots=True)
class Load:
    """A run: `connections` or `seconds` bound it, whichever is reached first; workers stop between connections."""

    target: Target
    connections: int
    seconds: float
    concurrency: int
    timeout_s: float
    pause_s: float = 0.0
    tally: Tally = field(default_factory=Tally)
    stop: threading.Event = field(default_factory=threading.Event)
    _taken: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def run(self) -> dict[str, Any]:
        """Run to the end, or until `stop` is set; the report."""
        started = time.monotonic()
        workers = [threading.Thread(target=self._work, daemon=True) for _ in range(self.concurrency)]
        for worker in workers:
            worker.start()
        while any(worker.is_alive() for worker in workers) and not self.stop.is_set():
            if time.monotonic() - started >= self.seconds:
                self.stop.set()
            self.stop.wait(0.02)
        end = time.monotonic() + self.timeout_s
        for worker in workers:  # those in flight may still end
            worker.join(max(0.0, end - time.monotonic()))
        return self.tally.document(self.target, time.monotonic() - started)

    def _work(self) -> None:
        while not self.stop.is_set() and self._take():
            self.tally.add(connect_once(self.target, self.timeout_s))
            if self.pause_s:
                self.stop.wait(self.pause_s)

    def _take(self) -> bool:
        with self._lock:
            self._taken += 1
            return self._taken <= self.connections


def main(arguments: Sequence[str] | None = None) -> int:
    """Open connections to a service of the lab and tell who answered."""
    parser = argparse.ArgumentParser(prog="http_load.py", description=main.__doc__)
    parser.add_argument("url", help="http://ADDRESS[:PORT]/PATH; the address in numbers")
    parser.add_argument(
        "--connections", type=_positive_int, default=None, help="how many (default: 100, or no limit with --seconds)"
    )
    parser.add_argument(
        "--seconds",
        type=_positive,
        default=None,
        help="for how long (default: until all connections are done, at most 60)",
    )
    parser.add_argument("--concurrency", type=_positive_int, default=4, help="how many at a time (default: 4)")
    parser.add_argument(
        "--timeout", type=_positive, default=3.0, help="seconds that one connection may take (default: 3)"
    )
    parser.add_argument("--each", action="store_true", help="also tell every answered connection by itself")
    parser.add_argument(
        "--pause", type=_positive, default=0.0, help="seconds between two connections of a worker (default: 0)"
    )
    given = parser.parse_args(arguments)
    try:
        target = Target.parse(given.url)
    except (ValueError, OSError):
        parser.error(f"url: {given.url!r}: expected http://ADDRESS[:PORT]/PATH with an IPv4 address")
    connections = given.connections or (1 << 31 if given.seconds else 100)
    load = Load(target, connections, given.seconds or 60.0, given.concurrency, given.timeout, given.pause)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: load.stop.set())
    document = load.run()
    if given.each:
        document["each"] = load.tally.each()
    print(json.dumps(document), flush=True)
    return 0


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0")
    return value


def _positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number above 0")
    return value


if __name__ == "__main__":
    sys.exit(main())
