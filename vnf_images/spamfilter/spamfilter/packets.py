"""IP packets that carry TCP, as far as the relay has to read them; pure.

In: the bytes of an Ethernet frame's payload. Out: what kind of TCP packet it is and of which connection, or None for all else;
and segments made from a packet. Must agree with the bridge's filter (`kernel.RULES`) on what is TCP: what that one drops is passed on by
nobody else.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

TCP = 6
IPV4, IPV6 = 0x0800, 0x86DD
SYN, RST, ACK = 0x02, 0x04, 0x10
NO_PORTS = (0, 0)
PASSED_IN_FRAGMENTS = frozenset({17, 58, 50, 47, 132})  # of IPv6: UDP, ICMPv6, ESP, GRE, SCTP
_FRAGMENT_HEADER = 44
_EXTENSION_HEADERS = frozenset({0, 43, 60, 135, 139, 140})  # length in units of 8 bytes, without the first
_AUTHENTICATION_HEADER = 51  # length in units of 4 bytes, without the first two
_MOST_EXTENSION_HEADERS = 16


@dataclass(frozen=True, slots=True)
class Segment:
    """A TCP segment in one IP packet. `start` is the TCP header's offset; `flags` are 0 where the header is cut off."""

    source: bytes
    source_port: int
    destination: bytes
    destination_port: int
    flags: int
    start: int


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of an IP packet. `ports` are the first fragment's source and destination port, None in the others.

    A first fragment that is too short to have ports has `NO_PORTS` (RFC 7112 and RFC 1858 say why such are dropped).
    """

    source: bytes
    destination: bytes
    identification: int
    ports: tuple[int, int] | None
    last: bool


def parse(ether_type: int, packet: bytes | memoryview) -> Segment | Fragment | None:
    """What the packet is: a segment, a fragment of what is or may be TCP, or None: something that the bridge passes on."""
    if ether_type == IPV4:
        return _parse_ipv4(bytes(packet[:128]), len(packet))
    if ether_type == IPV6:
        return _parse_ipv6(bytes(packet[:1280]))
    return None


def _parse_ipv4(head: bytes, length: int) -> Segment | Fragment | None:
    if len(head) < 20 or head[0] >> 4 != 4 or head[9] != TCP:
        return None
    start = 4 * (head[0] & 15)
    if start < 20 or length < start:
        return None
    identification, fragment = struct.unpack_from("!HH", head, 4)
    source, destination = head[12:16], head[16:20]
    if fragment & 0x3FFF:
        first = not fragment & 0x1FFF
        return Fragment(
            source, destination, identification, _ports(head, start) if first else None, not fragment & 0x2000
        )
    return _segment(head, start, source, destination)


def _parse_ipv6(head: bytes) -> Segment | Fragment | None:
    if len(head) < 40 or head[0] >> 4 != 6:
        return None
    source, destination = head[8:24], head[24:40]
    protocol, start = head[6], 40
    fragment: tuple[int, bool, bool] | None = None  # identification, first, last
    for _ in range(_MOST_EXTENSION_HEADERS):
        if protocol in _EXTENSION_HEADERS or protocol in (_FRAGMENT_HEADER, _AUTHENTICATION_HEADER):
            if len(head) < start + 8:
                break
            if protocol == _FRAGMENT_HEADER:
                offset, identification = struct.unpack_from("!HI", head, start + 2)
                fragment = (identification, not offset & 0xFFF8, not offset & 1)
                size = 8
            elif protocol == _AUTHENTICATION_HEADER:
                size = 4 * (head[start + 1] + 2)
            else:
                size = 8 * (head[start + 1] + 1)
            protocol, start = head[start], start + size
            if fragment is not None and not fragment[1]:
                break
        else:
            break
    if fragment is not None:
        identification, first, last = fragment
        if protocol in PASSED_IN_FRAGMENTS:
            return None
        ports = _ports(head, start) if protocol == TCP else NO_PORTS
        return Fragment(source, destination, identification, ports if first else None, last)
    return _segment(head, start, source, destination) if protocol == TCP else None


def _ports(head: bytes, start: int) -> tuple[int, int]:
    return struct.unpack_from("!HH", head, start) if len(head) >= start + 4 else NO_PORTS  # type: ignore[return-value]


def _segment(head: bytes, start: int, source: bytes, destination: bytes) -> Segment | None:
    if len(head) < start + 4:
        return None
    source_port, destination_port = _ports(head, start)
    flags = head[start + 13] if len(head) >= start + 14 else 0
    return Segment(source, source_port, destination, destination_port, flags, start)


def keep_alive(segment: Segment, packet: bytes) -> bytes | None:
    """An empty segment that goes where this one was going, and is answered there whatever is expected (RFC 9293, 3.8.4).

    None where it would have to be one without ACK, where the segment is a reset, and for half a header.
    """
    if segment.flags & (RST | ACK) != ACK or len(packet) < segment.start + 20:
        return None
    sequence, acknowledged = struct.unpack_from("!II", packet, segment.start + 4)
    ports = (segment.source_port, segment.destination_port)
    numbers = ((sequence - 1) & 0xFFFFFFFF, acknowledged, ACK)
    return _tcp_packet(segment.source, segment.destination, ports, numbers)


def reset_back(segment: Segment, packet: bytes) -> bytes | None:
    """The reset that answers a segment of a connection that nobody knows (RFC 9293, 3.10.7.1); None where `keep_alive` is."""
    if segment.flags & (RST | ACK) != ACK or len(packet) < segment.start + 20:
        return None
    (acknowledged,) = struct.unpack_from("!I", packet, segment.start + 8)
    ports = (segment.destination_port, segment.source_port)
    return _tcp_packet(segment.destination, segment.source, ports, (acknowledged, 0, RST))


def refusal(segment: Segment, packet: bytes) -> bytes | None:
    """The reset that answers a SYN where nobody listens (RFC 9293, 3.10.7.1); None for half a header."""
    if len(packet) < segment.start + 20:
        return None
    (sequence,) = struct.unpack_from("!I", packet, segment.start + 4)
    ports = (segment.destination_port, segment.source_port)
    numbers = (0, (sequence + 1) & 0xFFFFFFFF, RST | ACK)
    return _tcp_packet(segment.destination, segment.source, ports, numbers)


def _tcp_packet(source: bytes, destination: bytes, ports: tuple[int, int], numbers: tuple[int, int, int]) -> bytes:
    """A TCP segment without data in an IP packet; `numbers` are sequence, acknowledgement and flags."""
    sequence, acknowledged, flags = numbers
    tcp = struct.pack("!HHIIBBHHH", *ports, sequence, acknowledged, 5 << 4, flags, 0, 0, 0)
    pseudo = source + destination + struct.pack("!IHBB", len(tcp), 0, 0, TCP)
    tcp = tcp[:16] + struct.pack("!H", checksum(pseudo + tcp)) + tcp[18:]
    if len(source) == 16:
        return struct.pack("!IHBB", 6 << 28, len(tcp), TCP, 64) + source + destination + tcp
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(tcp), 0, 0x4000, 64, TCP, 0) + source + destination
    return ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:] + tcp


def checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) & ~1])) + (data[-1] << 8 if len(data) & 1 else 0)
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF
