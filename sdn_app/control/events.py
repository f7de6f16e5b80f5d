"""What happened, numbered and kept for a while, for everybody who listens (`/events`) and for the log.

In: kind and data. Out: an iterator that blocks between events. Must not: block whoever publishes.
"""

import itertools
from collections import deque
from collections.abc import Iterator
from typing import Any

from eventlet.queue import Empty, LightQueue

KEPT = 1000
KEEPALIVE_S = 15.0

Event = tuple[int, str, dict[str, Any]]


class EventLog:
    """A bounded history of events and its listeners. A listener that is slow loses events, not the publisher time."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._kept: deque[Event] = deque(maxlen=KEPT)
        self._listeners: set[LightQueue] = set()

    def publish(self, kind: str, **data: Any) -> None:
        """Add an event and wake whoever listens."""
        event = (next(self._numbers), kind, data)
        self._kept.append(event)
        for queue in tuple(self._listeners):
            if queue.qsize() < KEPT:
                queue.put(event)

    def follow(self, after: int) -> Iterator[Event]:
        """Events with a greater number, then new ones as they come; (0, "keepalive", {}) when nothing happens."""
        queue: LightQueue = LightQueue()
        self._listeners.add(queue)
        try:
            last = after
            for event in tuple(self._kept):
                if event[0] > last:
                    last = event[0]
                    yield event
            while True:
                try:
                    event = queue.get(timeout=KEEPALIVE_S)
                except Empty:
                    yield (0, "keepalive", {})
                    continue
                if event[0] > last:
                    last = event[0]
                    yield event
        finally:
            self._listeners.discard(queue)
