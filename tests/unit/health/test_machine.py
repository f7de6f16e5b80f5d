"""The life of an instance as probes and ports tell it."""

import pytest

from sdn_app.chains.model import InstanceState as S
from sdn_app.health.machine import Policy, ProbeState, next_probe_in_s, on_port_down, on_port_up, on_probe

POLICY = Policy(interval_s=1.0, fall=3, rise=2, max_interval_s=10.0)


def after(state: ProbeState, outcomes: str) -> ProbeState:
    """`+` is a good probe, `-` a bad one, `v` port down, `^` port up; one a second from 1 on."""
    for now, outcome in enumerate(outcomes, 1):
        if outcome in "+-":
            state = on_probe(state, outcome == "+", float(now), POLICY)
        else:
            state = (on_port_down if outcome == "v" else on_port_up)(state, float(now))
    return state


@pytest.mark.parametrize(
    ("first", "outcomes", "last"),
    [
        (S.STARTING, "+", S.ACTIVE),
        (S.STARTING, "-----", S.STARTING),
        (S.STARTING, "-----+", S.ACTIVE),
        (S.STARTING, "v", S.FAILED),
        (S.ACTIVE, "--", S.ACTIVE),
        (S.ACTIVE, "--+--", S.ACTIVE),
        (S.ACTIVE, "---", S.FAILED),
        (S.ACTIVE, "v", S.FAILED),
        (S.ACTIVE, "v^", S.STARTING),
        (S.ACTIVE, "^", S.ACTIVE),
        (S.FAILED, "+", S.FAILED),
        (S.FAILED, "+-+", S.FAILED),
        (S.FAILED, "++", S.ACTIVE),
        (S.DRAINING, "+++++", S.DRAINING),
        (S.DRAINING, "--+", S.DRAINING),
        (S.DRAINING, "---", S.FAILED),
        (S.DRAINING, "---++", S.DRAINING),
        (S.DRAINING, "v^+", S.DRAINING),
        (S.DRAINING, "---v^---v^+", S.DRAINING),
    ],
)
def test_states(first: S, outcomes: str, last: S) -> None:
    assert after(ProbeState(first), outcomes).state is last


def test_since_is_the_time_of_the_last_change() -> None:
    assert after(ProbeState(S.ACTIVE), "+---").since == 4.0
    assert after(ProbeState(S.ACTIVE), "+---v").since == 4.0
    assert after(ProbeState(S.STARTING), "-+++").since == 2.0


def test_only_a_failed_instance_is_probed_less_and_less() -> None:
    waits = [next_probe_in_s(after(ProbeState(S.ACTIVE), "-" * count), POLICY) for count in range(10)]
    assert waits == [1, 1, 1, 1, 2, 4, 8, 10, 10, 10]
    assert next_probe_in_s(after(ProbeState(S.ACTIVE), "------+"), POLICY) == 1
    assert next_probe_in_s(after(ProbeState(S.STARTING), "-" * 9), POLICY) == 1
    assert next_probe_in_s(ProbeState(S.FAILED, failures=10**6), POLICY) == 10


def test_back_off_is_never_shorter_than_the_interval() -> None:
    assert next_probe_in_s(ProbeState(S.FAILED, failures=3), Policy(interval_s=60.0)) == 60.0
