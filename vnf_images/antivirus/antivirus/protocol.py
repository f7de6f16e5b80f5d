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
    """Invariant: `_speaks` is None until the protocol is known; until then `_first` holds each side's bytes, up to a line."""

    def __init__(self, office: Callable[[], Office]) -> None:
        self._office = office
        self._first = dict.fromkeys(Direction, b"")
        self._speaks: Http | Smtp | Unknown | None = None

    def feed(self, direction: Direction, data: bytes) -> None:
        """The next bytes. Raises Blocked."""
        if self._speaks is not None:
            self._pass_on(direction, data)
            return
        self._first[direction] += data
        self._speaks = self._recognised()
        if self._speaks is not None:
            for side in Direction:
                if first := self._first.pop(side):
                    self._pass_on(side, first)

    def _pass_on(self, direction: Direction, data: bytes) -> None:
        if isinstance(self._speaks, Http) and self._speaks.tunnel:
            self._speaks = Unknown(self._office)
        match self._speaks:
            case Http() as http:
                (http.requests if direction is Direction.TO_SERVER else http.answers).feed(data)
            case Smtp() as smtp:
                (smtp.client if direction is Direction.TO_SERVER else smtp.server)(data)
            case Unknown() as unknown:
                unknown.feed(direction, data)

    def _recognised(self) -> Http | Smtp | Unknown | None:
        """By the client's first line, or by the server's first bytes where it speaks first."""
        asked, said = self._first[Direction.TO_SERVER], self._first[Direction.TO_CLIENT]
        if said:
            if len(said) < len(_GREETING) and _GREETING.startswith(said):
                return None
            return Smtp(self._office) if said.startswith(_GREETING) else Unknown(self._office)
        line, end, _ = asked.lstrip(b"\r\n").partition(b"\n")
        if REQUEST.fullmatch(line + end):
            return Http(self._office)
        if end and line[:4].upper() in _HELLOS:
            return Smtp(self._office)
        return Unknown(self._office) if end or len(asked) > FIRST_LINE_LIMIT else None


class Unknown:
    """Two streams of which nothing is known."""

    def __init__(self, office: Callable[[], Office]) -> None:
        self._offices = {direction: office() for direction in Direction}
        self._contents = {direction: Content(office, scan=False) for direction, office in self._offices.items()}

    def feed(self, direction: Direction, data: bytes) -> None:
        self._offices[direction].received += len(data)
        self._contents[direction].feed(data)
