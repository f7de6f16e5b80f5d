"""The order of requests by similarity."""

import pytest

from testbed.simulator.model.entities import Sfc, SfcRequest
from testbed.simulator.placement.similarity import ordered, similarity


def sfc(name: str, *vnfs: str) -> Sfc:
    return Sfc(name, vnfs, 50, 1, 1000)


SFCS = {
    each.name: each for each in (sfc("a", "1", "2"), sfc("b", "2", "3", "4"), sfc("c", "5"), sfc("d", "1", "2", "6"))
}
REQUESTS = [SfcRequest(f"r_{name}", "u", name, 1, 0, "src", "n", "n", 1) for name in "acbd"]


def test_of_two_chains() -> None:
    assert similarity(SFCS["a"], SFCS["b"]) == 0.5
    assert similarity(SFCS["a"], SFCS["d"]) == 1.0
    assert similarity(SFCS["a"], SFCS["c"]) == 0.0


@pytest.mark.parametrize(("order", "expected"), [("none", "acbd"), ("asc", "adbc"), ("desc", "acbd")])
def test_chain_rule(order: str, expected: str) -> None:
    assert [each.sfc for each in ordered(REQUESTS, SFCS, order)] == list(expected)


def test_unknown_order() -> None:
    with pytest.raises(ValueError, match="expected one of asc, desc, none"):
        ordered(REQUESTS, SFCS, "up")
