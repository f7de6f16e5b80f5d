"""Which packets are timed, and how two sights of one are brought together."""

from __future__ import annotations

import random
import socket
import struct
from collections.abc import Iterator

import pytest
from firewall.sampling import CHOICES, CHOSEN, PATIENCE_NS, SAMPLE, SNAP, WAITING_LIMIT, Pairs
from vnf.packetfilter import attach

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
PLACE = {TCP: 16, UDP: 6, ICMP: 2, ICMPV6: 2}  # of the checksum


def v4(protocol: int, checksum: int, identification: int = 0, fragment: int = 0x4000, options: bytes = b"") -> bytes:
    head = struct.pack("!BBHHHBBH8x", 0x45 + len(options) // 4, 0, 300, identification, fragment, 64, protocol, 0)
    return bytes(12) + b"\x08\x00" + head + options + transport(protocol, checksum)


def v6(protocol: int, checksum: int) -> bytes:
    head = struct.pack("!IHBB32x", 0x60000000, 300, protocol, 64)
    return bytes(12) + b"\x86\xdd" + head + transport(protocol, checksum)


def transport(protocol: int, checksum: int) -> bytes:
    at = PLACE.get(protocol, 2)
    return b"\xaa" * at + checksum.to_bytes(2, "big") + b"\xaa" * (260 - at)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The kernel runs a socket's filter over any datagram."""
    sending, receiving = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    attach(receiving, SAMPLE)
    receiving.setblocking(False)
    with sending, receiving:
        yield sending, receiving


def chosen(ends: tuple[socket.socket, socket.socket], frame: bytes) -> bool:
    ends[0].send(frame)
    try:
        assert ends[1].recv(2000) == frame[:SNAP]
    except BlockingIOError:
        return False
    return True


def test_the_lowest_bits_of_checksum_and_identification_choose(ends: tuple[socket.socket, socket.socket]) -> None:
    for value in range(3 * CHOICES):
        expected = value % CHOICES == CHOSEN
        for protocol in (TCP, UDP, ICMP):
            assert chosen(ends, v4(protocol, 0x5540 + value)) is expected
            assert chosen(ends, v4(protocol, 0x5540, value)) is expected
            assert chosen(ends, v4(protocol, 0x5540 + value, options=b"\1" * 8)) is expected
            assert chosen(ends, v4(protocol, value ^ 0x1234, 0x1234)) is expected
        for protocol in (TCP, UDP, ICMPV6):
            assert chosen(ends, v6(protocol, 0x5540 + value)) is expected


def test_what_cannot_be_told_apart_is_not_timed(ends: tuple[socket.socket, socket.socket]) -> None:
    assert not chosen(ends, v4(UDP, CHOSEN, fragment=0x2000)) and not chosen(ends, v4(UDP, CHOSEN, fragment=5))
    assert (
        not chosen(ends, v4(ICMPV6, CHOSEN)) and not chosen(ends, v6(ICMP, CHOSEN)) and not chosen(ends, v6(44, CHOSEN))
    )
    assert not chosen(ends, v4(UDP, 0))
    for kind in (b"\x08\x06", b"\x81\x00"):
        assert not chosen(ends, bytes(12) + kind + v4(UDP, CHOSEN)[14:])
    for size in range(1, 40):
        assert not chosen(ends, v4(UDP, CHOSEN)[:size])


def test_both_sights_give_the_time_in_whatever_order_they_come() -> None:
    pairs = Pairs()
    assert pairs.saw("in0", b"a", False, 1000) is None and pairs.saw("in0", b"a", True, 1700) == 700
    assert pairs.saw("in0", b"a", True, 2500) is None and pairs.saw("in0", b"a", False, 2000) == 500
    assert pairs.saw("in0", b"a", False, 3000) is None and pairs.saw("out0", b"a", True, 3100) is None


def test_packets_that_are_alike_are_not_timed() -> None:
    pairs = Pairs()
    said = [pairs.saw("in0", b"a", left, at) for at, left in enumerate([False, False, True, True, False, True])]
    assert said == [None] * 6
    pairs.forget(PATIENCE_NS + 1)
    assert pairs.saw("in0", b"a", False, 5) is None and pairs.saw("in0", b"a", True, 9) == 4


def test_a_clock_that_was_set_gives_no_time() -> None:
    pairs = Pairs()
    for came, left in ((1000, 999), (0, PATIENCE_NS + 1)):
        pairs.saw("in0", b"a", False, came)
        assert pairs.saw("in0", b"a", True, left) is None
    pairs.saw("in0", b"a", False, 5 * PATIENCE_NS)
    pairs.forget(0)
    assert pairs.saw("in0", b"a", True, 5 * PATIENCE_NS + 7) is None


def test_what_never_leaves_is_forgotten() -> None:
    pairs = Pairs()
    for number in range(3 * WAITING_LIMIT):
        pairs.saw("in0", b"%d" % number, False, number)
    assert pairs.saw("in0", b"0", True, 10) is None and pairs.saw("in0", b"3071", True, 4000) == 929
    pairs.forget(PATIENCE_NS + 3000)
    assert pairs.saw("in0", b"2999", True, PATIENCE_NS + 3000) is None
    assert pairs.saw("in0", b"3010", True, PATIENCE_NS + 3000) == PATIENCE_NS - 10


def test_every_packet_of_random_traffic_has_its_own_time() -> None:
    source = random.Random(3)
    pairs, expected, sights = Pairs(), [], []
    for number in range(400):
        came, took = number * 1000, source.randrange(1, 100_000)
        sights += [("in0", b"%d" % number, False, came), ("in0", b"%d" % number, True, came + took)]
        expected.append(took)
    source.shuffle(sights)
    times = [pairs.saw(*sight) for sight in sights]
    assert sorted(took for took in times if took is not None) == sorted(expected)
