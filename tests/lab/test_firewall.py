"""The firewall's image in a real container: rules by file and by REST, changes under load. Needs root and Docker."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path

import pytest

from tests.lab.test_images import CLIENT, eventually, run
from tests.support.firewall_bench import (
    CLOSED,
    DATAGRAM,
    HERE,
    MANAGEMENT,
    OPEN,
    SERVER,
    THERE,
    TO_CLIENT,
    TO_SERVER,
    Wire,
    made,
    says,
)

pytestmark = pytest.mark.lab

VERSIONS = pytest.mark.parametrize("version", [4, 6])


@VERSIONS
def test_the_image_s_own_rules_close_two_ports_and_nothing_else(wire: Wire, version: int) -> None:
    wire.start(None)
    wire.plug()
    wire.echo(80, 23, 8081, version=version)
    assert wire.answers(80, version) and not wire.answers(23, version) and not wire.answers(8081, version)
    assert wire.metric('vnf_firewall_rule_packets_total{chain="forward",rule="admin-port",verdict="drop"}') >= 1
    assert wire.metric("vnf_firewall_dropped_packets_total") >= 2
    assert wire.metric('vnf_drops_total{reason="rule"}') >= 2
    assert wire.metric('vnf_packets_total{port="out0"}') >= 3
    assert run("ip", "netns", "exec", CLIENT, "ping", "-c", "1", "-W", "2", THERE[version])


def test_it_works_on_without_root(wire: Wire) -> None:
    container = wire.start(CLOSED)
    wire.plug()
    wire.echo(80, 200)
    facts = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{container.attrs['State']['Pid']}/status").read_text().splitlines()
        if ":\t" in line
    )
    assert set(facts["Uid"].split()) == set(facts["Gid"].split()) == {"10001"} and facts["NoNewPrivs"] == "1"
    assert {int(facts[name], 16) for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")} == {1 << 12 | 1 << 13}, (
        "NET_ADMIN and NET_RAW alone"
    )
    rule = {"id": "more", "action": "allow", "protocol": "tcp", "destination_ports": 200}
    assert wire.answers(80) and not wire.answers(200)
    assert wire.rest("POST", "/rules", rule)[0] == 201 and wire.answers(200)
    assert wire.rest("GET", "/rules/more")[1]["counters"]["packets"] >= 6
    wire.path.write_text(CLOSED.replace("80-99", "90"))
    container.kill("SIGHUP")
    eventually(lambda: wire.metric('vnf_reloads_total{result="loaded"}') == 1)
    assert not wire.answers(80) and wire.answers(200)
    assert wire.metric("vnf_firewall_dropped_packets_total") >= 2 and wire.metric("vnf_errors_total") == 0


@VERSIONS
def test_the_time_that_packets_take_is_measured(wire: Wire, version: int) -> None:
    container = wire.start()
    wire.plug()
    wire.echo(80, version=version)
    wire.echo(80, kind=DATAGRAM, version=version)

    def talk() -> float:
        """Packets that were timed after some more have passed."""
        with made(CLIENT, version, DATAGRAM) as sender, wire.connect(80, version) as stream:
            sender.connect((THERE[version], 80))
            for number in range(500):
                sender.send(b"%d" % number)
                assert sender.recv(100) == b"%d" % number and says(stream, b"%d" % number)
        return wire.metric("vnf_processing_seconds_count")

    eventually(lambda: talk() > 20)
    count, total_s = wire.metric("vnf_processing_seconds_count"), wire.metric("vnf_processing_seconds_sum")
    assert 1e-6 * count < total_s < 0.1 * count
    assert wire.metric('vnf_processing_seconds_bucket{le="0.134217728"}') > 0.9 * count
    run("ip", "-n", CLIENT, "link", "del", "f-in")
    wire.end(CLIENT, "in0", "f-in", TO_CLIENT, HERE, THERE, TO_SERVER)
    eventually(lambda: wire.bench.ok(MANAGEMENT))
    eventually(lambda: wire.answers(80, version))
    eventually(lambda: talk() > count + 20)
    assert b"Traceback" not in container.logs()


def test_a_rule_for_a_prefix_and_a_protocol_speaks_of_nothing_else(wire: Wire) -> None:
    wire.start()
    wire.plug()
    for version in (4, 6):
        wire.echo(80, version=version)
        wire.echo(80, kind=DATAGRAM, version=version)
    deny = {"action": "deny", "destination_ports": 80}
    udp = {**deny, "id": "udp-6", "protocol": "udp", "source": "fd00::/64"}
    tcp = {**deny, "id": "tcp-4", "protocol": "tcp", "destination": "10.1.0.0/24", "source_ports": "1024-65535"}
    elsewhere = {**deny, "id": "elsewhere", "protocol": "tcp", "destination": "10.3.0.0/24"}
    assert wire.rest("POST", "/rules", [udp, tcp, elsewhere])[0] == 201
    assert (wire.answers(80, 4), wire.answers(80, 6)) == (False, True)
    assert (wire.datagram(80, version=4), wire.datagram(80, version=6)) == (True, False)
    counts = {rule["id"]: rule["counters"]["packets"] for rule in wire.rest("GET", "/rules")[1]["rules"]}
    assert counts["udp-6"] == 1 and counts["tcp-4"] >= 1 and counts["elsewhere"] == 0
    assert wire.rest("POST", "/rules", {"id": "all-4", "action": "deny", "source": "0.0.0.0/0"})[0] == 201
    assert (wire.datagram(80, version=4), wire.answers(80, 6)) == (False, True)


def test_rules_are_added_shown_and_removed(wire: Wire) -> None:
    wire.start(CLOSED)
    wire.plug()
    wire.echo(81, 200)
    assert wire.answers(81) and not wire.answers(200)
    status, made_rule = wire.rest("POST", "/rules", {"action": "allow", "protocol": "tcp", "destination_ports": 200})
    assert status == 201 and made_rule["id"] == "added-1" and made_rule["origin"] == "rest"
    assert wire.answers(200)
    status, shown = wire.rest("GET", "/rules/added-1")
    assert status == 200 and shown["counters"]["packets"] >= 6, (
        "packets of a connection count for the rule that allowed it"
    )
    assert wire.rest("POST", "/rules", {"id": "first", "action": "deny", "priority": 1})[0] == 201
    assert not wire.answers(200) and not wire.answers(81)
    assert wire.rest("DELETE", "/rules/first")[0] == 204
    assert wire.answers(200)
    for method, path in (("GET", "/rules/first"), ("DELETE", "/rules/first")):
        assert wire.rest(method, path)[0] == 404
    assert wire.rest("DELETE", "/rules/web")[0] == 409
    assert wire.rest("PUT", "/rules", {})[0] == 405


def test_a_refused_request_changes_nothing(wire: Wire) -> None:
    wire.start()
    wire.plug()
    before = wire.rest("GET", "/rules")
    good = {"action": "deny", "protocol": "tcp", "destination_ports": 80}
    status, problem = wire.rest("POST", "/rules", [good, {**good, "destination_ports": "90-80", "colour": 1}])
    assert status == 422 and [fault["member"] for fault in problem["errors"]] == ["/1/colour", "/1/destination_ports"]
    assert wire.rest("POST", "/rules", [{**good, "id": "same"}, {**good, "id": "same"}])[0] == 409
    assert wire.rest("POST", "/rules", "{")[0] == 400
    assert wire.rest("POST", "/rules", [good] * 1001)[0] == 409
    assert wire.rest("GET", "/rules") == before


def test_a_connection_that_rules_no_longer_allow_ends(wire: Wire) -> None:
    wire.start()
    wire.plug()
    wire.echo(80, 90)
    with wire.connect(80) as denied, wire.connect(90) as allowed:
        assert says(denied, b"1") and says(allowed, b"1")
        wire.rest("POST", "/rules", {"action": "deny", "protocol": "tcp", "destination_ports": 80})
        assert not says(denied, b"2") and says(allowed, b"2")


@VERSIONS
def test_only_answers_come_back_where_the_default_is_to_deny(wire: Wire, version: int) -> None:
    wire.start(CLOSED + '[[rules]]\nid = "dns"\naction = "allow"\nprotocol = "udp"\ndestination_ports = 53\n')
    wire.plug()
    wire.echo(80, version=version)
    wire.echo(53, kind=DATAGRAM, version=version)
    wire.echo(54, kind=DATAGRAM, version=version, where=CLIENT)
    for where, peer, name in (
        (CLIENT, THERE, "f-in"),
        (SERVER, HERE, "f-out"),
    ):  # they have to ask each other for MAC addresses
        run("ip", "-n", where, "neigh", "del", peer[version], "dev", name)
    assert wire.answers(80, version) and wire.datagram(53, version=version)
    assert not wire.datagram(54, version=version, where=SERVER), "the server's side opened it"
    assert wire.metric('vnf_firewall_rule_packets_total{chain="forward",rule="default",verdict="drop"}') >= 1


def test_a_reload_under_load_loses_no_connection_and_keeps_added_rules(wire: Wire) -> None:
    container = wire.start(CLOSED)
    wire.plug()
    wire.echo(80)
    assert wire.rest("POST", "/rules", {"id": "kept", "action": "allow", "protocol": "icmp"})[0] == 201
    connections = [wire.connect(80) for _ in range(20)]
    ended, lost = threading.Event(), []

    def talk(connection: socket.socket) -> None:
        said = 0
        while not ended.is_set():
            said += 1
            if not says(connection, b"%d" % said * 100):
                lost.append(connection)
                return
            time.sleep(0.02)

    talkers = [threading.Thread(target=talk, args=(connection,)) for connection in connections]
    for talker in talkers:
        talker.start()
    for round_ in range(8):
        wire.path.write_text(
            CLOSED + f'[[rules]]\nid = "r{round_}"\naction = "deny"\npriority = 1\ndestination = "10.9.0.0/16"\n'
        )
        container.kill("SIGHUP")
        eventually(lambda seen=f"r{round_}": wire.rest("GET", f"/rules/{seen}")[0] == 200)
    ended.set()
    for talker in talkers:
        talker.join()
    for connection in connections:
        connection.close()
    assert not lost
    assert wire.metric('vnf_reloads_total{result="loaded"}') == 8
    assert wire.rest("GET", "/rules/kept")[1]["origin"] == "rest"
    assert wire.rest("GET", "/rules/web")[1]["counters"]["packets"] > 100, "counters go on over a reload"


def test_a_reload_loses_no_packet(wire: Wire) -> None:
    container = wire.start()
    wire.plug()
    passed = 'vnf_firewall_rule_packets_total{chain="forward",rule="default",verdict="accept"}'
    left = 'vnf_port_tx_packets_total{port="out0"}'
    before = wire.metric(passed), wire.metric(left)
    with made(CLIENT, 4, DATAGRAM) as sender, made(SERVER, 4, DATAGRAM) as silent:
        silent.bind((THERE[4], 9))
        for number in range(8):
            wire.path.write_text(OPEN + f'[[rules]]\nid = "r{number}"\naction = "deny"\ndestination = "10.9.0.0/16"\n')
            container.kill("SIGHUP")
            for _ in range(1000):
                sender.sendto(b"x", (THERE[4], 9))
            eventually(lambda seen=f"r{number}": wire.rest("GET", f"/rules/{seen}")[0] == 200)
    assert wire.metric(passed) - before[0] == 8000 and wire.metric(left) - before[1] >= 8000
    assert wire.metric("vnf_firewall_dropped_packets_total") == 0


def test_a_bad_file_is_refused_with_its_line_and_the_old_rules_stay(wire: Wire) -> None:
    container = wire.start('[[rules]]\naction = "deny"\nprotocol = "tcp"\ndestination_ports = 80\n')
    wire.plug()
    wire.echo(80)
    for text, said in (
        (
            '[[rules]]\n\naction = "perhaps"\n',
            b"rules.toml:3: /rules/0/action is 'perhaps'; expected one of allow, deny",
        ),
        ("[[rules]\n", b"rules.toml:1: "),
        ('[[rules]]\nid = "kept"\naction = "deny"\n', b"another rule has the id kept"),
    ):
        wire.rest("POST", "/rules", {"id": "kept", "action": "deny", "source": "10.9.0.0/16"})
        wire.path.write_text(text)
        container.kill("SIGHUP")
        eventually(lambda said=said: said in container.logs())
        assert not wire.answers(80) and wire.bench.ok(MANAGEMENT)
    assert wire.metric('vnf_errors_total{kind="reload"}') == 3


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("rules.toml", 'default = "maybe"\n', b"/rules/rules.toml:1: /default is 'maybe'"),
        ("rules.nft", "table bridge firewall {\n  chain forward {\n    nonsense\n  }\n}\n", b"/rules/rules.nft:"),
    ],
)
def test_a_firewall_with_bad_rules_does_not_start(wire: Wire, file: str, text: str, said: bytes) -> None:
    container = wire.start(text, file)
    assert container.wait(timeout=10)["StatusCode"] == 2
    assert said in container.logs()


def test_a_file_in_the_language_of_nftables_is_loaded_and_changed(wire: Wire) -> None:
    forward = (
        "table bridge firewall {\n  chain forward {\n    type filter hook forward priority filter\n    %s\n  }\n}\n"
    )
    container = wire.start(forward % 'tcp dport 8081 counter drop comment "admin-port"', "rules.nft")
    wire.plug()
    wire.echo(8081, 80)
    assert wire.answers(80) and not wire.answers(8081)
    assert wire.metric('vnf_firewall_rule_packets_total{chain="forward",rule="admin-port",verdict="drop"}') >= 1
    wire.path.write_text("table bridge firewall {\n  chain forward {\n    tcp dport nonsense drop\n  }\n}\n")
    container.kill("SIGHUP")
    eventually(lambda: b"rules.nft:3:" in container.logs())
    assert wire.bench.ok(MANAGEMENT) and not wire.answers(8081)
    wire.path.write_text(forward % "counter accept")
    container.kill("SIGHUP")
    eventually(lambda: wire.answers(8081))
    assert wire.rest("POST", "/rules", {"action": "deny", "protocol": "tcp", "destination_ports": 80})[0] == 201
    assert not wire.answers(80), "rules that are added hold beside the file's"


def test_ports_are_found_again_and_a_stop_is_quick(wire: Wire) -> None:
    container = wire.start()
    wire.plug()
    wire.echo(80)
    run("ip", "-n", CLIENT, "link", "del", "f-in")
    eventually(lambda: (wire.bench.health(MANAGEMENT) or {}).get("reason") == "in0 is not plugged in")
    wire.end(CLIENT, "in0", "f-in", TO_CLIENT, HERE, THERE, TO_SERVER)
    eventually(lambda: wire.bench.ok(MANAGEMENT))
    eventually(lambda: wire.answers(80))
    started = time.monotonic()
    container.stop(timeout=5)
    assert time.monotonic() - started < 3
