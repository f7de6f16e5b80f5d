"""What a function that looks into TCP streams is: the types between it and the shared runtime.

In: for each connection the bytes of both directions, in order, each exactly once and before it is let through. Out: verdicts.
An inspector does no I/O, and keeps a bounded amount of a stream.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol


class Direction(Enum):
    """Where bytes go: the client is who sent the first SYN."""

    TO_SERVER = "to_server"
    TO_CLIENT = "to_client"

    @property
    def reverse(self) -> Direction:
        return Direction.TO_CLIENT if self is Direction.TO_SERVER else Direction.TO_SERVER


@dataclass(frozen=True, slots=True)
class Connection:
    """A TCP connection's ends; addresses are text, as `ipaddress` writes them."""

    client: str
    client_port: int
    server: str
    server_port: int


@dataclass(frozen=True, slots=True)
class Pass:
    """The bytes go on."""


@dataclass(frozen=True, slots=True)
class Release:
    """The bytes go on, and the kernel carries the rest of the connection: nothing of it is seen any more."""


@dataclass(frozen=True, slots=True)
class Stop:
    """The bytes are dropped, and the connection is ended on both sides.

    `reason` is a label of few values (a metric), `detail` goes to the log. `reply` reaches the client before the end of its
    connection, in place of what the server would say next: at most REPLY_LIMIT bytes.
    """

    reason: str
    detail: str = ""
    reply: bytes = b""


Verdict = Pass | Release | Stop
PASS = Pass()
RELEASE = Release()
REPLY_LIMIT = 16384


class Inspector(Protocol):
    """Judges one connection. After a Stop or a Release it is not asked again."""

    def data(self, direction: Direction, data: bytes) -> Verdict:
        """The next bytes of a direction; they are let through only if the verdict says so. Never called with b""."""
        ...

    def end(self, direction: Direction) -> Verdict:
        """The direction's FIN came in order: there will be no more bytes in it."""
        ...


class StreamFunction(Protocol):
    """What the runtime runs."""

    def open(self, connection: Connection) -> Inspector | None:
        """The inspector of a new connection; None where the kernel may carry it unseen."""
        ...
