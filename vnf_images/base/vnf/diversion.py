"""Which of the bridged packets come to user space, and which the kernel carries.

In: TCP ports and what to do when nobody listens. Out: rules in the kernel. They must be loaded before the bridge forwards. A connection
that was released has a mark in the kernel's connection tracking, which also puts fragments together ahead of the queue and apart again
behind it. Needs CAP_NET_ADMIN, `net.bridge.bridge-nf-call-iptables` and `-ip6tables`.

Both tools are tried: kernels differ in whether nftables has `queue`, and in whether the older tables are there.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

QUEUE = 0
MARK_RELEASE, MARK_INSPECT = 1, 2  # of a packet with its verdict; 0 leaves its connection as it is
_RELEASED = 1  # of a connection

_LEGACY = """*mangle
:POSTROUTING ACCEPT
-A POSTROUTING -m mark --mark {release} -j CONNMARK --set-mark {released}
-A POSTROUTING -p tcp --tcp-flags SYN SYN -m mark --mark {inspect} -j CONNMARK --set-mark 0
COMMIT
*filter
:FORWARD ACCEPT
-A FORWARD -p tcp --tcp-flags SYN SYN -m multiport --ports {ports} -j NFQUEUE --queue-num {queue}{bypass}
-A FORWARD -m connmark --mark {released} -j ACCEPT
-A FORWARD -p tcp -m multiport --ports {ports} -j NFQUEUE --queue-num {queue}{bypass}
COMMIT
"""
_NFT = """table inet divert {{
  chain postrouting {{
    type filter hook postrouting priority mangle;
    meta mark {release} ct mark set {released}
    tcp flags & syn == syn meta mark {inspect} ct mark set 0
  }}
  chain forward {{
    type filter hook forward priority filter;
    meta l4proto != tcp accept
    tcp flags & syn == syn tcp dport {{ {ports} }} queue {bypass} num {queue}
    tcp flags & syn == syn tcp sport {{ {ports} }} queue {bypass} num {queue}
    ct mark {released} accept
    tcp dport {{ {ports} }} queue {bypass} num {queue}
    tcp sport {{ {ports} }} queue {bypass} num {queue}
  }}
}}
"""
# The last four bytes of the destination MAC go to the queue as the packet's mark, until its verdict sets another.
_GUARD = """table bridge tag {
  chain prerouting {
    type filter hook prerouting priority -300;
    meta mark set @ll,16,32
  }
}
table bridge guard {
  chain input { type filter hook input priority filter; policy drop; }
  chain output { type filter hook output priority filter; policy drop; }
}
"""
_OPAQUE = """table bridge opaque {{
  chain forward {{
    type filter hook forward priority filter; policy drop;
    ether type {{ {types} }} accept
    counter
  }}
}}
"""


_BRIDGE = Path("/proc/sys/net/bridge")
_HAS_IPV6 = Path("/proc/sys/net/ipv6").is_dir()


class DiversionFailed(RuntimeError):
    """The kernel would not bring the packets; the message says why, for each tool that was tried."""


def divert(ports: Sequence[int], fail_open: bool) -> str:
    """Bring the ports' packets to the queue; gives the tool that did it.

    Unless `fail_open`, frames that hide their packets from the rules (VLAN tags, tunnels) do not pass. Raises DiversionFailed.
    """
    for switch in ("bridge-nf-call-iptables", *(["bridge-nf-call-ip6tables"] if _HAS_IPV6 else [])):
        if not (_BRIDGE / switch).exists() or (_BRIDGE / switch).read_text().strip() != "1":
            raise DiversionFailed(f"net.bridge.{switch} is not 1: bridged packets would pass unseen")
    opaque = _OPAQUE.format(types="arp, ip, ip6" if _HAS_IPV6 else "arp, ip")
    _run(("nft", "-f", "-"), _GUARD if fail_open else _GUARD + opaque)
    given = {"release": MARK_RELEASE, "inspect": MARK_INSPECT, "released": _RELEASED, "queue": QUEUE}
    listed = ",".join(map(str, ports))
    legacy = _LEGACY.format(**given, ports=listed, bypass=" --queue-bypass" if fail_open else "")
    try:
        for tool in _legacy_tools():
            _run((tool,), legacy)
        return "iptables-legacy"
    except DiversionFailed as older:
        try:
            _run(("nft", "-f", "-"), _NFT.format(**given, ports=listed, bypass="flags bypass" if fail_open else ""))
        except DiversionFailed as newer:
            raise DiversionFailed(f"{older}; {newer}") from None
        return "nft"


def _legacy_tools() -> Iterable[str]:
    yield "iptables-legacy-restore"
    if _HAS_IPV6:
        yield "ip6tables-legacy-restore"


def _run(command: tuple[str, ...], text: str) -> None:
    environment = {**os.environ, "XTABLES_LOCKFILE": "/dev/shm/xtables.lock"}  # the root file system is read-only
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, env=environment)
    if done.returncode != 0:
        said = done.stderr.strip().replace("\n", " | ")
        raise DiversionFailed(f"{command[0]}: {said}")
