"""Lines of a stream that comes in pieces of any size. In: bytes. Out: lines with their ends. Bounded. Pure."""

from __future__ import annotations


class Lines:
    """Collects up to `limit` bytes of a line that has no end yet; a longer one is given in parts, without an end each."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._begun = bytearray()

    def take(self, data: bytes, at: int) -> tuple[bytes | None, int]:
        """The next line (or a part of `limit` bytes), None where its end has not come yet; and where to go on in `data`."""
        end = data.find(b"\n", at) + 1 or len(data)
        end = min(end, at + self._limit - len(self._begun))
        self._begun += data[at:end]
        if self._begun.endswith(b"\n") or len(self._begun) >= self._limit:
            line = bytes(self._begun)
            self._begun.clear()
            return line, end
        return None, end
