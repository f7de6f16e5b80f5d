"""Requests in all pieces, and what must not be let through since servers could read it in two ways."""

from __future__ import annotations

from itertools import pairwise

import pytest
from contentfilter.http1 import Request, Requests, Responses
from contentfilter.refused import Refused
from hypothesis import given
from hypothesis import strategies as st

GET = b"GET /a HTTP/1.1\r\nHost: One.Example:80\r\n\r\n"
POST = b"POST /b?c HTTP/1.1\r\nHost: two.example\r\nContent-Length: 7\r\n\r\nGET / H"
CHUNKED = (
    b"PUT http://three.example/c HTTP/1.1\r\nHost: three.example.\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;x=y\r\nGET /\r\n0A\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n"
)
OLD = b"\r\nHEAD /d HTTP/1.0\r\n\r\n"
STREAM = GET + POST + CHUNKED + OLD + GET
EXPECTED = [(b"GET", b"one.example", b"/a"), (b"POST", b"two.example", b"/b?c"), (b"PUT", b"three.example", b"/c")]
EXPECTED += [(b"HEAD", b"", b"/d"), EXPECTED[0]]


def pieces(stream: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({cut % (len(stream) + 1) for cut in cuts} | {0, len(stream)})
    return [stream[a:b] for a, b in pairwise(ends)]


def found(stream: list[bytes]) -> list[tuple[bytes, bytes, bytes]]:
    requests = Requests()
    return [(each.method, each.host, each.path) for piece in stream for each in requests.feed(piece)]


def refusal(stream: bytes) -> tuple[str, int]:
    """The reason, and how many bytes had been let through before it, fed one by one."""
    requests = Requests()
    for at in range(len(stream)):
        try:
            requests.feed(stream[at : at + 1])
        except Refused as refused:
            with pytest.raises(Refused):
                Requests().feed(stream)
            return refused.reason, at
    raise AssertionError("not refused")


@pytest.mark.parametrize("at", range(len(STREAM)))
def test_requests_cut_anywhere(at: int) -> None:
    assert found([part for part in (STREAM[:at], STREAM[at:]) if part]) == EXPECTED


@given(st.lists(st.integers(0, 1000), max_size=30))
def test_requests_in_any_pieces(cuts: list[int]) -> None:
    assert found(pieces(STREAM, cuts)) == EXPECTED


def test_requests_byte_by_byte() -> None:
    assert found([bytes((byte,)) for byte in STREAM]) == EXPECTED


def request(*fields: bytes, start: bytes = b"GET / HTTP/1.1") -> bytes:
    return b"\r\n".join((start, *fields, b"", b""))


HOST = b"Host: a.example"


@pytest.mark.parametrize(
    "stream",
    [
        request(HOST, HOST),
        request(HOST, b"host: b.example"),
        request(),
        request(HOST, start=b"GET http://b.example/ HTTP/1.1"),
        request(b"Host:", start=b"GET http://b.example/ HTTP/1.1"),
        request(HOST, start=b"GET http://u@a.example/ HTTP/1.1"),
        request(HOST, start=b"GET b.example HTTP/1.1"),
        request(HOST, start=b"GET * HTTP/1.1"),
        request(HOST, b" folded"),
        request(HOST, b"\tfolded"),
        request(b"Host : a.example"),
        request(b"Host: a.example\0"),
        request(b"Host: a.example\rX: y"),
        request(b"Host: a.example\nX: y"),
        request(b"Host: a.example, b.example"),
        request(b"Host: a.example b.example"),
        request(b"Host: b%2eexample"),
        request(HOST, b"no colon"),
        request(HOST, b": no name"),
        request(HOST, b"X: a\x01b"),
        request(HOST, b"Content-Length: 5", b"Content-Length: 5"),
        request(HOST, b"Content-Length: 5, 5"),
        request(HOST, b"Content-Length: +5"),
        request(HOST, b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        request(HOST, b"Transfer-Encoding: gzip, chunked"),
        request(HOST, b"Transfer-Encoding: xchunked"),
        request(HOST, b"Transfer-Encoding: chunked", b"Transfer-Encoding: identity"),
        request(HOST, b"Transfer-Encoding: chunked", start=b"POST / HTTP/1.0"),
        request(HOST, b"Transfer-Encoding: chunked") + b"5\r\nGET /x",
        request(HOST, b"Transfer-Encoding: chunked") + b"-5\r\n",
        request(HOST, b"Transfer-Encoding: chunked") + b"0x5\r\n",
        request(HOST, b"Transfer-Encoding: chunked") + b"5\n",
        request(HOST) + b"GET  / HTTP/1.1\r\n",
        request(HOST) + b" GET / HTTP/1.1\r\n",
        request(HOST) + b"GET / HTTP/2.0\r\n",
        request(HOST) + b"\r\n" * 5,
    ],
)
def test_what_has_two_readings_is_refused(stream: bytes) -> None:
    assert refusal(stream)[0] == "malformed-request"


@pytest.mark.parametrize(
    "line", [b"GET /\r\n", b"SSH-2.0-x\r\n", b"GET  / HTTP/1.1\r\n", b"get / http/1.1\r\n", b"GET /\tHTTP/1.1\r\n"]
)
def test_a_first_line_that_is_no_request_does_not_reach_the_server(line: bytes) -> None:
    assert refusal(line) == ("not-http", len(line) - 1)


@pytest.mark.parametrize(
    "line",
    [b"GET / HTTP/1.1\n", b"GET / HTTP/1.1\rX", b"GET /\0", b"GET / HTTP/1.1\r\r"],
    ids=["LF", "CR", "NUL", "CRCR"],
)
def test_bare_ends_of_lines_are_refused_at_once(line: bytes) -> None:
    assert refusal(line) == ("malformed-request", len(line) - 1)


def test_the_preface_of_http2_is_known() -> None:
    assert refusal(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") == ("http2", 15)


def test_endless_heads_and_lines_are_refused() -> None:
    requests = Requests()
    with pytest.raises(Refused, match="head of more") as caught:
        for _ in range(20_000):
            requests.feed(b"X: y\r\n" if requests.in_head else b"GET / HTTP/1.1\r\n")
    assert caught.value.reason == "endless-headers"
    with pytest.raises(Refused, match="a line of more"):
        for _ in range(20_000):
            requests.feed(b"x")


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=6))
def test_any_bytes_are_read_alike_in_any_pieces(noise: bytes, cuts: list[int]) -> None:
    def outcome(stream: list[bytes]) -> object:
        try:
            return found(stream)
        except Refused as refused:
            return refused.reason

    stream = GET + noise
    assert outcome(pieces(stream, cuts)) == outcome([stream])


def asked(*requests: Request) -> Responses:
    responses = Responses()
    for each in requests:
        responses.asked(each)
    return responses


SIMPLE = Request(b"GET", b"a.example", b"/")


@pytest.mark.parametrize(
    ("answer", "settled"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no", False),
        (b"HTTP/1.1 100 Continue\r\n\r\n", False),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n", False),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", False),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n", True),
        (b"nonsense\n", False),
    ],
)
def test_when_a_request_is_answered(answer: bytes, settled: bool) -> None:
    for stream in ([answer], [bytes((byte,)) for byte in answer]):
        responses = asked(SIMPLE)
        for piece in stream:
            responses.feed(piece)
        assert responses.settled is settled


def test_an_answer_to_head_has_no_body_and_answers_come_in_order() -> None:
    responses = asked(Request(b"HEAD", b"a.example", b"/"), SIMPLE)
    responses.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
    assert not responses.settled
    responses.feed(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert responses.settled


def test_a_change_of_protocol_is_seen() -> None:
    upgrade = Request(b"GET", b"a.example", b"/", b"websocket")
    assert asked(upgrade).feed(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n") is upgrade
    connect = Request(b"CONNECT", b"a.example", b"")
    assert asked(connect).feed(b"HTTP/1.1 200 OK\r\n\r\n") is connect
    assert asked(SIMPLE).feed(b"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\nHTTP/1.1 101") is None


def test_requests_without_answers_are_bounded() -> None:
    with pytest.raises(Refused) as caught:
        asked(*[SIMPLE] * 257)
    assert caught.value.reason == "too-many-requests"
