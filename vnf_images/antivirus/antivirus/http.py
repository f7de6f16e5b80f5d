"""HTTP/1.x as an antivirus needs it: where each message's body starts and ends, and how it is encoded.

In: bytes of both directions. Out: bodies' bytes to where they are looked into. Bounded. What two readers could read in two ways is
blocked.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from antivirus.body import Body
from antivirus.content import Blocked, Office
from antivirus.lines import Lines

HEAD_LIMIT = 65536
LINE_LIMIT = 16384
PIPELINE_LIMIT = 256  # requests that await an answer
REQUEST = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32} [^\r\n]* HTTP/1\.[0-9]\r?\n")
_STATUS = re.compile(rb"HTTP/1\.[0-9] ([1-9][0-9]{2})(?: [^\r\n]*)?\r?\n")
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,12})[ \t]*(?:;[^\r\n]*)?\r?\n")


class Http:
    """One connection: requests one way, answers the other."""

    def __init__(self, office: Callable[[], Office]) -> None:
        self._exchange = Exchange()
        self.requests = Requests(office, self._exchange)
        self.answers = Answers(office, self._exchange)

    @property
    def tunnel(self) -> bool:
        """After CONNECT or an upgrade both sides are free in what they say."""
        return self._exchange.tunnel


@dataclass(slots=True)
class Exchange:
    """What one side must know of the other: the methods of the requests that await an answer."""

    methods: deque[bytes] = field(default_factory=deque)
    tunnel: bool = False


class Side(ABC):
    """One direction. States are functions that take the side, not bound to it: an object that refers to itself would keep its decoders
    until the garbage collector comes by.
    """

    def __init__(self, office: Callable[[], Office], exchange: Exchange) -> None:
        self._office = office
        self._exchange = exchange
        self._lines = Lines(LINE_LIMIT)
        self._state = Side._start_line
        self._has_body = self._until_end = False
        self._fields: list[tuple[bytes, bytes]] = []
        self._head_size = 0
        self._body: Body | None = None
        self._left = 0

    @abstractmethod
    def _begin(self, line: bytes) -> tuple[bool, bool]:
        """With each start line: may there be a body, and may it last until the connection ends."""

    def feed(self, data: bytes) -> None:
        """The next bytes. Raises Blocked."""
        at = 0
        while at < len(data):
            at = self._state(self, data, at)

    def _line(self, data: bytes, at: int) -> tuple[bytes | None, int]:
        line, at = self._lines.take(data, at)
        if line is not None:
            self._head_size += len(line)
            if not line.endswith(b"\n") or self._head_size > HEAD_LIMIT:
                raise Blocked("protocol", "a head is too long")
        return line, at

    def _start_line(self, data: bytes, at: int) -> int:
        line, at = self._line(data, at)
        if line is not None and line.strip(b"\r\n"):  # empty lines ahead of a message are skipped
            self._has_body, self._until_end = self._begin(line)
            self._fields = []
            self._state = Side._header
        return at

    def _header(self, data: bytes, at: int) -> int:
        line, at = self._line(data, at)
        if line is None:
            return at
        if not line.strip(b"\r\n"):
            self._head_size = 0
            self._enter_body()
            return at
        name, colon, value = line.partition(b":")
        if not colon or not name or name.strip() != name or b"\r" in line.rstrip(b"\r\n") or b"\0" in line:
            raise Blocked("protocol", f"a header that can be read in two ways: {line[:60]!r}")
        self._fields.append((name.lower(), value.strip()))
        return at

    def _all(self, name: bytes) -> list[bytes]:
        """The members of a header that is a list, over all its lines."""
        return [part.strip().lower() for key, value in self._fields if key == name for part in value.split(b",")]

    def _enter_body(self) -> None:
        encodings, lengths = self._all(b"transfer-encoding"), set(self._all(b"content-length"))
        self._state = Side._start_line
        if not self._has_body:
            return
        if encodings and lengths:
            raise Blocked("protocol", "Transfer-Encoding and Content-Length")
        if len(lengths) > 1 or not all(value.isdigit() and len(value) <= 15 for value in lengths):
            raise Blocked("protocol", f"Content-Length: {b', '.join(lengths)[:60]!r}")
        chunked = bool(encodings) and encodings[-1] == b"chunked"
        if encodings and (not chunked or b"chunked" in encodings[:-1]):
            raise Blocked("protocol", f"Transfer-Encoding: {b', '.join(encodings)[:60]!r}")
        self._left = int(lengths.pop()) if lengths else 0
        if not (chunked or self._left or (self._until_end and not self._all(b"content-length"))):
            return
        kinds = [value for key, value in self._fields if key == b"content-type"]
        codings = [*self._all(b"content-encoding"), *encodings[: -1 if chunked else None]]
        self._body = Body(self._office(), codings, kinds[-1] if kinds else b"", scanned=not chunked)
        if chunked:
            self._state = Side._chunk_size
        else:
            self._state = Side._counted if self._left else Side._endless

    def _counted(self, data: bytes, at: int) -> int:
        end = min(len(data), at + self._left)
        self._left -= end - at
        assert self._body is not None
        self._body.feed(data[at:end])
        if not self._left:
            self._body, self._state = None, Side._start_line
        return end

    def _endless(self, data: bytes, at: int) -> int:
        assert self._body is not None
        self._body.feed(data[at:])
        return len(data)

    def _chunk_size(self, data: bytes, at: int) -> int:
        line, at = self._line(data, at)
        if line is not None:
            match = _CHUNK.fullmatch(line)
            if match is None:
                raise Blocked("protocol", f"no chunk: {line[:60]!r}")
            self._left = int(match[1], 16)
            self._head_size = 0
            self._state = Side._chunk if self._left else Side._trailer
        return at

    def _chunk(self, data: bytes, at: int) -> int:
        end = min(len(data), at + self._left)
        self._left -= end - at
        assert self._body is not None
        self._body.feed(data[at:end])
        if not self._left:
            self._state = Side._chunk_end
        return end

    def _chunk_end(self, data: bytes, at: int) -> int:
        line, at = self._line(data, at)
        if line is not None:
            if line.strip(b"\r\n"):
                raise Blocked("protocol", "a chunk is longer than it says")
            self._state = Side._chunk_size
        return at

    def _trailer(self, data: bytes, at: int) -> int:
        line, at = self._line(data, at)
        if line is not None and not line.strip(b"\r\n"):
            self._head_size, self._body, self._state = 0, None, Side._start_line
        return at


class Requests(Side):
    """What the client says."""

    def _begin(self, line: bytes) -> tuple[bool, bool]:
        if REQUEST.fullmatch(line) is None:
            raise Blocked("protocol", f"no request: {line[:60]!r}")
        if len(self._exchange.methods) >= PIPELINE_LIMIT:
            raise Blocked("protocol", f"more than {PIPELINE_LIMIT} requests wait for their answer")
        self._exchange.methods.append(line.partition(b" ")[0])
        return True, False


class Answers(Side):
    """What the server says."""

    def _begin(self, line: bytes) -> tuple[bool, bool]:
        match = _STATUS.fullmatch(line)
        if match is None:
            raise Blocked("protocol", f"no answer: {line[:60]!r}")
        status, methods = int(match[1]), self._exchange.methods
        if status < 200 and status != 101:
            return False, False
        method = methods.popleft() if methods else b"GET"
        if status == 101 or (method == b"CONNECT" and status < 300):
            self._exchange.tunnel = True
            return False, False
        bodiless = method == b"HEAD" or status in (204, 304)
        return not bodiless, not bodiless
