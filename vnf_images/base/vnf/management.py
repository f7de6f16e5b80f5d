"""The management server: `/health`, `/metrics` and what a function adds, on mgmt0's address.

In: a function that tells the health, what prometheus_client collected, and routes. Out: HTTP. It binds before the address exists
(IP_FREEBIND), so it needs no waiting and survives that the interface is plugged in again. Must not serve on the data ports:
it binds to the management address alone.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest

PORT = 8000
BODY_LIMIT = 1 << 20
IP_FREEBIND = 15  # linux/in.h; Python has no name for it


@dataclass(frozen=True, slots=True)
class Health:
    """What `/health` tells: `reason` says what is wrong, empty when all is well; `load` is 0-1, `active` open connections."""

    load: float
    active: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Request:
    """What a client asks beyond `/health` and `/metrics`."""

    method: str  # GET, POST, PUT or DELETE
    path: str  # without a query
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What it gets."""

    status: int
    content_type: str
    body: bytes
    allow: str = ""  # with status 405: the methods that the path has


Routes = Callable[[Request], Answer | None]


def no_routes(request: Request) -> Answer | None:
    """The routes of a function that adds none."""
    return None


def serve(address: str, health: Callable[[], Health], routes: Routes = no_routes) -> ThreadingHTTPServer:
    """Serve in a thread of its own until the process ends. `routes` is called in a thread for each client; None means 404."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            if self.path == "/health":
                self._answer(*health_answer(health()))
            elif self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(REGISTRY))
            else:
                self._route()

        def do_POST(self) -> None:
            self._route()

        def do_PUT(self) -> None:
            self._route()

        def do_DELETE(self) -> None:
            self._route()

        def _route(self) -> None:
            length = self.headers.get("Content-Length", "0")
            if "Transfer-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
                self.close_connection = True
                return self._answer(411, "text/plain", b"expected Content-Length\n")
            if len(length) > 9 or int(length) > BODY_LIMIT:
                self.close_connection = True
                return self._answer(413, "text/plain", b"the body is too long\n")
            request = Request(self.command, self.path.partition("?")[0], self.rfile.read(int(length)))
            answer = routes(request) or Answer(404, "text/plain", b"there is nothing at this path\n")
            return self._answer(answer.status, answer.content_type, answer.body, answer.allow)

        def _answer(self, status: int, content_type: str, body: bytes, allow: str = "") -> None:
            self.send_response(status)
            if allow:
                self.send_header("Allow", allow)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Probes come several times a second: they are counted by who asks, not logged here."""

    server = FreelyBound((address, PORT), Handler)
    threading.Thread(target=server.serve_forever, name="management", daemon=True).start()
    return server


def health_answer(health: Health) -> tuple[int, str, bytes]:
    """Status, content type and body that tell `health`."""
    facts: dict[str, object] = {
        "status": "failing" if health.reason else "ok",
        "load": round(health.load, 3),
        "active": health.active,
    }
    if health.reason:
        facts["reason"] = health.reason
    return (503 if health.reason else 200), "application/json", json.dumps(facts).encode()


class FreelyBound(ThreadingHTTPServer):
    """A server whose address need not exist yet."""

    daemon_threads = True
    request_queue_size = 64

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.SOL_IP, IP_FREEBIND, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_name, self.server_port = str(self.server_address[0]), PORT
