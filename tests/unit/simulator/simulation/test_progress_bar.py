"""What a terminal shows while a simulation runs."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

SIMULATION = """
import time
from testbed.simulator.progress import Bar
with Bar(1000.0, 2, {quiet}) as bar:
    for step in range(3):
        time.sleep(0.15)  # tqdm draws ten times a second at most
        bar.told(step % 2, 250.0, 4000)
"""


def shown(quiet: bool) -> str:
    ours, theirs = pty.openpty()
    try:
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        subprocess.run([sys.executable, "-c", SIMULATION.format(quiet=quiet)], stderr=theirs, check=True)
        os.set_blocking(ours, False)
        try:
            return os.read(ours, 100_000).decode()
        except BlockingIOError:
            return ""
    finally:
        os.close(ours)
        os.close(theirs)


def test_simulated_time_rate_and_time_left() -> None:
    last = shown(quiet=False).rpartition("500/2000 ms simulated")[2]
    assert "8,000 packets, " in last and "/s]" in last and "<" in last


def test_nothing_where_it_is_to_be_quiet() -> None:
    assert shown(quiet=True) == ""
