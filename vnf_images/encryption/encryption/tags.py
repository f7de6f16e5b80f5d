"""Which MAC addresses a connection's frames bear towards its sender. In: frames that went that way. Out: 12 octets for one of ours.

The switches steer by the destination MAC, a tag by connection and direction, so a frame that is made here must bear the tag of
its connection. TCP shows its tag at the handshake, other protocols at each packet. Bounded: the oldest connection gives way.
"""

from __future__ import annotations

from encryption.packets import TCP, UDP, Transport

MOST_CONNECTIONS = 16384
MOST_WANTED = 256


class Tags:
    """MAC addresses by connection, in one direction."""

    def __init__(self) -> None:
        self._known: dict[bytes, bytes] = {}
        self.wanted: set[bytes] = set()  # connections that nothing was known of when it was needed

    def learn(self, packet: bytes, at: Transport, frame: bytes) -> None:
        """Note the addresses of `frame`, which carried `packet`."""
        key = connection(packet, at, back=False)
        if key is None:
            return
        if key not in self._known and len(self._known) >= MOST_CONNECTIONS:
            del self._known[next(iter(self._known))]
        self._known[key] = frame[:12]
        self.wanted.discard(key)

    def back(self, packet: bytes, at: Transport) -> bytes | None:
        """The addresses for an answer to `packet`, or None; then they are noted as soon as the connection shows them."""
        key = connection(packet, at, back=True)
        if key is None:
            return None
        found = self._known.get(key)
        if found is None and len(self.wanted) < MOST_WANTED:
            self.wanted.add(key)
        return found


def connection(packet: bytes, at: Transport, *, back: bool) -> bytes | None:
    """What names the connection of a packet, or of an answer to it; None in later fragments, which have no ports."""
    low, middle, high = (12, 16, 20) if packet[0] >> 4 == 4 else (8, 24, 40)
    source, destination = packet[low:middle], packet[middle:high]
    source_port = destination_port = b""
    if at.protocol in (TCP, UDP):
        if not at.first or at.offset + 4 > len(packet):
            return None
        source_port, destination_port = packet[at.offset : at.offset + 2], packet[at.offset + 2 : at.offset + 4]
    protocol = bytes((at.protocol,))
    if back:
        return destination + source + destination_port + source_port + protocol
    return source + destination + source_port + destination_port + protocol
