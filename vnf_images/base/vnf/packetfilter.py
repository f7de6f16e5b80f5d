"""Filters of sockets in the kernel's classic BPF. In: a socket and a program. Out: packets that the program refuses do not reach it."""

from __future__ import annotations

import ctypes
import socket
import struct
from collections.abc import Sequence

Step = tuple[int, int, int, int]  # code, steps to skip if true and if false, operand: linux/filter.h
_SO_ATTACH_FILTER = 26


def attach(to: socket.socket, program: Sequence[Step]) -> None:
    """Set the filter. The kernel copies it from the address that it is given."""
    steps = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    to.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program), ctypes.addressof(steps)))
