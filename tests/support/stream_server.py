"""A server for tests of functions that look into streams, to be run in a network namespace of its own.

In: a folder, as the only argument, with files to serve. Out: on port 80 HTTP: GET /files/NAME, with ?chunked, ?close or ?gzip=1 for the
ways to send it; POST anything is answered with the SHA-256 of the body. On port 8080 a line `N` is answered with the SHA-256 of
the N bytes that follow. On port 25 SMTP, which answers to a message with its SHA-256. IPv4 and IPv6.
"""

from __future__ import annotations

import gzip
import hashlib
import socket
import socketserver
import sys
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path

FOLDER = Path(sys.argv[1])


class Http(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 30

    def do_GET(self) -> None:
        path, _, way = self.path.partition("?")
        body = (FOLDER / path.rpartition("/")[2]).read_bytes()
        self.send_response(200)
        if way.startswith("gzip"):
            body = gzip.compress(body)
            self.send_header("Content-Encoding", "gzip")
        if way == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for at in range(0, len(body), 17):
                piece = body[at : at + 17]
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.write(b"0\r\n\r\n")
            return
        if way == "close":
            self.close_connection = True
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        answer = hashlib.sha256(body).hexdigest().encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


class Raw(socketserver.StreamRequestHandler):
    timeout = 30

    def handle(self) -> None:
        while line := self.rfile.readline():
            self.wfile.write(hashlib.sha256(self.rfile.read(int(line))).hexdigest().encode() + b"\n")


class Smtp(socketserver.StreamRequestHandler):
    timeout = 30

    def handle(self) -> None:
        self.wfile.write(b"220 test\r\n")
        while line := self.rfile.readline():
            verb = line[:4].upper()
            if verb == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                body = b""
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    body += line
                if line:
                    self.wfile.write(b"250 " + hashlib.sha256(body).hexdigest().encode() + b"\r\n")
            else:
                self.wfile.write(b"221 bye\r\n" if verb == b"QUIT" else b"250 ok\r\n")
                if verb == b"QUIT":
                    return


class Server(socketserver.ThreadingTCPServer):
    address_family = socket.AF_INET6  # and IPv4 as mapped addresses
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that was ended is what the tests are about."""


def main() -> None:
    for port, handler in ((80, Http), (8080, Raw), (25, Smtp)):
        server = Server(("::", port), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
    print("ready", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
