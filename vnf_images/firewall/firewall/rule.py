"""One rule of the firewall, and the table that it is written as in a file or a JSON body. Pure.

In: a mapping of plain values. Out: a `Rule`, or `Refused` with every member that is wrong, its value and what was expected.
Must not know nftables.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

Network = IPv4Network | IPv6Network
ACTIONS = ("allow", "deny")
PROTOCOLS = {"tcp": 6, "udp": 17, "icmp": 1, "icmpv6": 58}
WITH_PORTS = ("tcp", "udp")
PRIORITY, LAST_PRIORITY = 1000, 65535
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}", re.ASCII)
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Fault:
    """A member that is wrong, as a JSON pointer into what was given; `expected` completes "expected ..."."""

    member: str
    value: object
    expected: str

    def __str__(self) -> str:
        return f"{self.member} is {self.value!r}; expected {self.expected}"


class Refused(ValueError):
    """What was given is no rule; `faults` say why."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Ports:
    """Ports from `first` to `last`, both included."""

    first: int
    last: int

    def __str__(self) -> str:
        return str(self.first) if self.first == self.last else f"{self.first}-{self.last}"


@dataclass(frozen=True, slots=True)
class Rule:
    """What to do with connections from `source` to `destination`; None stands for any. A lower priority is asked first.

    Both addresses are of one family, and ports are there only with a protocol of `WITH_PORTS`.
    """

    id: str
    action: str
    priority: int = PRIORITY
    source: Network | None = None
    destination: Network | None = None
    protocol: str | int | None = None
    source_ports: Ports | None = None
    destination_ports: Ports | None = None

    def document(self) -> dict[str, Any]:
        """The rule as it could have been given, members that say nothing left out."""
        members: dict[str, Any] = {"id": self.id, "priority": self.priority, "action": self.action}
        for name in ("source", "destination", "source_ports", "destination_ports"):
            if (value := getattr(self, name)) is not None:
                members[name] = str(value)
        return members if self.protocol is None else {**members, "protocol": self.protocol}


class _Expected(ValueError):
    """A reader's refusal; the text completes "expected ..."."""


def parse_rule(given: object, member: str = "", id: str | None = None) -> Rule:
    """The rule that `given` describes; `member` is the JSON pointer to it, `id` is taken where it has none. Raises Refused."""
    if not isinstance(given, Mapping):
        raise Refused(Fault(member or "/", given, "an object with the members of a rule"))
    faults = [Fault(f"{member}/{key}", given[key], f"one of {', '.join(_READERS)}") for key in given.keys() - _READERS]
    values: dict[str, Any] = {}
    for key, read in _READERS.items():
        if key not in given:
            continue
        try:
            values[key] = read(given[key])
        except _Expected as error:
            faults.append(Fault(f"{member}/{key}", given[key], str(error)))
    if "action" not in given:
        faults.append(Fault(f"{member}/action", None, f"one of {', '.join(ACTIONS)}"))
    if "id" not in given and id is None:
        faults.append(Fault(f"{member}/id", None, _ID_EXPECTED))
    if faults:
        raise Refused(*sorted(faults, key=lambda fault: fault.member))
    rule = Rule(**{"id": id, **values})
    if fault := _contradiction(rule, given, member):
        raise Refused(fault)
    return rule


def _contradiction(rule: Rule, given: Mapping[str, Any], member: str) -> Fault | None:
    """The first member that does not go with the others."""
    for name in ("source_ports", "destination_ports"):
        if name in given and rule.protocol not in WITH_PORTS:
            return Fault(f"{member}/{name}", given[name], f"no ports, or protocol {' or '.join(WITH_PORTS)}")
    versions = {network.version for network in (rule.source, rule.destination) if network is not None}
    if len(versions) > 1:
        return Fault(f"{member}/destination", given["destination"], "a prefix of the source's address family")
    wrong = {"icmp": 6, "icmpv6": 4}.get(str(rule.protocol))
    if wrong in versions:
        return Fault(
            f"{member}/protocol", rule.protocol, f"a protocol that IPv{wrong} carries, as the prefixes are IPv{wrong}'s"
        )
    return None


_ID_EXPECTED = "1 to 48 letters, digits, `.`, `_` or `-`, a letter or digit first"


def _id(value: object) -> str:
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise _Expected(_ID_EXPECTED)
    return value


def _action(value: object) -> str:
    if value not in ACTIONS:
        raise _Expected(f"one of {', '.join(ACTIONS)}")
    return str(value)


def _whole(value: object, highest: int, expected: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= highest:
        raise _Expected(expected)
    return value


def _priority(value: object) -> int:
    return _whole(value, LAST_PRIORITY, f"a whole number from 0 to {LAST_PRIORITY}")


def _protocol(value: object) -> str | int:
    names = {number: name for name, number in PROTOCOLS.items()}
    if isinstance(value, str) and value in PROTOCOLS:
        return value
    number = _whole(value, 255, f"{', '.join(PROTOCOLS)} or a protocol's number from 0 to 255")
    return names.get(number, number)


def _network(value: object) -> Network:
    if not isinstance(value, str) or "%" in value:
        raise _Expected("an IPv4 or IPv6 prefix, such as 10.0.0.0/8")
    try:
        return ip_network(value)
    except ValueError as error:
        raise _Expected(f"an IPv4 or IPv6 prefix without host bits, such as 10.0.0.0/8 ({error})") from None


def _ports(value: object) -> Ports:
    expected = "a port from 0 to 65535, or a range of them such as 8000-8080"
    found = _PORTS.fullmatch(str(value)) if isinstance(value, str | int) and not isinstance(value, bool) else None
    if found is None:
        raise _Expected(expected)
    ports = Ports(int(found[1]), int(found[2] or found[1]))
    if not ports.first <= ports.last <= 65535:
        raise _Expected(expected)
    return ports


_READERS: dict[str, Callable[[object], object]] = {
    "id": _id,
    "action": _action,
    "priority": _priority,
    "source": _network,
    "destination": _network,
    "protocol": _protocol,
    "source_ports": _ports,
    "destination_ports": _ports,
}
