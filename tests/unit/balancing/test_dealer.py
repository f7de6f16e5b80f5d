"""Choosers: turns, load, and clients that stay where they are."""

from collections import Counter
from itertools import product
from timeit import timeit

from hypothesis import given
from hypothesis import strategies as st

from sdn_app.balancing.dealer import LeastLoaded, Sticky, Turn

PAIRS = list(product(("a1", "a2", "a3"), ("s1", "s2", "s3")))


def test_turns_repeat_from_the_start_given() -> None:
    turn = Turn(3, start=5)
    assert [turn.next() for _ in range(5)] == [2, 0, 1, 2, 0]


def test_a_turn_takes_under_five_microseconds() -> None:
    turn = Turn(512)
    assert min(timeit(turn.next, number=1000) for _ in range(20)) / 1000 < 5e-6


def test_least_loaded_minimises_the_greatest_load_by_weight() -> None:
    tuples = [("a1", "s1"), ("a1", "s2"), ("a2", "s1"), ("a2", "s2")]
    load = {"a1": 4.0, "a2": 3.0, "s1": 9.0, "s2": 10.0}
    assert LeastLoaded().choose(tuples, load, {}) == 2
    assert LeastLoaded().choose(tuples, load, {"s2": 2}) == 3


def test_least_loaded_breaks_ties_by_the_sum_and_then_in_turn() -> None:
    chooser = LeastLoaded()
    one_firewall = [("fw", "s1"), ("fw", "s2")]
    assert chooser.choose(one_firewall, {"fw": 9.0, "s1": 3.0, "s2": 1.0}, {}) == 1
    level = {"fw": 9.0, "s1": 1.0, "s2": 1.0}
    assert [chooser.choose(one_firewall, level, {}) for _ in range(4)] == [0, 1, 0, 1]


def test_an_instance_without_a_known_load_attracts_nothing() -> None:
    chooser = LeastLoaded()
    tuples = [("new",), ("busy",), ("free",)]
    assert chooser.choose(tuples, {"busy": 5.0, "free": 1.0}, {}) == 2
    unmeasured = LeastLoaded()
    assert [unmeasured.choose(tuples, {}, {}) for _ in range(3)] == [0, 1, 2]


@given(st.integers(0, 2**32 - 1), st.permutations(PAIRS))
def test_sticky_depends_on_the_client_and_not_on_the_order(client: int, order: list[tuple[str, str]]) -> None:
    assert order[Sticky().choose(order, client)] == PAIRS[Sticky().choose(PAIRS, client)]


@given(st.integers(0, 2**32 - 1), st.sampled_from(["a1", "a2", "a3", "s1", "s2", "s3"]))
def test_sticky_moves_only_the_clients_of_what_went(client: int, gone: str) -> None:
    before = PAIRS[Sticky().choose(PAIRS, client)]
    left = [pair for pair in PAIRS if gone not in pair]
    after = left[Sticky().choose(left, client)]
    kept = [place for place in (0, 1) if before[place] != gone]
    assert all(after[place] == before[place] for place in kept)


def test_sticky_spreads_clients() -> None:
    counts = Counter(Sticky().choose(PAIRS, 0x0A020000 + client) for client in range(3600))
    assert len(counts) == len(PAIRS)
    assert all(300 < count < 500 for count in counts.values())
