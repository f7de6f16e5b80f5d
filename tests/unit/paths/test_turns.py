"""Turns: strictness at every position, weights, limits, and where a new cycle begins."""

from collections import Counter
from itertools import pairwise
from math import lcm

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdn_app.paths.turns import Candidate, combinations, cycle, rotate_to_continue, weighted_turn


def candidates(name: str, *weights: int) -> list[Candidate]:
    return [Candidate(f"{name}{number}", weight) for number, weight in enumerate(weights, 1)]


def ids(tuples: tuple[tuple[Candidate, ...], ...]) -> list[tuple[str, ...]]:
    return [tuple(each.id for each in choice) for choice in tuples]


def test_smooth_weighted_round_robin_spreads_as_nginx_does() -> None:
    turn = weighted_turn([Candidate("a", 5), Candidate("b", 1), Candidate("c", 1)])
    assert "".join(each.id for each in turn) == "aabacaa"
    assert len(weighted_turn(candidates("x", 100, 200))) == 3


def test_no_position_gives_one_empty_tuple_and_no_candidate_gives_none() -> None:
    assert cycle([]) == ((),)
    assert combinations([]) == ((),)
    assert cycle([candidates("a", 1), []]) == ()
    assert cycle([candidates("a", 0)]) == ()
    assert combinations([candidates("a", 1), candidates("b", 0)]) == ()


@given(st.lists(st.integers(1, 5), min_size=1, max_size=4))
def test_every_position_takes_strict_turns_for_ever(sizes: list[int]) -> None:
    tuples = cycle([candidates(f"p{place}-", *[1] * size) for place, size in enumerate(sizes)])
    assert len(tuples) == lcm(*sizes)
    for place, size in enumerate(sizes):
        numbers = [int(choice[place].id.split("-")[1]) - 1 for choice in (*tuples, *tuples)]
        assert all(after == (before + 1) % size for before, after in pairwise(numbers))


@given(st.lists(st.lists(st.integers(1, 2000), min_size=1, max_size=30), min_size=1, max_size=4))
def test_the_cycle_is_bounded_and_leaves_nobody_out(weights: list[list[int]]) -> None:
    positions = [candidates(f"p{place}-", *each) for place, each in enumerate(weights)]
    tuples = cycle(positions)
    assert len(tuples) <= 512 + 30
    for place, position in enumerate(positions):
        assert {choice[place] for choice in tuples} == set(position)


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_weights_are_shares(weights: list[int]) -> None:
    counts = Counter(choice[0].weight for choice in cycle([candidates("a", *weights)]))
    total = sum(counts.values())
    for weight, times in Counter(weights).items():
        assert counts[weight] * sum(weights) == total * weight * times


def test_over_the_limit_the_servants_stay_exact() -> None:
    tuples = cycle([candidates("a", *[1] * 31), candidates("b", *[1] * 37), candidates("s", *[1] * 5)])
    assert len(tuples) <= 512 and len(tuples) % 5 == 0


@pytest.mark.parametrize(("size", "count"), [(8, 64), (9, 9)])
def test_combinations_are_all_up_to_the_limit(size: int, count: int) -> None:
    tuples = combinations([candidates("a", *[3] * size), candidates("b", *[2] * size)])
    assert len(tuples) == len(set(tuples)) == count


def test_a_new_cycle_continues_after_the_last_tuple() -> None:
    three = cycle([candidates("a", 1, 1, 1)])
    assert rotate_to_continue(three, ("a2",)) == 2
    assert rotate_to_continue(three, ("a3",)) == 0
    assert rotate_to_continue(three, ()) == 0
    assert rotate_to_continue((), ("a1",)) == 0
    two = cycle([[Candidate("a1"), Candidate("a3")]])
    assert ids(two)[rotate_to_continue(two, ("a2",))] == ("a3",)
    assert ids(two)[rotate_to_continue(two, ("a0",))] == ("a1",)


def test_a_position_that_did_not_change_goes_on_where_it_was() -> None:
    tuples = cycle([candidates("a", 1, 1), candidates("s", 1, 1, 1)])
    start = rotate_to_continue(tuples, ("a9", "s2"))
    assert ids(tuples)[start][1] == "s3"
