"""Packets, key rings and pairs of ends for the tests of the encryption image."""

from __future__ import annotations

import random
import struct

from encryption.esp import Receiver, Sender
from encryption.keys import KeyRing
from encryption.packets import IPV4, IPV6, TCP, UDP, checksum, pseudo_sum
from encryption.tunnel import Tunnel

NOW_S = 1_800_000_000.0
KEYS = {number: bytes((number * 7 + octet) % 256 for octet in range(32)) for number in (1, 2, 3)}
MACS = bytes.fromhex("0a5f00000103" + "020000000001")
BACK = bytes.fromhex("0a5f00000902" + "020000000002")


def ring(sending: int = 1, *others: int) -> KeyRing:
    return KeyRing(sending, {number: KEYS[number] for number in (sending, *others)})


def ends(
    first: KeyRing | None = None, second: KeyRing | None = None, now_s: float = NOW_S, seed: int = 1
) -> tuple[Tunnel, Tunnel]:
    """The client's end and the server's."""
    bits = random.Random(seed).getrandbits
    one, two = first or ring(), second or ring()
    return (
        Tunnel(Sender(one, "to_server", bits, now_s), Receiver(one, "to_client", now_s)),
        Tunnel(Sender(two, "to_client", bits, now_s), Receiver(two, "to_server", now_s)),
    )


def ipv4(payload: bytes, protocol: int = UDP, field: int = 0, back: bool = False, options: bytes = b"") -> bytes:
    """A packet from 10.0.0.1 to 10.0.0.2, or back. `field` holds the fragment flags and offset."""
    ends = (b"\x0a\0\0\2\x0a\0\0\1" if back else b"\x0a\0\0\1\x0a\0\0\2") + options
    octets = 20 + len(options)
    start = struct.pack("!BBHHHBB", 0x40 | octets // 4, 0xB9, octets + len(payload), 7, field, 9, protocol)
    return start + checksum(start + ends).to_bytes(2, "big") + ends + payload


def ipv6(payload: bytes, next_header: int = UDP, back: bool = False) -> bytes:
    ends = (bytes.fromhex("fd" + "00" * 14 + "01"), bytes.fromhex("fd" + "00" * 14 + "02"))
    start = struct.pack("!IHBB", 0x6B912345, len(payload), next_header, 9)
    return start + b"".join(reversed(ends) if back else ends) + payload


def tcp(packet: bytes, flags: int = 0x10, options: bytes = b"", payload: bytes = b"", back: bool = False) -> bytes:
    """A TCP segment with a right checksum, for the addresses of an empty packet."""
    ports = (80, 40000) if back else (40000, 80)
    header = struct.pack("!HHIIBBHHH", *ports, 1000, 2000, (20 + len(options)) // 4 << 4, flags, 65535, 0, 0)
    segment = header + options + payload
    value = checksum(pseudo_sum(packet, TCP, len(segment)) + segment)
    return segment[:16] + value.to_bytes(2, "big") + segment[18:]


def udp(payload: bytes, back: bool = False) -> bytes:
    ports = (53, 40000) if back else (40000, 53)
    return struct.pack("!HHHH", *ports, 8 + len(payload), 0) + payload


def framed(packet: bytes, macs: bytes = MACS) -> bytes:
    return macs + (IPV4 if packet[0] >> 4 == 4 else IPV6) + packet


def sums_right(packet: bytes) -> bool:
    """Whether the IPv4 header's checksum, and TCP's where it is unfragmented TCP, are right."""
    four = packet[0] >> 4 == 4
    at = (packet[0] & 15) * 4 if four else 40
    if four and checksum(packet[:at]) not in (0, 0xFFFF):
        return False
    if packet[9 if four else 6] == TCP and not (four and (packet[6] << 8 | packet[7]) & 0x3FFF):
        return checksum(pseudo_sum(packet, TCP, len(packet) - at) + packet[at:]) in (0, 0xFFFF)
    return True
