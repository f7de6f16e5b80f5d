"""The management server with `/rules` beside `/health` and `/metrics`. In: requests. Out: answers.

A body must come with its length, and is bounded. Must not serve on the data ports: it binds to the management address alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, generate_latest
from vnf.management import PORT, FreelyBound, Health, health_answer

from firewall import rest
from firewall.rest import LARGEST_BODY_BYTES, Answer, problem
from firewall.rulebook import Rulebook


def serve(address: str, health: Callable[[], Health], book: Rulebook) -> FreelyBound:
    """Serve in a thread of its own until the process ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_GET(self) -> None:
            if self.path == "/health":
                self._send(Answer(*health_answer(health())))
            elif self.path == "/metrics":
                self._send(Answer(200, CONTENT_TYPE_LATEST, generate_latest(REGISTRY)))
            else:
                self._rules()

        def do_POST(self) -> None:
            self._rules()

        do_PUT = do_PATCH = do_DELETE = do_POST

        def _rules(self) -> None:
            length = self.headers.get("Content-Length", "0")
            if "Transfer-Encoding" in self.headers or not length.isascii() or not length.isdigit():
                self.close_connection = True
                return self._send(problem(411, "expected a body with its Content-Length"))
            if int(length) > LARGEST_BODY_BYTES:
                self.close_connection = True
                return self._send(problem(413, f"expected a body of {LARGEST_BODY_BYTES} bytes at most"))
            found = rest.answer(book, self.command, self.path, self.rfile.read(int(length)))
            self._send(found or problem(404, "expected /health, /metrics, /rules or /rules/<id>"))

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            if answer.status != 204:
                self.send_header("Content-Type", answer.content_type)
                self.send_header("Content-Length", str(len(answer.body)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(answer.body)

        def log_message(self, format: str, *args: object) -> None:
            """Probes come several times a second: they are counted by who asks, not logged here."""

    server = FreelyBound((address, PORT), Handler)
    threading.Thread(target=server.serve_forever, name="management", daemon=True).start()
    return server
