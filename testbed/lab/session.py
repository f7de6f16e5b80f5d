"""A lab that outlives the command that started it: the process that holds it, and Mininet's command line over a socket.

In: a topology's name. Out: in the lab's folder under /run, `session.json` (what `status` shows), `cli.sock` and
`logs/holder.log`. The socket takes a line a command and answers with its output and a NUL. SIGTERM ends the lab.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mininet.cli import CLI
from mininet.log import lg, output, setLogLevel
from mininet.topo import Topo

from testbed.lab.net import DEFAULT_VNFS, REST, SERVICE_ADDRESS, Lab
from testbed.lab.record import LabRecord, started_at
from topologies.four_domain import FourDomain
from topologies.linear import Linear
from topologies.real import Real
from topologies.tree import Tree

NAME = "lab"
SERVICE = {"name": "emergency", "address": SERVICE_ADDRESS, "port": 80}
CHAIN = {"name": "web", "functions": ["firewall"], "service": "emergency"}
READY_WITHIN_S = 60.0
STOP_WITHIN_S = 60.0
INTERRUPT = b"\x03"
END = b"\0"
TOPOLOGIES: dict[str, Callable[[], Topo]] = {"four_domain": FourDomain, "linear": Linear, "tree": Tree}

FOLDER = LabRecord(NAME).folder
HOLDER, SESSION, SOCKET = FOLDER / "holder.json", FOLDER / "session.json", FOLDER / "cli.sock"
LOG = FOLDER / "logs" / "holder.log"


class _StopError(BaseException):
    """SIGTERM came. No `Exception`, so that nothing of Mininet's swallows it."""


def topology(text: str) -> Topo:
    """The topology of a name: one of TOPOLOGIES, or `real:` and a graph of topohub.

    Raises:
        ValueError: there is none of that name.
    """
    if text.startswith("real:"):
        return Real(name=text.removeprefix("real:"))
    if text not in TOPOLOGIES:
        raise ValueError(f"topology: {text!r}: expected {', '.join(TOPOLOGIES)} or real:NAME")
    return TOPOLOGIES[text]()


# the holder ---------------------------------------------------------------------------------------------------------
def hold(name: str, chain: bool) -> int:
    """Bring a lab up, serve its command line, and tear it down at SIGTERM."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _stop)
    topo = topology(name)
    FOLDER.mkdir(parents=True, exist_ok=True)
    HOLDER.write_text(json.dumps({"pid": os.getpid(), "started": started_at(os.getpid())}))
    vnfs = [vnf for vnf in DEFAULT_VNFS if f"s{vnf.switch}" in topo.switches()]
    lab = Lab(topo, vnfs, NAME, say=_say)
    try:
        with lab:
            _furnish(lab, chain)
            with socket.socket(socket.AF_UNIX) as listener:
                SOCKET.unlink(missing_ok=True)
                os.umask(0o077)
                listener.bind(str(SOCKET))
                listener.listen(1)
                _write_session(lab, name)
                while True:
                    connection, _ = listener.accept()
                    with connection:
                        _serve(lab, connection)
    except _StopError:
        _say("torn down" if not lab.record.entries() else "not everything could be ended")
        return 0
    except (RuntimeError, OSError, ValueError, subprocess.SubprocessError) as error:
        _say(f"could not run: {error}")
        return 1
    finally:
        for path in (SOCKET, SESSION, HOLDER):
            path.unlink(missing_ok=True)


def _stop(*_: object) -> None:
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    raise _StopError


def _say(text: str) -> None:
    print(text, flush=True)


def _furnish(lab: Lab, chain: bool) -> None:
    lab.start_controller()
    switches = len(lab.topo.switches())
    lab.wait_until(lambda: lab.call("GET", "/health")["switches"] == switches, "all switches connected")
    lab.call("POST", "/services", SERVICE)
    for name in lab.instances:
        lab.register(name)
    if chain:
        lab.call("POST", "/chains", CHAIN)
    lab.ready(READY_WITHIN_S)
    _say("all instances active, all links found")


def _write_session(lab: Lab, name: str) -> None:
    assert lab.net is not None and lab.machine is not None
    links = [[int(a[1:]), int(b[1:]), lab.configured_delay_ms(int(a[1:]), int(b[1:]))] for a, b, _ in lab.links()]
    facts = {
        "pid": os.getpid(),
        "started": started_at(os.getpid()),
        "topology": name,
        "machine": lab.machine.lines(),
        "switches": lab.topo.switches(),
        "hosts": {client: lab.net[client].IP() for client in lab.clients()},
        "containers": {each: host.container.id for each, host in lab.instances.items()},
        "links": links,
        "rest": REST,
    }
    partial = SESSION.with_suffix(".new")
    partial.write_text(json.dumps(facts))
    partial.replace(SESSION)


# Mininet's command line ---------------------------------------------------------------------------------------------
class _Keys:
    """What Mininet takes for standard input. Where the other side is gone, it keeps pressing Ctrl-C."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def fileno(self) -> int:
        """For poll."""
        return self._connection.fileno()

    def read(self, _: int = 1) -> str:
        """One character."""
        return (self._connection.recv(1) or INTERRUPT).decode("latin-1")

    def line(self) -> str | None:
        """One line without what ends it; None where the other side is gone."""
        line = b""
        while not line.endswith(b"\n"):
            more = self._connection.recv(1)
            if not more:
                return None
            line += more
        return line.replace(INTERRUPT, b"").decode(errors="replace").strip()


class _Words:
    """What Mininet takes for standard output. Where the other side is gone, words are lost."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def write(self, text: str) -> None:
        """Send."""
        self.send(text.replace("\0", "").encode())

    def send(self, data: bytes) -> None:
        """Send bytes."""
        try:
            self._connection.sendall(data)
        except OSError:
            return

    def flush(self) -> None:
        """Nothing waits."""


class _CommandLine(CLI):  # type: ignore[misc]  # mininet is untyped
    """Mininet's, without its loop and its history."""

    def initReadline(self) -> None:
        """The client has it."""

    def run(self) -> None:
        """Lines come by `onecmd`."""

    def do_sh(self, line: str) -> None:
        """Run a shell command on this machine."""
        done = subprocess.run(line, shell=True, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        output(done.stdout + done.stderr)


def _serve(lab: Lab, connection: socket.socket) -> None:
    """Run commands until `exit` or the client goes."""
    keys, words = _Keys(connection), _Words(connection)
    stream, level = lg.handlers[0].stream, lg.level
    lg.handlers[0].stream = words
    setLogLevel("output")
    try:
        commands = _CommandLine(lab.net, stdin=keys, stdout=words)
        words.send(END)
        while (line := keys.line()) is not None:
            try:
                if line and commands.onecmd(commands.precmd(line)):
                    return
            except Exception as error:
                words.write(f"{type(error).__name__}: {error}\n")
            words.send(END)
    except OSError:
        return
    finally:
        lg.handlers[0].stream = stream
        lg.setLevel(level)
        lg.handlers[0].setLevel(level)


# the other side -----------------------------------------------------------------------------------------------------
def session(path: Path = SESSION) -> dict[str, Any] | None:
    """What the holder of a lab that is ready wrote, if it runs. HOLDER: its process, ready or not."""
    try:
        facts = dict(json.loads(path.read_text()))
    except (OSError, ValueError):
        return None
    return facts if alive(facts["pid"], facts["started"]) else None


def alive(pid: int, started: str | None) -> bool:
    """Whether that very process runs; one that ended and was not waited for does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return False
    return state != "Z" and started is not None and started_at(pid) == started


def stop_holder(pid: int, started: str | None, within_s: float = STOP_WITHIN_S) -> bool:
    """Ask the holder to end the lab and wait; False where it does not end."""
    if alive(pid, started):
        os.kill(pid, signal.SIGTERM)
    end = time.monotonic() + within_s
    while alive(pid, started):
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


class CommandClient:
    """A connection to the holder's command line.

    Raises:
        OSError: nobody answers, or another client is connected.
    """

    def __init__(self, path: Path = SOCKET, within_s: float = 5.0) -> None:
        self._connection = socket.socket(socket.AF_UNIX)
        self._connection.settimeout(within_s)
        self._connection.connect(str(path))
        try:
            self._until_end()
        except TimeoutError:
            raise OSError("another command line is open") from None
        self._connection.settimeout(None)

    def run(self, line: str) -> bool:
        """Run one command and show what it says. False where it was the last one."""
        self._connection.sendall(line.replace("\n", " ").encode() + b"\n")
        return self._until_end()

    def _until_end(self) -> bool:
        while True:
            try:
                data = self._connection.recv(65536)
            except KeyboardInterrupt:
                self._connection.sendall(INTERRUPT)
                continue
            except ConnectionError:
                return False
            sys.stdout.buffer.write(data.replace(END, b""))
            sys.stdout.buffer.flush()
            if not data or data.endswith(END):
                return bool(data)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()
