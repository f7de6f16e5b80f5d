"""A switch that speaks OpenFlow 1.3 over a socket and forwards nothing: a packet-in generator and a sink for entries.

In: a controller's address. Out: rates of packet-outs a second, and the entries that the controller wrote. It talks to
loopback only, keeps no more messages under way than it is told to, and stops by itself.
"""

import socket
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

HEADER = struct.Struct("!BBHI")
HELLO, ECHO_REQUEST, ECHO_REPLY, FEATURES_REQUEST, FEATURES_REPLY = 0, 2, 3, 5, 6
GET_CONFIG_REQUEST, GET_CONFIG_REPLY, PACKET_IN, PACKET_OUT, FLOW_MOD = 7, 8, 10, 13, 14
GROUP_MOD, MULTIPART_REQUEST, MULTIPART_REPLY, BARRIER_REQUEST, BARRIER_REPLY, METER_MOD = 15, 18, 19, 20, 21, 29
PORT_DESC = 13
NO_BUFFER = 0xFFFFFFFF


def message(kind: int, xid: int, body: bytes = b"") -> bytes:
    """An OpenFlow 1.3 message."""
    return HEADER.pack(4, kind, 8 + len(body), xid) + body


def port_desc(number: int, name: str) -> bytes:
    """One port, up."""
    mac = (0x020000000000 + number).to_bytes(6, "big")
    return struct.pack("!I4x6s2x16sIIIIIIII", number, mac, name.encode(), 0, 0, 0, 0, 0, 0, 0, 0)


def packet_in(frame: bytes, in_port: int, cookie: int, table: int, xid: int = 0) -> bytes:
    """A packet-in for a frame, reason "action"."""
    match = struct.pack("!HH", 1, 12) + struct.pack("!II", 0x80000004, in_port) + bytes(4)
    body = struct.pack("!IHBBQ", NO_BUFFER, len(frame), 1, table, cookie) + match + bytes(2) + frame
    return message(PACKET_IN, xid, body)


@dataclass
class FakeSwitch:
    """One connection to a controller; a thread answers its requests."""

    dpid: int
    ports: list[tuple[int, str]]
    host: str = "127.0.0.1"
    port: int = 6653
    flows: list[bytes] = field(default_factory=list)
    packet_outs: int = 0
    entries: int = 0
    on_packet_out: Callable[[bytes], None] | None = None

    def connect(self, timeout_s: float = 10.0) -> None:
        """Connect and start to answer."""
        assert self.host in ("127.0.0.1", "::1", "localhost"), "loopback only"
        self.socket = socket.create_connection((self.host, self.port), timeout_s)
        self.socket.settimeout(None)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._lock = threading.Lock()
        self.changed = threading.Condition()
        self.send(message(HELLO, 1))
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the connection."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self._thread.join(2.0)

    def send(self, data: bytes) -> None:
        """Send whole messages."""
        with self._lock:
            self.socket.sendall(data)

    def _answer(self) -> None:
        buffer = bytearray()
        try:
            while part := self.socket.recv(1 << 18):
                buffer += part
                offset = 0
                while len(buffer) - offset >= 8:
                    _, kind, length, xid = HEADER.unpack_from(buffer, offset)
                    if len(buffer) - offset < length:
                        break
                    self._handle(kind, xid, bytes(buffer[offset : offset + length]))
                    offset += length
                del buffer[:offset]
                with self.changed:
                    self.changed.notify_all()
        except OSError:
            return

    def _handle(self, kind: int, xid: int, whole: bytes) -> None:
        if kind == PACKET_OUT:
            self.packet_outs += 1
            if self.on_packet_out is not None:
                self.on_packet_out(whole)
        elif kind in (FLOW_MOD, GROUP_MOD, METER_MOD):
            self.entries += 1
            if kind == FLOW_MOD:
                self.flows.append(whole)
        elif kind == ECHO_REQUEST:
            self.send(message(ECHO_REPLY, xid, whole[8:]))
        elif kind == FEATURES_REQUEST:
            self.send(message(FEATURES_REPLY, xid, struct.pack("!QIBB2xII", self.dpid, 0, 254, 0, 0x4F, 0)))
        elif kind == GET_CONFIG_REQUEST:
            self.send(message(GET_CONFIG_REPLY, xid, struct.pack("!HH", 0, 0xFFFF)))
        elif kind == BARRIER_REQUEST:
            self.send(message(BARRIER_REPLY, xid))
        elif kind == MULTIPART_REQUEST:
            (asked,) = struct.unpack_from("!H", whole, 8)
            body = b"".join(port_desc(*each) for each in self.ports) if asked == PORT_DESC else b""
            self.send(message(MULTIPART_REPLY, xid, struct.pack("!HH4x", asked, 0) + body))

    def cookies(self) -> set[int]:
        """The cookies of all flow entries written so far."""
        return {struct.unpack_from("!Q", flow, 8)[0] for flow in self.flows}

    def flood(self, make: Callable[[int], bytes], seconds: float, under_way: int = 64) -> tuple[float, list[float]]:
        """Keep `under_way` packet-ins unanswered for some seconds.

        Gives answers a second, and a sample of answer times in ms (one a window). Stops when nothing is answered for 2 s.
        """
        sent = answered = 0
        base, began, waits = self.packet_outs, time.monotonic(), []
        while time.monotonic() - began < seconds:
            batch = under_way - (sent - answered)
            asked = time.monotonic()
            if batch > 0:
                self.send(b"".join(make(sent + n) for n in range(batch)))
                sent += batch
            with self.changed:
                if not self.changed.wait_for(lambda before=base + answered: self.packet_outs > before, 2.0):
                    break
            answered = self.packet_outs - base
            waits.append((time.monotonic() - asked) * 1e3)
        return answered / (time.monotonic() - began), waits


def tcp_syn(number: int, destination: str, source_net: str = "10.2") -> bytes:
    """The first frame of TCP connection `number`: sources differ in address and port, checksums are not filled in."""
    source = socket.inet_aton(f"{source_net}.0.1")
    port = 1024 + number % 60000
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, number & 0xFFFF, 0, 64, 6, 0, source, socket.inet_aton(destination))
    tcp = struct.pack("!HHIIBBHHH", port, 80, number & 0xFFFFFFFF, 0, 0x50, 2, 65535, 0, 0)
    return bytes.fromhex("025fc0000001020000000201") + b"\x08\x00" + ip + tcp
