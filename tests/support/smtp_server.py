"""A small SMTP server that records. In: sessions. Out: a file for each message, with the bytes exactly as they came (dots stuffed).

    python -m tests.support.smtp_server FOLDER [--port 25] [--dies-after COMMAND]

FOLDER/commands gets each command line. Answers 250 to all it knows, 550 to recipients that begin with `nobody`, and offers more
than a filter can look into: CHUNKING, STARTTLS, XCLIENT.
"""

from __future__ import annotations

import argparse
import itertools
import os
import socket
import socketserver
import threading
from pathlib import Path

OFFERS = b"PIPELINING SIZE=50000000 8BITMIME STARTTLS CHUNKING BINARYMIME XCLIENT ENHANCEDSTATUSCODES SMTPUTF8"


class Session(socketserver.StreamRequestHandler):
    """One client."""

    server: Server
    timeout = 120

    def handle(self) -> None:
        self._say(b"220 recorder.example ESMTP")
        while line := self.rfile.readline(65536):
            self.server.record(line)
            word = line.strip().upper().split(b" ", 1)[0]
            if word == self.server.dies_after:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                return
            if word == b"QUIT":
                self._say(b"221 bye")
                return
            if word == b"DATA":
                self._say(b"354 go on")
                self._take()
            else:
                self._answer(word, line)

    def _answer(self, word: bytes, line: bytes) -> None:
        if word == b"EHLO":
            parts = [b"recorder.example", *(part.replace(b"=", b" ") for part in OFFERS.split())]
            self.wfile.write(b"".join(b"250-%b\r\n" % part for part in parts[:-1]) + b"250 %b\r\n" % parts[-1])
        elif word == b"RCPT" and b"<nobody" in line.lower():
            self._say(b"550 5.1.1 no such user")
        elif word in (b"HELO", b"MAIL", b"RCPT", b"RSET", b"NOOP"):
            self._say(b"250 2.0.0 ok")
        else:
            self._say(b"502 5.5.1 what?")

    def _take(self) -> None:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            if not line:
                return
            lines.append(line)
        number = self.server.keep(b"".join(lines))
        self._say(b"250 2.0.0 kept as %d for %b" % (number, self.client_address[0].encode()))

    def _say(self, text: bytes) -> None:
        self.wfile.write(text + b"\r\n")


class Server(socketserver.ThreadingTCPServer):
    """Listens for IPv4 and IPv6."""

    address_family = socket.AF_INET6
    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 512

    def __init__(self, port: int, folder: Path, dies_after: bytes) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self.dies_after = dies_after
        super().__init__(("::", port), Session)

    def server_bind(self) -> None:
        self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def record(self, line: bytes) -> None:
        with self._lock, (self._folder / "commands").open("ab") as file:
            file.write(line)

    def keep(self, message: bytes) -> int:
        with self._lock:
            number = next(self._numbers)
        unfinished = self._folder / f".{number}"
        unfinished.write_bytes(message)
        os.replace(unfinished, self._folder / f"{number}.eml")
        return number


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, default=25)
    parser.add_argument("--dies-after", default="", help="a command at which the connection is reset")
    given = parser.parse_args()
    with Server(given.port, given.folder, given.dies_after.encode()) as server:
        server.serve_forever()


if __name__ == "__main__":
    main()
