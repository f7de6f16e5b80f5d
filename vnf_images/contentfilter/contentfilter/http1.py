"""HTTP/1.x requests, and which of them are answered. In: both directions' bytes. Out: requests with the host they are for. No I/O."""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass

from contentfilter.framing import UNTIL_CLOSE, Head, Messages, declared_body
from contentfilter.names import BadName, host_of
from contentfilter.refused import Refused, malformed_request

PREFACE = b"PRI * HTTP/2.0"
_OUTSTANDING = 256  # requests that wait for an answer
_START = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([\x21-\x7e\x80-\xff]+) HTTP/1\.([01])")
_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]*://([^/?#]*)(.*)")
_STATUS = re.compile(rb"HTTP/1\.[01] ([1-5][0-9][0-9])(?: .*)?")


@dataclass(frozen=True, slots=True)
class Request:
    """`host` is in compared form, b"" where an HTTP/1.0 request names none; `path` as sent; `upgrade` what it offers to change to."""

    method: bytes
    host: bytes
    path: bytes
    upgrade: bytes = b""


class Requests:
    """The client's direction."""

    def __init__(self) -> None:
        self._messages = Messages(self._check_start, _request_body)
        self._begun = False

    @property
    def in_head(self) -> bool:
        """Whether a request's head has begun and is not complete."""
        return self._messages.in_head

    def feed(self, data: bytes) -> list[Request]:
        """The requests whose heads `data` completes. Raises Refused: `not-http` for a stream whose first line is no request,
        `http2` for the preface of HTTP/2."""
        return [request_of(head) for head in self._messages.feed(data)]

    def _check_start(self, line: bytes) -> None:
        if line == PREFACE:
            raise Refused("http2", "HTTP/2 without TLS")
        if _START.fullmatch(line) is None:
            raise Refused(
                "malformed-request" if self._begun else "not-http", f"{line[:60]!r} is no request of HTTP/1.x"
            )
        self._begun = True


class Responses:
    """The server's direction, followed only to know what is answered. Where it cannot be followed, `settled` stays False."""

    def __init__(self) -> None:
        self._messages = Messages(self._check_start, self._body_of)
        self._waiting: deque[Request] = deque()
        self._lost = False
        self._switched: Request | None = None

    @property
    def settled(self) -> bool:
        """Whether every request is answered in full: the client takes what comes next as the answer to its next request."""
        return not self._lost and not self._waiting and self._messages.idle

    def asked(self, request: Request) -> None:
        """A request passes."""
        if len(self._waiting) >= _OUTSTANDING:
            raise Refused("too-many-requests", f"more than {_OUTSTANDING} requests without an answer")
        self._waiting.append(request)

    def feed(self, data: bytes) -> Request | None:
        """The request after whose answer the connection is no HTTP/1.x any more (101, or 2xx to CONNECT), if that came."""
        if self._lost:
            return None
        try:
            self._messages.feed(data)
        except Refused:
            self._lost = True
        return self._switched

    def _check_start(self, line: bytes) -> None:
        if not self._waiting or _STATUS.fullmatch(line) is None:
            raise malformed_request("no answer that can be followed")

    def _body_of(self, head: Head) -> int:
        status = int(head.start[9:12])
        if 100 <= status < 200 and status != 101:
            return 0
        request = self._waiting.popleft()
        if status == 101 or (request.method == b"CONNECT" and 200 <= status < 300):
            self._switched = request
            return UNTIL_CLOSE
        if request.method == b"HEAD" or status in (204, 304):
            return 0
        declared = declared_body(head)
        return UNTIL_CLOSE if declared is None else declared


def request_of(head: Head) -> Request:
    """What a head asks for. Raises Refused where two servers could understand two things."""
    match = _START.fullmatch(head.start)
    assert match is not None, "start lines are checked when they come"
    method, target, minor = match.groups()
    hosts = head.all(b"host")
    if len(hosts) > 1 or (not hosts and minor == b"1"):
        raise malformed_request("HTTP/1.1 without Host" if not hosts else "more than one Host")
    try:
        named = host_of(hosts[0]) if hosts else b""
        host, path = _target(method, target, named, bool(hosts))
    except BadName as error:
        raise malformed_request(str(error)) from None
    return Request(method, host, path, b",".join(head.all(b"upgrade")).lower())


def _target(method: bytes, target: bytes, named: bytes, given: bool) -> tuple[bytes, bytes]:
    """Host and path of a request's target, which must not differ from the host that its Host field has."""
    if method == b"CONNECT":
        return _same(host_of(target), named, given), b""
    if target.startswith(b"/"):
        return named, target
    if absolute := _ABSOLUTE.fullmatch(target):
        return _same(host_of(absolute[1]), named, given), absolute[2] or b"/"
    if target == b"*" and method == b"OPTIONS":
        return named, b"/"
    raise malformed_request(f"target {target[:40]!r}")


def _same(host: bytes, named: bytes, given: bool) -> bytes:
    if not host or (given and host != named):
        raise malformed_request(f"Host {named[:80]!r} and target {host[:80]!r} differ")
    return host


def _request_body(head: Head) -> int:
    return declared_body(head, chunks_allowed=head.start.endswith(b"1.1")) or 0
