"""What is transferred, looked at while it passes: signatures, and what gzip and zip files hold.

In: an object's bytes, piece by piece. Out: nothing, or Blocked before the piece that completes what must not pass. Bounded: nothing is
kept but the last bytes of each level and the state of its decoders. Whatever the receiver could read of the bytes so far
was read here.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

PIECE = 65536
RATIO_FROM = 1 << 20
MEMBERS_LIMIT = 16  # zip members that are read at the same time: one in an honest archive
DECODERS_LIMIT = 64  # of one object, nested ones included
DECODERS_IN_ALL = 2048  # each takes up to 50 KiB
_LOCAL_HEADER = b"PK\x03\x04"
_LOCAL_HEADER_REST = 26
_ZIP_METHODS = frozenset((*range(11), 12, 14, *range(16, 21), *range(93, 100)))
GZIP, ZLIB, RAW = 31, 15, -15  # window sizes by which zlib tells the formats


class Blocked(Exception):
    """The bytes must not pass: a metric's label, and what it was."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Policy:
    """What is done with what cannot be looked into, and how far it is looked."""

    blocked: frozenset[str]  # of "encrypted", "unreadable" and "excessive"
    depth: int
    ratio: int
    unpacked_bytes: int
    signature_bytes: int  # a signature that is longer is found only where it comes in one piece


@dataclass(slots=True)
class Desk:
    """How many decoders are at work for all objects together."""

    decoders: int = 0


@dataclass(slots=True)
class Office:
    """What the decoders of one object share. `declined` counts what was passed unseen."""

    match: Callable[[bytes], str]
    policy: Policy
    declined: Callable[[str], None]
    desk: Desk
    decoders: int = 0
    received: int = 0
    unpacked: int = 0
    gave_up: bool = field(default=False)

    def decline(self, reason: str, detail: str) -> None:
        """Something cannot be looked into. Raises Blocked where that must not pass."""
        if reason in self.policy.blocked:
            raise Blocked(reason, detail)
        self.declined(reason)

    def produced(self, count: int) -> None:
        """So many bytes were unpacked."""
        self.unpacked += count
        limit = min(self.policy.unpacked_bytes, max(RATIO_FROM, self.policy.ratio * self.received))
        if self.unpacked > limit and not self.gave_up:
            self.gave_up = True
            self.decline("excessive", f"{self.unpacked} bytes unpacked from {self.received}")


class Sink(Protocol):
    """Where bytes are looked at."""

    def feed(self, data: bytes) -> None: ...


class Window:
    """Signatures in a stream: what ended before a piece is looked at again together with it."""

    def __init__(self, match: Callable[[bytes], str], overlap: int) -> None:
        self._match = match
        self._overlap = overlap
        self._tail = b""

    def feed(self, data: bytes) -> None:
        text = self._tail + data
        if name := self._match(text):
            raise Blocked("signature", name)
        self._tail = text[-self._overlap :]


class Content:
    """An object, or what was unpacked from one. `scan` and `unzip` are False where that is done elsewhere for its bytes."""

    def __init__(self, office: Office, depth: int = 0, *, scan: bool = True, unzip: bool = True) -> None:
        self._office = office
        self._depth = depth
        self._window = Window(office.match, office.policy.signature_bytes) if scan else None
        self._searches = unzip
        self._head = b""
        self._gzip: Inflater | None = None
        self._sniffed = False
        self._carry = b""
        self._members: list[Member] = []

    def feed(self, data: bytes) -> None:
        """The next bytes. Raises Blocked."""
        if self._window is not None:
            self._window.feed(data)
        if self._office.gave_up:
            return
        if self._searches:
            self._unzip(data)
        if self._gzip is not None:
            self._gunzip(data)
        elif not self._sniffed:
            self._head += data
            if len(self._head) >= 3:
                self._sniffed = True
                if self._head.startswith(b"\x1f\x8b\x08"):
                    self._gzip = Inflater(self._office, self._depth + 1, GZIP)
                    self._gunzip(self._head)
                self._head = b""

    def _gunzip(self, data: bytes) -> None:
        """A gzip file may have several members, one after another."""
        assert self._gzip is not None
        try:
            rest = self._gzip.feed(data)
            while rest:
                self._gzip = Inflater(self._office, self._depth + 1, GZIP, self._gzip.content)
                rest = self._gzip.feed(rest)
        except zlib.error as error:
            self._gzip = None
            self._office.decline("unreadable", f"gzip: {error}")

    def _unzip(self, data: bytes) -> None:
        """Every local header starts a member, wherever it stands: which ones count is told only at an archive's end."""
        for member in self._members:
            member.feed(data)
        text = self._carry + data
        at = text.find(_LOCAL_HEADER)
        while at >= 0:
            member = Member(self._office, self._depth + 1)
            self._members.append(member)
            if len(self._members) > MEMBERS_LIMIT:
                self._members = [member for member in self._members if not member.done]
                if len(self._members) > MEMBERS_LIMIT:
                    self._members.pop()
                    self._office.decline("excessive", f"more than {MEMBERS_LIMIT} zip members at once")
            member.feed(text[at + 4 :])
            at = text.find(_LOCAL_HEADER, at + 4)
        self._carry = text[-3:]
        self._members = [member for member in self._members if not member.done]


class Inflater:
    """Deflated bytes, whose content is looked at."""

    def __init__(self, office: Office, depth: int, window: int, content: Sink | None = None) -> None:
        self._office = office
        self._decoder = zlib.decompressobj(window)
        self.content: Sink | None = content
        office.decoders += 1
        office.desk.decoders += 1
        if depth > office.policy.depth:
            office.decline("excessive", f"nested more than {office.policy.depth} deep")
        elif office.decoders > DECODERS_LIMIT or office.desk.decoders > DECODERS_IN_ALL:
            office.decline("excessive", "too much to unpack at the same time")
        elif content is None:
            self.content = Content(office, depth)

    def __del__(self) -> None:
        """However a decoder is given up, it is counted no longer."""
        self._office.decoders -= 1
        self._office.desk.decoders -= 1

    def feed(self, data: bytes) -> bytes:
        """Take bytes; gives those beyond the end of the deflated ones. Raises zlib.error and Blocked."""
        while self.content is not None and not self._office.gave_up:
            out = self._decoder.decompress(data, PIECE)
            self._office.produced(len(out))
            if out:
                self.content.feed(out)
            if self._decoder.eof:
                return self._decoder.unused_data
            data = self._decoder.unconsumed_tail
            if not data and len(out) < PIECE:
                break
        return b""

    @property
    def ended(self) -> bool:
        return self._decoder.eof


class Member:
    """A zip member from its local header on. Its data are tried as deflated even where the header says that they are stored: the
    archive's directory, which comes last, may say otherwise.
    """

    def __init__(self, office: Office, depth: int) -> None:
        self._office = office
        self._depth = depth
        self._head = bytearray()
        self._skip = -1
        self._deflated: Inflater | None = None
        self._stored: Content | None = None
        self._stored_left = 0
        self._must_inflate = False
        self.done = False

    def feed(self, data: bytes) -> None:
        """The next bytes of the archive. Raises Blocked."""
        if self._skip < 0:
            wanted = _LOCAL_HEADER_REST - len(self._head)
            self._head += data[:wanted]
            if len(self._head) < _LOCAL_HEADER_REST:
                return
            data = data[wanted:]
            self._read_head()
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        if data and not self.done:
            self._read_data(data)

    def _read_head(self) -> None:
        head = bytes(self._head)
        version, flags, method = (int.from_bytes(head[i : i + 2], "little") for i in (0, 2, 4))
        size = int.from_bytes(head[14:18], "little")
        name_size, extra_size = (int.from_bytes(head[i : i + 2], "little") for i in (22, 24))
        self._skip = name_size + extra_size
        plausible = version & 0xFF <= 63 and method in _ZIP_METHODS and 0 < name_size <= 1024
        if plausible and flags & 1:
            self._office.decline("encrypted", "a zip member is encrypted")
        if plausible and method not in (0, 8):
            self._office.decline("unreadable", f"zip method {method}")
        self._must_inflate = plausible and method == 8 and not flags & 1
        self._deflated = Inflater(self._office, self._depth, RAW)
        if method == 0 and not flags & 8 and 0 < size < 0xFFFFFFFF and self._deflated.content is not None:
            self._stored, self._stored_left = Content(self._office, self._depth, scan=False, unzip=False), size

    def _read_data(self, data: bytes) -> None:
        if self._stored is not None:
            self._stored.feed(data[: self._stored_left])
            self._stored_left -= min(self._stored_left, len(data))
            if not self._stored_left:
                self._stored = None
        if self._deflated is not None:
            try:
                self._deflated.feed(data)
                if self._deflated.ended:
                    self._deflated = None
            except zlib.error as error:
                self._deflated = None
                if self._must_inflate:
                    self._office.decline("unreadable", f"zip: {error}")
        self.done = self._stored is None and self._deflated is None
