"""Which protocol a connection speaks, told by its first bytes. In: bytes of both directions. Out: the same, to who understands them.

What is neither HTTP nor SMTP is one object a direction.
"""

from __future__ import annotations

from collections.abc import Callable

from vnf.stream import Direction

from antivirus.content import Content, Office
from antivirus.http import REQUEST, Http
from antivirus.smtp import Smtp

FIRST_LINE_LIMIT = 8192
_GREETING = b"220"
_HELLOS = (b"EHLO", b"HELO")


class Conversation:
    """Invariant: `_speaks` is None until the protocol is known; until then nothing but the client's first line is kept."""

    def __init__(self, office: Callable[[], Office]) -> None:
        self._office = office
        self._first = b""
        self._speaks: Http | Smtp | Unknown | None = None

    def feed(self, direction: Direction, data: bytes) -> None:
        """The next bytes. Raises Blocked."""
        if self._speaks is None:
            self._recognise(direction, data)
            if self._speaks is None:
                return
            if direction is Direction.TO_SERVER:
                data, self._first = self._first, b""
        if isinstance(self._speaks, Http) and self._speaks.tunnel:
            self._speaks = Unknown(self._office)
        match self._speaks:
            case Http() as http:
                (http.requests if direction is Direction.TO_SERVER else http.answers).feed(data)
            case Smtp() as smtp:
                (smtp.client if direction is Direction.TO_SERVER else smtp.server)(data)
            case Unknown() as unknown:
                unknown.feed(direction, data)

    def _recognise(self, direction: Direction, data: bytes) -> None:
        if direction is Direction.TO_CLIENT:
            self._speaks = Smtp(self._office) if data.startswith(_GREETING) else Unknown(self._office)
            self._early()
            return
        self._first += data
        line, end, _ = self._first.lstrip(b"\r\n").partition(b"\n")
        if REQUEST.fullmatch(line + end):
            self._speaks = Http(self._office)
        elif end and line[:4].upper() in _HELLOS:
            self._speaks = Smtp(self._office)
        elif end or len(self._first) > FIRST_LINE_LIMIT:
            self._speaks = Unknown(self._office)

    def _early(self) -> None:
        """What the client said of a line before the server spoke."""
        data, self._first = self._first, b""
        if data and self._speaks is not None:
            self.feed(Direction.TO_SERVER, data)


class Unknown:
    """Two streams of which nothing is known."""

    def __init__(self, office: Callable[[], Office]) -> None:
        self._offices = {direction: office() for direction in Direction}
        self._contents = {direction: Content(office, scan=False) for direction, office in self._offices.items()}

    def feed(self, direction: Direction, data: bytes) -> None:
        self._offices[direction].received += len(data)
        self._contents[direction].feed(data)
