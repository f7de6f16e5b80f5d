"""Asynchronous message processing (RFC 8456 sections 5.1.2 and 5.1.3): packet-ins answered a second, strict turn against stock Ryu."""

import statistics
import time
from dataclasses import dataclass

from sdn_app.rules import pipeline as p
from testbed.bench.controllers import Running, controller
from testbed.bench.fake_switch import FakeSwitch, packet_in, tcp_syn

VIP = "10.0.0.100"
CLIENT = bytes.fromhex("020000000201")


@dataclass(frozen=True)
class Rate:
    """Answers a second, and the time to an answer with one packet-in under way (ms)."""

    name: str
    per_s: float
    p50_ms: float
    p99_ms: float


def stock_rate(seconds: float) -> Rate:
    """Stock `simple_switch_13`, which answers a packet-in for an unknown destination with one packet-out."""
    with controller("ryu.app.simple_switch_13", stock=True) as running:
        switch = FakeSwitch(1, [(1, "c1"), (2, "s1")], port=running.openflow_port)
        switch.connect()
        time.sleep(1.0)
        rate = _measure("stock simple_switch_13", switch, 0, 0, seconds)
        switch.close()
    return rate


def our_rate(seconds: float) -> Rate:
    """Our controller in strict turn over three servants and two firewalls."""
    with controller("sdn_app.app") as running:
        ports = [(1, "c1")] + [(10 + n, f"s{n}-d") for n in range(3)]
        ports += [(20 + n, name) for n, name in enumerate(("f0-i", "f0-o", "f1-i", "f1-o"))]
        switch = FakeSwitch(1, ports, port=running.openflow_port)
        switch.connect()
        _fill(running)
        cookie = _wait_for_deal(switch)
        rate = _measure("sfc strict turn", switch, cookie, p.CONNECTION, seconds)
        switch.close()
    return rate


def _fill(running: Running) -> None:
    running.call("POST", "/services", {"name": "emergency", "address": VIP, "port": 80, "servant_type": "servant"})
    for n in range(3):
        body = {
            "instance_id": f"s{n}",
            "attachment": {"switch": 1, "ports": [f"s{n}-d"]},
            "address": f"10.1.0.{10 + n}",
            "mac": f"02:00:00:00:01:{n:02x}",
        }
        running.call("POST", "/vnf/servant/instances", body)
    for n in range(2):
        body = {"instance_id": f"f{n}", "attachment": {"switch": 1, "ports": [f"f{n}-i", f"f{n}-o"]}}
        running.call("POST", "/vnf/firewall/instances", body)
    running.call("POST", "/chains", {"name": "web", "functions": ["firewall"], "service": "emergency"})


def _wait_for_deal(switch: FakeSwitch) -> int:
    """Make the client known, and give the cookie of the entry that deals the chain's connections."""
    arp = b"\xff" * 6 + CLIENT + bytes.fromhex("0806000108000604") + b"\x00\x01" + CLIENT
    arp += bytes([10, 2, 0, 1]) + bytes(6) + bytes([10, 0, 0, 100])
    for _ in range(40):
        switch.send(packet_in(arp, 1, p.cookie(p.Cookie.UNKNOWN), p.ADMISSION))
        time.sleep(0.25)
        deals = sorted(c for c in switch.cookies() if (p.cookie_parts(c) or (0, 0))[0] == p.Cookie.DEAL)
        if deals:
            time.sleep(1.0)
            return deals[0]
    raise RuntimeError("the controller did not install the chain within 10 s")


def _measure(name: str, switch: FakeSwitch, cookie: int, table: int, seconds: float) -> Rate:
    def make(number: int) -> bytes:
        return packet_in(tcp_syn(number, VIP), 1, cookie, table, number & 0xFFFF)

    switch.flood(make, min(1.0, seconds))
    rate, _ = switch.flood(lambda n: make(n + 1_000_000), seconds)
    _, waits = switch.flood(lambda n: make(n + 9_000_000), min(2.0, seconds), under_way=1)
    cuts = statistics.quantiles(waits, n=100) if len(waits) > 1 else [0.0] * 99
    return Rate(name, rate, statistics.median(waits or [0.0]), cuts[98])
