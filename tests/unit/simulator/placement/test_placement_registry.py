"""Finding placement algorithms by name."""

from pathlib import Path

import pytest

from testbed.simulator.placement.GreedyPlacement import GreedyPlacement
from testbed.simulator.placement.registry import find
from testbed.simulator.plugins import PluginError

OWN = """
from testbed.simulator.model.plans import Refused
from testbed.simulator.placement.base import Placement

class MyPlacement(Placement):
    def plan(self, request, state):
        return Refused("not today")
"""


def test_built_in() -> None:
    assert find("GreedyPlacement") is GreedyPlacement


def test_users_own(tmp_path: Path) -> None:
    (tmp_path / "MyPlacement.py").write_text(OWN)
    assert find("MyPlacement", [tmp_path]).__name__ == "MyPlacement"


def test_unknown_names_what_where_and_what_there_is(tmp_path: Path) -> None:
    (tmp_path / "MyPlacement.py").write_text(OWN)
    with pytest.raises(PluginError) as caught:
        find("YourPlacement", [tmp_path])
    text = str(caught.value)
    assert "'YourPlacement'" in text and str(tmp_path) in text
    assert "MyPlacement" in text and "SmartPlacement" in text


def test_file_without_its_class(tmp_path: Path) -> None:
    (tmp_path / "Other.py").write_text("x = 1\n")
    with pytest.raises(PluginError, match="expected class Other in it"):
        find("Other", [tmp_path])
