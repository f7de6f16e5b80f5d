"""What the table of connections is given and what it gives: limits, link-layer headers, decisions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from vnf.packet import Segment
from vnf.stream import Connection, Stop

PATH = b"\x0a\x5f"  # how the destination MAC of a frame on a path begins; the rest is the path's tag


class LinkHeader(NamedTuple):
    """How frames of one direction are addressed, and the port they leave by."""

    port: str
    addresses: bytes  # destination and source MAC

    def tagged(self, tag: bytes) -> LinkHeader:
        """The same with the present tag."""
        return LinkHeader(self.port, self.addresses[:2] + tag + self.addresses[6:])


class Route(NamedTuple):
    """What is known of the frame that a packet came in. The tag is part of the destination MAC address, and may change while a
    connection lasts: the frames that are made for it must bear the present one.
    """

    tag: bytes  # the last four bytes of the destination MAC
    link: LinkHeader | None = None  # of a handshake


@dataclass(frozen=True, slots=True)
class Limits:
    """What all connections together may take, and what to do with those whose beginning was not seen."""

    connections: int = 16384
    held_bytes: int = 64 << 20
    idle_s: float = 900.0
    fail_open: bool = False
    ports: frozenset[int] = frozenset()  # of servers: tells the direction of a connection seen in mid-stream


class Injection(NamedTuple):
    """A segment to send, and how: None means the way of the packet that is decided on."""

    link: LinkHeader | None
    segment: Segment


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of a packet. `drop` is the reason why it is dropped, "" where it passes."""

    drop: str = ""
    release: bool = False  # the kernel carries the rest of the connection
    injections: tuple[Injection, ...] = ()
    stop: Stop | None = None  # the verdict, when it was given just now
    connection: Connection | None = None  # with `stop`
    error: Exception | None = None  # what an inspector raised


PASSED = Decision()
RELEASED = Decision(release=True)
