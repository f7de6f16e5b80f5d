"""The kernel's packet queue (nfnetlink_queue), spoken directly: linux/netfilter/nfnetlink_queue.h.

In: a queue number. Out: queued packets, to each of which exactly one verdict must be given. Needs CAP_NET_ADMIN. One socket, one
thread; verdicts are sent many at a time.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator
from typing import NamedTuple

DROP, ACCEPT = 0, 1
_SUBSYSTEM = 3 << 8
_PACKET, _VERDICT, _CONFIG = _SUBSYSTEM, _SUBSYSTEM | 1, _SUBSYSTEM | 2
_ERROR = 2  # NLMSG_ERROR
_REQUEST, _WANT_ACK = 1, 4
_A_HEADER, _A_VERDICT, _A_MARK, _A_LEAVES, _A_SOURCE, _A_PAYLOAD, _A_CAP_LEN, _A_SKB_INFO = 1, 2, 3, 8, 9, 10, 13, 14
_C_COMMAND, _C_PARAMS, _C_MAXLEN, _C_MASK, _C_FLAGS = 1, 2, 3, 4, 5
_BIND = 1
_COPY_PACKET = 2
_F_FAIL_OPEN, _F_GSO = 1, 4
_CHECKSUM_LATER = 1  # of NFQA_SKB_INFO: the sender's kernel left the checksum to the hardware
_RECEIVE_BUFFER = 16 << 20
_MESSAGE_LIMIT = 0xFFFF + 4096
_SO_RCVBUFFORCE, _SOL_NETLINK, _NETLINK_NO_ENOBUFS = 33, 270, 5
_NETLINK_NETFILTER = 12
_HEAD = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_VERDICT_MESSAGE = struct.Struct("=IHHII BBH HH4s4s HH4s")
_WORD = struct.Struct("!I")
_NATIVE_WORD = struct.Struct("=I")


class QueueFailed(RuntimeError):
    """The kernel refused the queue; the message has its reason."""


class Queued(NamedTuple):
    """A packet that waits for its verdict; `payload` starts with the IP header."""

    id: bytes
    tag: bytes  # the last four bytes of the destination MAC address, where a rule made them the packet's mark
    payload: bytes
    checksum_valid_later: bool
    truncated: bool
    leaves: int  # index of the bridge's port that it will leave by
    source: bytes  # its source MAC address


class Queue:
    """An open queue. Packets that nobody gave a verdict when it is closed are dropped by the kernel."""

    def __init__(self, number: int, length: int, fail_open: bool) -> None:
        self._number = number
        self._verdicts = bytearray()
        self._buffer = bytearray(_MESSAGE_LIMIT)
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
        self._socket.bind((0, 0))
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        except PermissionError:  # in a user namespace: the limit of the host holds
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        self._socket.setsockopt(_SOL_NETLINK, _NETLINK_NO_ENOBUFS, 1)
        flags = _F_GSO | (_F_FAIL_OPEN if fail_open else 0)
        self._configure(_attribute(_C_COMMAND, struct.pack("!BBH", _BIND, 0, 0)))
        self._configure(
            _attribute(_C_PARAMS, struct.pack("!IB", 0xFFFF, _COPY_PACKET))
            + _attribute(_C_MAXLEN, _WORD.pack(length))
            + _attribute(_C_FLAGS, _WORD.pack(flags))
            + _attribute(_C_MASK, _WORD.pack(_F_GSO | _F_FAIL_OPEN))
        )
        self._socket.setblocking(False)

    def fileno(self) -> int:
        """Readable when a packet waits."""
        return self._socket.fileno()

    def packets(self, at_most: int) -> Iterator[Queued]:
        """Those that wait now."""
        for _ in range(at_most):
            try:
                size = self._socket.recv_into(self._buffer)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                continue
            packet = _parse(self._buffer, size)
            if packet is not None:
                yield packet

    def verdict(self, packet: Queued, verdict: int, mark: int) -> None:
        """Note a verdict; `flush` sends it."""
        self._verdicts += _VERDICT_MESSAGE.pack(
            *(_VERDICT_MESSAGE.size, _VERDICT, _REQUEST, 0, 0),
            *(0, 0, socket.htons(self._number)),
            *(12, _A_VERDICT, _WORD.pack(verdict), packet.id),
            *(8, _A_MARK, _WORD.pack(mark)),
        )

    def flush(self) -> None:
        """Send the verdicts that were noted."""
        if self._verdicts:
            self._socket.send(self._verdicts)
            self._verdicts.clear()

    def close(self) -> None:
        self._socket.close()

    def _configure(self, attributes: bytes) -> None:
        size = _HEAD.size + 4 + len(attributes)
        head = _HEAD.pack(size, _CONFIG, _REQUEST | _WANT_ACK, 0, 0) + struct.pack("!BBH", 0, 0, self._number)
        self._socket.send(head + attributes)
        while True:
            answer = self._socket.recv(_MESSAGE_LIMIT)
            if (
                _HEAD.unpack_from(answer)[1] == _ERROR
            ):  # the first packets may come before the answer: they wait no longer
                (code,) = struct.unpack_from("=i", answer, _HEAD.size)
                if code:
                    raise QueueFailed(f"packet queue {self._number}: {os.strerror(-code)}")
                return


def _attribute(kind: int, value: bytes) -> bytes:
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + bytes(-len(value) % 4)


def _parse(buffer: bytearray, size: int) -> Queued | None:
    """The packet of one message; None for any other message."""
    if size < 20 or _HEAD.unpack_from(buffer)[1] != _PACKET:
        return None
    id_, tag, payload, later, truncated, leaves, source = b"", bytes(4), b"", False, False, 0, bytes(6)
    at = 20
    while at + 4 <= size:
        length, kind = _ATTRIBUTE.unpack_from(buffer, at)
        kind &= 0x3FFF
        if length < 4:
            break
        if kind == _A_PAYLOAD:
            payload = bytes(buffer[at + 4 : at + length])
        elif kind == _A_HEADER:
            id_ = bytes(buffer[at + 4 : at + 8])
        elif kind == _A_MARK:
            tag = _NATIVE_WORD.pack(*_WORD.unpack_from(buffer, at + 4))
        elif kind == _A_SKB_INFO:
            later = bool(_WORD.unpack_from(buffer, at + 4)[0] & _CHECKSUM_LATER)
        elif kind == _A_LEAVES:
            (leaves,) = _WORD.unpack_from(buffer, at + 4)
        elif kind == _A_SOURCE:
            source = bytes(buffer[at + 8 : at + 14])
        elif kind == _A_CAP_LEN:
            truncated = True
        at += (length + 3) & ~3
    return Queued(id_, tag, payload, later, truncated, leaves, source) if id_ else None
