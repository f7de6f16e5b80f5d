"""What the filter uses of the kernel: port sockets, a TUN device, packet filter, routes. In: names and TCP ports. Out: open files.

Packets of the filtered TCP ports come off the bridge (`RULES`), are read whole by packet sockets and go, as IP packets, into a TUN
device. Everything that comes out of it is delivered locally, whatever its destination; what marked sockets send goes into it. Must not
give the data ports any address.
"""

from __future__ import annotations

import ctypes
import fcntl
import socket
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

from spamfilter.packets import PASSED_IN_FRAGMENTS

IN_PORT, OUT_PORT = "in0", "out0"
TUN = "smtp0"
MARK = 25
VNET_HEADER = struct.Struct("=BBHHHH")  # virtio_net_hdr of linux/virtio_net.h
NEEDS_CHECKSUM = 1
ETHERNET_LENGTH = 14
_SOL_PACKET, _PACKET_VNET_HDR, _PACKET_IGNORE_OUTGOING, _PACKET_STATISTICS = 263, 15, 23, 6
_ETH_P_ALL = 3
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE = 26, 33
_RECEIVE_BUFFER = 8 << 20
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI, _IFF_VNET_HDR = 0x400454CA, 0x0001, 0x1000, 0x4000
_HAD_VLAN_TAG = 0xFFFFF000 + 48  # SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT of linux/filter.h
_EXTENSION_HEADERS = (0, 43, 44, 51, 60, 135, 139, 140)

RULES = """
table bridge spamfilter
delete table bridge spamfilter
table bridge spamfilter {{
    chain forward {{
        type filter hook forward priority filter; policy accept;
        ether type {{ 8021q, 8021ad }} counter drop comment "vlan"
        meta protocol {{ 8021q, 8021ad }} counter drop comment "vlan"
        ip protocol tcp ip frag-off & 0x3fff != 0 drop
        meta protocol ip6 exthdr frag exists meta l4proto {{ {fragments} }} accept
        meta protocol ip6 exthdr frag exists drop
        iifname "in0" tcp dport {{ {ports} }} drop
        iifname "out0" tcp sport {{ {ports} }} drop
    }}
    chain input {{ type filter hook input priority filter; policy drop; }}
    chain output {{ type filter hook output priority filter; policy drop; }}
}}
"""


class KernelRefused(RuntimeError):
    """The kernel does not offer what the filter needs; the message says what."""


def take_off_the_bridge(ports: Sequence[int]) -> None:
    """Load the packet filter; from now on the bridge passes nothing of the ports, nor fragments that may be theirs."""
    rules = RULES.format(ports=", ".join(map(str, ports)), fragments=", ".join(map(str, sorted(PASSED_IN_FRAGMENTS))))
    _run("nft", "-f", "-", given=rules)


def make_tun(tun: int) -> None:
    """Make the device with its routes and rules; it lasts as long as the file, which is /dev/net/tun's."""
    try:
        request = struct.pack("16sH22x", TUN.encode(), _IFF_TUN | _IFF_NO_PI | _IFF_VNET_HDR)
        fcntl.ioctl(tun, _TUNSETIFF, request)
    except OSError as error:
        raise KernelRefused(f"TUN device: {error.strerror}; the container needs NET_ADMIN") from None
    _run("ip", "link", "set", TUN, "addrgenmode", "none", "up")
    for family, everything in families():
        table = (family, "rule", "add", "pref")
        _run("ip", *table, "100", "iif", TUN, "lookup", "100")
        _run("ip", *table, "101", "fwmark", str(MARK), "lookup", "101")
        _run("ip", *table, "40000", "lookup", "101")  # answers that belong to no socket: resets
        _run("ip", family, "route", "add", "local", everything, "dev", "lo", "table", "100")
        _run("ip", family, "route", "add", "default", "dev", TUN, "table", "101")


def families() -> list[tuple[str, str]]:
    """`ip`'s option and the prefix of all addresses, for each IP version that the kernel speaks."""
    both = [("-4", "0.0.0.0/0")]
    return [*both, ("-6", "::/0")] if Path("/proc/sys/net/ipv6").is_dir() else both


def set_mtu(mtu: int) -> None:
    """The stack's segments must fit the ports'."""
    _run("ip", "link", "set", TUN, "mtu", str(mtu))


def open_port(name: str, ports: Sequence[int]) -> socket.socket:
    """A packet socket that reads what was taken off the bridge at one port, with offload headers, and sends there."""
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    try:
        opened.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
        opened.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        _attach(opened, packet_filter(ports, 2 if name == IN_PORT else 0))
        opened.bind((name, _ETH_P_ALL))  # last: nothing is read unfiltered
    except OSError:
        opened.close()
        raise
    return opened


def lost(opened: socket.socket) -> int:
    """Frames that the socket had no room for since the last call."""
    _, drops = struct.unpack("=II", opened.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
    return int(drops)


def packet_filter(ports: Sequence[int], offset: int) -> list[tuple[int, int, int, int]]:
    """Classic BPF: TCP with one of the ports at `offset` of its header, fragments of TCP over IPv4, IPv6 with extension headers.

    The kernel has taken a VLAN tag out of the frame by then, and says beside it that there was one: such frames are not read.
    """
    load_word, load_half, load_byte, load_half_x, load_x_header = 0x20, 0x28, 0x30, 0x48, 0xB1
    equal, any_set, go, give = 0x15, 0x45, 0x05, 0x06
    count, extensions = len(ports), len(_EXTENSION_HEADERS)
    accept = 13 + extensions + count + 2
    check = 13 + extensions + 1  # where the ports are compared
    program = [
        (load_half, 0, 0, 12),
        (equal, 1, 0, 0x0800),
        (equal, 7, accept - 1 - 3, 0x86DD),
        (load_byte, 0, 0, 23),
        (equal, 0, accept - 1 - 5, 6),
        (load_half, 0, 0, 20),
        (any_set, accept - 7, 0, 0x3FFF),
        (load_x_header, 0, 0, 14),
        (load_half_x, 0, 0, 14 + offset),
        (go, 0, 0, check - 10),
        (load_byte, 0, 0, 20),
        (equal, extensions + 1, 0, 6),
        *((equal, accept - 13 - i, 0, header) for i, header in enumerate(_EXTENSION_HEADERS)),
        (go, 0, 0, accept - 1 - (13 + extensions)),
        (load_half, 0, 0, 14 + 40 + offset),
        *((equal, accept - check - 1 - i, 0, port) for i, port in enumerate(ports)),
        (give, 0, 0, 0),
        (give, 0, 0, 1 << 18),
    ]
    return [(load_word, 0, 0, _HAD_VLAN_TAG), (equal, 1, 0, 0), (give, 0, 0, 0), *program]


def _attach(opened: socket.socket, program: Sequence[tuple[int, int, int, int]]) -> None:
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code, len(code))
    opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(buffer)))


def _run(*command: str, given: str | None = None) -> None:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise KernelRefused(f"{' '.join(command)}: {done.stderr.strip()}")
