"""Data ports as raw sockets: frames in by a ring in shared memory, frames out one by one.

In: an interface's name, opened by a process with NET_RAW and NET_ADMIN (`opened`). Out: frames, read and sent by a process that
has neither (`Port`). The ring (packet_mmap, version 2) costs no call a frame, and tells what a plain read does not: an
unfinished checksum, a VLAN tag. A frame larger than a slot, which a sender left to its network card to cut, is read in one piece.
"""

from __future__ import annotations

import errno
import mmap
import socket
import struct
from collections.abc import Iterator

SLOTS = 1024
BLOCK_OCTETS = 65536
SLOT_HEADER_OCTETS = 128  # at least what struct tpacket2_hdr and struct sockaddr_ll take before a frame
LARGEST_FRAME = 65536 + 64

ETH_P_ALL = 3  # linux/if_ether.h
SOL_PACKET = 263
ADD_MEMBERSHIP, RX_RING, STATISTICS, COPY_THRESH, VERSION = 1, 5, 6, 7, 10  # linux/if_packet.h
QDISC_BYPASS, IGNORE_OUTGOING = 20, 23
TPACKET_V2, MR_PROMISC = 1, 1
STATUS_USER, STATUS_COPY, STATUS_UNFINISHED, STATUS_VLAN = 1, 2, 8, 16
RECEIVE_OCTETS = 8 << 20
SO_RCVBUFFORCE, SO_SNDBUFFORCE = 33, 32


def slot_octets(mtu: int) -> int:
    """The size of a ring's slots: a power of two that holds a frame of an interface with this MTU."""
    return 1 << (mtu + 18 + SLOT_HEADER_OCTETS - 1).bit_length()


def opened(name: str, index: int, mtu: int) -> socket.socket:
    """A socket that receives all frames which come in by the interface. Raises OSError when it went away meanwhile."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        raw.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_OCTETS)
        raw.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, RECEIVE_OCTETS)
        raw.setsockopt(SOL_PACKET, IGNORE_OUTGOING, 1)
        raw.setsockopt(SOL_PACKET, QDISC_BYPASS, 1)
        raw.setsockopt(SOL_PACKET, COPY_THRESH, 1)
        raw.setsockopt(SOL_PACKET, VERSION, TPACKET_V2)
        slot = slot_octets(mtu)
        block = max(BLOCK_OCTETS, slot)
        raw.setsockopt(SOL_PACKET, RX_RING, struct.pack("4I", block, SLOTS * slot // block, slot, SLOTS))
        raw.setsockopt(SOL_PACKET, ADD_MEMBERSHIP, struct.pack("iHH8s", index, MR_PROMISC, 0, b""))
        raw.bind((name, ETH_P_ALL))
    except OSError:
        raw.close()
        raise
    return raw


class Port:
    """An opened socket as a source and sink of frames."""

    def __init__(self, raw: socket.socket, mtu: int) -> None:
        raw.setblocking(False)
        self.mtu = mtu
        self._raw = raw
        self._slot = slot_octets(mtu)
        self._ring = mmap.mmap(raw.fileno(), SLOTS * self._slot)
        self._words = memoryview(self._ring).cast("I")
        self._next = 0
        self._send = raw.send

    def fileno(self) -> int:
        """Readable when there are frames."""
        return self._raw.fileno()

    def received(self, most: int) -> Iterator[tuple[bytes, int]]:
        """Up to `most` frames that are there, each with its status bits."""
        words, ring, slot, at = self._words, self._ring, self._slot, self._next
        for _ in range(most):
            word = at * slot >> 2
            status = words[word]
            if not status & STATUS_USER:
                break
            start = at * slot + (words[word + 3] & 0xFFFF)
            if status & STATUS_COPY:
                frame = self._large()
            else:
                frame = ring[start : start + words[word + 2]]
            words[word] = 0
            self._next = at = (at + 1) % SLOTS
            yield frame, status

    def _large(self) -> bytes:
        try:
            return self._raw.recv(LARGEST_FRAME)
        except OSError:  # the queue had no room for it: an empty frame is counted as malformed
            return b""

    def send(self, frame: bytes) -> str:
        """Send a frame; the reason where it could not leave."""
        try:
            self._send(frame)
        except OSError as error:
            return "too_long" if error.errno == errno.EMSGSIZE else "send_failed"
        return ""

    def check(self) -> None:
        """Take the socket's pending error, which an interface that goes down leaves there."""
        self._raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def overruns(self) -> int:
        """Frames that the kernel dropped since the last call, because the ring was full."""
        given = self._raw.getsockopt(SOL_PACKET, STATISTICS, 8)
        return int(struct.unpack("2I", given)[1])

    def close(self) -> None:
        """Give the ring and the socket back."""
        self._words.release()
        self._ring.close()
        self._raw.close()
