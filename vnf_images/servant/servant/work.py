"""Work that costs CPU, one request at a time in the order that they came.

In: requests for a cost. Out: CPU time really spent, measured on the thread's own clock, so that a quota makes it last longer.
Works in slices, between which the event loop serves everything else. More than the queue holds is refused.
"""

from __future__ import annotations

import asyncio
import hashlib
import time

SLICE_S = 0.001
_BLOCK = bytes(16384)  # hashing more than 2 KiB lets go of Python's global lock: /health is answered meanwhile


class QueueFull(RuntimeError):
    """More requests wait than the queue holds."""


class Workshop:
    """Spends CPU for one request at a time; `waiting` counts those in line, the one in work included."""

    def __init__(self, queue: int) -> None:
        self._queue = queue
        self._turn = asyncio.Lock()
        self.waiting = 0
        self.spent_s = 0.0

    async def spend(self, cost_s: float) -> None:
        """Return when `cost_s` of CPU time was spent for this request. Raises QueueFull at once."""
        if self.waiting > self._queue:
            raise QueueFull
        self.waiting += 1
        try:
            async with self._turn:
                left_s = cost_s
                while left_s > 0:
                    spent_s = burn(min(left_s, SLICE_S))
                    self.spent_s += spent_s
                    left_s -= spent_s
                    await asyncio.sleep(0)
        finally:
            self.waiting -= 1


def burn(cost_s: float) -> float:
    """Hash until `cost_s` of this thread's CPU time is gone; gives what was spent."""
    started_s = time.thread_time()
    spent_s = 0.0
    while spent_s < cost_s:
        hashlib.sha256(_BLOCK).digest()
        spent_s = time.thread_time() - started_s
    return spent_s
