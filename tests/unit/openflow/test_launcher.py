"""The launcher with real sockets: no message ends it, a slow switch harms nobody, signals end it in order."""

import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tests.unit.openflow.controller_process import ROOT, Switch, controller, free_port
from tests.unit.openflow.hostile import BROKEN, message


@pytest.fixture(scope="module")
def running() -> Iterator[tuple["subprocess.Popen[str]", int]]:
    with controller("ryu.app.simple_switch_13") as pair:
        yield pair


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_message_ends_its_connection_only(running: tuple["subprocess.Popen[str]", int], name: str) -> None:
    process, port = running
    bad = Switch(port, datapath_id=666)
    if BROKEN[name][1] != 0:
        bad.handshake()
    bad.sock.sendall(BROKEN[name])
    assert bad.ended()
    bad.close()
    good = Switch(port).handshake()
    assert good.echo() < 2
    good.close()
    assert process.poll() is None


def test_a_header_with_a_length_below_eight_ends_the_connection(running: tuple["subprocess.Popen[str]", int]) -> None:
    bad = Switch(running[1])
    bad.sock.sendall(b"\x04\x00\x00\x04\x00\x00\x00\x01")
    assert bad.ended()
    bad.close()


def test_another_version_after_the_handshake_ends_the_connection(running: tuple["subprocess.Popen[str]", int]) -> None:
    bad = Switch(running[1]).handshake()
    bad.sock.sendall(message(2, version=1))
    assert bad.ended()
    bad.close()


def test_a_switch_that_never_reads_stalls_nobody(running: tuple["subprocess.Popen[str]", int]) -> None:
    slow = Switch(running[1], datapath_id=2).handshake()
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    good = Switch(running[1], datapath_id=3).handshake()
    slow.sock.settimeout(0.2)
    try:
        for _ in range(2000):
            slow.sock.sendall(message(2, bytes(8000)))
    except TimeoutError:
        pass
    assert max(good.echo() for _ in range(20)) < 1
    good.close()
    slow.close()


def test_a_silent_switch_is_given_up(running: tuple["subprocess.Popen[str]", int]) -> None:
    silent = Switch(running[1], datapath_id=4, timeout_s=12).handshake()
    start = time.monotonic()
    assert silent.ended()
    assert 4 < time.monotonic() - start < 12
    silent.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_end_it_with_code_zero(number: signal.Signals) -> None:
    with controller("ryu.app.simple_switch_13") as (process, port):
        switch = Switch(port).handshake()
        start = time.monotonic()
        process.send_signal(number)
        assert process.wait(timeout=5) == 0
        assert time.monotonic() - start < 2
        switch.close()


def test_a_port_in_use_ends_it_with_code_one() -> None:
    port = free_port()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        command = [sys.executable, "-m", "sdn_app.openflow.launcher", "--ofp-tcp-listen-port", str(port)]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert run.returncode == 1
    assert "cannot listen" in run.stderr
