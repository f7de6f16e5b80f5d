"""Lines that say what is being done, with the seconds since the start; they are kept for the report.

In: texts. Out: lines on standard output. The clock is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable


class Progress:
    """Call it with a text. `steps` has (seconds since the start, text) of everything that was said."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now, self._started = now, now()
        self.steps: list[tuple[float, str]] = []

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return self._now() - self._started

    def __call__(self, text: str) -> None:
        """Say it."""
        self.steps.append((round(self.elapsed_s, 1), text))
        print(f"[{self.elapsed_s:5.1f} s] {text}", flush=True)
