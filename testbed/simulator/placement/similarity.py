"""The order of a time window's requests: by their priority, then by how much their chains have in common.

In: requests, and their SFCs. Out: the same requests in an order. Must not do: place.

    similarity(A, B) = size of A and B / min(size of A, size of B)                                     (behaviour, "similarity")

The greedy chain rule: the first request stays first; next comes always the one that is most similar (`asc`) or least similar
(`desc`) to the one before it, of equals the one that arrived first. The document calls `asc` "from the most similar to the least".
"""

from collections.abc import Mapping, Sequence

from testbed.simulator.model.entities import Sfc, SfcRequest

ORDERS = ("asc", "desc", "none")


def similarity(a: Sfc, b: Sfc) -> float:
    """1 where one chain's VNFs are all in the other, 0 where they share none."""
    ours, theirs = set(a.vnfs), set(b.vnfs)
    return len(ours & theirs) / min(len(ours), len(theirs)) if ours and theirs else 0.0


def ordered(requests: Sequence[SfcRequest], sfcs: Mapping[str, Sfc], order: str) -> list[SfcRequest]:
    """The requests in `asc`, `desc` or (`none`) their own order.

    Raises:
        ValueError: another order.
    """
    if order not in ORDERS:
        raise ValueError(f"order {order!r}: expected one of {', '.join(ORDERS)}")
    left = list(requests)
    if order == "none" or not left:
        return left
    sign = -1 if order == "asc" else 1
    kinds = {each.sfc for each in left}
    degree = {(a, b): sign * similarity(sfcs[a], sfcs[b]) for a in kinds for b in kinds}
    result = [left.pop(0)]
    while left:
        last = result[-1].sfc
        result.append(left.pop(min(range(len(left)), key=lambda number: degree[last, left[number].sfc])))
    return result


def by_priority(requests: Sequence[SfcRequest], sfcs: Mapping[str, Sfc], order: str) -> list[SfcRequest]:
    """The greatest priority first (document, user "priority"); requests of one priority as `ordered` has them.

    Raises:
        ValueError: another order.
    """
    return [
        each
        for priority in sorted({each.priority for each in requests}, reverse=True)
        for each in ordered([one for one in requests if one.priority == priority], sfcs, order)
    ]
