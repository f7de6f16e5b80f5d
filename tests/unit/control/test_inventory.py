"""Ports, edges and hosts."""

from ipaddress import IPv4Address

import pytest

from sdn_app.control.inventory import HOSTS_PER_PORT, Inventory, asked_address, source_of
from sdn_app.network.discovery import Discovery
from sdn_app.network.graph import Host
from sdn_app.openflow.codec import PortDesc
from tests.support.scenario import build

ADDRESS = IPv4Address("10.1.0.1")
MAC = 0x020000000001


@pytest.fixture
def inventory() -> Inventory:
    made = Inventory(Discovery(b"key"), settle_s=1.0)
    for switch in (1, 2):
        for number in (1, 2):
            made.set_port(switch, PortDesc(number, f"s{switch}-eth{number}", 0, True), 0.0)
    return made


def arp(mac: int = MAC, sender: int = MAC, address: str = "10.1.0.1", kind: int = 1) -> bytes:
    body = bytes.fromhex("0001080006040000")[:6] + kind.to_bytes(2, "big")
    own = sender.to_bytes(6, "big") + IPv4Address(address).packed
    return b"\xff" * 6 + mac.to_bytes(6, "big") + b"\x08\x06" + body + own + bytes(6) + IPv4Address("10.1.0.9").packed


def test_a_port_is_new_once(inventory: Inventory) -> None:
    assert not inventory.set_port(1, PortDesc(1, "s1-eth1", 0, True), 5.0)
    assert inventory.set_port(1, PortDesc(1, "other", 0, True), 5.0)
    assert not inventory.set_port(1, PortDesc(0xFFFFFFFE, "s1", 0, True), 5.0)  # the switch's own
    assert inventory.switches[1].number_of("other") == 1
    assert inventory.switches[1].number_of("s1-eth1") is None


def test_a_port_is_an_edge_when_it_settled_and_is_nothing_else(inventory: Inventory) -> None:
    nothing: frozenset[tuple[int, int]] = frozenset()
    assert not inventory.is_edge(1, 1, nothing, 0.5)
    assert inventory.is_edge(1, 1, nothing, 1.5)
    assert not inventory.is_edge(1, 1, frozenset({(1, 1)}), 1.5)
    assert not inventory.is_edge(1, 9, nothing, 1.5)
    assert not inventory.is_edge(9, 1, nothing, 1.5)
    inventory.discovery.received(2, 1, inventory.discovery.probe(1, 1, 0.0), 0.001)
    assert not inventory.is_edge(1, 1, nothing, 1.5)


def test_the_first_to_use_an_address_keeps_it_while_its_port_is_up(inventory: Inventory) -> None:
    assert inventory.learn(Host(MAC, ADDRESS, 1, 1)) is None
    assert inventory.learn(Host(MAC, ADDRESS, 1, 1)) is None
    assert "in use on switch 1 port 1" in (inventory.learn(Host(MAC + 1, ADDRESS, 2, 1)) or "")
    assert inventory.hosts[ADDRESS].switch == 1
    assert inventory.learn(Host(MAC + 1, ADDRESS, 1, 1)) is None  # another card on the same port
    inventory.set_port(1, PortDesc(1, "s1-eth1", 0, False), 2.0)
    assert ADDRESS not in inventory.hosts
    assert inventory.learn(Host(MAC, ADDRESS, 2, 1)) is None


def test_a_port_has_so_many_addresses(inventory: Inventory) -> None:
    for n in range(HOSTS_PER_PORT):
        assert inventory.learn(Host(MAC, ADDRESS + n, 1, 1)) is None
    assert "addresses already" in (inventory.learn(Host(MAC, ADDRESS + HOSTS_PER_PORT, 1, 1)) or "")
    assert inventory.learn(Host(MAC + 1, ADDRESS, 1, 1)) is None  # one that is known may change


def test_hosts_outlive_their_switch_but_not_their_port(inventory: Inventory) -> None:
    inventory.learn(Host(MAC, ADDRESS, 1, 1))
    inventory.remove_switch(1)
    assert ADDRESS in inventory.hosts
    inventory.set_port(1, PortDesc(1, "s1-eth1", 0, True), 2.0)
    assert inventory.remove_port(1, 1)
    assert not inventory.remove_port(1, 1)
    assert ADDRESS not in inventory.hosts


def test_hosts_on_what_turns_out_to_be_a_trunk_are_forgotten(inventory: Inventory) -> None:
    inventory.learn(Host(MAC, ADDRESS, 2, 1))
    inventory.learn(Host(MAC, ADDRESS + 1, 2, 2))
    inventory.discovery.received(2, 1, inventory.discovery.probe(1, 1, 0.0), 0.001)
    inventory.forget_trunk_hosts()
    assert list(inventory.hosts) == [ADDRESS + 1]


def test_hosts_are_recovered_from_what_a_switch_holds() -> None:
    scenario = build(2, [(1, 2, 1.0)], [("firewall", [2])], [1], [1, 2])
    rules = scenario.plan()
    fresh = Inventory(Discovery(b"key"), 0.0)
    for dpid, entries in rules.items():
        fresh.recover(dpid, entries)
    for address, host in scenario.inventory.hosts.items():
        assert fresh.hosts[address] == host


def test_senders(inventory: Inventory) -> None:
    assert source_of(arp()) == (MAC, ADDRESS)
    assert source_of(arp(sender=MAC + 1)) is None
    assert source_of(arp(mac=0x010000000001, sender=0x010000000001)) is None
    for address in ("0.0.0.0", "224.0.0.1", "127.0.0.1"):
        assert source_of(arp(address=address)) is None
    ip = bytes(6) + MAC.to_bytes(6, "big") + b"\x08\x00\x45" + bytes(11) + ADDRESS.packed + bytes(4)
    assert source_of(ip) == (MAC, ADDRESS)
    for whole in (arp(), ip):
        assert all(source_of(whole[:size]) is None for size in range(34))


def test_questions(inventory: Inventory) -> None:
    assert asked_address(arp()) == IPv4Address("10.1.0.9")
    assert asked_address(arp(kind=2)) is None
    assert asked_address(arp()[:41]) is None
