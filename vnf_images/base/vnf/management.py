"""The management server: `/health` and `/metrics` on mgmt0's address.

In: a function that tells the health, and what prometheus_client collected. Out: HTTP. It binds before the address exists
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
IP_FREEBIND = 15  # linux/in.h; Python has no name for it


@dataclass(frozen=True, slots=True)
class Health:
    """What `/health` tells: `reason` says what is wrong, empty when all is well; `load` is 0-1, `active` open connections."""

    load: float
    active: int
    reason: str = ""


def serve(address: str, health: Callable[[], Health]) -> ThreadingHTTPServer:
    """Serve in a thread of its own until the process ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            if self.path == "/health":
                self._answer(*health_answer(health()))
            elif self.path == "/metrics":
                self._answer(200, CONTENT_TYPE_LATEST, generate_latest(REGISTRY))
            else:
                self._answer(404, "text/plain", b"expected /health or /metrics\n")

        def _answer(self, status: int, content_type: str, body: bytes) -> None:
            self.send_response(status)
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
