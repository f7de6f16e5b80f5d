"""Which instances stand together in a path: the tuples that connections are dealt, in their order.

In: per position of a chain, its candidates in the order of their ids. Out: tuples of one candidate a position. Pure.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import gcd, lcm, prod

CYCLE_LIMIT = 512
COMBINATION_LIMIT = 64


@dataclass(frozen=True, slots=True)
class Candidate:
    """An instance that may stand at a position. Weight 1 everywhere is plain round robin; 0 is dealt nothing."""

    id: str
    weight: int = 1


Choice = tuple[Candidate, ...]


def cycle(positions: Sequence[Sequence[Candidate]], limit: int = CYCLE_LIMIT) -> tuple[Choice, ...]:
    """Give the repeating cycle of tuples in which every position takes its candidates in strict turn, or by weight.

    Tuple k takes entry k mod n of each position's own turn of n entries, so the cycle is as long as the least common
    multiple of the n. Where that is over `limit`, the last positions (servants) are kept exact as far as it allows,
    and each other one skips once a cycle. No candidate is left out: weights are coarsened, and the cycle grows past
    the limit, for that. () where a position has no candidate; one empty tuple where there is no position.
    """
    turns = [weighted_turn(candidates, limit) for candidates in positions]
    if not all(turns):
        return ()
    length = _length([len(turn) for turn in turns], limit)
    return tuple(tuple(turn[k % len(turn)] for turn in turns) for k in range(length))


def combinations(positions: Sequence[Sequence[Candidate]], limit: int = COMBINATION_LIMIT) -> tuple[Choice, ...]:
    """Give every combination, for balancing by choice rather than in turn; the cycle where there are over `limit`."""
    usable = [[each for each in candidates if each.weight > 0] for candidates in positions]
    if prod(len(candidates) for candidates in usable) <= limit:
        return tuple(product(*usable))
    return cycle([[Candidate(each.id) for each in candidates] for candidates in usable])


def weighted_turn(candidates: Sequence[Candidate], limit: int = CYCLE_LIMIT) -> tuple[Candidate, ...]:
    """Spread candidates over one turn by smooth weighted round robin, as nginx does (commit 52327e0627f4).

    Each candidate stands in it as often as its weight says, weights reduced by their common divisor; where they still
    sum up to more than `limit`, they are scaled down to it, to no less than 1.
    """
    usable = [each for each in candidates if each.weight > 0]
    if not usable:
        return ()
    divisor = gcd(*(each.weight for each in usable))
    weights = [each.weight // divisor for each in usable]
    total = sum(weights)
    if total > limit:
        weights = [max(1, weight * limit // total) for weight in weights]
        total = sum(weights)
    current = [0] * len(usable)
    turn: list[Candidate] = []
    for _ in range(total):
        current = [have + weight for have, weight in zip(current, weights, strict=True)]
        chosen = current.index(max(current))
        current[chosen] -= total
        turn.append(usable[chosen])
    return tuple(turn)


def _length(sizes: Sequence[int], limit: int) -> int:
    """The cycle's length for turns of these sizes."""
    exact = lcm(*sizes)
    if exact <= limit:
        return exact
    kept = 1
    for size in reversed(sizes):
        if lcm(kept, size) <= limit:
            kept = lcm(kept, size)
    return max(limit - limit % kept, *sizes)


def rotate_to_continue(tuples: Sequence[Choice], last_used: tuple[str, ...]) -> int:
    """Give the index at which a new cycle best continues after the tuple of ids that was dealt last.

    The tuple before that index agrees with the last one at as many positions as possible; for an instance that is
    gone, the one that precedes it in the order of ids counts as itself. 0 where nothing was dealt yet.
    """
    if not tuples or len(last_used) != len(tuples[0]):
        return 0
    before: list[str] = []
    for position, last in enumerate(last_used):
        ids = {choice[position].id for choice in tuples}
        before.append(last if last in ids else max((each for each in ids if each < last), default=max(ids)))
    agreements = [
        sum(candidate.id == wanted for candidate, wanted in zip(choice, before, strict=True)) for choice in tuples
    ]
    return (agreements.index(max(agreements)) + 1) % len(tuples)
