"""Signals as something to wait for. In: signal numbers. Out: those that came, in order, outside of any handler."""

from __future__ import annotations

import signal
import socket


class Signals:
    """Catches the given signals from now on; readable (`fileno`) when one came."""

    def __init__(self, *numbers: signal.Signals) -> None:
        self._numbers = frozenset(numbers)
        self._reading, self._writing = socket.socketpair()
        self._reading.setblocking(False)
        self._writing.setblocking(False)
        signal.set_wakeup_fd(self._writing.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            signal.signal(number, lambda *_: None)

    def fileno(self) -> int:
        """Readable when a signal came."""
        return self._reading.fileno()

    def taken(self) -> list[signal.Signals]:
        """The signals that came since the last call."""
        try:
            came = [signal.Signals(number) for number in self._reading.recv(256)]
        except BlockingIOError:
            return []
        return [number for number in came if number in self._numbers]
