"""Which of a target's paths the next connection takes: by index into the tuples that `paths.turns` gave.

In: the tuples as ids, loads and weights, the client. Out: an index. State is explicit in the chooser, small, and
nobody else's. These run for every new connection. Balancing by hash is the data plane's (a select group) and has no
chooser.
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b

Ids = tuple[str, ...]


class Turn:
    """Round robin, plain or weighted: the indexes of a cycle in order, for ever. `index` is the next one."""

    __slots__ = ("index", "length")

    def __init__(self, length: int, start: int = 0) -> None:
        self.length, self.index = length, start % length

    def next(self) -> int:
        """Give the index whose turn it is."""
        index = self.index
        following = index + 1
        self.index = following if following < self.length else 0
        return index


class LeastLoaded:
    """The tuple whose most loaded instance is the least loaded; ties by the sum, then in turn after `last`."""

    __slots__ = ("last",)

    def __init__(self) -> None:
        self.last = -1

    def choose(self, tuples: Sequence[Ids], load: Mapping[str, float], weights: Mapping[str, int]) -> int:
        """Give the index of the least loaded tuple.

        `load` is relative to weight 1, `weights` are 1 where not given. An instance without a known load counts as
        loaded as the most loaded one that is known: what is not measured must not attract all traffic.
        """
        shares = {each: value / weights.get(each, 1) for each, value in load.items()}
        unknown = max(shares.values(), default=0.0)
        count = len(tuples)
        start = self.last + 1
        best, best_cost = start % count, (float("inf"), float("inf"))
        for step in range(count):
            index = (start + step) % count
            loads = [shares.get(each, unknown) for each in tuples[index]]
            cost = (max(loads, default=0.0), sum(loads))
            if cost < best_cost:
                best, best_cost = index, cost
        self.last = best
        return best


class Sticky:
    """The same tuple for the same client, as long as its instances are there.

    Rendezvous hashing (Thaler and Ravishankar 1998), position by position from the servants back: an instance that
    comes or goes moves only the clients that it wins or leaves. It has no state.
    """

    __slots__ = ()

    def choose(self, tuples: Sequence[Ids], client: int) -> int:
        """Give the index for a client, known by any integer (its IPv4 address)."""
        chosen: Sequence[int] = range(len(tuples))
        for position in reversed(range(len(tuples[0]))):
            present = {tuples[index][position] for index in chosen}
            winner = max(present, key=lambda each: (_score(client, each), each))
            chosen = [index for index in chosen if tuples[index][position] == winner]
        return chosen[0]


def _score(client: int, instance_id: str) -> int:
    digest = blake2b(instance_id.encode(), digest_size=8, key=client.to_bytes(16, "big")).digest()
    return int.from_bytes(digest, "big")
