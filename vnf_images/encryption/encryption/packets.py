"""IP packets as octets: where they end, headers around them, fragments, segments, checksums, the maximum segment size.

In: octets of one packet. Out: octets. Pure. Nothing here trusts a length that a packet states before it was compared with
what is there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct

IPV4, IPV6 = b"\x08\x00", b"\x86\xdd"
TCP, UDP, ICMP, ICMPV6, ESP = 6, 17, 1, 58, 50
ETHERNET_OCTETS = 14
HOP_LIMIT = 64
DONT_FRAGMENT, MORE_FRAGMENTS = 0x4000, 0x2000
_EXTENSIONS = (0, 43, 60)  # hop-by-hop, routing, destination options; a fragment header ends the search for a transport
_FRAGMENT = 44
_shorts = Struct("!HHH")  # total length, identification, fragment field


class Malformed(ValueError):
    """The octets are no whole IP packet."""


@dataclass(frozen=True, slots=True)
class Transport:
    """Where a packet's transport header begins, and its protocol; `first` is false in all but the first of fragments."""

    protocol: int
    offset: int
    first: bool = True
    fragment: bool = False


def checksum(octets: bytes) -> int:
    """The Internet checksum (RFC 1071): 2^16 is 1 modulo 2^16-1, so the sum of the words is the number's remainder."""
    if len(octets) & 1:
        octets += b"\0"
    return 0xFFFF - int.from_bytes(octets, "big") % 0xFFFF


def packet_of(frame: bytes, ethertype: bytes) -> bytes:
    """The IP packet in an Ethernet frame, without what pads the frame. Raises Malformed."""
    there = len(frame) - ETHERNET_OCTETS
    if ethertype == IPV4:
        if there < 20 or frame[14] >> 4 != 4 or frame[14] & 15 < 5:
            raise Malformed
        stated = frame[16] << 8 | frame[17]
        if not (frame[14] & 15) * 4 <= stated <= there:
            raise Malformed
    else:
        if there < 40 or frame[14] >> 4 != 6:
            raise Malformed
        stated = 40 + (frame[18] << 8 | frame[19])
        if stated > there:
            raise Malformed
    return frame[14 : 14 + stated]


def outer_header(packet: bytes, ethertype: bytes, octets: int) -> bytes:
    """The header of ESP of `octets` that carries `packet`: same addresses, class and flow, so that switches see what they saw.

    Not-ECT whatever the packet says (RFC 6040's compatibility mode): a mark made on the way would be lost with this header.
    """
    if ethertype == IPV4:
        start = (0x4500 | packet[1] & 0xFC).to_bytes(2, "big") + (20 + octets).to_bytes(2, "big")
        start += b"\0\0\x40\0" + bytes((HOP_LIMIT, ESP))
        addresses = packet[12:20]
        return start + checksum(start + addresses).to_bytes(2, "big") + addresses
    first = int.from_bytes(packet[:4], "big") & 0xFFCFFFFF
    return first.to_bytes(4, "big") + octets.to_bytes(2, "big") + bytes((ESP, HOP_LIMIT)) + packet[8:40]


def transport_of(packet: bytes) -> Transport:
    """Where the transport header is; an IPv6 extension header that is not known counts as transport."""
    if packet[0] >> 4 == 4:
        field = packet[6] << 8 | packet[7]
        fragment = bool(field & (MORE_FRAGMENTS | 0x1FFF))
        return Transport(packet[9], (packet[0] & 15) * 4, not field & 0x1FFF, fragment)
    protocol, offset = packet[6], 40
    while protocol in _EXTENSIONS and offset + 8 <= len(packet):
        protocol, offset = packet[offset], offset + 8 + 8 * packet[offset + 1]
    if protocol == _FRAGMENT and offset + 8 <= len(packet):
        field = packet[offset + 2] << 8 | packet[offset + 3]
        return Transport(packet[offset], offset + 8, not field & 0xFFF8, True)
    return Transport(protocol, offset)


def pseudo_sum(packet: bytes, protocol: int, octets: int) -> bytes:
    """The pseudo header that a transport checksum covers."""
    addresses = packet[12:20] if packet[0] >> 4 == 4 else packet[8:40]
    return addresses + octets.to_bytes(4, "big") + bytes((0, 0, 0, protocol))


def with_checksum(packet: bytes) -> bytes:
    """The packet with its TCP or UDP checksum made whole, which a sender had left to its network card."""
    at = transport_of(packet)
    place = at.offset + {TCP: 16, UDP: 6}.get(at.protocol, 0)
    if at.fragment or place == at.offset or place + 2 > len(packet):
        return packet
    segment = packet[at.offset : place] + b"\0\0" + packet[place + 2 :]
    value = checksum(pseudo_sum(packet, at.protocol, len(segment)) + segment)
    if at.protocol == UDP and not value:
        value = 0xFFFF
    return packet[:place] + value.to_bytes(2, "big") + packet[place + 2 :]


def with_mss(packet: bytes, at: Transport, most: int) -> bytes:
    """A SYN that states no more than `most` octets a segment; its checksum follows (RFC 1624), nothing else changes."""
    header = at.offset
    if header + 20 > len(packet):
        return packet
    end = min(header + (packet[header + 12] >> 4) * 4, len(packet))
    option = header + 20
    while option + 1 < end and packet[option]:
        if packet[option] == 1:
            option += 1
            continue
        size = packet[option + 1]
        if size < 2 or option + size > end:
            break
        if packet[option] == 2 and size == 4:
            return _with_value(packet, option + 2, most, header)
        option += size
    return packet


def _with_value(packet: bytes, place: int, most: int, header: int) -> bytes:
    stated = packet[place] << 8 | packet[place + 1]
    if stated <= most:
        return packet
    old, new = stated, most
    if (place - header) & 1:  # an option may begin at any octet: what it adds to the sum is turned round there
        old, new = (value >> 8 | (value & 0xFF) << 8 for value in (old, new))
    summed = packet[header + 16] << 8 | packet[header + 17]
    summed = 0xFFFF - (0xFFFF - summed + 0xFFFF - old + new) % 0xFFFF
    changed = bytearray(packet)
    changed[place : place + 2] = most.to_bytes(2, "big")
    changed[header + 16 : header + 18] = summed.to_bytes(2, "big")
    return bytes(changed)


def fragments(packet: bytes, most: int) -> Iterator[bytes]:
    """An IPv4 packet that may be fragmented, as fragments of at most `most` octets (RFC 791)."""
    octets = (packet[0] & 15) * 4
    _, identification, field = _shorts.unpack_from(packet, 2)
    each = (most - octets) & ~7
    header = packet[:octets]
    for start in range(octets, len(packet), each):
        payload = packet[start : start + each]
        more = MORE_FRAGMENTS if start + each < len(packet) else field & MORE_FRAGMENTS
        new = field & 0xC000 | more | (field & 0x1FFF) + (start - octets) // 8
        yield _with_header_sum(
            header[:2] + _shorts.pack(octets + len(payload), identification, new) + header[8:], payload
        )
        if start == octets:
            header = _later_header(header)


def _later_header(header: bytes) -> bytes:
    """The header of all fragments but the first: options that are not to be copied give way to no-operations."""
    options, at = bytearray(header), 20
    while at < len(options) and options[at]:
        size = 1 if options[at] == 1 else max(2, options[at + 1]) if at + 1 < len(options) else 1
        if not options[at] & 0x80:
            options[at : at + size] = b"\1" * len(options[at : at + size])
        at += size
    return bytes(options)


def segments(packet: bytes, at: Transport, most: int) -> Iterator[bytes]:
    """A TCP packet that a sender had left to its network card to cut, as packets of at most `most` octets."""
    start = at.offset + (packet[at.offset + 12] >> 4) * 4 if at.offset + 20 <= len(packet) else len(packet)
    each = most - start
    if each <= 0 or start >= len(packet):
        raise Malformed
    number = int.from_bytes(packet[at.offset + 4 : at.offset + 8], "big")
    flags = packet[at.offset + 13]
    for count, begin in enumerate(range(start, len(packet), each)):
        payload = packet[begin : begin + each]
        last = begin + each >= len(packet)
        header = bytearray(packet[:start])
        header[at.offset + 4 : at.offset + 8] = (number + begin - start & 0xFFFFFFFF).to_bytes(4, "big")
        header[at.offset + 13] = flags if last else flags & ~0x09  # FIN and PSH belong to the last
        if packet[0] >> 4 == 4:
            header[2:4] = (start + len(payload)).to_bytes(2, "big")
            header[4:6] = ((header[4] << 8 | header[5]) + count & 0xFFFF).to_bytes(2, "big")
            yield with_checksum(_with_header_sum(bytes(header), payload))
        else:
            header[4:6] = (start - 40 + len(payload)).to_bytes(2, "big")
            yield with_checksum(bytes(header) + payload)


def _with_header_sum(header: bytes, payload: bytes) -> bytes:
    """An IPv4 packet, its header checksum set; `header` may be followed by parts of the payload."""
    octets = (header[0] & 15) * 4
    bare = header[:10] + b"\0\0" + header[12:octets]
    return header[:10] + checksum(bare).to_bytes(2, "big") + header[12:] + payload


def too_big(packet: bytes, most: int) -> bytes | None:
    """The ICMP message that tells the sender of `packet` to send at most `most` octets (RFC 792 and 1191, RFC 4443).

    It comes in the name of the packet's destination: a function has no address. None where no message may be sent.
    """
    at = transport_of(packet)
    if packet[0] >> 4 == 4:
        if not at.first or (at.protocol == ICMP and packet[at.offset : at.offset + 1] not in (b"\0", b"\x08")):
            return None
        quoted = packet[:548]  # the whole stays within 576
        body = b"\0\0" + most.to_bytes(2, "big") + quoted
        message = b"\x03\x04" + checksum(b"\x03\x04\0\0" + body).to_bytes(2, "big") + body
        header = b"\x45\xc0" + (20 + len(message)).to_bytes(2, "big") + b"\0\0\0\0" + bytes((HOP_LIMIT, ICMP)) + b"\0\0"
        return _with_header_sum(header + packet[16:20] + packet[12:16], message)
    if packet[24] == 0xFF or (at.protocol == ICMPV6 and packet[at.offset : at.offset + 1] < b"\x80"):
        return None
    body = most.to_bytes(4, "big") + packet[: 1280 - 48]
    header = (
        b"\x60\0\0\0" + (4 + len(body)).to_bytes(2, "big") + bytes((ICMPV6, HOP_LIMIT)) + packet[24:40] + packet[8:24]
    )
    value = checksum(pseudo_sum(header, ICMPV6, 4 + len(body)) + b"\x02\0\0\0" + body)
    return header + b"\x02\0" + value.to_bytes(2, "big") + body
