"""The datapath over a socket pair: raw handlers, sending that never waits, deadlines."""

import socket
import struct
import time
from collections.abc import Iterator
from typing import Any

import eventlet
import eventlet.wsgi
import pytest
from eventlet.greenio import GreenSocket

if not hasattr(eventlet.wsgi, "ALREADY_HANDLED"):
    eventlet.wsgi.ALREADY_HANDLED = ()  # the launcher would also patch the standard library for all tests

from ryu.base import app_manager
from ryu.controller import ofp_handler

from sdn_app.openflow import datapath as dp
from tests.unit.openflow.hostile import VALID, message


class Peer:
    """The switch's end and the datapath under test, which is served by a greenthread."""

    def __init__(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.sock = GreenSocket(socket.create_connection(listener.getsockname()))
        ours, address = listener.accept()
        listener.close()
        self.datapath = dp.GuardedDatapath(GreenSocket(ours), address)
        self.thread = eventlet.spawn(self.datapath.serve)

    def send(self, *messages: bytes) -> None:
        self.sock.sendall(b"".join(messages))

    def handshake(self) -> "Peer":
        self.send(message(0), VALID["features"], VALID["port descriptions"])
        self.until(lambda: self.datapath.state == "main")
        return self

    def until(self, condition: Any, timeout_s: float = 3.0) -> None:
        with eventlet.Timeout(timeout_s):
            while not condition():
                eventlet.sleep(0.01)


@pytest.fixture
def peer(monkeypatch: pytest.MonkeyPatch) -> Iterator[Peer]:
    handler = ofp_handler.OFPHandler()
    monkeypatch.setattr(dp.GuardedDatapath, "packet_in_handler", None)
    monkeypatch.setattr(dp.GuardedDatapath, "raw_handlers", {})
    app_manager.register_app(handler)
    made = Peer()
    yield made
    made.sock.close()
    made.thread.kill()
    app_manager.unregister_app(handler)


def test_raw_packet_ins_come_whole_and_in_order(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []
    monkeypatch.setattr(dp.GuardedDatapath, "packet_in_handler", staticmethod(lambda _, buf: seen.append(buf) or True))
    peer.handshake()
    sent = [VALID["packet-in"][:4] + struct.pack("!I", n) + VALID["packet-in"][8:] for n in range(500)]
    stream = b"".join(sent)
    for at in range(0, len(stream), 777):
        peer.send(stream[at : at + 777])
    peer.until(lambda: len(seen) == 500)
    assert seen == sent


def test_raw_handlers_are_asked_by_type_and_not_before_the_handshake(peer: Peer) -> None:
    seen: list[int] = []
    dp.GuardedDatapath.raw_handlers[19] = lambda _, buf: bool(seen.append(len(buf)) or True)
    peer.handshake()
    assert seen == []
    peer.send(VALID["flows"])
    peer.until(lambda: seen == [len(VALID["flows"])])


def test_a_failing_handler_keeps_the_connection_unless_the_message_is_malformed(peer: Peer) -> None:
    def fails(_: dp.GuardedDatapath, buf: bytes) -> bool:
        raise KeyError("handler")

    dp.GuardedDatapath.raw_handlers[10] = fails
    dp.GuardedDatapath.packet_in_handler = fails
    peer.handshake()
    peer.send(VALID["packet-in"])
    eventlet.sleep(0.1)
    assert peer.datapath.is_active
    peer.send(message(10, bytes(8)))
    peer.until(lambda: not peer.datapath.is_active)
    assert "malformed" in peer.datapath.end_reason


def test_sending_never_waits_and_is_bounded(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dp, "SEND_LIMIT_BYTES", 8 << 20)
    peer.handshake()
    start = time.monotonic()
    results = [peer.datapath.send_raw(bytes(65536)) for _ in range(400)]
    assert time.monotonic() - start < 1
    assert results[0] and not results[-1]
    assert dp.guard_counters()["send_overflow"] >= 1


def test_a_peer_that_stops_reading_is_given_up(peer: Peer) -> None:
    peer.handshake()
    peer.datapath.socket.settimeout(0.3)
    while peer.datapath.send_raw(bytes(1 << 20)):
        pass
    peer.until(lambda: not peer.datapath.is_active)
    assert "took nothing" in peer.datapath.end_reason
    assert not peer.datapath.send_raw(b"x")


def test_close_socket_sends_what_is_queued_first(peer: Peer) -> None:
    peer.handshake()
    assert peer.datapath.send(message(3, b"last"), close_socket=True)
    assert not peer.datapath.send(message(3, b"after"))
    with eventlet.Timeout(3):
        received = b"".join(iter(lambda: peer.sock.recv(65536), b""))
    assert received.endswith(message(3, b"last"))


def test_no_handshake_ends_the_connection(monkeypatch: pytest.MonkeyPatch, peer: Peer) -> None:
    monkeypatch.setattr(dp, "HANDSHAKE_DEADLINE_S", 0.2)
    late = Peer()
    late.until(lambda: not late.datapath.is_active)
    assert "no handshake" in late.datapath.end_reason
    late.sock.close()
