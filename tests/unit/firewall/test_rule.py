"""Rules as they are given: what is taken, and how a refusal names member, value and expectation."""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

import pytest
from firewall.rule import Fault, Ports, Refused, parse_rule

GIVEN: dict[str, Any] = {"id": "web", "action": "allow", "protocol": "tcp", "destination_ports": "80-99"}


def test_a_rule_is_read_and_told_again() -> None:
    rule = parse_rule({**GIVEN, "source": "fd00::/64", "priority": 7})
    assert (rule.source, rule.destination_ports, rule.priority) == (ip_network("fd00::/64"), Ports(80, 99), 7)
    assert parse_rule(rule.document()) == rule
    assert parse_rule({"action": "deny", "protocol": 17, "source_ports": 53}, id="x").document() == {
        "id": "x", "priority": 1000, "action": "deny", "protocol": "udp", "source_ports": "53",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "member", "expected"),
    [
        ({"colour": 1}, "/colour", "one of id, action, priority"),
        ({"action": "drop"}, "/action", "one of allow, deny"),
        ({"action": ["allow"]}, "/action", "one of allow, deny"),
        ({"id": "a b"}, "/id", "1 to 48 letters"),
        ({"id": "x" * 49}, "/id", "1 to 48 letters"),
        ({"id": 'x"; flush ruleset; #'}, "/id", "1 to 48 letters"),
        ({"id": "a\n"}, "/id", "1 to 48 letters"),
        ({"priority": -1}, "/priority", "a whole number from 0 to 65535"),
        ({"priority": True}, "/priority", "a whole number from 0 to 65535"),
        ({"priority": 1.5}, "/priority", "a whole number from 0 to 65535"),
        ({"source": "10.0.0.1/8"}, "/source", "without host bits"),
        ({"source": 10}, "/source", "an IPv4 or IPv6 prefix"),
        ({"source": "fe80::1%eth0"}, "/source", "an IPv4 or IPv6 prefix"),
        (
            {"source": "10.0.0.0/8", "destination": "fd00::/8"},
            "/destination",
            "a prefix of the source's address family",
        ),
        ({"protocol": "ipx"}, "/protocol", "tcp, udp, icmp, icmpv6 or a protocol's number"),
        ({"protocol": 256}, "/protocol", "a protocol's number from 0 to 255"),
        ({"protocol": None}, "/protocol", "a protocol's number from 0 to 255"),
        ({"protocol": "icmp"}, "/destination_ports", "no ports, or protocol tcp or udp"),
        ({"destination_ports": "99-80"}, "/destination_ports", "a port from 0 to 65535"),
        ({"destination_ports": 65536}, "/destination_ports", "a port from 0 to 65535"),
        ({"destination_ports": "80,90"}, "/destination_ports", "a range of them"),
        ({"destination_ports": "٨٠"}, "/destination_ports", "a range of them"),
    ],
)
def test_a_wrong_member_is_named(changes: dict[str, Any], member: str, expected: str) -> None:
    with pytest.raises(Refused) as refused:
        parse_rule({**GIVEN, **changes})
    (fault,) = refused.value.faults
    assert fault.member == member and expected in fault.expected
    assert fault.value == changes.get(member[1:], GIVEN.get(member[1:]))


def test_a_protocol_goes_with_its_addresses() -> None:
    for protocol, prefix in (("icmp", "fd00::/8"), ("icmpv6", "10.0.0.0/8")):
        with pytest.raises(Refused, match="a protocol that IPv"):
            parse_rule({"action": "deny", "protocol": protocol, "source": prefix}, id="x")


def test_every_fault_of_a_rule_is_told() -> None:
    with pytest.raises(Refused) as refused:
        parse_rule({"priority": "1", "x": 1}, "/3")
    assert [fault.member for fault in refused.value.faults] == ["/3/action", "/3/id", "/3/priority", "/3/x"]
    with pytest.raises(Refused) as refused:
        parse_rule([1])
    assert refused.value.faults == (Fault("/", [1], "an object with the members of a rule"),)
