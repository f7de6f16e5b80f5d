"""A TCP client that sends exactly the segments it is told to, to be run in a network namespace.

In: one JSON object as the only argument: interface, source and target (addresses and MACs), port, `segments` as
[offset, hex bytes] in the order to send, and `fragment` (bytes of payload a fragment, 0 for whole packets). Out: one JSON object:
`received` (text of the server), `reset`, and `macs` (destination addresses of the frames that came). The source address must be
nobody's, so that no kernel answers for it.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import time
from ipaddress import ip_address
from pathlib import Path
from typing import Any

sys.path.append(str(Path(__file__).resolve().parents[2] / "vnf_images" / "base"))

from vnf.packet import ACK, PSH, RST, SYN, Malformed, Segment, build, parse

ISN = 0xFFFFFF00
PATIENCE_S = 1.5


class Client:
    """One connection."""

    def __init__(self, given: dict[str, Any]) -> None:
        self._link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self._link.bind((given["interface"], 3))
        self._link.settimeout(0.2)
        self._source, self._target = (ip_address(given[end]).packed for end in ("source", "target"))
        self._header = b"".join(bytes.fromhex(given[mac].replace(":", "")) for mac in ("target_mac", "source_mac"))
        self._header += b"\x86\xdd" if len(self._source) == 16 else b"\x08\x00"
        self._port = given["port"]
        self._own_port = 20000 + time.monotonic_ns() % 40000
        self._fragment = given["fragment"]
        self._ack = 0
        self.stream: dict[int, bytes] = {}
        self.first = 0
        self.reset = False
        self.macs: set[str] = set()

    def send(self, seq: int, flags: int, payload: bytes = b"") -> None:
        segment = Segment(self._source, self._own_port, self._target, self._port, seq, self._ack, flags, payload)
        for packet in self._fragments(build(segment, 65535)):
            self._link.send(self._header + packet)

    def _fragments(self, packet: bytes) -> list[bytes]:
        size, version = self._fragment, packet[0] >> 4
        head = 20 if version == 4 else 40
        if not size or len(packet) - head <= size:
            return [packet]
        made = []
        for at in range(head, len(packet), size):
            piece, more = packet[at : at + size], at + size < len(packet)
            offset = at - head
            if version == 4:
                ip = bytearray(packet[:20])
                struct.pack_into("!HHH", ip, 2, 20 + len(piece), 77, offset >> 3 | more << 13)
                ip[10:12] = b"\0\0"
                struct.pack_into("!H", ip, 10, 0xFFFF - int.from_bytes(ip, "big") % 0xFFFF)
            else:
                ip = bytearray(packet[:40])
                struct.pack_into("!HB", ip, 4, 8 + len(piece), 44)
                ip += struct.pack("!BBHI", 6, 0, offset | more, 77)
            made.append(bytes(ip) + piece)
        return made[::-1]  # the last one first

    def receive(self, until_s: float, stop_at_handshake: bool = False) -> None:
        while time.monotonic() < until_s and not self.reset:
            try:
                frame = self._link.recv(65536)
                segment = parse(frame[14:], False)
            except (TimeoutError, Malformed):
                continue
            if (segment.source_port, segment.target_port) != (self._port, self._own_port):
                continue
            self.macs.add(frame[:6].hex(":"))
            if segment.flags & RST:
                self.reset = True
            elif segment.flags & SYN:
                self.first = self._ack = (segment.seq + 1) & 0xFFFFFFFF
                if stop_at_handshake:
                    return
            elif segment.payload:
                self.stream[(segment.seq - self.first) & 0xFFFFFFFF] = segment.payload
                self._ack = (segment.seq + len(segment.payload)) & 0xFFFFFFFF


def main() -> None:
    given = json.loads(sys.argv[1])
    client = Client(given)
    client.send(ISN, SYN)
    client.receive(time.monotonic() + 3, stop_at_handshake=True)
    client.send(ISN + 1, ACK)
    for offset, payload in given["segments"]:
        client.send((ISN + 1 + offset) & 0xFFFFFFFF, ACK | PSH, bytes.fromhex(payload))
        time.sleep(0.01)
    client.receive(time.monotonic() + PATIENCE_S)
    received = b"".join(client.stream[at] for at in sorted(client.stream)).decode("latin-1")
    print(json.dumps({"received": received, "reset": client.reset, "macs": sorted(client.macs)}))
    end = max((offset + len(payload) // 2 for offset, payload in given["segments"]), default=0)
    client.send((ISN + 1 + end) & 0xFFFFFFFF, RST | ACK)


if __name__ == "__main__":
    main()
