"""Controller processes to be measured: ours and stock Ryu's, each on ports of its own, ended by whoever started it."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

STOCK = (
    "import eventlet.wsgi as w; w.ALREADY_HANDLED = getattr(w, 'ALREADY_HANDLED', ());"
    "from ryu.cmd import manager; manager.main()"
)
OURS = "from sdn_app.openflow.launcher import main; main()"
START_S = 20.0


@dataclass(frozen=True)
class Running:
    """A controller that listens: its OpenFlow and REST ports on loopback."""

    name: str
    openflow_port: int
    rest_port: int
    pid: int

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One REST call; the answer's JSON."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.rest_port}{path}", data, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            text = answer.read()
        return json.loads(text) if text else None


def free_port() -> int:
    """A loopback port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def controller(app: str, *, stock: bool = False, **settings: str) -> Iterator[Running]:
    """Run `ryu-manager app` until the end of the block. `stock`: without anything of ours in the process."""
    openflow, rest = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "SFC_DATABASE": str(Path(folder) / "bench.sqlite"),
            "SFC_REST_PORT": str(rest),
            "SFC_OPENFLOW_PORT": str(openflow),
            **settings,
        }
        command = [sys.executable, "-W", "ignore", "-c", STOCK if stock else OURS, app]
        command += ["--ofp-tcp-listen-port", str(openflow), "--ofp-listen-host", "127.0.0.1"]
        log = Path(folder) / "controller.log"
        with log.open("wb") as output:
            process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
        try:
            _wait(openflow, process, log)
            yield Running(app, openflow, rest, process.pid)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


def _wait(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    raise RuntimeError(f"the controller did not start:\n{log.read_text()[-2000:]}")
