"""A `ryu-manager` of ours in a process, and a small switch that speaks to it. Helpers for the tests beside it."""

import contextlib
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from tests.unit.openflow.hostile import message

ROOT = Path(__file__).resolve().parents[3]


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


class Switch:
    """Connects; `handshake()` brings the connection to Ryu's main state."""

    def __init__(self, port: int, datapath_id: int = 1, timeout_s: float = 2.0) -> None:
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self._id = datapath_id
        self._file = self.sock.makefile("rb")

    def read(self) -> tuple[int, int, bytes]:
        """(type, xid, body) of the next message."""
        header = self._file.read(8)
        if len(header) < 8:
            raise ConnectionError("the controller ended the connection")
        _, type_, length, xid = struct.unpack("!BBHI", header)
        return type_, xid, self._file.read(length - 8)

    def wait_for(self, wanted: int) -> tuple[int, bytes]:
        """(xid, body) of the next message of one type; echo requests are answered meanwhile."""
        while True:
            type_, xid, body = self.read()
            if type_ == wanted:
                return xid, body
            if type_ == 2:
                self.sock.sendall(struct.pack("!BBHI", 4, 3, 8, xid))

    def handshake(self) -> "Switch":
        self.sock.sendall(message(0))
        xid, _ = self.wait_for(5)
        self.sock.sendall(struct.pack("!BBHIQIBBHII", 4, 6, 32, xid, self._id, 0, 254, 0, 0, 0, 0))
        xid, _ = self.wait_for(18)
        self.sock.sendall(struct.pack("!BBHIHH4x", 4, 19, 16, xid, 13, 0))
        self.echo()
        return self

    def echo(self) -> float:
        """Seconds that the controller took to answer an echo request."""
        start = time.monotonic()
        self.sock.sendall(message(2, b"ping"))
        self.wait_for(3)
        return time.monotonic() - start

    def ended(self) -> bool:
        """Whether the controller ends the connection before the time-out."""
        try:
            while self.sock.recv(65536):
                pass
        except TimeoutError:
            return False
        except OSError:
            return True
        return True

    def close(self) -> None:
        self._file.close()
        self.sock.close()


@contextlib.contextmanager
def controller(*apps: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """(process, OpenFlow port) of a running controller; the process is ended and waited for."""
    port = free_port()
    command = [sys.executable, "-m", "sdn_app.openflow.launcher", "--ofp-tcp-listen-port", str(port), *apps]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    try:
        wait_until_listening(process, port)
        yield process, port
    finally:
        process.kill()
        process.communicate()


def wait_until_listening(process: "subprocess.Popen[str]", port: int) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        assert process.poll() is None, process.communicate()[1][-2000:]
        time.sleep(0.1)
    raise AssertionError("the controller does not listen")
