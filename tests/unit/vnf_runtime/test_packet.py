"""Packets: what is built is read back, and what is altered is refused."""

from __future__ import annotations

import contextlib
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from testbed.lab import images

sys.path.append(str(images.IMAGES_FOLDER / "base"))

from vnf.packet import ACK, Malformed, Segment, build, parse

ports = st.integers(0, 0xFFFF)
numbers = st.integers(0, 0xFFFFFFFF)
segments = st.sampled_from((4, 16)).flatmap(
    lambda size: st.builds(
        Segment,
        *(st.binary(min_size=size, max_size=size), ports, st.binary(min_size=size, max_size=size), ports),
        *(numbers, numbers, st.integers(0, 63), st.binary(max_size=300)),
    )
)


@given(segments)
def test_what_is_built_is_read_back(segment: Segment) -> None:
    packet = build(segment, 512)
    assert parse(packet) == segment
    assert parse(packet + b"padding of the Ethernet frame") == segment


@given(segments, st.data())
def test_an_altered_bit_does_not_pass_as_another_segment(segment: Segment, data: st.DataObject) -> None:
    packet = bytearray(build(segment))
    head = 20 if len(segment.source) == 4 else 40
    bit = data.draw(st.integers(0, (len(packet) - head) * 8 - 1))
    packet[head + bit // 8] ^= 1 << bit % 8
    with pytest.raises(Malformed):
        parse(bytes(packet))


@given(st.binary(max_size=120))
def test_garbage_is_refused_and_nothing_else(packet: bytes) -> None:
    with contextlib.suppress(Malformed):
        parse(packet)


def test_fragments_are_refused() -> None:
    packet = bytearray(build(Segment(b"\x0a\0\0\1", 1, b"\x0a\0\0\2", 80, 1, 1, ACK, b"x" * 40)))
    packet[6] |= 0x20
    with pytest.raises(Malformed, match="fragment"):
        parse(bytes(packet))


def test_extension_headers_are_walked() -> None:
    whole = build(Segment(bytes(15) + b"\1", 1, bytes(15) + b"\2", 80, 1, 1, ACK, b"data"))
    options = bytes((6, 0, 1, 4, 0, 0, 0, 0))  # 8 bytes of destination options with padding
    packet = bytearray(whole[:40] + options + whole[40:])
    packet[6] = 60
    packet[4:6] = (len(packet) - 40).to_bytes(2, "big")
    assert parse(bytes(packet)).payload == b"data"
    packet[41] = 200  # longer than the packet
    with pytest.raises(Malformed):
        parse(bytes(packet))
