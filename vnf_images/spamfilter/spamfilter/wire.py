"""One side of a session: bytes in with a bound, bytes out with a time-out. In: asyncio streams. Out: lines, or Gone with the side."""

from __future__ import annotations

import asyncio

CHUNK = 1 << 16
SEND_LIMIT_S = 180.0  # RFC 5321, 4.5.3.2.5
CLOSE_LIMIT_S = 2.0


class Gone(ConnectionError):
    """This side is no longer there; `side` says which."""

    def __init__(self, side: str, reason: str) -> None:
        super().__init__(f"{side}: {reason}")
        self.side = side


class LineTooLong(ValueError):
    """There is no end of line where one must be."""


class Peer:
    """A connection with what was read of it and not yet taken. `ended`: there will be no more."""

    def __init__(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._name = name
        self._reader = reader
        self._writer = writer
        self.buffer = bytearray()
        self.ended = False

    async def fill(self) -> None:
        """Wait for more bytes, or the end. Loses nothing when cancelled."""
        try:
            chunk = await self._reader.read(CHUNK)
        except OSError as error:
            raise Gone(self._name, error.strerror or type(error).__name__) from None
        self.ended = not chunk
        self.buffer += chunk

    def line(self, most_bytes: int) -> bytes | None:
        """Take a line, its end included; None where there is none yet. Raises LineTooLong."""
        end = self.buffer.find(b"\n", 0, most_bytes)
        if end < 0:
            if len(self.buffer) >= most_bytes:
                raise LineTooLong
            return None
        line = bytes(self.buffer[: end + 1])
        del self.buffer[: end + 1]
        return line

    def taken(self) -> bytes:
        """Take all that was read."""
        data = bytes(self.buffer)
        self.buffer.clear()
        return data

    async def send(self, data: bytes) -> None:
        """Write, and wait until the other end keeps up."""
        try:
            self._writer.write(data)
            async with asyncio.timeout(SEND_LIMIT_S):
                await self._writer.drain()
        except TimeoutError:
            raise Gone(self._name, "takes no data") from None
        except OSError as error:
            raise Gone(self._name, error.strerror or type(error).__name__) from None

    async def finish(self) -> None:
        """Say that there will be no more, and go on reading."""
        if self._writer.can_write_eof():
            self._writer.write_eof()

    async def close(self) -> None:
        """End in order. A side that still sends is read for a moment: a reset could overtake the last reply (RFC 1122, 4.2.2.13)."""
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await self.finish()
                while not self.ended:
                    self.buffer.clear()
                    await self.fill()
        except (TimeoutError, OSError):
            pass
        finally:
            self._writer.transport.abort()
