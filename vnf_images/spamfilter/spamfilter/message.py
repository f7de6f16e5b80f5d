"""A message after DATA: finds its end, and what is wrong with it; pure.

In: bytes as they come. Out: the message's bytes as they are on the wire (dots stuffed), or a fault with the reply to give. Only
CRLF . CRLF ends a message (RFC 5321, 4.1.1.4): a line feed alone never does, so what a laxer server might take for the end, and
for commands after it, is seen as a part of the message and refused or made harmless. Must not keep more than its limits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from spamfilter.config import Limits

END = b"\r\n.\r\n"
MOST_DISCARDED = 4  # times the largest message: a client that sends on is cut off
_BARE = re.compile(rb"(?<!\r)\n|\r(?!\n)")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a message is not taken: a reason for the log and the metric, and the reply."""

    reason: str
    reply: bytes


TOO_LARGE = Fault("message too large", b"552 5.3.4 Message is larger than this filter takes\r\n")
NO_ROOM = Fault("no memory for message", b"452 4.3.1 Too many messages at once, try again later\r\n")
BARE_NEWLINE = Fault("bare newline", b"550 5.6.0 Lines must end in CR LF (RFC 5321, 2.3.8)\r\n")
LONG_LINE = Fault("line too long", b"550 5.6.0 A line of the message is too long\r\n")
LONG_HEADER = Fault("header too large", b"552 5.3.4 The message's header is too large\r\n")


class Collector:
    """Takes a message in; `fault` says what is wrong with its size while the rest is discarded."""

    def __init__(self, most_bytes: int) -> None:
        self._buffer = bytearray(b"\r\n")  # of the DATA command: a message may consist of its end
        self._most_bytes = most_bytes
        self._discarded = 0
        self.fault: Fault | None = None

    @property
    def hopeless(self) -> bool:
        """Whether so much was discarded that the end should no longer be waited for."""
        return self._discarded > MOST_DISCARDED * self._most_bytes

    @property
    def size(self) -> int:
        """Bytes that are kept."""
        return len(self._buffer)

    @property
    def content(self) -> bytes:
        """The message without its end; whole only after `feed` said that it ended."""
        return bytes(memoryview(self._buffer)[2:])

    def feed(self, chunk: bytes) -> bytes | None:
        """Take bytes; once the end is there, what follows it, else None."""
        searched = max(0, len(self._buffer) - len(END) + 1)
        self._buffer += chunk
        end = self._buffer.find(END, searched)
        if end >= 0:
            rest = bytes(self._buffer[end + len(END) :])
            del self._buffer[end + 2 :]
            if len(self._buffer) > self._most_bytes:
                self.give_up(TOO_LARGE)
            return rest
        if self.fault is None and len(self._buffer) > self._most_bytes + len(END):
            self.give_up(TOO_LARGE)
        elif self.fault is not None:
            self._discard()
        return None

    def give_up(self, fault: Fault) -> None:
        """Keep no more of the message, and wait for its end."""
        self.fault = self.fault or fault
        self._discard()

    def _discard(self) -> None:
        surplus = len(self._buffer) - len(END) + 1
        if surplus > 0:
            self._discarded += surplus
            del self._buffer[:surplus]


def fault_of(content: bytes, limits: Limits, bare_newlines: str) -> Fault | None:
    """What is wrong with a whole message."""
    if bare_newlines == "reject" and _BARE.search(content):
        return BARE_NEWLINE
    header_end = 0 if content.startswith(b"\r\n") else content.find(b"\r\n\r\n")
    if (len(content) if header_end < 0 else header_end) > limits.header_bytes:
        return LONG_HEADER
    start = 0
    while len(content) - start > limits.line_bytes:
        newline = content.rfind(b"\n", start, start + limits.line_bytes)
        if newline < 0:
            return LONG_LINE
        start = newline + 1
    return None


def normalised(content: bytes) -> bytes:
    """The message with each line feed and carriage return that stands alone made a CRLF, its dots stuffed anew."""
    if not _BARE.search(content):
        return content
    return stuffed(_BARE.sub(b"\r\n", unstuffed(content)))


def unstuffed(content: bytes) -> bytes:
    """Without the dot that the sender put before each line that begins with one (RFC 5321, 4.5.2)."""
    return (b"\r\n" + content).replace(b"\r\n.", b"\r\n")[2:]


def stuffed(text: bytes) -> bytes:
    """With a dot more before each line that begins with one."""
    return (b"\r\n" + text).replace(b"\r\n.", b"\r\n..")[2:]
