"""Client hellos in all pieces, and hostile ones."""

from __future__ import annotations

from contextlib import suppress

import pytest
from contentfilter.refused import Refused
from contentfilter.tls import ClientHello, ClientSide, ServerSide
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.contentfilter.hellos import (
    ECH,
    TLS13,
    client_hello,
    extension,
    records,
    server_hello,
    server_name,
    vector,
)

HELLO = client_hello(extension(10, bytes(8)), server_name(b"One.Example."), TLS13)


def hellos(stream: bytes, step: int = 1 << 20) -> list[ClientHello]:
    side = ClientSide()
    return [hello for at in range(0, len(stream), step) for hello in side.feed(stream[at : at + step])]


@pytest.mark.parametrize("size", [1, 2, 3, 4, 5, 7, 40, 16384])
@pytest.mark.parametrize("step", [1, 2, 3, 7, 64, 1 << 20])
def test_a_hello_over_records_and_segments(size: int, step: int) -> None:
    assert hellos(records(HELLO, size), step) == [ClientHello(b"one.example", False, True)]


def test_what_a_hello_says() -> None:
    assert hellos(records(client_hello())) == [ClientHello(b"", False, False)]
    assert hellos(records(client_hello(ECH, server_name(b"outer.example")))) == [
        ClientHello(b"outer.example", True, False)
    ]
    assert len(hellos(records(HELLO) + bytes((20, 3, 3, 0, 1, 1)) + records(HELLO))) == 2


@pytest.mark.parametrize(
    "stream",
    [
        records(client_hello(server_name(b"a.example"), server_name(b"b.example"))),
        records(
            client_hello(extension(0, vector(2, b"\0" + vector(2, b"a.example") + b"\0" + vector(2, b"b.example"))))
        ),
        records(client_hello(extension(0, b""))),
        records(client_hello(server_name(b""))),
        records(client_hello(server_name(b"a.example\0.b.example"))),
        records(client_hello(server_name(b"a example"))),
        records(client_hello(extension(0, vector(2, b"\0\0\xff")))),
        records(b"\x01" + vector(3, HELLO[4:] + b"\xff")),
        records(b"\x01\x00\x00\x00"),
        records(b"\x01\x02\x00\x00" + bytes(40)),
        records(b"\x02" + HELLO[1:]),
        records(HELLO, 9)[:14] + b"\x17\x03\x03\x00\x01x",
        b"\x16\x03\x01\x00\x00",
        b"\x16\x03\x01\xff\xff",
        b"\x16\x02\x01\x00\x01",
        b"\x15\x03\x03\x00\x01x\x80",
    ],
)
def test_hostile_hellos_are_refused(stream: bytes) -> None:
    with pytest.raises(Refused) as caught:
        hellos(stream)
    assert caught.value.reason == "malformed-hello"


def test_the_memory_of_a_hello_is_bounded() -> None:
    side = ClientSide()
    with pytest.raises(Refused):
        side.feed(records(b"\x01\xff\xff\xff"))
        for _ in range(100):
            side.feed(records(bytes(1000)))


@given(st.binary(max_size=400))
def test_any_bytes_are_a_hello_or_refused(noise: bytes) -> None:
    for stream in (
        noise,
        records(b"\x01" + vector(3, noise) if noise else b"\x01"),
        records(HELLO[:60] + noise + HELLO[60:]),
    ):
        with suppress(Refused):
            hellos(stream)


def test_a_retry_keeps_the_question_open() -> None:
    side = ServerSide()
    for byte in records(server_hello(retry=True), 11) + bytes((20, 3, 3, 0, 1, 1)):
        side.feed(bytes((byte,)))
    assert not side.settled
    side.feed(records(server_hello()) + b"\x17\x03\x03\x00\x01x")
    assert side.settled
