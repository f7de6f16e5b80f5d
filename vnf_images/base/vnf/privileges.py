"""Leaves root: the process goes on as another user and keeps just the capabilities that it names.

In: capabilities by number, which the container must have been given, with CAP_SETUID and CAP_SETGID. Out: a process, and children, that
have these and no other, as a user that owns no file. Call it before the first thread: capabilities belong to threads.
"""

from __future__ import annotations

import ctypes
import os
import struct

CAP_NET_ADMIN, CAP_NET_RAW = 12, 13  # linux/capability.h
USER = 10001
_PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 8, 47, 2  # linux/prctl.h
_VERSION_3 = 0x20080522


def leave_root(*capabilities: int, user: int = USER) -> None:
    """Become `user` with `capabilities` alone, which children inherit. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)

    def call(name: str, *arguments: object) -> None:
        if getattr(libc, name)(*arguments) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"{name}: {os.strerror(code)}")

    call("prctl", _PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    mask = sum(1 << each for each in capabilities)
    header = struct.pack("=II", _VERSION_3, 0)
    call(
        "capset", header, struct.pack("=6I", mask, mask, mask, 0, 0, 0)
    )  # effective, permitted, inheritable; upper half
    for each in capabilities:
        call("prctl", _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, each, 0, 0)
