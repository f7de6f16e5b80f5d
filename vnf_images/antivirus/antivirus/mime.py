"""MIME: a message's parts, decoded while they come.

In: lines (or parts of long ones) of a message or of a multipart body. Out: bytes of the parts' contents. Bounded. What could be read in
two ways (a header twice, a header that is too long) raises Ambiguous.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable

from antivirus.content import Blocked, Sink

HEAD_LIMIT = 65536
DEPTH_LIMIT = 16
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="))
_BOUNDARY = re.compile(rb'boundary\s*=\s*(?:"([^"]{1,200})"|([^\s;"]{1,200}))', re.IGNORECASE)
_HEADER = re.compile(rb"^([^\s:]+)[ \t]*:((?:[^\n]|\n[ \t])*)", re.MULTILINE)
_SINGLE = (b"content-type", b"content-transfer-encoding")
_ENCODINGS = (b"", b"7bit", b"8bit", b"binary", b"base64", b"quoted-printable")


class Mime:
    """One message. Invariant: `_boundaries` are those of the multiparts around the present part, outermost first."""

    def __init__(self, open_content: Callable[[], Sink], boundary: bytes = b"") -> None:
        """With `boundary` the lines are a multipart's body, without one a message that starts with its headers."""
        self._open_content = open_content
        self._boundaries = [boundary] if boundary else []
        self._head: bytearray | None = None if boundary else bytearray()
        self._part: Decoder | None = None
        self._fresh = True  # at the start of a line

    def line(self, line: bytes) -> None:
        """The next line, its end included. Raises Blocked."""
        fresh, self._fresh = self._fresh, line.endswith(b"\n")
        if fresh and line.startswith(b"--") and self._meets_boundary(line):
            return
        if self._head is not None:
            self._head += line
            if len(self._head) > HEAD_LIMIT:
                raise Blocked("protocol", f"a part's headers are longer than {HEAD_LIMIT} bytes")
            if fresh and not line.strip(b"\r\n"):
                self._begin(bytes(self._head))
        elif self._part is not None:
            self._part.line(line)

    def _meets_boundary(self, line: bytes) -> bool:
        text = line.rstrip()[2:]
        for depth in range(len(self._boundaries), 0, -1):
            boundary = self._boundaries[depth - 1]
            if text == boundary or text == boundary + b"--":
                closed = text != boundary
                del self._boundaries[depth - closed :]
                self._part = None
                self._head = None if closed else bytearray()
                return True
        return False

    def _begin(self, head: bytes) -> None:
        fields: dict[bytes, bytes] = {}
        for match in _HEADER.finditer(head.replace(b"\r", b"")):
            name = match[1].lower()
            if name in _SINGLE and name in fields:
                raise Blocked("protocol", f"a part has two headers {name.decode()}")
            fields[name] = match[2].replace(b"\n", b"").strip()
        self._head = None
        kind = fields.get(b"content-type", b"").lower()
        if kind.startswith(b"multipart/"):
            boundary = boundary_of(fields[b"content-type"])
            if not boundary:
                raise Blocked("protocol", "a multipart has no boundary")
            if len(self._boundaries) >= DEPTH_LIMIT:
                raise Blocked("protocol", f"multiparts are nested more than {DEPTH_LIMIT} deep")
            self._boundaries.append(boundary)
            return
        encoding = fields.get(b"content-transfer-encoding", b"").lower()
        if kind.startswith(b"message/rfc822") and encoding in _ENCODINGS[:4]:
            self._head = bytearray()
            return
        if encoding not in _ENCODINGS:
            raise Blocked("protocol", f"unknown transfer encoding {encoding[:40]!r}")
        self._part = Decoder(encoding, self._open_content())


def boundary_of(content_type: bytes) -> bytes:
    """The boundary of a multipart's type, b"" where it has none."""
    match = _BOUNDARY.search(content_type)
    return (match[1] or match[2]).rstrip() if match else b""


class Decoder:
    """A part's content, from its lines."""

    def __init__(self, encoding: bytes, sink: Sink) -> None:
        decoders = {b"base64": Decoder._base64, b"quoted-printable": Decoder._quoted}
        self._decode = decoders.get(encoding, Decoder._plain)
        self._sink = sink
        self._rest = b""

    def line(self, line: bytes) -> None:
        self._decode(self, line)

    def _plain(self, line: bytes) -> None:
        self._sink.feed(line)

    def _base64(self, line: bytes) -> None:
        """Groups of four; padding ends a group, and what follows it is read on, as lenient readers do."""
        text = self._rest + line.translate(None, _NOT_BASE64)
        whole = len(text) & ~3
        self._rest = text[whole:]
        out = bytearray()
        for start in range(0, whole, 4) if b"=" in text[:whole] else ():
            group = text[start : start + 4].rstrip(b"=")
            if len(group) > 1 and b"=" not in group:
                out += binascii.a2b_base64(group + b"=" * (4 - len(group)))
        if not out and whole and b"=" not in text[:whole]:
            out += binascii.a2b_base64(text[:whole])
        if out:
            self._sink.feed(bytes(out))

    def _quoted(self, line: bytes) -> None:
        """A line's end is no content after a `=`; an escape that is cut in two waits for the rest of it."""
        text = self._rest + line
        cut = text.rfind(b"=", max(0, len(text) - 2)) if not text.endswith(b"\n") else -1
        self._rest = text[cut:] if cut >= 0 else b""
        out = binascii.a2b_qp(text[:cut] if cut >= 0 else text)
        if out:
            self._sink.feed(out)
