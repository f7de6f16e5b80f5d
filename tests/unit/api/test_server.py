"""The server on a real loopback socket: sizes, deadlines and addresses."""

import logging
from collections.abc import Iterator
from typing import Any

import eventlet
import pytest
from fake_backend import FakeBackend

from sdn_app.api import server
from sdn_app.api.application import make_app
from sdn_app.settings import Settings, SettingsError


@pytest.fixture
def address() -> Iterator[Any]:
    listener = server.listen("127.0.0.1", 0)
    thread = server.serve_socket(make_app(FakeBackend(), Settings()), listener, logging.getLogger("test"))
    yield listener.getsockname()
    thread.kill()


def exchange(address: Any, *parts: bytes) -> bytes:
    """What the server answers until it closes the connection."""
    with eventlet.Timeout(10):
        connection = eventlet.connect(address)
        for part in parts:
            connection.sendall(part)
            eventlet.sleep(0)
        answer = b""
        while block := connection.recv(65536):
            answer += block
        return answer


CHUNKED = b"POST /chains HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n"


def test_a_chunked_body_is_read_and_limited(address: Any) -> None:
    body = b'{"name":"a","functions":["firewall"]}'
    sent = CHUNKED + b"Connection: close\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    assert exchange(address, sent).startswith(b"HTTP/1.1 201 ")
    large = [b"10000\r\n" + b" " * 65536 + b"\r\n"] * 40
    assert exchange(address, CHUNKED + b"\r\n", *large, b"0\r\n\r\n").startswith(b"HTTP/1.1 413 ")
    malformed = exchange(address, CHUNKED + b"\r\nzz\r\n")
    assert malformed.startswith(b"HTTP/1.1 400 ") and b"application/problem+json" in malformed


def test_slow_clients_lose_their_connection(address: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEADERS_S", 0.2)
    monkeypatch.setattr(server, "BODY_S", 0.2)
    assert exchange(address, b"GET /health HTTP/1.1\r\nHost: a\r\nX: ") == b""
    slow = b"POST /chains HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
    assert exchange(address, slow).startswith(b"HTTP/1.1 408 ")


def test_others_are_not_served_without_keys() -> None:
    with pytest.raises(SettingsError, match="loopback"):
        server.listen("0.0.0.0", 0)
