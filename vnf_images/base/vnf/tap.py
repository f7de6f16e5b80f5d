"""The link layer beside the bridge: how frames of each connection are addressed, and a way to send more like them.

In: the handshakes (frames with SYN) that come into the data ports, by a filter in the kernel. Out: their link-layer headers, and frames of
the function's own. Needs CAP_NET_RAW. Nothing else of the traffic is read here.
"""

from __future__ import annotations

import socket
from collections import OrderedDict
from collections.abc import Mapping

from vnf.decision import LinkHeader
from vnf.packet import Segment, build
from vnf.packetfilter import attach

ETH_P_ALL = 3
ETH_P = {4: b"\x08\x00", 16: b"\x86\xdd"}  # by the length of an address
REMEMBERED = 8192
_SOL_PACKET, _PACKET_IGNORE_OUTGOING = 263, 23
_SNAP = 128

# IPv4 without a fragment offset or IPv6 without extension headers, TCP, SYN set.
_HANDSHAKES = (
    (0x28, 0, 0, 12),  # ldh ethertype
    (0x15, 0, 7, 0x0800),
    (0x30, 0, 0, 23),  # ldb protocol
    (0x15, 0, 11, 6),
    (0x28, 0, 0, 20),  # ldh fragment offset
    (0x45, 9, 0, 0x1FFF),
    (0xB1, 0, 0, 14),  # ldx the header's length
    (0x50, 0, 0, 27),  # ldb flags
    (0x45, 5, 6, 0x02),
    (0x15, 0, 5, 0x86DD),
    (0x30, 0, 0, 20),  # ldb next header
    (0x15, 0, 3, 6),
    (0x30, 0, 0, 67),  # ldb flags
    (0x45, 0, 1, 0x02),
    (0x06, 0, 0, _SNAP),
    (0x06, 0, 0, 0),
)


class Tap:
    """Link-layer headers of handshakes seen lately, by addresses, ports and whether it is a SYN or its answer."""

    def __init__(self, opposite: Mapping[str, str]) -> None:
        """`opposite` gives for each data port the one by which frames leave that came into it."""
        self._opposite = opposite
        self._seen: OrderedDict[bytes, LinkHeader] = OrderedDict()
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        attach(self._socket, _HANDSHAKES)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self._socket.setblocking(False)

    def link(self, key: bytes) -> LinkHeader | None:
        """The header of the frame with these addresses and ports, as they stand in the packet."""
        self._read()
        return self._seen.get(key)

    def send(self, link: LinkHeader, segment: Segment) -> None:
        """Send a segment in the name of one end. Raises OSError where the port is gone."""
        frame = link.addresses + ETH_P[len(segment.source)] + build(segment)
        self._socket.sendto(frame, (link.port, 0))

    def _read(self) -> None:
        while True:
            try:
                frame, (port, _, _, _, _) = self._socket.recvfrom(_SNAP)
            except BlockingIOError:
                return
            except OSError:  # ENETDOWN: a port was taken away
                continue
            leaves = self._opposite.get(port)
            if leaves is None or len(frame) < 54:
                continue
            self._seen[handshake_key(frame[14:])] = LinkHeader(leaves, frame[:12])
            if len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)


def handshake_key(packet: bytes) -> bytes:
    """Addresses and ports of an IP packet without extension headers; what it gives for others matches nothing."""
    if packet[0] >> 4 == 4:
        start = (packet[0] & 0xF) << 2
        return packet[12:20] + packet[start : start + 4]
    return packet[8:44]
