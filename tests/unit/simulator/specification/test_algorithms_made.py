"""Algorithms made as a parameter file names them; what is wrong is told with file and path, or with the class's own file."""

from pathlib import Path
from typing import Any

import pytest

from testbed.simulator.placement.registry import find as find_placement
from testbed.simulator.plugins import PluginError
from testbed.simulator.scaling.base import Scaling
from testbed.simulator.scaling.BasicCPUScaling import BasicCPUScaling
from testbed.simulator.scaling.registry import find as find_scaling
from testbed.simulator.specification.algorithms import make
from testbed.simulator.specification.parameters import Algorithm

OWN = """
from testbed.simulator.scaling.base import Scaling

class Mine(Scaling):
    def __init__(self, limit: {annotation} = 1.0):
        {body}

    def decide(self, seen):
        return []
"""


def scaling(name: str, folders: tuple[Path, ...] = (), **parameters: Any) -> Scaling:
    return make(find_scaling, Algorithm(name, parameters), "scaling", folders, "sim.json")


def refusal(name: str, folders: tuple[Path, ...] = (), **parameters: Any) -> str:
    with pytest.raises(ValueError) as raised:
        scaling(name, folders, **parameters)
    return str(raised.value)


def test_one_of_ours_gets_its_parameters() -> None:
    made = scaling("BasicCPUScaling", cpu_usage_max=2)
    assert isinstance(made, BasicCPUScaling) and made.cpu_usage_max == 2


@pytest.mark.parametrize(
    ("name", "parameters", "problem"),
    [
        (
            "SmartVerticalScalingUp",
            {"acceptable_sla_violation_rate": {"default": "abc"}},
            "acceptable_sla_violation_rate.default: 'abc': expected a number",
        ),
        ("BasicCPUScaling", {"cpu_decrement": 2}, "cpu_decrement: 2: expected less than 1"),
        ("BasicCPUScaling", {"resource_decrement": 2}, "resource_decrement: 2: expected less than 1"),
        ("SmartScaling", {"energy_weight": -1}, "energy_weight: -1: expected at least 0"),
        (
            "SmartScaling",
            {"energy_weight": 0, "memory_weight": 0},
            "memory_weight: 0: expected more than 0 where energy_weight or latency_weight is 0",
        ),
        (
            "HorizontalScaling",
            {"scale_up_rates": [{"amount": 1, "period": -1}]},
            "scale_up_rates[0].period: -1: expected more than 0",
        ),
        (
            "HorizontalScaling",
            {"scale_down_rates": [{"amount": 1, "period": 1}, {"amount": 0, "period": 1}]},
            "scale_down_rates[1].amount: 0: expected more than 0",
        ),
        ("HorizontalScaling", {"scale_down_window": -1}, "scale_down_window: -1: expected at least 0"),
        ("HorizontalScaling", {"announcement_horizon": -1}, "announcement_horizon: -1: expected at least 0"),
        ("HorizontalScaling", {"tolerance": 1}, "tolerance: 1: expected less than 1"),
        ("HorizontalScaling", {"target_load": 0}, "target_load: 0: expected more than 0"),
        ("HorizontalScaling", {"target_queue": 0}, "target_queue: 0: expected more than 0"),
        (
            "HorizontalScaling",
            {"announcements": [{"sfc": "s_0", "start": 10, "end": 5, "packets_per_second": 1}]},
            "announcements[0].end: 5: expected at least 10",
        ),
        (
            "HorizontalScaling",
            {"announcements": [{"sfc": "s_0", "start": 1, "end": 5, "packets_per_second": -1}]},
            "announcements[0].packets_per_second: -1: expected at least 0",
        ),
    ],
)
def test_what_a_constructor_refuses_is_told_with_file_and_path(
    name: str, parameters: dict[str, Any], problem: str
) -> None:
    assert refusal(name, **parameters) == f"sim.json: scaling.parameters.{problem}"


def test_parameters_that_do_not_fit_are_told_with_file_and_path() -> None:
    assert refusal("BasicCPUScaling", cpu_usage_max="x") == (
        'sim.json: scaling.parameters.cpu_usage_max: "x": expected a number'
    )


def test_an_unknown_name_is_told_with_file_and_path() -> None:
    assert refusal("Nope").startswith("sim.json: scaling.heuristic: scaling 'Nope': neither one of ours")
    with pytest.raises(PluginError, match=r"^placement.heuristic: placement 'Nope': neither one of ours"):
        make(find_placement, Algorithm("Nope"), "placement", ())


@pytest.mark.parametrize(
    ("annotation", "body", "problem"),
    [
        ("float", "raise TypeError('no')", "Mine: TypeError: no"),
        ("float", "super().__init__(nothing=1)", "Mine: TypeError: Scaling.__init__() got an unexpected keyword"),
        ("'Nowhere'", "pass", "Mine: NameError: name 'Nowhere' is not defined"),
        ("complex", "pass", "Mine: TypeError: scaling.parameters.limit: a type that files have no form for"),
    ],
)
def test_a_class_that_cannot_be_made_is_told_with_its_own_file(
    tmp_path: Path, annotation: str, body: str, problem: str
) -> None:
    (tmp_path / "Mine.py").write_text(OWN.format(annotation=annotation, body=body))
    assert refusal("Mine", (tmp_path,), limit=1).startswith(f"{tmp_path / 'Mine.py'}: {problem}")


def test_a_value_error_that_names_no_parameter_is_told_with_the_class(tmp_path: Path) -> None:
    (tmp_path / "Mine.py").write_text(OWN.format(annotation="float", body="raise ValueError('not today')"))
    assert refusal("Mine", (tmp_path,)) == "sim.json: scaling.parameters: Mine: not today"
