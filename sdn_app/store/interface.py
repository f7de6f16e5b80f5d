"""What the controller needs from a store: desired state, and numbers that keep their meaning over a restart.

Kinds of numbers and their ranges are in `KINDS`. Every call is durable against the controller's end when it returns.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from sdn_app.chains.model import DesiredState


class StoreError(Exception):
    """A store that cannot be used: which, why, and what to do about it."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Numbers of one kind: first, first + step, ... up to last.

    With `rotating` a new number is the one after the newest, from the start again at the end, so that a released one
    comes back as late as possible. Otherwise it is the lowest that is free.
    """

    first: int
    step: int
    last: int
    rotating: bool = False


KINDS = {
    # rotating: connections that were silent for long may still carry a path's number in a switch's conntrack
    "spi": Kind(2, 2, 2**24 - 2, rotating=True),
    "target": Kind(1, 1, 2**32 - 257),  # also a group's id; greater ones are reserved by OpenFlow
    "switch": Kind(1, 1, 2**15 - 1),  # two conntrack zones of 16 bits each
    "flow": Kind(1, 1, 2**31 - 1, rotating=True),
}


class Store(Protocol):
    """One controller's store."""

    def load(self) -> DesiredState:
        """Give the stored desired state; the empty one at first."""

    def save(self, old: DesiredState, new: DesiredState) -> None:
        """Store what differs between two desired states, all of it or nothing. `old` is what is stored."""

    def allocate(self, kind: str, key: str) -> int:
        """Give the number of a key: the one that it has, or a new one."""

    def allocate_many(self, kind: str, keys: Iterable[str]) -> dict[str, int]:
        """Give the numbers of many keys, as one change."""

    def allocated(self, kind: str) -> dict[str, int]:
        """Give all keys of a kind with their numbers."""

    def release(self, kind: str, *keys: str) -> None:
        """Free the numbers of keys; one without a number is left out."""

    def close(self) -> None:
        """Let go of the store."""
