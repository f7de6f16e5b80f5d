"""SMTP's commands and replies as bytes; pure. In: lines of either side. Out: what they mean, and what is left of an EHLO reply."""

from __future__ import annotations

import re
from dataclasses import dataclass

CRLF = b"\r\n"
# Of these the proxy knows that their replies are one, and that what follows is again a command.
RELAYED = frozenset({b"EHLO", b"HELO", b"MAIL", b"RCPT", b"RSET", b"NOOP", b"VRFY", b"EXPN", b"HELP", b"QUIT"})
# Extensions that change no framing and hide nothing.
OFFERED = frozenset(
    {
        b"PIPELINING",
        b"SIZE",
        b"8BITMIME",
        b"SMTPUTF8",
        b"DSN",
        b"ENHANCEDSTATUSCODES",
        b"AUTH",
        b"HELP",
        b"VRFY",
        b"EXPN",
    }
    | {b"DELIVERBY", b"FUTURERELEASE", b"MT-PRIORITY", b"NO-SOLICITING", b"LIMITS"}
)
MOST_REPLY_LINES = 128
_REPLY_LINE = re.compile(rb"([2-5]\d\d)(?:([ -])[^\r\n]*)?\r?\n")


class BadReply(ValueError):
    """What the server said is no SMTP reply."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A server's whole reply, as it came."""

    code: int
    lines: tuple[bytes, ...]

    @property
    def raw(self) -> bytes:
        return b"".join(self.lines)

    @property
    def good(self) -> bool:
        return 200 <= self.code < 300


def verb(line: bytes) -> bytes:
    """A command's name in capitals."""
    return line.rstrip(CRLF).split(b" ", 1)[0].upper()


def malformed(line: bytes) -> bool:
    """Whether a line ends in anything but CRLF, or has CR, LF or NUL elsewhere: two servers may read it differently."""
    return not line.endswith(CRLF) or any(byte in line[:-2] for byte in (b"\r", b"\n", b"\0"))


def reply_line(line: bytes) -> tuple[int, bool]:
    """A reply line's code, and whether it is the last. Raises BadReply."""
    found = _REPLY_LINE.fullmatch(line)
    if found is None:
        raise BadReply(line[:80].decode("ascii", "backslashreplace"))
    return int(found[1]), found[2] != b"-"


def filtered_ehlo(reply: Reply, starttls: bool, most_bytes: int) -> bytes:
    """The server's EHLO reply without what cannot be looked into; SIZE says no more than the filter takes."""
    kept = [reply.lines[0][4:].rstrip(CRLF)]
    for line in reply.lines[1:]:
        words = line[4:].rstrip(CRLF).split()
        keyword = words[0].upper() if words else b""
        if keyword == b"SIZE":
            stated = int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
            kept.append(b"SIZE %d" % min(stated or most_bytes, most_bytes))
        elif keyword in OFFERED or (starttls and keyword == b"STARTTLS"):
            kept.append(b" ".join(words))
    parts = [b"%d-%b\r\n" % (reply.code, text) for text in kept[:-1]]
    return b"".join([*parts, b"%d %b\r\n" % (reply.code, kept[-1])])
