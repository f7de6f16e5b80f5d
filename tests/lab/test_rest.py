"""What REST promises, tried with packets: flow rules steer, spoofed frames are dropped, hostile peers disturb nobody."""

from __future__ import annotations

import socket
import struct
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from testbed.lab.net import MGMT_BRIDGE, Lab
from testbed.lab.record import started_at
from tests.support.capture import Capture
from tests.support.lab_traffic import address_of, caches_follow, inside, least_ms, once, ping_ms, run, tcp_socket

pytestmark = pytest.mark.lab

TELNET_LIKE = 8081  # the firewall's rules drop it
C2, C3 = "10.2.0.1", "10.3.0.1"


def packets_through(lab: Lab, instance: str) -> int:
    return int(lab.call("GET", "/statistics")["instances"].get(instance, {}).get("packets", 0))


def new_flow(lab: Lab, **match: Any) -> dict[str, Any]:
    body = {"vnf_type": "firewall", "instance_id": "fw1", "priority": 700, "match": match}
    flow = dict(lab.call("POST", "/flows?wait=10", body))
    caches_follow()
    return flow


def connects(lab: Lab, port: int) -> bool:
    """Whether c2 gets a TCP connection to a listener at c3."""
    listener = inside(lab, "c3", lambda: socket.create_server((C3, port)))
    client = tcp_socket(lab, "c2", timeout_s=2.0)
    try:
        client.connect((C3, port))
        return True
    except TimeoutError:
        return False
    finally:
        client.close()
        listener.close()


def test_a_flow_rule_is_active_behind_the_barrier_and_steers(lab: Lab) -> None:
    direct = min(ping_ms(lab, "c2", C3, 5))
    flow = new_flow(lab, domain=2, protocol="icmp", destination=C3)
    try:
        assert flow["status"] == "active"
        counted = packets_through(lab, "fw1")
        with Capture() as capture:
            assert len(ping_ms(lab, "c2", C3, 10)) == 10
        through = [s.port for s in capture.seen if s.protocol == 1 and (s.source, s.destination) == (C2, C3)]
        back = [s.port for s in capture.seen if s.protocol == 1 and (s.source, s.destination) == (C3, C2)]
        assert through.count("fw1-i") == through.count("fw1-o") == 10
        assert back.count("fw1-o") == back.count("fw1-i") == 10
        by_headquarters = 2 * (lab.configured_delay_ms(1, 2) + lab.configured_delay_ms(1, 3))
        steered = least_ms(lab, "c2", C3, by_headquarters)
        assert abs(steered - by_headquarters) <= 0.1 * by_headquarters + 1 and steered > direct
        lab.wait_until(lambda: packets_through(lab, "fw1") >= counted + 20, "counted", 8)
    finally:
        lab.call("DELETE", f"/flows/{flow['flow_id']}")
    lab.wait_until(lab.settled, "removed", 5)
    caches_follow()
    assert min(ping_ms(lab, "c2", C3, 5)) < by_headquarters - 5, "the direct way again"


def test_a_flow_rule_puts_the_firewall_before_a_port(lab: Lab) -> None:
    assert connects(lab, TELNET_LIKE), "without a rule"
    flow = new_flow(lab, protocol="tcp", destination_ports=str(TELNET_LIKE))
    try:
        assert flow["status"] == "active"
        assert not connects(lab, TELNET_LIKE), "the firewall drops it"
        assert connects(lab, TELNET_LIKE + 1), "another port does not take the rule"
    finally:
        lab.call("DELETE", f"/flows/{flow['flow_id']}")
    lab.wait_until(lab.settled, "removed", 5)
    caches_follow()
    assert connects(lab, TELNET_LIKE)


def udp_frame(source_mac: bytes, source: str, destination: str) -> bytes:
    data = b"spoofed"
    udp = struct.pack("!HHHH", 4000, 4001, 8 + len(data), 0) + data
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0)
    head += socket.inet_aton(source) + socket.inet_aton(destination)
    total = sum(struct.unpack("!10H", head))
    checksum = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return (
        b"\x02\x5f\xc0\x00\x00\x01"
        + source_mac
        + b"\x08\x00"
        + head[:10]
        + struct.pack("!H", checksum)
        + head[12:]
        + udp
    )


def test_spoofed_sources_are_dropped_and_counted(lab: Lab) -> None:
    assert lab.net is not None
    mac = bytes.fromhex(lab.net["c2"].MAC().replace(":", ""))
    raw = inside(lab, "c2", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
    before = int(lab.call("GET", "/statistics")["dropped"]["spoofed"])
    hosts = lab.call("GET", "/topology")["hosts"]
    with raw, Capture() as capture:
        raw.bind(("c2-eth0", 0))
        for _ in range(25):
            raw.send(udp_frame(mac, "10.2.0.77", C3))  # its own MAC, another address
            raw.send(udp_frame(b"\x02\x00\x00\x00\x00\x07", address_of(lab, "c2"), C3))  # the other way round
    seen = {each.port for each in capture.seen if each.protocol == 17 and each.destination_port == 4001}
    assert seen == {"s2-eth1"}, "they end where they came in"
    lab.wait_until(lambda: lab.call("GET", "/statistics")["dropped"]["spoofed"] >= before + 50, "counted", 8)
    assert lab.call("GET", "/topology")["hosts"] == hosts, "nothing was learnt from them"


def test_hostile_openflow_peers_disturb_nobody(lab: Lab) -> None:
    hello_of_no_length = struct.pack("!BBHI", 4, 0, 16, 1) + struct.pack("!HHI", 1, 0, 0)
    cut = struct.pack("!BBHI", 4, 10, 0xFFFF, 1)
    too_short = struct.pack("!BBHI", 4, 6, 4, 1)
    peers = []
    pinging = lab.popen("c2", "ping", "-c", "20", "-i", "0.05", C3, stdout=subprocess.PIPE)
    try:
        for message in (hello_of_no_length, cut, too_short, bytes(64), b"GET / HTTP/1.1\r\n\r\n"):
            peer = socket.create_connection(("127.0.0.1", 6653), timeout=3)
            peer.sendall(message)
            peers.append(peer)
            began = time.monotonic()
            assert lab.call("GET", "/health", timeout_s=2)["switches"] == 4
            assert time.monotonic() - began < 1.0
            assert once(lab, "c4").startswith("srv"), "new connections are dealt"
        out, _ = pinging.communicate(timeout=20)
        assert b"20 received" in out
    finally:
        for peer in peers:
            peer.close()
    assert lab.controller is not None and lab.controller.poll() is None


def test_nothing_is_left_after_stop(lab: Lab) -> None:
    """Runs last (see conftest.py): it ends the lab."""
    entries = lab.record.entries()
    kinds = {entry["kind"] for entry in entries}
    assert {"bridge", "link", "container", "process"} <= kinds
    assert lab.stop() == []
    assert lab.record.entries() == [] and not lab.record.path.exists()
    bridges = run("ovs-vsctl", "list-br").split()
    containers = run("docker", "ps", "-aq", "--no-trunc").split()
    for entry in entries:
        if entry["kind"] == "bridge":
            assert entry["name"] not in bridges
        elif entry["kind"] == "link":
            assert not Path(f"/sys/class/net/{entry['name']}").exists(), entry
        elif entry["kind"] == "container":
            assert entry["id"] not in containers
        elif entry["kind"] == "process":
            assert entry["started"] is None or started_at(entry["pid"]) != entry["started"], entry
    names = [path.name for path in Path("/sys/class/net").iterdir()]
    ours = ("s1-eth", "s2-eth", "s3-eth", "s4-eth", "fw1-", "fw2-", "srv", MGMT_BRIDGE)
    assert [name for name in names if name.startswith(ours)] == []
