"""Parameters of placements and scalings, held against a constructor."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Literal

import pytest

from testbed.simulator.specification.arguments import check_arguments
from testbed.simulator.specification.problems import SpecificationError


class Metric(StrEnum):
    OFFERED = "offered"
    NOW = "now"


class Example:
    def __init__(
        self,
        monitor_interval: float,
        count: int = 1,
        greedy: bool = False,
        rates: Mapping[str, float] | float = 0.1,
        order: Literal["up", "down"] = "up",
        metric: Metric = Metric.NOW,
        weights: tuple[float, float] = (1.0, 1.0),
        limit: float | None = None,
        names: list[str] | None = None,
    ) -> None: ...


class Original:
    def __init__(self, cpu_load_max: float = 1.0, resource_increment: float = 0.1) -> None: ...


class WithoutConstructor: ...


def problems(cls: type, parameters: dict[str, Any]) -> list[str]:
    with pytest.raises(SpecificationError) as raised:
        check_arguments(cls, parameters, "scaling.parameters", "sim.json")
    return [str(each) for each in raised.value.problems]


def test_values_get_the_types_of_the_constructor() -> None:
    given = {
        "monitor_interval": 100,
        "count": 2.0,
        "greedy": 1,
        "rates": {"default": "0.1", "s_1": 0.05},
        "order": "down",
        "metric": "offered",
        "weights": [1, 2],
        "limit": None,
        "names": ["a"],
    }
    assert check_arguments(Example, given, "scaling.parameters") == {
        "monitor_interval": 100.0,
        "count": 2,
        "greedy": True,
        "rates": {"default": 0.1, "s_1": 0.05},
        "order": "down",
        "metric": Metric.OFFERED,
        "weights": (1.0, 2.0),
        "limit": None,
        "names": ["a"],
    }


def test_what_is_left_out_is_left_to_the_constructor() -> None:
    assert check_arguments(Example, {"monitor_interval": 5}, "p") == {"monitor_interval": 5.0}


def test_everything_that_is_wrong_is_said_at_once() -> None:
    given = {
        "count": 1.5,
        "rates": {"s_1": "much"},
        "order": "left",
        "metric": 3,
        "weights": [1],
        "limit": "none",
        "x": 1,
    }
    assert problems(Example, given) == [
        "scaling.parameters.count: 1.5: expected a whole number",
        'scaling.parameters.rates.s_1: "much": expected a number',
        'scaling.parameters.order: "left": expected one of "up", "down"',
        'scaling.parameters.metric: 3: expected one of "offered", "now"',
        "scaling.parameters.weights: [1]: expected a list of 2 values",
        'scaling.parameters.limit: "none": expected a number or null',
        "scaling.parameters.x: 1: expected one of the keys monitor_interval, count, greedy, rates, order, metric, weights, "
        "limit, names",
        "scaling.parameters.monitor_interval: missing: expected a value",
    ]


def test_the_document_s_and_the_program_s_words_are_the_same() -> None:
    given = {"cpu_usage_max": 0.9, "resource_increment": 0.2}
    assert check_arguments(Original, given, "p") == {"cpu_load_max": 0.9, "resource_increment": 0.2}
    assert problems(Original, {"cpu_usage_max": 0.9, "cpu_load_max": 0.9}) == [
        "scaling.parameters.cpu_load_max: 0.9: expected only one of cpu_load_max and cpu_usage_max"
    ]


def test_a_class_without_a_constructor_takes_nothing() -> None:
    assert check_arguments(WithoutConstructor, {}, "p") == {}
    assert problems(WithoutConstructor, {"a": 1}) == ["scaling.parameters.a: 1: expected no parameters"]
