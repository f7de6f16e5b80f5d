"""One connection's judge: finds out what it speaks, and asks the rules of each request and each client hello.

In: both directions' bytes. Out: verdicts of the shared runtime. HTTP is judged request by request until the end; TLS is left to the
kernel once the server took a client hello that may pass. No I/O; what was judged goes to a `Tally`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus

from vnf.stream import PASS, RELEASE, Connection, Direction, Inspector, Stop, Verdict

from contentfilter import tls
from contentfilter.http1 import Request, Requests, Responses
from contentfilter.names import BadName
from contentfilter.page import page
from contentfilter.refused import Refused, malformed_request
from contentfilter.rules import Rules

Tally = Callable[[str, str, str], None]
"""Takes a protocol (`http`, `tls`, `unknown`), a verdict (`passed`, `blocked`, `refused`) and the list's name or the reason."""
BLOCKED = "blocked"
_TOKEN_BYTES = frozenset(b"!#$%&'*+.^_`|~-\r\n") | frozenset(
    b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)
_TOO_LARGE = ("endless-headers",)
_BY_POLICY = ("no-host", "connect", "http2", "upgrade")


@dataclass(frozen=True, slots=True)
class Policy:
    """What passes where lists say nothing; True passes."""

    no_host: bool = True  # HTTP/1.0 without Host, judged by the server's address
    connect: bool = False
    upgrade: bool = False  # a server's change to WebSocket or anything but HTTP/2
    http2: bool = False  # without TLS
    no_server_name: bool = True  # a client hello without SNI, judged by the server's address
    encrypted_hello: bool = True  # the outer name is judged all the same
    other_protocols: bool = False


@dataclass(frozen=True, slots=True)
class Book:
    """All that is looked up."""

    rules: Rules
    policy: Policy


@dataclass(slots=True)
class Filter:
    """What all connections share; `book` is replaced when the configuration is loaded anew, for open connections too."""

    book: Book
    tally: Tally

    def open(self, connection: Connection) -> Inspector:
        """The judge of a new connection."""
        return ContentInspector(self, connection.server.encode())


class _Blocked(Exception):
    """A host or path that a list stops."""

    def __init__(self, list_name: str, host: bytes) -> None:
        super().__init__(list_name)
        self.list_name = list_name
        self.host = host


class ContentInspector:
    """A connection. `_speech` is what it speaks, None until the client's first byte, and again in a tunnel."""

    def __init__(self, shared: Filter, server: bytes) -> None:
        self._shared = shared
        self._server = server
        self._speech: _Http | _Tls | None = None

    def data(self, direction: Direction, data: bytes) -> Verdict:
        """Judge the next bytes of a direction."""
        try:
            if self._speech is None:
                if direction is Direction.TO_CLIENT:
                    return PASS  # a server that speaks first tells nothing of what is asked
                self._speech = self._detect(data[0])
            verdict = self._speech.to_server(data) if direction is Direction.TO_SERVER else self._speech.to_client(data)
        except Refused as refused:
            return self._refused(refused)
        except _Blocked as blocked:
            return self._blocked(blocked)
        if verdict is None:
            self._speech = None
        return verdict or PASS

    def end(self, direction: Direction) -> Verdict:
        """A client that leaves in the middle of a head gets no answer: some servers would take it as complete."""
        if direction is Direction.TO_SERVER and isinstance(self._speech, _Http) and self._speech.requests.in_head:
            return self._refused(malformed_request("the stream ends within a head"))
        return PASS

    def _detect(self, first: int) -> _Http | _Tls:
        if first == tls.HANDSHAKE:
            return _Tls(self._shared, self._server)
        if first in _TOKEN_BYTES:
            return _Http(self._shared, self._server)
        raise Refused("not-http-or-tls", f"the first byte is {first:#04x}")

    def _refused(self, refused: Refused) -> Verdict:
        policy = self._shared.book.policy
        speech = self._speech
        if refused.reason in ("not-http", "not-http-or-tls"):
            refused = Refused("not-http-or-tls", refused.detail)
            if policy.other_protocols:
                self._shared.tally("unknown", "passed", refused.reason)
                return RELEASE
        if refused.reason == "http2" and policy.http2:
            self._shared.tally("http", "passed", refused.reason)
            return RELEASE
        self._shared.tally("unknown" if speech is None else speech.protocol, "refused", refused.reason)
        status = HTTPStatus.BAD_REQUEST
        if refused.reason in _BY_POLICY:
            status = HTTPStatus.FORBIDDEN
        elif refused.reason in _TOO_LARGE:
            status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        return Stop(refused.reason, refused.detail, self._reply(status, refused.detail))

    def _blocked(self, blocked: _Blocked) -> Verdict:
        host = blocked.host.decode()
        self._shared.tally(self._speech.protocol if self._speech else "unknown", BLOCKED, blocked.list_name)
        reply = self._reply(HTTPStatus.FORBIDDEN, f"{host} is blocked by the list {blocked.list_name}.")
        return Stop(BLOCKED, f"{host} by {blocked.list_name}", reply)

    def _reply(self, status: HTTPStatus, text: str) -> bytes:
        speech = self._speech
        if not isinstance(speech, _Http) or not speech.responses.settled:
            return b""  # within or before another answer a page would be taken for a part of it
        return page(status, text, with_body=speech.method != b"HEAD")


class _Http:
    """HTTP/1.x. Methods give None where the connection becomes a tunnel: what goes through it is found out anew."""

    protocol = "http"

    def __init__(self, shared: Filter, server: bytes) -> None:
        self._shared = shared
        self._server = server
        self.requests = Requests()
        self.responses = Responses()
        self.method = b""

    def to_server(self, data: bytes) -> Verdict:
        for request in self.requests.feed(data):
            self.method = request.method
            self._judge(request)
            self.responses.asked(request)
            self._shared.tally(self.protocol, "passed", "")
        return PASS

    def to_client(self, data: bytes) -> Verdict | None:
        switched = self.responses.feed(data)
        if switched is None:
            return PASS
        if switched.method == b"CONNECT":
            return None
        http2 = b"h2c" in switched.upgrade
        if not (self._shared.book.policy.http2 if http2 else self._shared.book.policy.upgrade):
            raise Refused("http2" if http2 else "upgrade", f"the server changes to {switched.upgrade[:40]!r}")
        return RELEASE

    def _judge(self, request: Request) -> None:
        policy = self._shared.book.policy
        if request.method == b"CONNECT" and not policy.connect:
            raise Refused("connect", f"CONNECT to {request.host.decode()}")
        if not request.host and not policy.no_host:
            raise Refused("no-host", "a request without Host")
        host = request.host or self._server
        try:
            name = self._shared.book.rules.blocked_by(host, request.path)
        except BadName as error:
            raise malformed_request(str(error)) from None
        if name is not None:
            raise _Blocked(name, host)


class _Tls:
    """TLS until the server took a client hello."""

    protocol = "tls"

    def __init__(self, shared: Filter, server: bytes) -> None:
        self._shared = shared
        self._server = server
        self._client_side = tls.ClientSide()
        self._server_side: tls.ServerSide | None = tls.ServerSide()

    def to_server(self, data: bytes) -> Verdict:
        more_may_come = True
        for hello in self._client_side.feed(data):
            self._judge(hello)
            more_may_come = more_may_come and hello.may_be_retried
            self._shared.tally(self.protocol, "passed", "")
        return PASS if more_may_come else RELEASE

    def to_client(self, data: bytes) -> Verdict:
        if self._server_side is None:
            return PASS
        try:
            self._server_side.feed(data)
        except Refused:  # no TLS: the client gets what the server says, and goes on being looked at
            self._server_side = None
            return PASS
        return RELEASE if self._server_side.settled else PASS

    def _judge(self, hello: tls.ClientHello) -> None:
        policy = self._shared.book.policy
        if hello.encrypted and not policy.encrypted_hello:
            raise Refused("encrypted-hello", f"an encrypted client hello behind {hello.name.decode()}")
        if not hello.name and not policy.no_server_name:
            raise Refused("no-server-name", "a client hello without server name")
        host = hello.name or self._server
        name = self._shared.book.rules.blocked_by(host)
        if name is not None:
            raise _Blocked(name, host)
