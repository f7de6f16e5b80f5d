"""Process 1: plumbs the interfaces, opens their sockets, reads the key file, and leaves every packet to a process without privileges.

In: MGMT_ADDRESS, PLAIN_SIDE (`in0` or `out0`), KEY_FILE. Ends with 2 where one of them is wrong, else with the engine's status;
SIGTERM drains, SIGHUP reads the keys again. Must not read from the network.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

from vnf import settings
from vnf.log import log
from vnf.plumbing import Plumber, PlumbingFailed, Port, Wiring
from vnf.signals import Signals

from encryption import messages
from encryption.engine import PLAIN_SIDES
from encryption.keys import FILE_LIMIT, KeyRing, KeysRefused, parse_keys
from encryption.ports import opened

UNPRIVILEGED = 10001
LOOK_AGAIN_S = 2.0
GUARD = """
table inet guard {
    chain input { type filter hook prerouting priority raw; iifname { "in0", "out0" } drop; }
    chain output { type filter hook output priority raw; oifname { "in0", "out0" } drop; }
}
"""


class Watch:
    """Keeps ports open and the engine told."""

    def __init__(self, plumber: Plumber, engine: socket.socket) -> None:
        self._plumber = plumber
        self._engine = engine
        self._open: dict[str, tuple[int, int]] = {}  # interface index and MTU by name

    def look(self) -> None:
        """Put the ports right, open those that are new, and tell what is wrong. Raises BrokenPipeError at the engine's end."""
        try:
            commands, wrong = self._plumber.apply()
            if commands:
                log("plumbed", commands=[" ".join(command) for command in commands])
        except PlumbingFailed as error:
            wrong = [str(error)]
        for name in PLAIN_SIDES:
            problem = self._opened(name)
            wrong = [*wrong, problem] if problem else wrong
        messages.tell(self._engine, "watch", {"wrong": "; ".join(wrong)})

    def _opened(self, name: str) -> str:
        """Open the port where it is there and not yet open; what is wrong, in words."""
        try:
            found = socket.if_nametoindex(name), int(Path(f"/sys/class/net/{name}/mtu").read_text())
        except OSError:
            self._open.pop(name, None)
            return ""  # the plumber says that it is not plugged in
        if self._open.get(name) == found:
            return ""
        try:
            with opened(name, *found) as raw:
                messages.tell(self._engine, "port", {"name": name, "mtu": found[1]}, raw)
        except BrokenPipeError:
            raise
        except OSError as error:
            return f"{name} does not open: {error}"
        self._open[name] = found
        return ""


def main() -> int:
    signals = Signals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    addresses = settings.addresses("MGMT_ADDRESS")
    plain = os.environ.get("PLAIN_SIDE", "")
    if plain not in PLAIN_SIDES:
        settings.stop("setting wrong", variable="PLAIN_SIDE", value=plain, expected=" or ".join(PLAIN_SIDES))
    path = Path(os.environ.get("KEY_FILE") or "/etc/vnf/keys")
    try:
        text, ring = read(path)
    except KeysRefused as error:
        settings.stop("keys refused", error=str(error))
    log("keys loaded", send=ring.sending, receive=sorted(ring.keys))
    subprocess.run(("nft", "-f", "-"), input=GUARD, text=True, check=True)
    control, engine = start_engine(text)
    # Not SIGCHLD: every command of the plumber's ends with one, and a wait that it ends would run the next command at once.
    ended = os.fdopen(os.pidfd_open(engine.pid))
    ports = (*(Port(name, data=True) for name in PLAIN_SIDES), Port("mgmt0", addresses))
    plumber = Plumber(Wiring(ports))
    watch = Watch(plumber, control)
    while engine.poll() is None:
        try:
            watch.look()
            plumber.wait(LOOK_AGAIN_S, signals, ended)
            came = signals.taken()
            if signal.SIGHUP in came:
                reload(path, control)
            if signal.SIGTERM in came or signal.SIGINT in came:
                log("draining")
                control.shutdown(socket.SHUT_RDWR)
                return engine.wait()
        except BrokenPipeError:
            engine.wait()
    log("the engine ended", status=engine.returncode)
    return 1


def start_engine(text: str) -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """The process that handles packets, and the socket to talk to it; it has heard the keys."""
    control, theirs = messages.pair()
    messages.tell(control, "keys", {"text": text})
    with theirs:
        engine = subprocess.Popen(
            (sys.executable, "-m", "encryption.serve"),
            env={**os.environ, "CONTROL_FD": str(theirs.fileno())},
            pass_fds=(theirs.fileno(),),
            user=UNPRIVILEGED,
            group=UNPRIVILEGED,
            extra_groups=[],
        )
    return control, engine


def read(path: Path) -> tuple[str, KeyRing]:
    """The key file and what it says. Raises KeysRefused."""
    try:
        text = path.read_bytes()[: FILE_LIMIT + 1].decode()
    except (OSError, UnicodeDecodeError) as error:
        raise KeysRefused(f"{path}: {error}") from None
    if len(text) > FILE_LIMIT:
        raise KeysRefused(f"{path}: longer than {FILE_LIMIT} octets")
    return text, parse_keys(text, str(path))


def reload(path: Path, control: socket.socket) -> None:
    """Have the engine use the file as it is now; the old keys stay where it is refused."""
    try:
        text, ring = read(path)
    except KeysRefused as error:
        messages.tell(control, "refused", {})
        log("keys refused, the old ones stay", error=str(error))
    else:
        messages.tell(control, "keys", {"text": text})
        log("keys loaded", send=ring.sending, receive=sorted(ring.keys))


if __name__ == "__main__":
    sys.exit(main())
