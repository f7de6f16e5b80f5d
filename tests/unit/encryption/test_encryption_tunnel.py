"""Frames through both ends: bit for bit, the tags of the switches, room, segment sizes, cutting, answers, refusals."""

from __future__ import annotations

import pytest
from encryption import packets, tags, tunnel
from encryption.packets import ESP, ICMP, ICMPV6, IPV4, IPV6, TCP, fragments
from encryption.tunnel import Tunnel, most_inside
from encryption_support import BACK, MACS, ends, framed, ipv4, ipv6, ring, sums_right, tcp, udp
from hypothesis import given
from hypothesis import strategies as st

MSS = b"\x02\x04"


def through(first: Tunnel, second: Tunnel, frame: bytes) -> list[bytes | None]:
    return [second.inward(sealed) for sealed in first.outward(frame)]


@given(st.binary(max_size=1386), st.booleans(), st.booleans(), st.sampled_from([17, 1, 58, 47, 132]))
def test_packets_come_out_bit_for_bit(payload: bytes, six: bool, back: bool, protocol: int) -> None:
    client, server = ends()
    packet = ipv6(payload, protocol) if six else ipv4(payload, protocol, options=b"\x01\x01\x01\x00")
    first, second = (server, client) if back else (client, server)
    (sealed,) = first.outward(framed(packet) + bytes(max(0, 46 - len(packet))))
    assert sealed[:14] == framed(packet)[:14] and sums_right(sealed[14:])
    assert len(sealed) <= 1514 and sealed[14 + (6 if six else 9)] == ESP
    assert len(payload) < 8 or payload not in sealed
    assert second.inward(sealed) == framed(packet)


def test_the_outer_header_has_addresses_class_and_flow_but_no_ecn() -> None:
    client, _ = ends()
    (four,) = client.outward(framed(ipv4(udp(b"x"))))
    (six,) = client.outward(framed(ipv6(udp(b"x"))))
    assert (four[15], four[26:34]) == (0xB8, ipv4(b"")[12:20])
    assert (int.from_bytes(six[14:18], "big"), six[22:54]) == (0x6B812345, ipv6(b"")[8:40])


@pytest.mark.parametrize("mtu", range(1280, 1300))
@pytest.mark.parametrize("ethertype", [IPV4, IPV6])
def test_the_longest_packet_just_fits(mtu: int, ethertype: bytes) -> None:
    client, _ = ends()
    most = most_inside(ethertype, mtu)
    make, header = (ipv4, 20) if ethertype == IPV4 else (ipv6, 40)
    lengths = [len(client.outward(framed(make(bytes(most + more - header))))[0]) - 14 for more in (0, 1)]
    assert lengths[0] <= mtu < lengths[1]


@pytest.mark.parametrize("make", [ipv4, ipv6])
@pytest.mark.parametrize("before", [b"", b"\x01", b"\x01\x01\x01", b"\x03\x03\x07"])
@pytest.mark.parametrize("flags", [0x02, 0x12])
def test_a_syn_is_clamped_and_nothing_else_of_it_changes(make: type, before: bytes, flags: int) -> None:
    options = before + MSS + (1460).to_bytes(2, "big")
    options += b"\x01" * (-len(options) % 4)
    packet = make(tcp(make(b""), flags, options), TCP)
    for sends, receives in (ends(), reversed(ends())):
        (out,) = through(sends, receives, framed(packet))
        assert out is not None and sums_right(out[14:])
        place = len(packet) - len(options) + len(before) + 2
        start = len(packet) - len(options) - 20
        most = int.from_bytes(out[14 + place : 16 + place], "big")
        assert most == (1406 if make is ipv4 else 1366)
        back = bytearray(out[14:])
        back[place : place + 2], back[start + 16 : start + 18] = (
            packet[place : place + 2],
            packet[start + 16 : start + 18],
        )
        assert bytes(back) == packet


def test_a_syn_is_left_alone_where_there_is_room() -> None:
    client, server = ends()
    packet = ipv4(tcp(ipv4(b""), 0x02, MSS + (1460).to_bytes(2, "big")), TCP)
    for end in (client, server):
        end.set_mtus(9000, 9000)
    assert through(client, server, framed(packet)) == [framed(packet)]


@given(st.binary(min_size=20, max_size=60), st.booleans())
def test_hostile_options_harm_nothing(options: bytes, six: bool) -> None:
    client, server = ends()
    segment = bytes(12) + b"\xf0\x02" + bytes(6) + options
    packet = ipv6(segment, TCP) if six else ipv4(segment, TCP)
    (out,) = through(client, server, framed(packet))
    assert out is not None and len(out) == len(framed(packet))


def reassembled(parts: list[bytes]) -> bytes:
    parts = sorted(parts, key=lambda part: int.from_bytes(part[6:8], "big") & 0x1FFF)
    payload = b""
    for part in parts:
        assert sums_right(part) and (int.from_bytes(part[6:8], "big") & 0x1FFF) * 8 == len(payload)
        payload += part[(part[0] & 15) * 4 :]
    assert [bool(part[6] & 0x20) for part in parts] == [True] * (len(parts) - 1) + [False]
    return payload


@given(st.integers(1427, 1480), st.binary(min_size=4, max_size=4).map(lambda o: b"\x94\x04" + o[:2]))
def test_a_packet_that_may_be_cut_is_cut_before_it_is_sealed(octets: int, options: bytes) -> None:
    client, server = ends()
    payload = bytes(number % 251 for number in range(octets - len(options)))
    out = through(client, server, framed(ipv4(payload, options=options)))
    assert len(out) == 2 and all(frame is not None and len(frame) <= 1460 for frame in out)
    assert reassembled([frame[14:] for frame in out if frame]) == payload


@given(st.binary(min_size=100, max_size=4000), st.integers(68, 600))
def test_fragments_of_fragments_add_up(payload: bytes, most: int) -> None:
    whole = ipv4(payload, options=b"\x07\x03\x04\x00")
    parts = [
        part for once in fragments(whole, 1500) for part in (fragments(once, most) if len(once) > most else [once])
    ]
    assert reassembled(parts) == payload
    assert all(len(part) <= max(most, 68) for part in parts)


@pytest.mark.parametrize(("make", "icmp", "most"), [(ipv4, ICMP, 1446), (ipv6, ICMPV6, 1426)])
def test_the_sender_of_a_packet_without_room_is_told(make: type, icmp: int, most: int) -> None:
    client, server = ends()
    packet = make(udp(bytes(1440)), 17, 0x4000) if make is ipv4 else make(udp(bytes(1440)))
    assert client.outward(framed(packet)) == () and not client.answers  # nothing is known yet of where it is
    through(server, client, framed(make(udp(b"hello", back=True), 17, back=True), BACK))
    assert client.outward(framed(packet)) == ()
    (answer,) = client.answers
    assert answer[:12] == BACK and client.drops == {"too_big": 2, "answer_not_sent": 1}
    message = answer[14 + (20 if make is ipv4 else 40) :]
    assert answer[14 + (9 if make is ipv4 else 6)] == icmp
    assert (message[0], int.from_bytes(message[4:8], "big")) == (3 if make is ipv4 else 2, most)
    assert message[8:] == packet[: len(message) - 8] and len(answer) - 14 <= (576 if make is ipv4 else 1280)
    low, middle, high = (12, 16, 20) if make is ipv4 else (8, 24, 40)
    assert answer[14 + low : 14 + high] == packet[middle:high] + packet[low:middle]
    summed = message if make is ipv4 else packets.pseudo_sum(answer[14:], ICMPV6, len(message)) + message
    assert packets.checksum(summed) in (0, 0xFFFF)


def test_an_answer_bears_the_tag_of_its_connection_even_in_mid_stream() -> None:
    client, server = ends()
    big = framed(ipv4(tcp(ipv4(b""), payload=bytes(1440)), TCP, 0x4000))
    assert client.outward(big) == () and not client.answers
    segment = tcp(ipv4(b"", back=True), back=True)
    through(server, client, framed(ipv4(segment, TCP, back=True), BACK))
    assert client.outward(big) == () and client.answers[0][:12] == BACK


def test_answers_are_bounded_and_errors_get_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tags, "MOST_WANTED", 3)
    client, server = ends()
    through(server, client, framed(ipv4(udp(b"hello", back=True), back=True), BACK))
    big = framed(ipv4(udp(bytes(1440)), 17, 0x4000))
    for _ in range(tunnel.ANSWERS_A_SECOND + 5):
        client.outward(big)
    assert len(client.answers) == tunnel.ANSWERS_A_SECOND
    assert packets.too_big(ipv4(b"\x03\x04" + bytes(1440), ICMP, 0x4000), 1400) is None
    assert packets.too_big(ipv6(b"\x02\x00" + bytes(1440), ICMPV6), 1400) is None
    assert packets.too_big(ipv4(bytes(1440), 17, 0x4001), 1400) is None


@pytest.mark.parametrize("make", [ipv4, ipv6])
def test_what_a_network_card_should_have_cut_is_cut(make: type) -> None:
    client, server = ends()
    payload = bytes(number % 253 for number in range(30000))
    whole = make(tcp(make(b""), 0x19, b"\x01\x01\x08\x0a" + bytes(8), payload), TCP)
    out = [frame[14:] for frame in through(client, server, framed(whole)) if frame]
    start = len(whole) - len(payload)
    assert b"".join(part[start:] for part in out) == payload and all(sums_right(part) for part in out)
    numbers = [int.from_bytes(part[start - 28 :][:4], "big") for part in out]
    assert numbers == [1000 + sum(len(part) - start for part in out[:n]) for n in range(len(out))]
    assert [part[start - 32 + 13] for part in out] == [0x10] * (len(out) - 1) + [0x19]


@pytest.mark.parametrize("make", [ipv4, ipv6])
def test_a_checksum_that_was_left_to_the_card_is_made(make: type) -> None:
    client, server = ends()
    right = make(tcp(make(b""), payload=b"hello"), TCP)
    place = len(right) - 5 - 4
    wrong = right[:place] + b"\x12\x34" + right[place + 2 :]
    (sealed,) = client.outward(framed(wrong), True)
    assert server.inward(sealed) == framed(right)


def test_what_is_foreign_or_was_moved_is_refused_with_its_reason() -> None:
    client, server = ends()
    (sealed,) = client.outward(framed(ipv4(udp(b"x"))))
    assert server.inward(sealed[:26] + b"\x0b" + sealed[27:]) is None  # another outer address
    assert server.drops == {"altered": 1}
    for frame, said in [
        (framed(ipv4(udp(b"plain"))), "not_encrypted"),
        (framed(ipv6(udp(b"plain"))), "not_encrypted"),
        (MACS + b"\x08\x06" + bytes(28), "not_ip"),
        (framed(ipv4(bytes(64), ESP, 0x2000)), "fragment"),
        (framed(ipv4(bytes(64), ESP)), "unknown_key"),
        (framed(ipv4(udp(b"x")))[:30], "malformed"),
        (b"", "not_ip"),
    ]:
        server.drops.clear()
        assert server.inward(frame) is None and server.drops == {said: 1}
    assert client.outward(MACS + b"\x08\x06" + bytes(28)) == () and client.drops == {"not_ip": 1}


@given(st.binary(max_size=80), st.sampled_from([IPV4, IPV6]), st.booleans())
def test_no_octets_break_an_end(octets: bytes, ethertype: bytes, unfinished: bool) -> None:
    client, server = ends()
    for frame in (MACS + ethertype + octets, MACS + ethertype + (b"\x45" if ethertype == IPV4 else b"\x60") + octets):
        for sealed in client.outward(frame, unfinished):
            assert server.inward(sealed) is not None
        assert client.inward(frame) is None


def test_foreign_keys_pass_nothing() -> None:
    client, server = ends(ring(1), ring(2))
    assert through(client, server, framed(ipv4(udp(b"x")))) == [None]
    assert server.drops == {"unknown_key": 1}


def test_tags_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tags, "MOST_CONNECTIONS", 2)
    known = tags.Tags()
    for port in range(5):
        packet = ipv4(bytes((0, port, 0, 9)) + bytes(4))
        known.learn(packet, packets.transport_of(packet), framed(packet))
    assert len(known._known) == 2
