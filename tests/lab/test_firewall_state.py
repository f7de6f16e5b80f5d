"""What a firewall does with connections in their middle, fragments, foreign frames and floods. Needs root and Docker."""

from __future__ import annotations

import socket
import time

import pytest

from tests.lab.test_images import CLIENT
from tests.support.firewall_bench import (
    CLOSED,
    DATAGRAM,
    HERE,
    MANAGEMENT,
    SERVER,
    STREAM,
    THERE,
    TO_CLIENT,
    TO_SERVER,
    Wire,
    heard,
    made,
    raw,
    restart,
    says,
)
from tests.support.frames import ACK, SYN, fragment, frame, mac, tcp

pytestmark = pytest.mark.lab

UDP_SEGMENT = 103  # of linux/udp.h: the kernel cuts what is sent into packets
VERSIONS = pytest.mark.parametrize("version", [4, 6])


@VERSIONS
def test_a_connection_that_comes_in_its_middle_goes_on(wire: Wire, version: int) -> None:
    """As after the death of another firewall: this one has not seen the start. Either side may speak first."""
    wire.start(CLOSED)
    wire.plug()
    wire.echo(80, version=version)
    listener = made(SERVER, version, STREAM)
    listener.bind((THERE[version], 90))
    listener.listen()
    with wire.connect(80, version) as asked, wire.connect(90, version) as told, listener.accept()[0] as teller:
        assert says(asked, b"before")
        restart(wire)
        teller.sendall(b"the server speaks first")
        assert told.recv(100) == b"the server speaks first"
        assert says(asked, b"after")
        told.sendall(b"and the client after it")
        assert teller.recv(100) == b"and the client after it"
    assert wire.metric('vnf_firewall_passed_packets_total{reason="taken-up"}') >= 2
    listener.close()


def test_strict_refuses_a_connection_in_its_middle(wire: Wire) -> None:
    wire.start('mid_stream = "strict"\n')
    wire.plug()
    wire.echo(80)
    with wire.connect(80) as connection:
        assert says(connection, b"before")
        restart(wire)
        assert not says(connection, b"after")
    assert wire.metric('vnf_drops_total{reason="mid-stream"}') >= 1
    assert wire.answers(80)


def test_the_middle_of_a_denied_connection_is_no_way_in(wire: Wire) -> None:
    """A server that sends what looks like an answer does not open its port to the client."""
    wire.start(None)
    wire.plug()
    with raw(SERVER, "f-out") as server, raw(CLIENT, "f-in") as client:
        for flags in (ACK, SYN | ACK):
            server.send(frame(TO_CLIENT, TO_SERVER, tcp(THERE[4], HERE[4], 8081, 5000, flags)))
            client.send(frame(TO_SERVER, TO_CLIENT, tcp(HERE[4], THERE[4], 5000, 8081, ACK)))
        assert not heard(client, b"\x1f\x91\x13\x88") and not heard(server, b"\x13\x88\x1f\x91")


@VERSIONS
def test_packets_in_fragments_pass_whole_or_not_at_all(wire: Wire, version: int) -> None:
    wire.start('[[rules]]\nid = "udp"\naction = "deny"\nprotocol = "udp"\ndestination_ports = 99\n')
    wire.plug()
    wire.echo(98, 99, kind=DATAGRAM, version=version)
    assert wire.datagram(98, 4000, version) and wire.datagram(98, 60000, version)
    assert not wire.datagram(99, 4000, version)
    assert wire.metric('vnf_firewall_rule_packets_total{chain="forward",rule="udp",verdict="drop"}') == 1


def test_fragments_do_not_hide_a_denied_port(wire: Wire) -> None:
    """Headers in tiny fragments, out of order, and rewritten by an overlapping one; the whole packet arrives when it is allowed."""
    wire.start(None)
    wire.plug()
    denied, allowed = (tcp(HERE[4], THERE[4], 5000, port, SYN, bytes(40)) for port in (23, 2323))
    with raw(SERVER, "f-out") as server, raw(CLIENT, "f-in") as client:
        for number, packet in enumerate((allowed, denied), 1):
            pieces = [fragment(packet, number, 8 * at, 8) for at in range(10)] + [fragment(packet, number, 80, 8000)]
            for piece in reversed(pieces):
                client.send(frame(TO_SERVER, TO_CLIENT, piece))
        assert heard(server, b"\x13\x88\x09\x13"), "the port that is allowed"
        assert not heard(server, b"\x13\x88\x00\x17")
        for piece in (fragment(allowed, 9, 0, 24), fragment(denied, 9, 0, 24), fragment(allowed, 9, 24, 8000)):
            client.send(frame(TO_SERVER, TO_CLIENT, piece))
        for piece in (fragment(allowed, 10, 0, 24), fragment(denied, 10, 0, 8), fragment(denied, 10, 16, 8000)):
            client.send(frame(TO_SERVER, TO_CLIENT, piece))
        assert not heard(server, b"\x13\x88\x00\x17")


def test_frames_that_rules_cannot_read_are_dropped(wire: Wire) -> None:
    wire.start()
    wire.plug()
    packet = tcp(HERE[4], THERE[4], 5000, 80, SYN)
    with raw(SERVER, "f-out") as server, raw(CLIENT, "f-in") as client:
        for kind in (b"\x81\x00\x00\x05\x08\x00", b"\x88\xa8\x00\x05\x08\x00", b"\x88\x64\x11\x00", b"\x88\x47"):
            client.send(mac(TO_SERVER) + mac(TO_CLIENT) + kind + packet)
        assert not heard(server, b"\x13\x88\x00\x50")
        client.send(frame(TO_SERVER, TO_CLIENT, b"\x46" + packet[1:]))
        assert not heard(server, b"\x13\x88\x00\x50"), "a wrong IP header"
        client.send(frame(TO_SERVER, TO_CLIENT, packet))
        assert heard(server, b"\x13\x88\x00\x50")
    assert wire.metric('vnf_drops_total{reason="not-ip"}') == 4
    assert wire.metric('vnf_drops_total{reason="malformed"}') == 1


def test_a_flood_of_new_connections_harms_none_that_is_there(wire: Wire) -> None:
    wire.start()
    wire.plug()
    wire.echo(80)
    flood = [
        frame(
            TO_SERVER, TO_CLIENT, tcp(f"10.{100 + n // 65536}.{n // 256 % 256}.{n % 256}", "10.1.0.12", 1024, 80, SYN)
        )
        for n in range(40_000)
    ]
    with wire.connect(80) as connection, raw(CLIENT, "f-in") as client:
        for one in flood:
            client.send(one)
        assert says(connection, b"still here")
        time.sleep(1.5)
        assert wire.answers(80)
    held, refused = wire.metric("vnf_connections"), wire.metric('vnf_drops_total{reason="too-many-new"}')
    assert refused > 0 and 40_000 <= held + refused <= 40_010
    assert wire.bench.ok(MANAGEMENT)


def test_a_stream_that_nobody_answers_is_one_connection(wire: Wire) -> None:
    wire.start()
    wire.plug()
    with made(CLIENT, 4, DATAGRAM) as sender, made(SERVER, 4, DATAGRAM) as silent:
        silent.bind((THERE[4], 9))
        sender.setsockopt(socket.SOL_UDP, UDP_SEGMENT, 10)
        for _ in range(600):
            sender.sendto(bytes(10 * 50), (THERE[4], 9))
    assert wire.metric('vnf_firewall_rule_packets_total{chain="forward",rule="default",verdict="accept"}') == 30_000
    assert wire.metric("vnf_connections") == 1 and wire.metric("vnf_firewall_dropped_packets_total") == 0
