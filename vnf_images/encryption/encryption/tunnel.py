"""What becomes of a frame: sealed on its way from the plain port to the cipher port, opened on its way back, or refused.

In: Ethernet frames. Out: Ethernet frames with the same MAC addresses and type, counts of what was refused, and answers to
senders whose packets are too big. Pure but for its state. Nothing leaves the cipher port that was not sealed, nothing the plain
port that was not authentic, except answers to what came in there.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence

from encryption.esp import IN_IPV4, IN_IPV6, OVERHEAD_OCTETS, Receiver, Refused, Sender
from encryption.packets import (
    DONT_FRAGMENT,
    ESP,
    ETHERNET_OCTETS,
    IPV4,
    IPV6,
    TCP,
    UDP,
    Malformed,
    Transport,
    fragments,
    outer_header,
    packet_of,
    segments,
    too_big,
    transport_of,
    with_checksum,
    with_mss,
)
from encryption.tags import Tags

ANSWERS_A_SECOND = 200
SYN = 0x02
_NEXT_HEADERS = {IPV4: IN_IPV4, IPV6: IN_IPV6}
_HEADER_OCTETS = {IPV4: 20, IPV6: 40}


class Tunnel:
    """One end. `drops` counts frames by reason, `answers` holds frames for the plain port."""

    def __init__(self, sender: Sender, receiver: Receiver) -> None:
        self._sender = sender
        self._receiver = receiver
        self._tags = Tags()
        self._answers_left = ANSWERS_A_SECOND
        self.drops: Counter[str] = Counter()
        self.answers: deque[bytes] = deque()
        self.set_mtus(1500, 1500)

    def set_mtus(self, plain: int, cipher: int) -> None:
        """Take note of the ports' MTUs, in octets of IP."""
        self._plain_mtu = plain
        self._most = {ethertype: min(plain, most_inside(ethertype, cipher)) for ethertype in (IPV4, IPV6)}

    def tick(self, now_s: float) -> None:
        """Called at least every second while packets pass, with the wall-clock time."""
        self._sender.tick(now_s)
        self._receiver.tick(now_s)
        self._answers_left = ANSWERS_A_SECOND

    def outward(self, frame: bytes, unfinished: bool = False) -> Sequence[bytes]:
        """Frames for the cipher port. `unfinished`: the sender left the checksum, perhaps the cutting, to its network card."""
        ethertype = frame[12:14]
        if ethertype not in _NEXT_HEADERS:
            return self._dropped("not_ip")
        try:
            packet = packet_of(frame, ethertype)
            most = self._most[ethertype]
            if len(packet) > most:
                return self._in_parts(frame, packet, most)
            if unfinished:
                packet = with_checksum(packet)
            if packet[9 if ethertype == IPV4 else 6] != UDP and not is_tcp_without_syn(packet):
                packet = self._clamped(packet, transport_of(packet), most)
        except Malformed:
            return self._dropped("malformed")
        return (self._sealed(frame, packet, ethertype),)

    def inward(self, frame: bytes) -> bytes | None:
        """The frame for the plain port, or None."""
        ethertype = frame[12:14]
        if ethertype not in _NEXT_HEADERS:
            return self._refused("not_ip")
        try:
            outer = packet_of(frame, ethertype)
            packet = self._opened(outer, ethertype)
        except Malformed:
            return self._refused("malformed")
        except Refused as refused:
            return self._refused(refused.reason)
        if len(packet) > self._plain_mtu:
            return self._refused("too_long")
        if not is_tcp_without_syn(packet) or self._tags.wanted:
            at = transport_of(packet)
            if at.protocol != TCP or self._tags.wanted or is_syn(packet, at):
                self._tags.learn(packet, at, frame)
            packet = self._clamped(packet, at, self._most[ethertype])
        return frame[:ETHERNET_OCTETS] + packet

    def _sealed(self, frame: bytes, packet: bytes, ethertype: bytes) -> bytes:
        esp = self._sender.seal(packet, _NEXT_HEADERS[ethertype])
        return frame[:ETHERNET_OCTETS] + outer_header(packet, ethertype, len(esp)) + esp

    def _opened(self, outer: bytes, ethertype: bytes) -> bytes:
        if ethertype == IPV4:
            if outer[9] != ESP:
                raise Refused("not_encrypted")
            if (outer[6] << 8 | outer[7]) & ~DONT_FRAGMENT:
                raise Refused("fragment")
            start, addresses = (outer[0] & 15) * 4, slice(12, 20)
        else:
            if outer[6] != ESP:
                raise Refused("not_encrypted")
            start, addresses = 40, slice(8, 40)
        packet, next_header = self._receiver.open(outer[start:])
        if next_header != _NEXT_HEADERS[ethertype] or outer[addresses] != packet[addresses]:
            raise Refused("altered")  # the outer header is not authenticated, but it must agree with what is
        return packet

    def _clamped(self, packet: bytes, at: Transport, most: int) -> bytes:
        if not is_syn(packet, at):
            return packet
        return with_mss(packet, at, most - (40 if packet[0] >> 4 == 4 else 60))

    def _in_parts(self, frame: bytes, packet: bytes, most: int) -> Sequence[bytes]:
        """A packet that has no room: cut where that is allowed, else its sender is told. Raises Malformed."""
        ethertype = frame[12:14]
        at = transport_of(packet)
        if at.protocol == TCP and not at.fragment and len(packet) > self._plain_mtu:
            parts = segments(packet, at, most)
        elif ethertype == IPV4 and not (packet[6] << 8 | packet[7]) & DONT_FRAGMENT:
            parts = fragments(packet, most)
        else:
            self._answer(packet, at, most)
            return self._dropped("too_big")
        return [self._sealed(frame, part, ethertype) for part in parts]

    def _answer(self, packet: bytes, at: Transport, most: int) -> None:
        macs = self._tags.back(packet, at)
        message = too_big(packet, most) if macs is not None and self._answers_left > 0 else None
        if macs is None or message is None:
            self.drops["answer_not_sent"] += 1
            return
        self._answers_left -= 1
        self.answers.append(macs + (IPV4 if packet[0] >> 4 == 4 else IPV6) + message)

    def _dropped(self, reason: str) -> Sequence[bytes]:
        self.drops[reason] += 1
        return ()

    def _refused(self, reason: str) -> None:
        self.drops[reason] += 1


def most_inside(ethertype: bytes, mtu: int) -> int:
    """The longest packet whose ESP fits into `mtu`: text, pad length and next header fill whole words of 4 octets."""
    room = mtu - _HEADER_OCTETS[ethertype] - OVERHEAD_OCTETS + 2
    return room // 4 * 4 - 2


def is_tcp_without_syn(packet: bytes) -> bool:
    """True for the most frequent packet, which needs no closer look; false where one is needed to know."""
    if packet[0] == 0x45:
        return packet[9] == TCP and len(packet) >= 40 and not packet[33] & SYN
    return packet[0] >> 4 == 6 and packet[6] == TCP and len(packet) >= 60 and not packet[53] & SYN


def is_syn(packet: bytes, at: Transport) -> bool:
    """Whether the packet begins a TCP connection, or accepts one."""
    return at.protocol == TCP and at.first and at.offset + 20 <= len(packet) and bool(packet[at.offset + 13] & SYN)
