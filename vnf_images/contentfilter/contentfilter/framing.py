"""Cuts one direction of an HTTP/1.x stream into messages, strictly: what servers could read in two ways is refused.

In: bytes, in any pieces. Out: heads; bodies are skipped by their exact framing. A start line is checked as soon as it ends, and a
bare CR, a bare LF or a NUL at once: no server has seen more of a line than was judged. Keeps one unfinished line and one
head. No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from contentfilter.refused import Refused, malformed_request

LINE_LIMIT = 16384
HEAD_LIMIT = 65536
CHUNKED = -1
UNTIL_CLOSE = -2
_BLANK_LINES = 4  # before a start line; RFC 9112 section 2.2 lets servers skip them
_CHUNK_LINE_LIMIT = 512
_TOKEN = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BAD_VALUE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\x00-\x08\x0a-\x1f\x7f]*)?")
_LENGTH = re.compile(rb"[0-9]{1,18}")


@dataclass(slots=True)
class Head:
    """A message's start line and its fields, names in lower case, in their order."""

    start: bytes
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)

    def all(self, name: bytes) -> list[bytes]:
        """The values of every field of this name."""
        return [value for each, value in self.fields if each == name]


class _Expect(Enum):
    START = auto()
    FIELD = auto()
    CHUNK = auto()
    CHUNK_END = auto()
    TRAILER = auto()
    NOTHING = auto()


class Messages:
    """A direction's messages. `check_start` refuses a start line, `body_of` says how a head's body is framed: its length in bytes,
    CHUNKED or UNTIL_CLOSE."""

    def __init__(self, check_start: Callable[[bytes], None], body_of: Callable[[Head], int]) -> None:
        self._check_start = check_start
        self._body_of = body_of
        self._expect = _Expect.START
        self._tail = b""  # an unfinished line
        self._skip = 0  # bytes of a body, or of a chunk, before the next line
        self._head = Head(b"")
        self._size = 0  # of the head so far, or of the trailer
        self._blank = 0

    @property
    def idle(self) -> bool:
        """Whether the last message is complete and no other has begun."""
        return self._expect is _Expect.START and not self._skip and not self._tail

    @property
    def in_head(self) -> bool:
        """Whether a head has begun and is not complete."""
        return self._expect is _Expect.FIELD or (self._expect is _Expect.START and bool(self._tail))

    def feed(self, data: bytes) -> list[Head]:
        """The heads that `data` completes. Raises Refused."""
        buffer = self._tail + data if self._tail else data
        heads: list[Head] = []
        at = 0
        while at < len(buffer):
            if self._expect is _Expect.NOTHING:
                at = len(buffer)
            elif self._skip:
                step = min(self._skip, len(buffer) - at)
                self._skip -= step
                at += step
            elif (end := buffer.find(b"\n", at)) >= 0:
                self._line(_whole(buffer[at:end]), heads)
                at = end + 1
            else:
                break
        self._tail = buffer[at:]
        self._check_tail()
        return heads

    def _check_tail(self) -> None:
        if not self._tail:
            return
        limit = LINE_LIMIT if self._expect in (_Expect.START, _Expect.FIELD, _Expect.TRAILER) else _CHUNK_LINE_LIMIT
        if len(self._tail) > limit:
            raise Refused("endless-headers", f"a line of more than {limit} bytes")
        if b"\r" in self._tail[:-1] or b"\0" in self._tail:
            raise malformed_request("a bare CR or a NUL in a line")
        if self._expect is _Expect.CHUNK_END and self._tail != b"\r":
            raise malformed_request("a chunk is longer than its size")

    def _line(self, line: bytes, heads: list[Head]) -> None:
        self._size += len(line) + 2
        if self._size > HEAD_LIMIT or len(line) > LINE_LIMIT:
            raise Refused(
                "endless-headers", f"a head of more than {HEAD_LIMIT} bytes, or a line of more than {LINE_LIMIT}"
            )
        if self._expect is _Expect.START:
            self._start(line)
        elif self._expect is _Expect.FIELD and line:
            self._head.fields.append(_field(line))
        elif self._expect is _Expect.FIELD:
            self._frame(self._body_of(self._head))
            heads.append(self._head)
        elif self._expect is _Expect.CHUNK:
            self._chunk(line)
        elif self._expect is _Expect.CHUNK_END:
            if line:
                raise malformed_request("a chunk is longer than its size")
            self._expect = _Expect.CHUNK
        elif line:
            _field(line)
        else:
            self._next(_Expect.START)

    def _start(self, line: bytes) -> None:
        if not line:
            self._blank += 1
            if self._blank > _BLANK_LINES:
                raise malformed_request("blank lines instead of a start line")
            return
        self._check_start(line)
        self._blank = 0
        self._head = Head(line)
        self._expect = _Expect.FIELD

    def _frame(self, body: int) -> None:
        if body == UNTIL_CLOSE:
            self._next(_Expect.NOTHING)
        elif body == CHUNKED:
            self._next(_Expect.CHUNK)
        else:
            self._next(_Expect.START)
            self._skip = body

    def _chunk(self, line: bytes) -> None:
        match = _CHUNK.fullmatch(line)
        if match is None or len(line) > _CHUNK_LINE_LIMIT:
            raise malformed_request(f"{line[:40]!r} is no chunk size")
        size = int(match[1], 16)
        self._next(_Expect.CHUNK_END if size else _Expect.TRAILER)
        self._skip = size

    def _next(self, expect: _Expect) -> None:
        self._expect = expect
        self._size = 0


def declared_body(head: Head, chunks_allowed: bool = True) -> int | None:
    """How long a head says that its body is: a length, CHUNKED, or None where it says nothing. Raises Refused."""
    lengths, codings = head.all(b"content-length"), head.all(b"transfer-encoding")
    if codings:
        if lengths or not chunks_allowed or len(codings) > 1 or codings[0].lower() != b"chunked":
            raise malformed_request(
                "a body whose end is ambiguous: Transfer-Encoding with anything but one `chunked` alone"
            )
        return CHUNKED
    if not lengths:
        return None
    if len(lengths) > 1 or _LENGTH.fullmatch(lengths[0]) is None:
        raise malformed_request("a body whose end is ambiguous: Content-Length that is not one number")
    return int(lengths[0])


def _whole(line: bytes) -> bytes:
    plain = line[:-1]
    if line[-1:] != b"\r" or b"\r" in plain or b"\0" in plain:
        raise malformed_request("a line with a bare CR, a bare LF or a NUL")
    return plain


def _field(line: bytes) -> tuple[bytes, bytes]:
    if line[:1] in (b" ", b"\t"):
        raise malformed_request("a folded field")
    name, colon, value = line.partition(b":")
    if not colon or _TOKEN.fullmatch(name) is None or _BAD_VALUE.search(value):
        raise malformed_request(f"{line[:40]!r} is no field")
    return name.lower(), value.strip(b" \t")
