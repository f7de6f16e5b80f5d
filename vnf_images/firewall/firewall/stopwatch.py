"""Times a sample of the packets between the data ports: a packet socket at each of them, and the kernel's time stamps.

In: frames of both ports by the filter of `sampling`. Out: durations. Needs CAP_NET_RAW. A thread of its own, at most SAMPLES_A_SECOND: when
they were seen the sockets leave the ports until the second is over, so that the other packets are not shown to them.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
import time

from vnf.meters import Durations
from vnf.packetfilter import attach

from firewall.sampling import LINK, SAMPLE, SNAP, Pairs

SAMPLES_A_SECOND = 128  # sights, two a packet
GATHER_S = 0.01  # so that a wake is worth it
ETH_P_ALL = 3
NOWHERE = "lo"  # carries nothing here
SO_TIMESTAMPNS = 35  # asm-generic/socket.h; a timespec comes with each frame
_TIMESPEC = struct.Struct("@ll")


class Stopwatch:
    """Sockets at both ports, as long as they are there."""

    def __init__(self, ports: tuple[str, str], durations: Durations) -> None:
        self._sockets = {port: _socket() for port in ports}
        self._opposite = dict(zip(ports, reversed(ports), strict=True))
        self._at = dict.fromkeys(ports, 0)  # the interface's index where the socket is at its port
        self._durations = durations
        self._pairs = Pairs()

    def start(self) -> None:
        threading.Thread(target=self._run, name="stopwatch", daemon=True).start()

    def _run(self) -> None:
        while True:
            ends_s = time.monotonic() + 1
            self._come()
            left = SAMPLES_A_SECOND
            while left > 0 and (remaining_s := ends_s - time.monotonic()) > 0:
                if select.select(self._sockets.values(), [], [], remaining_s)[0]:
                    time.sleep(GATHER_S)
                    left -= sum([self._read(port, SAMPLES_A_SECOND // 2) for port in self._sockets])
            if left <= 0:
                self._leave()
                time.sleep(max(0.0, ends_s - time.monotonic()))
            self._pairs.forget(time.time_ns())

    def _come(self) -> None:
        for port, at in self._at.items():
            with contextlib.suppress(OSError):  # it is not plugged in
                index = socket.if_nametoindex(port)
                if index != at:
                    self._sockets[port].bind((port, ETH_P_ALL))
                    self._at[port] = index

    def _leave(self) -> None:
        for port, sights in self._sockets.items():
            sights.bind((NOWHERE, ETH_P_ALL))
            self._at[port] = 0
            while True:
                try:
                    sights.recv(SNAP)
                except BlockingIOError:
                    break
                except OSError:  # of a port that was taken away, told once
                    continue

    def _read(self, port: str, at_most: int) -> int:
        """What waits at a port; how many sights that were."""
        for count in range(at_most):
            try:
                frame, said, _, address = self._sockets[port].recvmsg(SNAP, 64)
            except OSError:  # nothing waits, or the port was taken away
                return count
            left = address[2] == socket.PACKET_OUTGOING
            for _, kind, stamp in said:
                if kind == SO_TIMESTAMPNS:
                    seconds, nanoseconds = _TIMESPEC.unpack(stamp)
                    came_by = self._opposite[port] if left else port
                    took_ns = self._pairs.saw(came_by, frame[LINK:], left, seconds * 1_000_000_000 + nanoseconds)
                    if took_ns is not None:
                        self._durations.took(took_ns)
        return at_most


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # at no port yet
    attach(made, SAMPLE)
    made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    made.setblocking(False)
    return made
