"""Packets: what they are, where fragments go, which MAC addresses frames bear, and what the socket filter lets in."""

from __future__ import annotations

import struct
from dataclasses import replace
from ipaddress import ip_address

import pytest
from spamfilter.flows import Flows, key_to_client, key_to_server
from spamfilter.fragments import MOST_KEPT, MOST_PACKETS, Fragments, Way
from spamfilter.kernel import packet_filter
from spamfilter.packets import (
    ACK,
    IPV4,
    IPV6,
    NO_PORTS,
    RST,
    SYN,
    Fragment,
    Segment,
    checksum,
    keep_alive,
    parse,
    refusal,
    reset_back,
)
from spamfilter.relay import HEADER, Relay, _Port

A4, B4 = ip_address("10.0.0.1").packed, ip_address("10.0.0.2").packed
A6, B6 = ip_address("fd00::1").packed, ip_address("fd00::2").packed


def tcp(source: int, destination: int, flags: int = SYN) -> bytes:
    return struct.pack("!HHIIBBHHH", source, destination, 100, 200, 5 << 4, flags, 0, 0, 0)


def ipv4(payload: bytes, fragment: int = 0, protocol: int = 6, options: bytes = b"") -> bytes:
    length = 5 + len(options) // 4
    head = struct.pack("!BBHHHBBH", 0x40 | length, 0, 4 * length + len(payload), 7, fragment, 64, protocol, 0)
    return head + A4 + B4 + options + payload


def ipv6(payload: bytes, header: int = 6) -> bytes:
    return struct.pack("!IHBB", 6 << 28, len(payload), header, 64) + A6 + B6 + payload


def fragment6(payload: bytes, offset: int, more: bool, inner: int = 6) -> bytes:
    return ipv6(struct.pack("!BBHI", inner, 0, offset | more, 9) + payload, 44)


def test_segments_are_found_behind_options_and_extension_headers() -> None:
    assert parse(IPV4, ipv4(tcp(9, 25))) == Segment(A4, 9, B4, 25, SYN, 20)
    assert parse(IPV4, ipv4(tcp(9, 25), options=b"\1" * 8)) == Segment(A4, 9, B4, 25, SYN, 28)
    assert parse(IPV6, ipv6(tcp(9, 25))) == Segment(A6, 9, B6, 25, SYN, 40)
    assert parse(IPV6, ipv6(bytes([60, 0, *[0] * 6, 6, 1, *[0] * 14]) + tcp(9, 25), 0)) == Segment(
        A6, 9, B6, 25, SYN, 64
    )
    for ether_type, packet in (
        (IPV4, ipv4(tcp(9, 25), protocol=17)),
        (IPV6, ipv6(tcp(9, 25), 17)),
        (0x0806, b"x" * 40),
    ):
        assert parse(ether_type, packet) is None
    for cut in range(20):
        parse(IPV4, ipv4(tcp(9, 25))[:cut])
        parse(IPV6, ipv6(b"", 0)[: 2 * cut])


def test_first_fragments_have_ports_or_are_known_to_lack_them() -> None:
    assert parse(IPV4, ipv4(tcp(9, 25), 0x2000)) == Fragment(A4, B4, 7, (9, 25), False)
    assert parse(IPV4, ipv4(b"data", 3)) == Fragment(A4, B4, 7, None, True)
    assert parse(IPV6, fragment6(tcp(9, 25), 0, True)) == Fragment(A6, B6, 9, (9, 25), False)
    assert parse(IPV6, fragment6(b"data", 8, False)) == Fragment(A6, B6, 9, None, True)
    assert parse(IPV6, fragment6(b"data", 0, False, inner=17)) is None
    hidden = parse(IPV6, fragment6(bytes([6, 0, *[0] * 6]), 0, True, inner=60))  # the TCP header is in the next one
    assert isinstance(hidden, Fragment) and hidden.ports == NO_PORTS


def test_fragments_go_where_their_first_goes() -> None:
    fragments = Fragments(lambda source, destination: destination == 25)
    first, other, later = (Fragment(A4, B4, 1, ports, False) for ports in ((9, 25), (9, 80), None))
    assert fragments.take(later, b"2", 0) == (Way.KEPT, [])
    assert fragments.take(first, b"1", 0) == (Way.OURS, [b"2"])
    assert fragments.take(later, b"3", 0) == (Way.OURS, [])
    assert fragments.take(other, b"x", 0) == (Way.DROPPED, [])  # a first fragment that says otherwise
    assert fragments.take(other, b"1", 31) == (Way.ACROSS, [])
    assert fragments.take(Fragment(A4, B4, 2, NO_PORTS, False), b"1", 31) == (Way.DROPPED, [])
    lonely = Fragment(A4, B4, 3, None, False)
    ways = [fragments.take(lonely, b"", 31)[0] for _ in range(MOST_KEPT + 1)]
    assert ways == [Way.KEPT] * MOST_KEPT + [Way.DROPPED]
    for number in range(2 * MOST_PACKETS):
        fragments.take(Fragment(A4, B4, 100 + number, None, False), b"", 31)
    assert fragments.take(Fragment(A4, B4, 3, None, False), b"", 31) == (Way.KEPT, [])  # the oldest was forgotten


def test_frames_bear_what_their_connection_bore_in_that_direction() -> None:
    flows = Flows(most=2)
    there = [Segment(A4, port, B4, 25, 0, 20) for port in (1, 2, 3)]
    back = [Segment(B4, 25, A4, port, 0, 20) for port in (1, 2, 3)]
    for number, (to_server, to_client) in enumerate(zip(there[:2], back[:2], strict=True)):
        assert key_to_server(to_server) == key_to_client(to_client)
        flow = flows.begin(key_to_server(to_server))
        assert flows.header(to_client) is None
        flow.to_server, flow.to_client = b"to server %d" % number, b"to client %d" % number
    assert [flows.header(segment) for segment in there] == [(True, b"to server 0"), (True, b"to server 1"), None]
    assert [flows.header(segment) for segment in back] == [(False, b"to client 0"), (False, b"to client 1"), None]
    flows.begin(key_to_server(there[2]))
    assert len(flows) == 2 and flows.header(there[0]) is None


@pytest.mark.parametrize("packet", [ipv4(tcp(9, 25)), ipv6(tcp(9, 25))])
def test_segments_of_its_own_are_valid(packet: bytes) -> None:
    ether_type = IPV4 if packet[0] >> 4 == 4 else IPV6
    segment = parse(ether_type, packet)
    assert isinstance(segment, Segment)
    acknowledging = packet[: segment.start + 13] + bytes([ACK]) + packet[segment.start + 14 :]
    for made, ends, numbers, flags in (
        (refusal(segment, packet), (25, 9), (0, 101), RST | ACK),
        (keep_alive(replace(segment, flags=ACK), acknowledging + b"data"), (9, 25), (99, 200), ACK),
        (reset_back(replace(segment, flags=ACK), acknowledging + b"data"), (25, 9), (200, 0), RST),
    ):
        assert made is not None
        found = parse(ether_type, made)
        assert isinstance(found, Segment)
        assert (found.source_port, found.destination_port) == ends and found.flags == flags
        body = made[found.start :]
        assert len(body) == 20
        assert struct.unpack_from("!II", body, 4) == numbers
        assert checksum(found.source + found.destination + struct.pack("!IHBB", len(body), 0, 0, 6) + body) == 0
        assert ether_type == IPV6 or checksum(made[:20]) == 0
    for flags in (RST | ACK, RST, SYN, 0):
        assert (
            keep_alive(replace(segment, flags=flags), packet)
            is None
            is reset_back(replace(segment, flags=flags), packet)
        )
    cut = (replace(segment, flags=ACK), packet[:-1])
    assert keep_alive(*cut) is None is reset_back(*cut)


class Ends(Relay):
    """A relay whose frames are kept instead of sent."""

    def __init__(self) -> None:
        super().__init__(tun=-1, tcp_ports=(25,), asked=lambda key: False)
        self.sent: list[tuple[str, bytes, int, tuple[int, int]]] = []

    def _send(self, name: str, frame: bytes) -> None:
        found = parse(IPV4, frame[14:])
        assert isinstance(found, Segment)
        self.sent.append((name, frame[:12], found.flags, struct.unpack_from("!II", frame, 14 + found.start + 4)))

    def came(self, name: str, flags: int) -> list[tuple[str, bytes, int, tuple[int, int]]]:
        """What is sent when an end sent a segment with numbers 100, 200."""
        self.sent.clear()
        packet = ipv4(tcp(9, 25, flags))
        if name == "out0":
            packet = packet[:12] + B4 + A4 + tcp(25, 9, flags)
        port = _Port(name, 1, None, Fragments(self._ours_at(name)))  # type: ignore[arg-type]
        self._take(port, bytes(HEADER) + name.encode().ljust(12) + b"\x08\0" + packet)
        return list(self.sent)


IN, OUT = b"in0".ljust(12), b"out0".ljust(12)  # for the addresses of frames that came there


def test_unknown_connections_end_at_both_ends() -> None:
    ends = Ends()
    asked = [("out0", IN, ACK, (99, 200))]
    assert ends.came("in0", ACK) == ends.came("in0", ACK) == asked
    assert ends.came("out0", ACK) == [("in0", OUT, RST, (200, 0)), ("out0", IN, RST, (200, 0))]
    assert ends.came("in0", ACK) == [("in0", OUT, RST, (200, 0))]
    assert ends.came("out0", RST) == ends.came("in0", RST | ACK) == []
    assert len(ends.flows) == 0 and len(ends.strays) == 1


def test_an_end_that_forgot_an_unknown_connection_ends_the_other() -> None:
    ends = Ends()
    assert ends.came("in0", RST) == []  # and nobody is asked: two such ends would ask each other for ever
    assert ends.came("out0", ACK) == [("out0", IN, RST, (200, 0))]
    ends = Ends()
    assert ends.came("out0", ACK) == [("in0", OUT, ACK, (99, 200))]
    assert ends.came("in0", RST) == [("out0", IN, RST, (200, 0))]


@pytest.mark.parametrize(
    ("packet", "wanted"),
    [
        (ipv4(tcp(9, 25)), True),
        (ipv4(tcp(9, 587), options=b"\1" * 4), True),
        (ipv4(tcp(25, 80)), False),
        (ipv4(tcp(9, 80), fragment=1), True),
        (ipv4(tcp(9, 25), protocol=17), False),
        (ipv6(tcp(9, 25)), True),
        (ipv6(tcp(9, 587)), True),
        (ipv6(tcp(9, 80)), False),
        (ipv6(tcp(9, 25), 58), False),
        *((ipv6(tcp(9, 80), header), True) for header in (0, 43, 44, 51, 60, 135, 139, 140)),
    ],
)
def test_the_socket_filter_lets_in_what_the_bridge_does_not_pass(packet: bytes, wanted: bool) -> None:
    ether_type = IPV4 if packet[0] >> 4 == 4 else IPV6
    frame = bytes(12) + struct.pack("!H", ether_type) + packet
    assert bool(interpreted(packet_filter((25, 587), 2), frame)) is wanted
    assert not interpreted(packet_filter((25, 587), 2), frame, had_vlan_tag=True)


def interpreted(program: list[tuple[int, int, int, int]], frame: bytes, had_vlan_tag: bool = False) -> int:
    """What the kernel would return for the frame."""
    accumulator = index = at = 0
    while True:
        code, true, false, value = program[at]
        at += 1
        if (code, value) == (0x20, 0xFFFFF030):
            accumulator = had_vlan_tag
        elif code == 0x28:
            (accumulator,) = struct.unpack_from("!H", frame, value)
        elif code == 0x30:
            accumulator = frame[value]
        elif code == 0x48:
            (accumulator,) = struct.unpack_from("!H", frame, index + value)
        elif code == 0xB1:
            index = 4 * (frame[value] & 15)
        elif code == 0x06:
            return value
        else:
            taken = code == 0x05 or (accumulator == value if code == 0x15 else bool(accumulator & value))
            at += value if code == 0x05 else (true if taken else false)
