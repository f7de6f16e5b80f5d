"""Process 1 of a servant: gives the interfaces their addresses whenever they appear, and runs the server without privileges.

In: DATA_ADDRESS, SERVICE_ADDRESS, MGMT_ADDRESS. Ends with the server's status; SIGTERM is passed on to it. Must not
read from the network: only the server does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from vnf import settings
from vnf.log import log
from vnf.plumbing import Plumber, PlumbingFailed, Port, Wiring
from vnf.signals import Signals

UNPRIVILEGED = 10001
LOOK_AGAIN_S = 5.0


def main() -> int:
    signals = Signals(signal.SIGTERM, signal.SIGINT)
    wiring = Wiring(
        (
            Port("lo", settings.addresses("SERVICE_ADDRESS")),
            Port("in0", settings.addresses("DATA_ADDRESS"), data=True),
            Port("mgmt0", settings.addresses("MGMT_ADDRESS")),
        )
    )
    plumber = Plumber(wiring)
    command = (sys.executable, "-m", "servant.serve")
    server = subprocess.Popen(command, user=UNPRIVILEGED, group=UNPRIVILEGED, extra_groups=[])
    # Not SIGCHLD: every command of the plumber's ends with one, and a wait that it ends would run the next command at once.
    ended = os.fdopen(os.pidfd_open(server.pid))
    said: list[str] = []
    while server.poll() is None:
        try:
            commands, wrong = plumber.apply()
        except PlumbingFailed as error:
            commands, wrong = [], [str(error)]
        if commands or wrong != said:
            log("plumbed", commands=[" ".join(command) for command in commands], wrong=wrong)
            said = wrong
        plumber.wait(LOOK_AGAIN_S, signals, ended)
        if signals.taken():
            server.terminate()
    log("server ended", status=server.returncode)
    return 0 if server.returncode == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
