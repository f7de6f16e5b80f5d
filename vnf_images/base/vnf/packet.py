"""IP packets that carry TCP: reading them strictly, and making new ones.

In: whole IPv4 or IPv6 packets. Out: segments, and packets. Pure. A packet that a receiver might read otherwise than it is read
here is refused: wrong lengths, fragments, wrong checksums.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

FIN, SYN, RST, PSH, ACK, URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
TCP = 6
_FRAGMENT = 44
_AUTHENTICATION = 51
_EXTENSIONS = frozenset((0, 43, 60, _FRAGMENT, _AUTHENTICATION))
_MORE_OR_OFFSET = 0x3FFF  # of IPv4's flags and fragment offset: all but the reserved bit and DF
_PORTS_TO_URGENT = struct.Struct("!HHIIBBHHH")
_HEAD_LIMIT = 16  # extension headers that are walked


class Malformed(ValueError):
    """A packet that is refused; the message is one of few words, fit for a metric's label."""


class Segment(NamedTuple):
    """A TCP segment with its addresses (4 or 16 bytes each)."""

    source: bytes
    source_port: int
    target: bytes
    target_port: int
    seq: int
    ack: int
    flags: int
    payload: bytes


def parse(packet: bytes, verify_checksum: bool = True) -> Segment:
    """The segment in an IP packet. Raises Malformed."""
    if len(packet) < 20:
        raise Malformed("short")
    version = packet[0] >> 4
    if version == 4:
        source, target, start, end = _parse_v4(packet)
    elif version == 6:
        source, target, start, end = _parse_v6(packet)
    else:
        raise Malformed("version")
    if end - start < 20:
        raise Malformed("short")
    source_port, target_port, seq, ack, offset, flags, _, _, _ = _PORTS_TO_URGENT.unpack_from(packet, start)
    head = offset >> 4 << 2
    if head < 20 or start + head > end:
        raise Malformed("tcp-header")
    if verify_checksum and (_sum(source + target) + TCP + end - start + _sum(packet[start:end])) % 0xFFFF:
        raise Malformed("checksum")
    return Segment(source, source_port, target, target_port, seq, ack, flags, packet[start + head : end])


def build(segment: Segment, window: int = 0) -> bytes:
    """An IP packet of a segment, with checksums."""
    length = 20 + len(segment.payload)
    ports = (segment.source_port, segment.target_port, segment.seq & 0xFFFFFFFF, segment.ack & 0xFFFFFFFF)
    tcp = bytearray(_PORTS_TO_URGENT.pack(*ports, 0x50, segment.flags, window, 0, 0) + segment.payload)
    total = _sum(segment.source + segment.target) + TCP + length + _sum(bytes(tcp))
    struct.pack_into("!H", tcp, 16, 0xFFFF - total % 0xFFFF)
    if len(segment.source) == 16:
        return struct.pack("!IHBB", 0x60000000, length, TCP, 64) + segment.source + segment.target + tcp
    addresses = segment.source + segment.target
    head = bytearray(struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 0, 0x4000, 64, TCP, 0) + addresses)
    struct.pack_into("!H", head, 10, 0xFFFF - _sum(bytes(head)) % 0xFFFF)
    return bytes(head + tcp)


def _parse_v4(packet: bytes) -> tuple[bytes, bytes, int, int]:
    head = (packet[0] & 0xF) << 2
    end = packet[2] << 8 | packet[3]
    if head < 20 or not head <= end <= len(packet):
        raise Malformed("ip-header")
    if (packet[6] << 8 | packet[7]) & _MORE_OR_OFFSET:
        raise Malformed("fragment")
    if packet[9] != TCP:
        raise Malformed("protocol")
    return packet[12:16], packet[16:20], head, end


def _parse_v6(packet: bytes) -> tuple[bytes, bytes, int, int]:
    if len(packet) < 40:
        raise Malformed("short")
    end = 40 + (packet[4] << 8 | packet[5])
    if end > len(packet):
        raise Malformed("ip-header")
    following, start = packet[6], 40
    for _ in range(_HEAD_LIMIT):
        if following not in _EXTENSIONS:
            break
        if start + 8 > end:
            raise Malformed("ip-header")
        if following == _FRAGMENT:
            if (packet[start + 2] << 8 | packet[start + 3]) & 0xFFF9:
                raise Malformed("fragment")
            size = 8
        elif following == _AUTHENTICATION:
            size = (packet[start + 1] + 2) << 2
        else:
            size = (packet[start + 1] + 1) << 3
        following, start = packet[start], start + size
    if following != TCP:
        raise Malformed("protocol")
    return packet[8:24], packet[24:40], start, end


def _sum(data: bytes) -> int:
    """The sum of 16-bit words, modulo 2^16 - 1: what one's complement addition gives (RFC 1071)."""
    return int.from_bytes(data if len(data) % 2 == 0 else data + b"\0", "big") % 0xFFFF
