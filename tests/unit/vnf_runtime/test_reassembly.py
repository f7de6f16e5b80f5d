"""Reassembly against a model of a receiver: whatever it can hand to its application was inspected, once and in order."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.lab import images

sys.path.append(str(images.IMAGES_FOLDER / "base"))

from vnf.reassembly import UNACKNOWLEDGED_LIMIT, Half, Refused

ISN = 0xFFFFFFF0  # so that sequence numbers wrap within the first bytes


class Receiver:
    """Takes every byte that it does not have yet, in either policy of which version wins where two differ."""

    def __init__(self, newest_wins: bool) -> None:
        self._newest_wins = newest_wins
        self._bytes: dict[int, int] = {}
        self.handed = bytearray()

    def receive(self, start: int, payload: bytes) -> None:
        for offset, byte in enumerate(payload, start):
            if offset >= len(self.handed) and (self._newest_wins or offset not in self._bytes):
                self._bytes[offset] = byte
        while len(self.handed) in self._bytes:
            self.handed.append(self._bytes[len(self.handed)])


segments = st.lists(st.tuples(st.integers(0, 40), st.binary(max_size=12), st.booleans()), max_size=60)


@given(segments, st.booleans())
def test_a_receiver_hands_on_only_what_was_inspected(sent: list[tuple[int, bytes, bool]], newest_wins: bool) -> None:
    half, receiver, inspected = Half(ISN), Receiver(newest_wins), bytearray()
    for start, payload, acknowledged in sent:
        try:
            fresh = half.take((ISN + start) & 0xFFFFFFFF, payload, False)
        except Refused:
            continue
        inspected += fresh
        receiver.receive(start, payload)
        assert receiver.handed == inspected
        if acknowledged:
            half.acknowledge((ISN + len(receiver.handed)) & 0xFFFFFFFF)
        assert half.held <= 52


@given(st.binary(min_size=1, max_size=200), st.randoms(use_true_random=False), st.integers(1, 30))
def test_pieces_in_any_order_give_the_stream_once(stream: bytes, random: object, size: int) -> None:
    pieces = [(at, stream[at : at + size]) for at in range(0, len(stream), size)]
    pieces += [(at, stream[at : at + 2 * size]) for at in range(0, len(stream), 3 * size)]  # overlaps that agree
    random.shuffle(pieces)  # type: ignore[attr-defined]
    half = Half(ISN)
    got = b"".join(half.take((ISN + at) & 0xFFFFFFFF, piece, at + len(piece) == len(stream)) for at, piece in pieces)
    assert got == stream
    assert half.finish() and not half.finish()
    half.acknowledge((ISN + len(stream) + 1) & 0xFFFFFFFF)
    assert half.held == 0


def test_a_retransmission_that_differs_is_refused() -> None:
    half = Half(100)
    assert half.take(100, b"abcdef", False) == b"abcdef"
    assert half.take(100, b"abc", False) == b""
    with pytest.raises(Refused, match="retransmission-differs"):
        half.take(102, b"cXe", False)
    half.acknowledge(106)
    assert half.take(102, b"cXe", False) == b""  # the receiver has these already


def test_an_overlap_ahead_of_a_gap_that_differs_is_refused() -> None:
    half = Half(0)
    assert half.take(4, b"efgh", False) == b""
    with pytest.raises(Refused, match="overlap-differs"):
        half.take(0, b"abcdX", False)
    assert half.take(0, b"abcde", False) == b"abcdefgh"


def test_data_after_the_end_is_refused() -> None:
    half = Half(0)
    assert half.take(0, b"ab", True) == b"ab" and half.finish()
    with pytest.raises(Refused, match="after-fin"):
        half.take(3, b"c", False)
    assert half.take(0, b"ab", True) == b""  # a retransmission
    with pytest.raises(Refused, match="after-fin"):
        half.take(2, b"c", True)


def test_an_end_before_known_data_is_refused() -> None:
    half = Half(0)
    half.take(4, b"e", False)
    with pytest.raises(Refused, match="fin-before-data"):
        half.take(0, b"ab", True)


def test_what_is_not_acknowledged_is_bounded() -> None:
    half = Half(0)
    step = UNACKNOWLEDGED_LIMIT // 4
    for index in range(4):
        half.take(index * step, bytes(step), False)
    with pytest.raises(Refused, match="window"):
        half.take(4 * step, b"x", False)
    half.acknowledge(step)
    assert half.take(4 * step, b"x", False) == b"x"
    with pytest.raises(Refused, match="ack-ahead"):
        half.acknowledge(5 * step)
