"""Frames as they pass switch ports, in the order in which the kernel saw them: one packet socket over all interfaces.

In: IP protocol frames, plain or inside NSH. Out: `Seen` values. It only looks.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from dataclasses import dataclass
from types import TracebackType

ETH_P_ALL, ETH_IPV4, ETH_NSH = 0x0003, 0x0800, 0x894F
PACKET_OUTGOING = 4
SYN, ACK = 0x02, 0x10
SO_RCVBUFFORCE = 33


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame at a port. `out`: it leaves the switch there. `nsh` is (SPI, SI), None outside NSH."""

    port: str
    out: bool
    nsh: tuple[int, int] | None
    protocol: int
    source: str
    destination: str
    source_port: int
    destination_port: int
    flags: int


class Capture:
    """Use as a context manager; `seen` then holds what passed while it was open."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self._end = threading.Event()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 32 << 20)
        self._socket.settimeout(0.1)
        self._thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        while not self._end.is_set():
            try:
                frame, where = self._socket.recvfrom(2048)
            except TimeoutError:
                continue
            seen = parse(frame, where[0], where[2] == PACKET_OUTGOING)
            if seen is not None:
                self.seen.append(seen)

    def __enter__(self) -> Capture:
        self._thread.start()
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        time.sleep(0.3)
        self._end.set()
        self._thread.join(3)
        self._socket.close()


def parse(frame: bytes, port: str, out: bool) -> Seen | None:
    """An IPv4 frame, plain or in NSH; None for any other."""
    nsh = None
    kind = int.from_bytes(frame[12:14], "big")
    if kind == ETH_NSH and len(frame) > 22:
        length = (int.from_bytes(frame[14:16], "big") & 0x3F) * 4
        nsh = int.from_bytes(frame[18:21], "big"), frame[21]
        frame = frame[14 + length :]
        kind = int.from_bytes(frame[12:14], "big")
    if kind != ETH_IPV4 or len(frame) < 34:
        return None
    start = 14 + (frame[14] & 15) * 4
    ports = struct.unpack_from("!HH", frame, start) if frame[23] in (6, 17) and len(frame) >= start + 4 else (0, 0)
    flags = frame[start + 13] if frame[23] == 6 and len(frame) > start + 13 else 0
    source, destination = socket.inet_ntoa(frame[26:30]), socket.inet_ntoa(frame[30:34])
    return Seen(port, out, nsh, frame[23], source, destination, *ports, flags)
