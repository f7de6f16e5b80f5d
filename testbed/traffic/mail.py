"""Real mail between two hosts of the lab: a server that keeps what it accepts, and a client that sends one message.

    python mail.py sink ADDRESS PORT       each message as one line of JSON on standard output, until it is ended
    python mail.py send ADDRESS PORT FILE  exit code 0; one line of JSON: the reply to the message, {"code": 250, "text": ...}

In: arguments. Out: JSON lines. It binds to the address it is given and speaks to no other.
"""

from __future__ import annotations

import argparse
import json
import smtplib
import socketserver
import sys
from pathlib import Path

SENDER, RECIPIENT = "client@lab.example", "desk@lab.example"
WITHIN_S = 20.0


class Session(socketserver.StreamRequestHandler):
    """SMTP (RFC 5321) as far as a client needs it that sends mail: no extensions."""

    timeout = 60

    def handle(self) -> None:
        """One connection."""
        self._say("220 sink.lab.example")
        while line := self.rfile.readline(4096):
            verb = line.strip().upper().partition(b" ")[0]
            if verb == b"DATA":
                self._say("354 go on")
                self._message()
            elif verb == b"QUIT":
                self._say("221 bye")
                return
            else:
                self._say("250 ok" if verb in (b"EHLO", b"HELO", b"MAIL", b"RCPT", b"RSET", b"NOOP") else "502 unknown")

    def _message(self) -> None:
        lines = []
        while (line := self.rfile.readline(1 << 20)) not in (b".\r\n", b""):
            lines.append(line[1:] if line.startswith(b"..") else line)
        print(json.dumps({"message": b"".join(lines).decode("latin-1")}), flush=True)
        self._say("250 kept")

    def _say(self, text: str) -> None:
        self.wfile.write(text.encode() + b"\r\n")


class Server(socketserver.ThreadingTCPServer):
    """A thread a connection."""

    allow_reuse_address = daemon_threads = True


def sink(address: str, port: int) -> None:
    """Serve until a signal ends the process."""
    with Server((address, port), Session) as server:
        print(json.dumps({"listening": port}), flush=True)
        server.serve_forever()


def send(address: str, port: int, message: bytes) -> dict[str, object]:
    """Send one message; the server's reply to it, or to what was refused before it."""
    with smtplib.SMTP(address, port, local_hostname="client.lab.example", timeout=WITHIN_S) as client:
        client.ehlo_or_helo_if_needed()
        for code, text in (client.mail(SENDER), client.rcpt(RECIPIENT)):
            if code >= 400:
                return {"code": code, "text": text.decode("latin-1")}
        code, text = client.data(message)
        return {"code": code, "text": text.decode("latin-1")}


def main() -> int:
    """Serve or send, as the first argument says."""
    parser = argparse.ArgumentParser(prog="mail.py", description="mail between hosts of the lab")
    commands = parser.add_subparsers(dest="command", required=True)
    for name in ("sink", "send"):
        command = commands.add_parser(name)
        command.add_argument("address")
        command.add_argument("port", type=int)
    commands.choices["send"].add_argument("file", type=Path)
    given = parser.parse_args()
    if given.command == "sink":
        sink(given.address, given.port)
    try:
        print(json.dumps(send(given.address, given.port, given.file.read_bytes())))
    except (OSError, smtplib.SMTPException) as error:
        print(json.dumps({"code": 0, "text": f"{type(error).__name__}: {error}"}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
