"""Dealing: in turn, once a connection, only what stands."""

import struct

import pytest

from sdn_app.balancing.dealer import Turn
from sdn_app.control.dealer import REMEMBER_S, Deal, Dealer, client_of

CLIENT, SERVICE = 0x0A020001, 0x0A000064


def frame(protocol: int = 6, port: int = 40000, sequence: int = 1, options: bytes = b"") -> bytes:
    ip = struct.pack("!BBHHHBBHII", 0x45 + len(options) // 4, 0, 40, 0, 0, 64, protocol, 0, CLIENT, SERVICE) + options
    if protocol == 1:
        return bytes(12) + b"\x08\x00" + ip + struct.pack("!BBHHH", 8, 0, 0, port, sequence)
    return bytes(12) + b"\x08\x00" + ip + struct.pack("!HHI", port, 80, sequence) + bytes(12)


@pytest.fixture
def dealer() -> Dealer:
    made, turn = Dealer(), Turn(3)
    made.replace({1: Deal(lambda _: turn.next(), (("a",), ("b",), ("c",)), {7: [2, 4, 6], 8: [0, 8, 0]})}, {7: 1, 8: 2})
    return made


def deal(dealer: Dealer, data: bytes, dpid: int = 7, now: float = 0.0, target: int = 1) -> bytes | None:
    return dealer.packet_out(dpid, target, 3, data, now, 9)


def test_connections_are_dealt_in_turn(dealer: Dealer) -> None:
    for port in range(6):
        deal(dealer, frame(port=port))
    assert dealer.dealt == {2: 2, 4: 2, 6: 2}


@pytest.mark.parametrize("options", [b"", bytes(8)])
@pytest.mark.parametrize("protocol", [1, 6, 17])
def test_a_retransmission_takes_the_same_path_and_no_turn(dealer: Dealer, protocol: int, options: bytes) -> None:
    first = deal(dealer, frame(protocol, options=options))
    assert deal(dealer, frame(protocol, options=options), now=REMEMBER_S / 2) == first
    assert deal(dealer, frame(protocol, port=7, options=options)) != first
    assert dealer.dealt == {2: 1, 4: 1}


def test_a_port_that_is_used_again_is_another_tcp_connection(dealer: Dealer) -> None:
    assert deal(dealer, frame(sequence=1)) != deal(dealer, frame(sequence=2))
    first = deal(dealer, frame(17, sequence=1))
    assert len(first or b"") == len(deal(dealer, frame(17, sequence=2)) or b"")
    assert dealer.dealt == {2: 1, 4: 1, 6: 1}


def test_what_was_dealt_is_forgotten_after_a_while(dealer: Dealer) -> None:
    for now in (10.0, 13.0, 16.0, 19.0):
        deal(dealer, frame(), now=now)
    assert sum(dealer.dealt.values()) >= 2
    assert len(dealer._recent) + len(dealer._older) <= 2


def test_an_option_without_a_path_here_is_passed_over(dealer: Dealer) -> None:
    for port in range(4):
        assert deal(dealer, frame(port=port), dpid=8)
    assert dealer.dealt == {8: 4}


def test_where_nothing_can_be_dealt_there_is_no_answer(dealer: Dealer) -> None:
    assert deal(dealer, frame(), target=2) is None
    assert deal(dealer, frame(), dpid=9) is None
    dealer.replace({1: Deal(lambda _: 0, (("a",),), {7: [0]})}, {7: 1})
    assert deal(dealer, frame()) is None
    assert dealer.refused == 3 and not dealer.dealt


def test_new_tables_hold_for_retransmissions_too(dealer: Dealer) -> None:
    before = deal(dealer, frame())
    dealer.replace({1: Deal(lambda _: 0, (("d",),), {7: [10]})}, {7: 1})
    assert deal(dealer, frame()) != before
    assert dealer.dealt == {2: 1, 10: 1}


def test_another_zone_makes_another_answer(dealer: Dealer) -> None:
    table = {1: Deal(lambda _: 0, (("a",),), {7: [2]})}
    dealer.replace(table, {7: 1})
    before = deal(dealer, frame())
    dealer.replace(table, {7: 5})
    assert deal(dealer, frame()) != before


def test_who_listens_hears_of_a_connection_once(dealer: Dealer) -> None:
    heard: list[tuple[str, ...]] = []
    dealer.on_dealt(heard.append)
    for port in (1, 1, 2):
        deal(dealer, frame(port=port))
    assert heard == [("a",), ("b",)]


@pytest.mark.parametrize("cut", [0, 13, 14, 20, 34, 36])
def test_short_frames_do_no_harm(dealer: Dealer, cut: int) -> None:
    assert deal(dealer, frame()[:cut])


def test_the_client_is_the_source_address() -> None:
    assert client_of(frame()) == CLIENT
