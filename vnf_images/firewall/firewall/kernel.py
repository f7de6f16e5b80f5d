"""Talks to nftables, and reads what the kernel's own files tell. In: transactions. Out: counters, or `KernelRefused` with nft's reason.

Must not decide anything: what is to be loaded is `compiling`'s matter.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

COUNTED = Path("/proc/sys/net/netfilter/nf_conntrack_count")
BRIDGED = tuple(Path(f"/proc/sys/net/bridge/bridge-nf-call-{name}") for name in ("iptables", "ip6tables"))
MALFORMED = (("Ip", "InHdrErrors"), ("Ip", "InAddrErrors"), ("Ip", "InTruncatedPkts"), ("Ip", "ReasmFails"))
MALFORMED_6 = ("Ip6InHdrErrors", "Ip6InTruncatedPkts", "Ip6ReasmFails")


class KernelRefused(RuntimeError):
    """nft did not do what it was told; the message is its own."""


@dataclass(frozen=True, slots=True)
class Count:
    """What a counter saw."""

    packets: int = 0
    bytes: int = 0


def change(text: str) -> None:
    """Carry out `text` as one transaction, wholly or not at all. Raises KernelRefused."""
    _nft("-f", "-", given=text)


def listed(*what: str) -> list[dict[str, Any]]:
    """What `nft -j list` prints. Raises KernelRefused."""
    return list(json.loads(_nft("-j", "list", *what))["nftables"])


def counters() -> dict[tuple[str, str], Count]:
    """All named counters by (table, name). Raises KernelRefused."""
    entries = (entry["counter"] for entry in listed("counters") if "counter" in entry)
    return {(entry["table"], entry["name"]): Count(entry["packets"], entry["bytes"]) for entry in entries}


def bridged_packets_are_seen() -> str:
    """What keeps bridged IP packets from the rules, in words; empty when nothing does."""
    for path in BRIDGED:
        try:
            value = path.read_text().strip()
        except OSError:
            return f"{path} is missing; the host's kernel needs br_netfilter (modprobe br_netfilter)"
        if value != "1":
            return f"{path} is {value}; expected 1, which the container's option `sysctls` sets"
    return ""


def connections() -> int:
    """The connections that conntrack holds here, ended ones that it has not forgotten yet among them."""
    try:
        return int(COUNTED.read_text())
    except OSError:
        return 0


def malformed(root: Path = Path("/proc/net")) -> int:
    """Packets that the kernel dropped since their IP header is wrong or their fragments do not make a packet."""
    total = 0
    rows = [line.split() for line in _lines(root / "snmp")]
    for names, values in zip(rows[::2], rows[1::2], strict=False):
        protocol = dict(zip(names[1:], values[1:], strict=False))
        total += sum(int(protocol.get(name, 0)) for family, name in MALFORMED if f"{family}:" == names[0])
    of_ip6: Mapping[str, str] = dict(line.split() for line in _lines(root / "snmp6"))
    return total + sum(int(of_ip6.get(name, 0)) for name in MALFORMED_6)


def table_full(path: Path = Path("/proc/net/stat/nf_conntrack")) -> int:
    """Packets dropped since conntrack could hold no further connection; 0 where the kernel does not tell."""
    rows = [line.split() for line in _lines(path)]
    if not rows or "drop" not in rows[0]:
        return 0
    at = rows[0].index("drop")
    return sum(int(row[at], 16) for row in rows[1:])


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _nft(*arguments: str, given: str | None = None) -> str:
    done = subprocess.run(("nft", *arguments), input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise KernelRefused(done.stderr.strip())
    return done.stdout
