"""Whole connections, as the runtime hands them to the filter."""

from __future__ import annotations

from http import HTTPStatus

import pytest
from contentfilter.inspector import Book, Filter, Policy
from contentfilter.page import page
from vnf.stream import PASS, RELEASE, REPLY_LIMIT, Connection, Direction, Inspector, Stop, Verdict

from tests.unit.contentfilter.hellos import ECH, TLS13, client_hello, records, server_hello, server_name
from tests.unit.contentfilter.test_entries import rules

SERVER, CLIENT = Direction.TO_SERVER, Direction.TO_CLIENT
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Scene:
    """A filter and what it counted."""

    def __init__(self, **policy: bool) -> None:
        self.counted: list[tuple[str, str, str]] = []
        book = Book(rules("bad.example\ngood.example/ads\n192.0.2.9"), Policy(**policy))
        self.filter = Filter(book, lambda *each: self.counted.append(each))

    def open(self, server: str = "192.0.2.1") -> Inspector:
        inspector = self.filter.open(Connection("192.0.2.2", 40000, server, 80))
        assert inspector is not None
        return inspector


def get(host: str, path: str = "/", *fields: str, method: str = "GET") -> bytes:
    return "\r\n".join((f"{method} {path} HTTP/1.1", f"Host: {host}", *fields, "", "")).encode()


def stopped(verdict: Verdict, reason: str) -> bytes:
    assert isinstance(verdict, Stop) and verdict.reason == reason, verdict
    assert len(verdict.reply) <= REPLY_LIMIT
    return verdict.reply


def test_requests_of_one_connection_are_judged_one_by_one() -> None:
    scene = Scene()
    inspector = scene.open()
    assert inspector.data(SERVER, get("good.example")) is PASS
    assert inspector.data(CLIENT, OK) is PASS
    reply = stopped(inspector.data(SERVER, get("www.bad.example")), "blocked")
    head, _, body = reply.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 403 Forbidden\r\n") and b"Connection: close" in head
    assert f"Content-Length: {len(body)}".encode() in head
    assert b"www.bad.example is blocked by the list first" in body
    assert scene.counted == [("http", "passed", ""), ("http", "blocked", "first")]


def test_a_page_never_stands_where_another_answer_does() -> None:
    inspector = Scene().open()
    inspector.data(SERVER, get("good.example"))
    assert stopped(inspector.data(SERVER, get("bad.example")), "blocked") == b""
    inspector = Scene().open()
    assert stopped(inspector.data(SERVER, get("good.example") + get("bad.example")), "blocked") == b""
    inspector = Scene().open()
    inspector.data(SERVER, get("good.example"))
    inspector.data(CLIENT, OK[:-1])
    assert stopped(inspector.data(SERVER, get("good.example", "/ads/1")), "blocked") == b""


def test_paths_and_head_and_absolute_form() -> None:
    reply = stopped(Scene().open().data(SERVER, get("good.example", "/x/../ads/", method="HEAD")), "blocked")
    assert reply.endswith(b"\r\n\r\n")
    stopped(Scene().open().data(SERVER, get("bad.example", "http://bad.example/")), "blocked")
    stopped(Scene().open().data(SERVER, b"GET http://bad.example HTTP/1.0\r\n\r\n"), "blocked")
    assert Scene().open().data(SERVER, get("good.example", "/adsense")) is PASS


def test_without_host_the_server_s_address_is_judged() -> None:
    old = b"GET / HTTP/1.0\r\n\r\n"
    assert Scene().open().data(SERVER, old) is PASS
    stopped(Scene().open("192.0.2.9").data(SERVER, old), "blocked")
    stopped(Scene(no_host=False).open().data(SERVER, old), "no-host")


def test_malformed_requests_get_a_400_and_endless_ones_a_431() -> None:
    assert stopped(Scene().open().data(SERVER, b"GET / HTTP/1.1\r\nHost: a\nX: y"), "malformed-request").startswith(
        b"HTTP/1.1 400 "
    )
    assert stopped(Scene().open().data(SERVER, b"GET /" + b"x" * 20000), "endless-headers").startswith(b"HTTP/1.1 431 ")
    inspector = Scene().open()
    inspector.data(SERVER, b"GET / HTTP/1.1\r\nHost: good.example\r\n")
    stopped(inspector.end(SERVER), "malformed-request")


def test_a_change_of_protocol_waits_for_the_server() -> None:
    offer = get("good.example", "/", "Connection: upgrade", "Upgrade: h2c", "HTTP2-Settings: x")
    switch = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"
    for allowed, at_the_end in ((False, None), (True, RELEASE)):
        inspector = Scene(http2=allowed).open()
        assert inspector.data(SERVER, offer) is PASS
        verdict = inspector.data(CLIENT, switch)
        if at_the_end:
            assert verdict is at_the_end
        else:
            stopped(verdict, "http2")
    inspector = Scene(upgrade=True).open()
    inspector.data(SERVER, offer)
    assert inspector.data(CLIENT, OK) is PASS  # refused by the server: requests go on being judged
    stopped(inspector.data(SERVER, get("bad.example")), "blocked")
    inspector = Scene(upgrade=True).open()
    inspector.data(SERVER, get("good.example", "/", "Upgrade: websocket"))
    assert inspector.data(CLIENT, switch.replace(b"h2c", b"websocket")) is RELEASE


def test_http2_without_tls_by_policy() -> None:
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    stopped(Scene().open().data(SERVER, preface), "http2")
    assert Scene(http2=True).open().data(SERVER, preface) is RELEASE


def test_what_goes_through_a_tunnel_is_judged_too() -> None:
    connect = b"CONNECT good.example:443 HTTP/1.1\r\nHost: good.example:443\r\n\r\n"
    stopped(Scene().open().data(SERVER, connect), "connect")
    inspector = Scene(connect=True).open()
    assert inspector.data(SERVER, connect) is PASS
    assert inspector.data(CLIENT, b"HTTP/1.1 200 OK\r\n\r\n") is PASS
    stopped(inspector.data(SERVER, records(client_hello(server_name(b"bad.example")))), "blocked")
    stopped(Scene(connect=True).open().data(SERVER, connect.replace(b"good", b"bad")), "blocked")


def test_tls_by_server_name() -> None:
    scene = Scene()
    assert (
        stopped(scene.open().data(SERVER, records(client_hello(server_name(b"www.bad.example"), TLS13))), "blocked")
        == b""
    )
    assert scene.open().data(SERVER, records(client_hello(server_name(b"good.example")))) is RELEASE
    inspector = scene.open()
    hello = records(client_hello(server_name(b"good.example"), TLS13))
    assert [inspector.data(SERVER, hello[at : at + 1]) for at in range(len(hello))] == [PASS] * len(hello)
    assert inspector.data(CLIENT, records(server_hello())) is RELEASE
    assert scene.counted == [("tls", "blocked", "first"), ("tls", "passed", ""), ("tls", "passed", "")]


def test_a_second_hello_after_a_retry_is_judged() -> None:
    inspector = Scene().open()
    assert inspector.data(SERVER, records(client_hello(server_name(b"good.example"), TLS13))) is PASS
    assert inspector.data(CLIENT, records(server_hello(retry=True))) is PASS
    stopped(inspector.data(SERVER, records(client_hello(server_name(b"bad.example"), TLS13))), "blocked")


def test_tls_by_policy() -> None:
    bare, hidden = records(client_hello()), records(client_hello(ECH, server_name(b"good.example")))
    assert Scene().open().data(SERVER, bare) is RELEASE
    stopped(Scene(no_server_name=False).open().data(SERVER, bare), "no-server-name")
    stopped(Scene().open("192.0.2.9").data(SERVER, bare), "blocked")
    assert Scene().open().data(SERVER, hidden) is RELEASE
    stopped(Scene(encrypted_hello=False).open().data(SERVER, hidden), "encrypted-hello")


@pytest.mark.parametrize("first", [b"SSH-2.0-x\r\n", b"\x80\x2e\x01", b"\0"])
def test_other_protocols_by_policy(first: bytes) -> None:
    inspector = Scene().open()
    assert inspector.data(CLIENT, b"220 hello\r\n") is PASS
    stopped(inspector.data(SERVER, first), "not-http-or-tls")
    assert Scene(other_protocols=True).open().data(SERVER, first) is RELEASE


def test_new_rules_hold_for_open_connections() -> None:
    scene = Scene()
    inspector = scene.open()
    inspector.data(SERVER, get("good.example"))
    inspector.data(CLIENT, OK)
    scene.filter.book = Book(rules("good.example"), Policy())
    stopped(inspector.data(SERVER, get("good.example")), "blocked")


def test_a_page_is_escaped_and_bounded() -> None:
    shown = page(HTTPStatus.FORBIDDEN, "<script>&" + "x" * 9999)
    assert b"&lt;script&gt;&amp;xxx" in shown and b"<script>" not in shown and len(shown) < 1000
