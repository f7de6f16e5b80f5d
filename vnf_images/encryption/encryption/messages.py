"""What process 1 tells the engine: ports as sockets, key files as text, what is wrong with the plumbing.

In and out: one datagram a message over a socket pair, JSON with at most one socket beside it. The end of the stream is the
order to drain and end.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

LIMIT_OCTETS = 131072


@dataclass(frozen=True, slots=True)
class Message:
    """`kind` is "port", "keys" or "watch"; `port` came with a port's message."""

    kind: str
    facts: Mapping[str, object]
    port: socket.socket | None = None


def pair() -> tuple[socket.socket, socket.socket]:
    """Process 1's end and the engine's end."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def tell(to: socket.socket, kind: str, facts: Mapping[str, object], port: socket.socket | None = None) -> None:
    """Send one message. Raises OSError when the engine is gone."""
    payload = json.dumps({"kind": kind, **facts}).encode()
    if port is None:
        to.send(payload)
    else:
        socket.send_fds(to, [payload], [port.fileno()])


def hear(source: socket.socket) -> Message | None:
    """The next message, None at the end. Raises BlockingIOError when there is none yet."""
    payload, descriptors, _, _ = socket.recv_fds(source, LIMIT_OCTETS, 1)
    if not payload:
        return None
    facts = json.loads(payload)
    port = socket.socket(fileno=os.dup(descriptors[0])) if descriptors else None
    for descriptor in descriptors:
        os.close(descriptor)
    return Message(facts.pop("kind"), facts, port)
