"""Frames and packets as bytes, for tests that send what no stack would. In: addresses, ports. Out: bytes with right checksums."""

from __future__ import annotations

import socket
import struct

SYN, ACK = 0x02, 0x10


def mac(text: str) -> bytes:
    return bytes.fromhex(text.replace(":", ""))


def frame(destination: str, source: str, packet: bytes) -> bytes:
    return mac(destination) + mac(source) + b"\x08\x00" + packet


def checksum(data: bytes) -> int:
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def ip(source: bytes, destination: bytes, payload: bytes, number: int = 1, position: int = 0) -> bytes:
    """An IPv4 packet of TCP; `position` is the header's field of flags and offset."""
    fields = (0x45, 0, 20 + len(payload), number, position, 64, 6)
    header = struct.pack("!BBHHHBBH4s4s", *fields, 0, source, destination)
    return struct.pack("!BBHHHBBH4s4s", *fields, checksum(header), source, destination) + payload


def tcp(source: str, destination: str, source_port: int, port: int, flags: int, data: bytes = b"") -> bytes:
    ends = socket.inet_aton(source), socket.inet_aton(destination)
    segment = struct.pack("!HHIIBBHHH", source_port, port, 1000, 2000, 0x50, flags, 4096, 0, 0) + data
    whole = checksum(ends[0] + ends[1] + struct.pack("!HH", 6, len(segment)) + segment)
    return ip(*ends, segment[:16] + struct.pack("!H", whole) + segment[18:])


def fragment(packet: bytes, number: int, start: int, size: int) -> bytes:
    """Bytes of the packet's payload from `start`, a multiple of 8, as a fragment."""
    payload = packet[20:]
    more = 0x2000 if start + size < len(payload) else 0
    return ip(packet[12:16], packet[16:20], payload[start : start + size], number, more | start // 8)
