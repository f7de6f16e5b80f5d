import ast
from pathlib import Path

import pytest

import testbed.scaling_decision
from testbed.scaling_decision.decide import decide
from testbed.scaling_decision.model import Direction, History, InstanceSample, Policy, Rules, Sample, Select

FAST = Rules(target_utilisation_ratio=0.5, max_replicas=20, up=Direction(), down=Direction())


def load(replicas: int, total: float) -> Sample:
    return Sample(replicas, tuple(InstanceSample(f"i_{n}", total / replicas) for n in range(replicas)))


def run(rules: Rules, totals: list[float], step_s: float = 15.0, replicas: int = 1) -> list[int]:
    """Replicas after each decision, all of them carried out."""
    history, seen = History(), []
    for step, total in enumerate(totals):
        decision, history = decide(load(replicas, total), rules, history, step * step_s)
        replicas = decision.enforced
        seen.append(replicas)
    return seen


def test_without_windows_and_rates_load_is_followed() -> None:
    assert run(FAST, [0.5, 2.0, 4.0, 1.0]) == [1, 4, 8, 2]


def test_fewer_only_when_all_of_the_window_agree() -> None:
    rules = Rules(target_utilisation_ratio=0.5, up=Direction(), down=Direction(window_s=30.0))
    assert run(rules, [4.0, 1.0, 2.0, 1.0, 1.0]) == [8, 8, 4, 4, 2]


def test_at_first_nothing_goes_before_a_window_was_seen() -> None:
    rules = Rules(target_utilisation_ratio=0.5, down=Direction(window_s=30.0))
    assert run(rules, [0.5, 0.5, 0.5], replicas=4) == [4, 4, 1]


def test_more_only_when_all_of_the_window_agree() -> None:
    rules = Rules(target_utilisation_ratio=0.5, up=Direction(window_s=30.0), down=Direction())
    assert run(rules, [0.5, 4.0, 3.0, 3.0]) == [1, 1, 6, 6]


def test_the_rates_of_kubernetes() -> None:
    rules = Rules(target_utilisation_ratio=0.5, max_replicas=100)
    assert run(rules, [40.0] * 6) == [5, 10, 20, 40, 80, 80]
    assert run(rules, [40.0] * 6, step_s=5.0) == [5, 5, 5, 10, 10, 10]


@pytest.mark.parametrize(("select", "replicas"), [(Select.MAX, 6), (Select.MIN, 8), (Select.DISABLED, 10)])
def test_which_policy_holds(select: Select, replicas: int) -> None:
    policies = (Policy(40, 15.0, percent=True), Policy(2, 15.0))
    rules = Rules(target_utilisation_ratio=0.5, down=Direction(policies=policies, select=select))
    assert run(rules, [0.5], replicas=10) == [replicas]


def test_rates_count_what_was_carried_out() -> None:
    rules = Rules(target_utilisation_ratio=0.5, max_replicas=20, up=Direction(policies=(Policy(4, 60.0),)))
    decision, history = decide(load(2, 8.0), rules, History(), 0.0)
    assert decision.enforced == 6
    decision, history = decide(load(3, 8.0), rules, history, 15.0)  # only one of four could be started
    assert decision.enforced == 6
    decision, history = decide(load(6, 8.0), rules, history, 30.0)
    assert (decision.recommended, decision.enforced) == (16, 6)
    assert decision.reason.endswith("asks for 16; no more than 6 at this rate")


def test_limits_go_before_everything() -> None:
    rules = Rules(min_replicas=3, max_replicas=5, up=Direction(policies=(Policy(1, 60.0),)))
    assert run(rules, [0.0], replicas=1) == [3]
    assert run(rules, [20.0], replicas=9) == [5]


def test_the_reason_tells_the_stages() -> None:
    decision, history = decide(load(2, 4.0), FAST, History(), 0.0)
    assert decision.reason == "2 -> 8 replicas: utilisation 2 for a target of 0.5 asks for 8"
    rules = Rules(target_utilisation_ratio=0.5, max_replicas=5)
    decision, history = decide(load(2, 4.0), rules, History(), 0.0)
    assert decision.reason == "2 -> 5 replicas: utilisation 2 for a target of 0.5 asks for 8; max_replicas is 5"
    decision, history = decide(load(5, 0.5), rules, history, 15.0)
    assert (decision.recommended, decision.stabilised, decision.enforced) == (1, 5, 5)
    assert decision.reason == (
        "5 replicas stay: utilisation 0.1 for a target of 0.5 asks for 1; 5 in view of the last 300 s"
    )


def test_time_does_not_go_back() -> None:
    _, history = decide(load(1, 0.5), FAST, History(), 10.0)
    with pytest.raises(ValueError, match="now_s: 9: expected no time before the last decision's 10"):
        decide(load(1, 0.5), FAST, history, 9.0)


def test_the_history_does_not_grow() -> None:
    history = History()
    for step in range(1000):
        _, history = decide(load(1 + step % 3, 1.0), Rules(), history, float(step))
    assert len(history.recommended) <= 301 and len(history.changes) <= 16


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Rules(min_replicas=0),
        lambda: Rules(min_replicas=3, max_replicas=2),
        lambda: Rules(target_queue_packets=0),
        lambda: Policy(0, 1.0),
        lambda: Direction(window_s=-1.0),
        lambda: Direction(tolerance=1.0),
    ],
)
def test_impossible_rules_are_refused(wrong) -> None:
    with pytest.raises(ValueError, match="expected"):
        wrong()


def test_the_package_imports_nothing_but_itself() -> None:
    allowed = {"collections", "dataclasses", "enum", "math", "testbed.scaling_decision"}
    for path in Path(testbed.scaling_decision.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [each.name for each in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert all(name.startswith(tuple(allowed)) for name in names), (path, names)
