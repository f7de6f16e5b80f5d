"""The open-loop client against a server on loopback that is slower than the requests come."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from testbed.traffic.http_load import Target
from testbed.traffic.open_loop import run

ROOT = Path(__file__).parents[3]
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{"servant":"x"}'
SLOW_S = 0.3


@pytest.fixture
def port() -> Iterator[int]:
    """Answers every connection after SLOW_S, many at a time."""

    def answer(connection: socket.socket) -> None:
        with connection:
            connection.recv(4096)
            time.sleep(SLOW_S)
            connection.sendall(ANSWER)

    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:

        def accept() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)


def test_requests_leave_when_planned_whatever_became_of_those_before(port: int) -> None:
    planned_ms = [20.0 * n for n in range(20)]  # the last one leaves when the second one is answered
    began_s = time.monotonic()
    told = run(Target("127.0.0.1", port, "/"), began_s + 0.1, planned_ms, 5.0)
    assert time.monotonic() - began_s < 0.1 + 0.38 + SLOW_S + 2.0
    assert [each["planned_ms"] for each in told] == planned_ms
    assert all(each["status"] == 200 and each["servant"] == "x" and not each["error"] for each in told)
    assert all(each["latency_ms"] >= 1000 * SLOW_S > each["connect_ms"] for each in told)
    assert min(each["late_ms"] for each in told) < 20


def test_the_command_reads_the_plan_and_tells_errors(port: int) -> None:
    command = [sys.executable, "-m", "testbed.traffic.open_loop"]
    slow = subprocess.run(
        [*command, f"http://127.0.0.1:{port}/", "--timeout", "0.1"],
        input="[0, 5]",
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert [each["error"] for each in json.loads(slow.stdout)] == ["timeout", "timeout"]
    wrong = subprocess.run([*command, "http://127.0.0.1/"], input="{", capture_output=True, text=True, cwd=ROOT)
    assert wrong.returncode == 2 and "expected a JSON list" in wrong.stderr
