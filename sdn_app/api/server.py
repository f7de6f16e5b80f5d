"""Serves a WSGI application over HTTP/1.1 with eventlet, in every process of the project.

In: an application, an address and a log. Out: a greenthread that serves it until it is killed. A client that sends
slowly, too much or nothing loses its own connection: the request line, the headers and the body each have a deadline
and a size. An address that others can reach is refused unless the caller says that the application asks for API keys.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

import eventlet
import eventlet.wsgi

from sdn_app.settings import SettingsError, is_loopback

IDLE_S = 30.0  # between requests of one connection
HEADERS_S = 10.0  # for the headers of one request
BODY_S = 15.0  # for the body of one request
SEND_S = 20.0  # for one write; longer than the keepalive of an event stream
LONGEST_LINE_BYTES = 8192
MOST_CONNECTIONS = 512
_CONNECTION = "sfc.connection"  # the `Protocol` of a request, in its environ


class _Deadline:
    """The reading end of a request's body: all reads together have `BODY_S`, and a line has a greatest length."""

    def __init__(self, source: Any) -> None:
        self._source, self._end = source, time.monotonic() + BODY_S

    def read(self, size: int = -1) -> bytes:
        return self._within(lambda: self._source.read(size))

    def readline(self, size: int = -1) -> bytes:
        return self._within(lambda: self._source.readline(LONGEST_LINE_BYTES if size < 0 else size))

    def _within(self, action: Callable[[], bytes]) -> bytes:
        with eventlet.Timeout(max(0.001, self._end - time.monotonic()), TimeoutError("the body took too long")):
            return action()


class Protocol(eventlet.wsgi.HttpProtocol):  # type: ignore[misc]  # eventlet has no types
    """One connection, with deadlines for what eventlet only limits by the packet."""

    def _read_request_line(self) -> Any:
        with eventlet.Timeout(IDLE_S, False):
            return super()._read_request_line()
        return b""

    def parse_request(self) -> bool:
        with eventlet.Timeout(HEADERS_S, False):
            return bool(super().parse_request())
        self.close_connection = True
        return False

    def get_environ(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environ()
        environ["wsgi.input"].rfile = _Deadline(self.rfile)
        environ[_CONNECTION] = self
        return environ


def listen(host: str, port: int, authenticated: bool = False) -> Any:
    """A listening socket.

    Raises:
        SettingsError: where others could reach `host` and the application does not ask for API keys.
        OSError: where the address is taken or not this machine's.
    """
    if not is_loopback(host) and not authenticated:
        raise SettingsError("host", host, "a loopback address, since no API keys are configured")
    family = eventlet.green.socket.AF_INET6 if ":" in host else eventlet.green.socket.AF_INET
    return eventlet.listen((host, port), family=family, backlog=128)


def serve(app: Any, host: str, port: int, log: logging.Logger) -> Any:
    """Listens on `host` and `port` and serves `app` there in the greenthread that is returned. Errors: `listen`."""
    return serve_socket(app, listen(host, port, bool(getattr(app, "authenticated", False))), log)


def serve_socket(app: Any, listener: Any, log: logging.Logger) -> Any:
    """Serves `app` on a listening socket in a greenthread, which is returned."""
    return eventlet.spawn(
        eventlet.wsgi.server,
        listener,
        _closing(app),
        log=log,
        protocol=Protocol,
        max_size=MOST_CONNECTIONS,
        minimum_chunk_size=1,  # an event leaves when it happens
        url_length_limit=LONGEST_LINE_BYTES,
        socket_timeout=SEND_S,
        debug=False,
    )


def _closing(app: Any) -> Any:
    """`app`, with connections that end after an answer that says so: eventlet would read on where a body went wrong."""

    def closing(environ: dict[str, Any], start_response: Any) -> Any:
        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Any:
            if ("Connection", "close") in headers:
                environ[_CONNECTION].close_connection = True
            return start_response(status, headers, exc_info)

        return app(environ, start)

    return closing
