"""SMTP as an antivirus needs it: where messages start and end.

In: bytes of both directions. Out: messages' lines to MIME. Bounded. An end of a message that servers see at different places is
blocked.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from antivirus.content import Blocked, Content, Office
from antivirus.lines import Lines
from antivirus.mime import Mime

LINE_LIMIT = 8192
COMMANDS_LIMIT = 1024  # that await a reply
_FINAL_REPLY = re.compile(rb"([2-5][0-9]{2})(?: |\r?\n)")
_BDAT = re.compile(rb"BDAT +([0-9]{1,15})( +LAST)?\s*", re.IGNORECASE)


class Smtp:
    """One session. A message is read as one from DATA on, even before the server agreed: who sends it early gains nothing.
    States are functions that take the session, not bound to it, for the reason that HTTP's are.
    """

    def __init__(self, office: Callable[[], Office]) -> None:
        self._office_of = office
        self._office: Office | None = None
        self._mime: Mime | None = None
        self._lines = Lines(LINE_LIMIT)
        self._chunk_lines = Lines(LINE_LIMIT)
        self._replies = Lines(LINE_LIMIT)
        self._state = Smtp._command
        self._unanswered = 1  # commands, and the greeting as the answer to none
        self._data_at = 0  # which of the replies to come is that to DATA; 0 where none is awaited
        self._left = 0
        self._last = False  # of the chunks of a message
        self._fresh = True
        self._before = b"\r\n"  # the end of the line before

    def client(self, data: bytes) -> None:
        """The client's next bytes. Raises Blocked."""
        if self._office is not None:
            self._office.received += len(data)
        at = 0
        while at < len(data):
            at = self._state(self, data, at)

    def server(self, data: bytes) -> None:
        """The server's next bytes. Raises Blocked."""
        at = 0
        while at < len(data):
            line, at = self._replies.take(data, at)
            if line is not None and (reply := _FINAL_REPLY.match(line)):
                self._unanswered = max(0, self._unanswered - 1)
                if self._data_at:
                    self._data_at -= 1
                    if not self._data_at and reply[1] != b"354" and self._state is Smtp._message:
                        self._state = Smtp._command

    def _command(self, data: bytes, at: int) -> int:
        line, at = self._lines.take(data, at)
        if line is None:
            return at
        self._unanswered += 1
        if self._unanswered > COMMANDS_LIMIT:
            raise Blocked("protocol", f"more than {COMMANDS_LIMIT} commands wait for their reply")
        verb = line.strip().upper()
        if verb == b"DATA":
            self._open()
            self._data_at = self._unanswered
            self._state, self._fresh, self._before = Smtp._message, True, b"\r\n"
        elif verb.startswith(b"STARTTLS"):
            self._new_office().decline("encrypted", "STARTTLS")
        elif match := _BDAT.fullmatch(line):
            if self._mime is None:
                self._open()
            self._left = int(match[1])
            if self._left:
                self._state = Smtp._counted
            self._last = bool(match[2])
            if not self._left:
                self._end_chunk()
        return at

    def _new_office(self) -> Office:
        self._office = self._office_of()
        return self._office

    def _open(self) -> None:
        office = self._new_office()
        self._mime = Mime(lambda: Content(office))

    def _message(self, data: bytes, at: int) -> int:
        line, at = self._lines.take(data, at)
        if line is None:
            return at
        fresh, self._fresh = self._fresh, line.endswith(b"\n")
        before, self._before = self._before, line[-2:]
        if fresh and line.strip(b"\r\n") == b"." and line.endswith(b"\n"):
            if line != b".\r\n" or before != b"\r\n":
                raise Blocked("protocol", "an end of a message that only some servers see")
            self._mime, self._state = None, Smtp._command
            self._unanswered += 1
            return at
        assert self._mime is not None
        self._mime.line(line[1:] if fresh and line.startswith(b".") else line)
        return at

    def _counted(self, data: bytes, at: int) -> int:
        """Bytes of BDAT, which are no lines of the session; a line over two of them is put together."""
        end = min(len(data), at + self._left)
        self._left -= end - at
        piece = data[at:end]
        assert self._mime is not None
        position = 0
        while position < len(piece):
            line, position = self._chunk_lines.take(piece, position)
            if line is not None:
                self._mime.line(line)
        if not self._left:
            self._end_chunk()
        return end

    def _end_chunk(self) -> None:
        self._state = Smtp._command
        if self._last:
            self._mime, self._chunk_lines = None, Lines(LINE_LIMIT)
