"""The HTTP client against real sockets on loopback, and the readers of what ping, conntrack and firewalls print."""

import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from testbed.experiments.measures import least_rtts, paths_of_connections, refused_by_rule, route_ms, shortest_ms
from testbed.traffic.http_load import Load, Target, connect_once, percentile, servant_of
from testbed.traffic.rtt import ROUNDS, Rtt, least_of_rounds, within_tolerance

PROGRAM = Path(__file__).parents[2] / "testbed" / "traffic" / "http_load.py"
PING = """PING 10.3.0.1 (10.3.0.1) 56(84) bytes of data.
64 bytes from 10.3.0.1: icmp_seq=1 ttl=64 time=12.9 ms
64 bytes from 10.3.0.1: icmp_seq=2 ttl=64 time=8.21 ms
64 bytes from 10.3.0.1: icmp_seq=3 ttl=64 time=8.40 ms

--- 10.3.0.1 ping statistics ---
4 packets transmitted, 3 received, 25% packet loss, time 3004ms
rtt min/avg/max/mdev = 8.210/9.836/12.900/2.166 ms
"""
CONNTRACK = """\
tcp,orig=(src=10.2.0.1,dst=10.0.0.100,sport=40012,dport=80),reply=(src=10.0.0.100,dst=10.2.0.1,sport=80,dport=40012),zone=4,mark=7,protoinfo=(state=TIME_WAIT)
tcp,orig=(src=10.2.0.1,dst=10.0.0.100,sport=40014,dport=80),reply=(src=10.0.0.100,dst=10.2.0.1,sport=80,dport=40014),zone=4,mark=0x9,protoinfo=(state=TIME_WAIT)
udp,orig=(src=10.2.0.1,dst=10.3.0.1,sport=5,dport=6),reply=(src=10.3.0.1,dst=10.2.0.1,sport=6,dport=5)
"""
METRICS = """\
# TYPE vnf_firewall_rule_packets_total counter
vnf_firewall_rule_packets_total{chain="forward",rule="telnet",verdict="drop"} 9.0
vnf_firewall_rule_packets_total{chain="forward",rule="passed",verdict="accept"} 4711.0
vnf_firewall_rule_bytes_total{chain="forward",rule="telnet",verdict="drop"} 540.0
"""


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port on loopback whose every connection `serve` gets."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def answering(names: list[str]) -> Callable[[socket.socket], None]:
    """Answers as the named servants do, in turn."""
    turn = iter(range(1 << 30))

    def serve(connection: socket.socket) -> None:
        connection.recv(65536)
        body = json.dumps({"servant": names[next(turn) % len(names)]}).encode()
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    return serve


def test_connections_are_counted_by_servant() -> None:
    with listening(answering(["servant-1", "servant-2"])) as port:
        load = Load(Target("127.0.0.1", port, "/cheap"), 10, 20.0, 3, 5.0)
        told = load.run()
    assert told["servants"] == {"servant-1": 5, "servant-2": 5}
    assert (told["connections"], told["answered"], told["errors"]) == (10, 10, {})
    assert told["latency_ms"]["min"] <= told["latency_ms"]["p50"] <= told["latency_ms"]["p99"]
    each = load.tally.each()
    assert len({connection["source_port"] for connection in each}) == 10
    assert all(0 <= connection["rtt_ms"] < 1000 for connection in each)


def test_errors_are_told_by_kind() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert connect_once(Target("127.0.0.1", port, "/"), 0.1).error == "timeout"
    assert connect_once(Target("127.0.0.1", port, "/"), 0.5).error == "refused"
    with listening(lambda connection: None) as port:
        assert connect_once(Target("127.0.0.1", port, "/"), 0.5).error == "reset"
    with listening(lambda connection: connection.sendall(b"SSH-2.0-nothing\r\n\r\n")) as port:
        assert connect_once(Target("127.0.0.1", port, "/"), 0.5).error in ("malformed", "reset")


def test_a_run_ends_after_its_seconds() -> None:
    with listening(answering(["servant-1"])) as port:
        started = time.monotonic()
        told = Load(Target("127.0.0.1", port, "/"), 1 << 31, 0.3, 2, 1.0, pause_s=0.01).run()
    assert time.monotonic() - started < 3
    assert told["answered"] > 0


def test_sigterm_makes_the_program_tell_what_it_has() -> None:
    with listening(answering(["servant-1"])) as port:
        command = [
            sys.executable,
            str(PROGRAM),
            f"http://127.0.0.1:{port}/",
            "--seconds",
            "30",
            "--pause",
            "0.01",
            "--each",
        ]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as program:
            time.sleep(1.5)
            program.send_signal(signal.SIGTERM)
            text, _ = program.communicate(timeout=10)
    told = json.loads(text)
    assert program.returncode == 0
    assert told["answered"] == len(told["each"]) > 0


@pytest.mark.parametrize("url", ["https://10.0.0.1/", "http:///x", "ftp://10.0.0.1", "10.0.0.1"])
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match="expected http://"):
        Target.parse(url)


def test_a_name_is_never_looked_up() -> None:
    with pytest.raises(OSError, match="illegal IP address"):
        Target.parse("http://example.invalid/")


def test_percentiles_are_values_that_were_seen() -> None:
    assert percentile([], 50) is None
    assert percentile([1.0], 99) == 1.0
    assert percentile([float(n) for n in range(1, 101)], 50) == 50.0
    assert percentile([float(n) for n in range(1, 101)], 99) == 99.0


def test_who_answered() -> None:
    assert servant_of(b'{"servant": "servant-1"}') == "servant-1"
    assert servant_of(b"[1]") == servant_of(b"hello") == servant_of(b"{}") == ""


def test_ping_is_read() -> None:
    assert Rtt.parse(PING) == Rtt(sent=4, received=3, min_ms=8.21, median_ms=8.4)
    assert Rtt.parse("2 packets transmitted, 0 received, 100% packet loss") == Rtt(2, 0, None, None)
    with pytest.raises(ValueError, match="not the output of ping"):
        Rtt.parse("ping: unknown host")


def test_the_tolerance_is_the_wider_of_both() -> None:
    assert within_tolerance(2.0, 2.5)
    assert not within_tolerance(2.0, 2.6)
    assert within_tolerance(20.0, 21.9)
    assert not within_tolerance(20.0, 17.9)
    assert not within_tolerance(20.0, None)


def test_conntrack_tells_the_path_of_each_connection() -> None:
    paths = paths_of_connections(CONNTRACK)
    assert paths == {("10.2.0.1", 40012): 7, ("10.2.0.1", 40014): 9}
    each = [("10.2.0.1", {"source_port": port, "rtt_ms": rtt}) for port, rtt in [(40012, 9.0), (40012, 8.0), (1, 2.0)]]
    assert least_rtts(each, paths) == {7: 8.0}


def test_only_what_a_firewall_refused_is_counted() -> None:
    assert refused_by_rule(METRICS) == {"telnet": 9}


def test_latencies_of_routes() -> None:
    delays = {(1, 2): 5.0, (1, 3): 7.0, (2, 3): 1.0}
    assert route_ms(delays, [(3, 1), (1,)]) == 7.0
    assert route_ms(delays, [(3, 2), (2, 1)]) == 6.0
    assert shortest_ms(delays, 1, 3) == 6.0
    assert shortest_ms(delays, 1, 9) == float("inf")


def test_a_round_trip_that_took_too_long_is_measured_again() -> None:
    asked: list[list[str]] = []
    told = iter(
        [
            {"near": 10.2, "slow": 9.0, "busy": 7.5},
            {"slow": 9.5, "busy": 6.1},
            {"slow": 9.1},
            *[{"slow": None}] * (ROUNDS - 3),
        ]
    )

    def ping(links: Sequence[str]) -> dict[str, Rtt]:
        asked.append(list(links))
        return {link: Rtt(20, 20 if ms else 0, ms, ms) for link, ms in next(told).items()}

    found = least_of_rounds(ping, {"near": 10.0, "slow": 6.0, "busy": 6.0})
    assert asked == [["near", "slow", "busy"], ["slow", "busy"], *[["slow"]] * (ROUNDS - 2)]
    assert {link: rtt.min_ms for link, rtt in found.items()} == {"near": 10.2, "slow": 9.0, "busy": 6.1}
