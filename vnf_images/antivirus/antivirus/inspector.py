"""One connection's bytes: looked at as they are, and as the protocol that they speak.

In: bytes of both directions. Out: verdicts of the shared runtime.
"""

from __future__ import annotations

from collections.abc import Callable

from vnf.stream import PASS, Direction, Stop, Verdict

from antivirus.content import Blocked, Office, Window
from antivirus.protocol import Conversation


class StreamInspector:
    """Every byte passes a window; the protocol's objects are looked into besides."""

    def __init__(self, office: Callable[[], Office], hit: Callable[[str], None]) -> None:
        shared = office()
        self._windows = {direction: Window(shared.match, shared.policy.signature_bytes) for direction in Direction}
        self._conversation = Conversation(office)
        self._hit = hit

    def data(self, direction: Direction, data: bytes) -> Verdict:
        """Judge the next bytes."""
        try:
            self._windows[direction].feed(data)
            self._conversation.feed(direction, data)
        except Blocked as blocked:
            if blocked.reason == "signature":
                self._hit(blocked.detail)
            return Stop(blocked.reason, blocked.detail)
        return PASS

    def end(self, direction: Direction) -> Verdict:
        """All that came before was judged when it came."""
        return PASS
