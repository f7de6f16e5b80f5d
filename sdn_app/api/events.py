"""Server-sent events: what happens in the controller, as it happens.

In: the backend's iterator of events and the number that the client saw last. Out: the lines of `text/event-stream`. An
iterator is closed when its client goes away, and a limited number of clients listen at once.
"""

import json
from collections.abc import Iterator
from typing import Any

from webob import Response

from sdn_app.api.backend import Backend
from sdn_app.api.problems import Fault, Problem
from sdn_app.api.routing import Call

MOST_LISTENERS = 64
KEEPALIVE = "keepalive"
MEDIA_TYPE = "text/event-stream"


class Events:
    """The handler of `/events`; counts its listeners."""

    def __init__(self, backend: Backend) -> None:
        self._backend, self._listeners = backend, 0

    def handle(self, call: Call) -> Response:
        """An endless answer, from the event after `Last-Event-ID` on."""
        text = call.headers.get("Last-Event-ID", "0")
        if not (text.isascii() and text.isdigit() and len(text) <= 18):
            raise Problem(400, "invalid Last-Event-ID", [Fault("Last-Event-ID", text, "the number of an event")])
        if self._listeners >= MOST_LISTENERS:
            raise Problem(503, f"{MOST_LISTENERS} clients listen already", headers={"Retry-After": "10"})
        response = Response(content_type=MEDIA_TYPE, charset=None)
        if call.method == "HEAD":
            response.app_iter = ()
        else:
            response.app_iter = _Stream(self, self._backend.events(int(text)))
        return response

    def listeners(self) -> int:
        """How many streams are open."""
        return self._listeners

    def opened(self) -> None:
        """A stream begins."""
        self._listeners += 1

    def closed(self) -> None:
        """A stream has ended."""
        self._listeners -= 1


class _Stream:
    """The lines of one stream. Counted from its making until `close`, which WSGI servers call in every case."""

    def __init__(self, owner: Events, events: Iterator[tuple[int, str, dict[str, Any]]]) -> None:
        self._owner, self._events, self._open = owner, events, True
        owner.opened()

    def __iter__(self) -> Iterator[bytes]:
        yield b": events follow\n\n"
        for number, kind, data in self._events:
            yield line(number, kind, data)

    def close(self) -> None:
        """Ends the backend's iterator where it is a generator, and stops counting this stream."""
        if self._open:
            self._open = False
            self._owner.closed()
            close = getattr(self._events, "close", None)
            if close is not None:
                close()


def line(number: int, kind: str, data: dict[str, Any]) -> bytes:
    """One event on the wire; a keepalive is a comment, which clients skip."""
    if kind == KEEPALIVE:
        return b": keepalive\n\n"
    return f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode()
