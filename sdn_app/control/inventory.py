"""What the switches have: ports by number and name, hosts that were seen, links that were probed.

In: port descriptions, frames from unknown sources, probes. Out: roles of ports and known hosts. It keeps no desired
state and sends nothing.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Address

from sdn_app.network.discovery import Discovery
from sdn_app.network.graph import Host
from sdn_app.openflow.codec import PortDesc
from sdn_app.rules.entries import SwitchRules
from sdn_app.rules.pipeline import ADMISSION, ADMIT_HOST, ETH_ARP, ETH_IPV4

MAX_PORT = 0xFFFFFF00
HOSTS_PER_PORT = 64


@dataclass(slots=True)
class Port:
    """One switch port, and since when it is up (monotonic seconds)."""

    number: int
    name: str
    up: bool
    since: float


@dataclass(slots=True)
class SwitchInfo:
    """One connected switch."""

    dpid: int
    ports: dict[int, Port] = field(default_factory=dict)

    def number_of(self, name: str) -> int | None:
        """The number of a port that is up, by name."""
        return next((port.number for port in self.ports.values() if port.name == name and port.up), None)


class Inventory:
    """All switches, ports and hosts. `settle_s`: how long a port must be up without a probe to count as a host port."""

    def __init__(self, discovery: Discovery, settle_s: float) -> None:
        self.discovery = discovery
        self.switches: dict[int, SwitchInfo] = {}
        self.hosts: dict[IPv4Address, Host] = {}
        self._settle_s = settle_s

    def set_port(self, dpid: int, port: PortDesc, now: float) -> bool:
        """Take in a port's description; True where its number, name or state is new."""
        switch = self.switches.setdefault(dpid, SwitchInfo(dpid))
        if port.number >= MAX_PORT:
            return False
        known = switch.ports.get(port.number)
        if known is not None and (known.name, known.up) == (port.name, port.state_up):
            return False
        switch.ports[port.number] = Port(port.number, port.name, port.state_up, now)
        if not port.state_up:
            self._lost(dpid, port.number)
        return True

    def remove_port(self, dpid: int, number: int) -> bool:
        """A port was deleted."""
        switch = self.switches.get(dpid)
        if switch is None or number not in switch.ports:
            return False
        del switch.ports[number]
        self._lost(dpid, number)
        return True

    def _lost(self, dpid: int, number: int) -> None:
        self.discovery.port_down(dpid, number)
        for address in [a for a, h in self.hosts.items() if (h.switch, h.port) == (dpid, number)]:
            del self.hosts[address]

    def remove_switch(self, dpid: int) -> None:
        """A switch went. Its hosts stay known: they are most likely still there when it returns."""
        self.switches.pop(dpid, None)
        self.discovery.switch_down(dpid)

    def is_edge(self, dpid: int, number: int, functions: frozenset[tuple[int, int]], now: float) -> bool:
        """True for a port that hosts can be on: up, settled, no link over it, no function's."""
        switch = self.switches.get(dpid)
        port = switch.ports.get(number) if switch else None
        return (
            port is not None
            and port.up
            and now - port.since >= self._settle_s
            and (dpid, number) not in functions
            and not self.discovery.is_trunk(dpid, number)
        )

    def learn(self, host: Host) -> str | None:
        """Bind an address to a port. Gives why not, where it is refused: the first to use an address keeps it while its
        port is up."""
        known = self.hosts.get(host.address)
        if known == host:
            return None
        if known is not None and (known.switch, known.port) != (host.switch, host.port):
            switch = self.switches.get(known.switch)
            port = switch.ports.get(known.port) if switch else None
            if port is not None and port.up:
                return f"{host.address} is in use on switch {known.switch} port {known.port}"
        on_port = sum((h.switch, h.port) == (host.switch, host.port) for h in self.hosts.values())
        if known is None and on_port >= HOSTS_PER_PORT:
            return f"switch {host.switch} port {host.port} has {on_port} addresses already"
        self.hosts[host.address] = host
        return None

    def recover(self, dpid: int, installed: SwitchRules) -> None:
        """Learn hosts again from what a switch holds: after a restart nothing else would make them known."""
        for flow in installed.flows:
            if (flow.table, flow.priority) != (ADMISSION, ADMIT_HOST):
                continue
            values = {name: value for name, value, _ in flow.match}
            if values.get("eth_type") != ETH_ARP or "arp_spa" not in values:
                continue
            address = IPv4Address(values["arp_spa"])
            self.hosts.setdefault(address, Host(values["eth_src"], address, dpid, values["in_port"]))

    def forget_trunk_hosts(self) -> None:
        """Hosts that were believed to be on what turned out to be a trunk."""
        for address, host in list(self.hosts.items()):
            if self.discovery.is_trunk(host.switch, host.port):
                del self.hosts[address]


def source_of(frame: bytes) -> tuple[int, IPv4Address] | None:
    """(MAC, IPv4 address) of the sender of an untagged ARP or IPv4 frame; None where no host can have it."""
    kind = int.from_bytes(frame[12:14], "big")
    mac = int.from_bytes(frame[6:12], "big")
    if kind == ETH_ARP and len(frame) >= 42 and frame[22:28] == frame[6:12]:
        address = IPv4Address(frame[28:32])
    elif kind == ETH_IPV4 and len(frame) >= 34:
        address = IPv4Address(frame[26:30])
    else:
        return None
    if mac >> 40 & 1 or address.is_unspecified or address.is_multicast or address.is_loopback:
        return None
    return mac, address


def asked_address(frame: bytes) -> IPv4Address | None:
    """The target address of an ARP request; None for any other frame."""
    if len(frame) >= 42 and frame[12:14] == b"\x08\x06" and frame[20:22] == b"\x00\x01":
        return IPv4Address(frame[38:42])
    return None
