"""An HTTP body: looked into as it is, as what its content encodings make of it, and as the parts of a form.

In: bytes without chunk heads. Out: Blocked, or nothing. As it is, too, since a client may save it undecoded.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from antivirus.content import GZIP, RAW, ZLIB, Blocked, Content, Inflater, Office
from antivirus.lines import Lines
from antivirus.mime import Mime, boundary_of

LINE_LIMIT = 8192
_PLAIN = (b"", b"identity")


class Body:
    """One body. `scanned` says that its bytes are looked at elsewhere as they are."""

    def __init__(self, office: Office, codings: Sequence[bytes], kind: bytes, *, scanned: bool) -> None:
        self._office = office
        self._content = Content(office, scan=not scanned)
        self._decoded = None
        codings = [coding for coding in codings if coding not in _PLAIN]
        if codings:
            self._decoded = Encoded(office, codings)
        self._form = None
        if kind.lower().startswith(b"multipart/") and (boundary := boundary_of(kind)) and not codings:
            self._form = Form(office, boundary)

    def feed(self, data: bytes) -> None:
        """The next bytes. Raises Blocked."""
        self._office.received += len(data)
        self._content.feed(data)
        if self._decoded is not None:
            self._decoded.feed(data)
        if self._form is not None:
            self._form.feed(data)


class Form:
    """A multipart body: a file that is uploaded is a part of one."""

    def __init__(self, office: Office, boundary: bytes) -> None:
        self._lines = Lines(LINE_LIMIT)
        self._mime = Mime(lambda: Content(office, scan=False, unzip=False), boundary)

    def feed(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            line, at = self._lines.take(data, at)
            if line is not None:
                self._mime.line(line)


class Encoded:
    """A body under content encodings, the last of which was applied last."""

    def __init__(self, office: Office, codings: Sequence[bytes], depth: int = 1) -> None:
        self._office = office
        self._coding = codings[-1]
        self._inner = Encoded(office, codings[:-1], depth + 1) if len(codings) > 1 else None
        self._depth = depth
        self._head = b""
        self._inflater: Inflater | None = None
        self._over = False
        if depth > office.policy.depth:
            raise Blocked("protocol", "too many content encodings")
        if self._coding not in (b"gzip", b"x-gzip", b"deflate"):
            self._over = True
            office.decline("unreadable", f"content encoding {self._coding[:40]!r}")

    def feed(self, data: bytes) -> None:
        """The next bytes. Raises Blocked."""
        if self._over:
            return
        if self._inflater is None:
            self._head += data
            if len(self._head) < 2:
                return
            data, self._head = self._head, b""
            self._inflater = Inflater(self._office, self._depth, self._window(data), self._inner)
        try:
            if self._inflater.feed(data):
                self._over = True
        except zlib.error as error:
            self._over = True
            self._office.decline("unreadable", f"content encoding: {error}")

    def _window(self, head: bytes) -> int:
        """`deflate` is zlib's format by the standard, and a bare deflated stream by custom."""
        if self._coding != b"deflate":
            return GZIP
        return ZLIB if head[0] & 0xF == 8 and int.from_bytes(head[:2], "big") % 31 == 0 else RAW
