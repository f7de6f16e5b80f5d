"""Keeps the container's interfaces as they should be, however often the lab takes them away and plugs them in again.

In: the desired interfaces (addresses, ports of a bridge). Out: the commands that lead there from what is found, run again at each
change that the kernel announces. `plan` is pure. Must not touch an interface that is not desired, nor give addresses to
the ports of a bridge.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

Command = tuple[str, ...]
LINK_AND_ADDRESS_CHANGES = 0x1 | 0x10  # RTMGRP_LINK | RTMGRP_IPV4_IFADDR of linux/rtnetlink.h


class SupportsFileno(Protocol):
    """What can be waited for."""

    def fileno(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Port:
    """A desired interface: its IPv4 addresses with prefix lengths; `data` says that frames of a user-space switch pass it."""

    name: str
    addresses: tuple[str, ...] = ()
    data: bool = False


@dataclass(frozen=True, slots=True)
class Bridge:
    """A desired two-port bridge that repeats each frame of one port on the other, whatever its addresses."""

    name: str
    ports: tuple[str, str]


@dataclass(frozen=True, slots=True)
class Wiring:
    """All that is desired in one container."""

    ports: tuple[Port, ...]
    bridge: Bridge | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """An interface as found; `index` is new whenever it was plugged in anew.

    `port_state` is what the bridge says of its port, None where it is in no bridge: it follows the carrier up to a second later.
    """

    name: str
    index: int
    up: bool
    carrier: bool
    master: str | None
    addresses: frozenset[str] = field(default_factory=frozenset)
    port_state: str | None = None


class PlumbingFailed(RuntimeError):
    """A command that should have led to the desired state failed."""


def plan(wiring: Wiring, found: Mapping[str, Link], offloads_off: frozenset[int] = frozenset()) -> list[Command]:
    """The commands that lead from `found` to `wiring`; none when they agree. Ports that are not there yet are left out.

    `offloads_off` holds the indices of the interfaces whose checksum offload was turned off already.
    """
    commands: list[Command] = []
    bridge = wiring.bridge
    if bridge is not None and bridge.name not in found:
        quiet = ("stp_state", "0", "mcast_snooping", "0", "forward_delay", "0")
        commands.append(("ip", "link", "add", bridge.name, "type", "bridge", *quiet))
        commands.append(("ip", "link", "set", bridge.name, "addrgenmode", "none", "arp", "off", "up"))
    elif bridge is not None and not found[bridge.name].up:
        commands.append(("ip", "link", "set", bridge.name, "up"))
    for port in wiring.ports:
        link = found.get(port.name)
        if link is None:
            continue
        if port.data and link.index not in offloads_off:
            commands.append(("ethtool", "-K", port.name, "tx", "off", "rx", "off"))
        if bridge is not None and port.name in bridge.ports and link.master != bridge.name:
            commands.append(("ip", "link", "set", port.name, "addrgenmode", "none", "master", bridge.name))
            commands.append(("bridge", "link", "set", "dev", port.name, "learning", "off", "flood", "on"))
        commands += [
            ("ip", "addr", "add", address, "dev", port.name)
            for address in port.addresses
            if address not in link.addresses
        ]
        if not link.up:
            commands.append(("ip", "link", "set", port.name, "up"))
    return commands


def problems(wiring: Wiring, found: Mapping[str, Link]) -> list[str]:
    """What keeps the container from its work, in words; empty when all is as desired and every cable has a peer."""
    said = []
    for port in wiring.ports:
        link = found.get(port.name)
        if link is None:
            said.append(f"{port.name} is not plugged in")
        elif not link.up or not link.carrier:
            said.append(f"{port.name} is down")
        elif missing := [address for address in port.addresses if address not in link.addresses]:
            said.append(f"{port.name} has no address {missing[0]}")
        elif wiring.bridge is not None and port.name in wiring.bridge.ports and link.master != wiring.bridge.name:
            said.append(f"{port.name} is not in {wiring.bridge.name}")
        elif link.port_state not in (None, "forwarding"):
            said.append(f"{port.name} does not forward: {link.port_state}")
    if wiring.bridge is not None and wiring.bridge.name not in found:
        said.append(f"{wiring.bridge.name} does not exist")
    return said


def parse_links(shown: Iterable[Mapping[str, Any]]) -> dict[str, Link]:
    """Interfaces by name, from what `ip -json -details address show` printed."""
    links = {}
    for entry in shown:
        flags = entry.get("flags", [])
        addresses = frozenset(
            f"{a['local']}/{a['prefixlen']}" for a in entry.get("addr_info", []) if a.get("family") == "inet"
        )
        state = entry.get("linkinfo", {}).get("info_slave_data", {}).get("state")
        links[entry["ifname"]] = Link(
            entry["ifname"], entry["ifindex"], "UP" in flags, "LOWER_UP" in flags, entry.get("master"), addresses, state
        )
    return links


class Plumber:
    """Applies a wiring at once and at every later change of links or addresses."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._offloads_off: frozenset[int] = frozenset()
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
        self._socket.bind((0, LINK_AND_ADDRESS_CHANGES))
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Readable when the kernel announced a change."""
        return self._socket.fileno()

    def wait(self, timeout_s: float, *others: SupportsFileno) -> None:
        """Return at a change, when one of `others` is readable, or after `timeout_s`."""
        select.select([self, *others], [], [], timeout_s)
        try:
            while self._socket.recv(65536):
                pass
        except BlockingIOError:
            pass
        except OSError:  # ENOBUFS: changes were lost; the caller looks at everything anyway
            pass

    def apply(self) -> tuple[list[Command], list[str]]:
        """Bring the interfaces to the desired state. Gives the commands that ran and what is still wrong.

        A port that vanishes meanwhile is no error: its return is announced. Raises PlumbingFailed.
        """
        found = look()
        commands = plan(self._wiring, found, self._offloads_off)
        for command in commands:
            self._run(command)
        # Of those seen before the commands: a port that came meanwhile has its turn in the next round.
        self._offloads_off = frozenset(found[port.name].index for port in self._wiring.ports if port.name in found)
        if commands:
            found = look()
        return commands, problems(self._wiring, found)

    def _run(self, command: Command) -> None:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 and not self._gone(done.stderr):
            raise PlumbingFailed(f"{' '.join(command)}: {done.stderr.strip()}")

    @staticmethod
    def _gone(error: str) -> bool:
        return any(
            word in error
            for word in ("Cannot find device", "No such device", "does not exist", "File exists", "No such process")
        )


def look() -> dict[str, Link]:
    """The interfaces of this network namespace."""
    done = subprocess.run(("ip", "-json", "-details", "address", "show"), capture_output=True, text=True, check=True)
    return parse_links(json.loads(done.stdout))


def split(addresses: str) -> tuple[str, ...]:
    """Addresses that a variable lists, separated by commas; a bare address means /32."""
    return tuple(a if "/" in a else f"{a}/32" for a in (part.strip() for part in addresses.split(",")) if a)


def host(addresses: Sequence[str]) -> str:
    """The first of the addresses without its prefix length."""
    return addresses[0].partition("/")[0]
