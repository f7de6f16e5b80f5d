from pathlib import Path

import pytest

from testbed.simulator.plugins import PluginError
from testbed.simulator.scaling.base import Scaling
from testbed.simulator.scaling.BasicCPUScaling import BasicCPUScaling
from testbed.simulator.scaling.registry import SCALINGS, find
from testbed.simulator.scaling.SmartScaling import SmartScaling

MINE = """
from testbed.simulator.scaling.base import Scaling

class Mine(Scaling):
    def decide(self, seen):
        return []
"""


def test_names_of_ours_and_their_other_spellings() -> None:
    assert find("BasicCPUScaling") is find("Basic_CPU_Scaling") is BasicCPUScaling
    assert find("Smart_Scaling") is SmartScaling
    for name in SCALINGS.built_in():
        assert issubclass(find(name), Scaling)


def test_one_of_the_users_folders(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "Mine.py").write_text(MINE)
    found = find("Mine", [tmp_path / "other", tmp_path])
    assert issubclass(found, Scaling) and found().decide(None) == []
    assert find("Mine", [tmp_path]) is found


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = 1", "expected class Mine in it"),
        ("class Mine: pass", r"Mine is no Scaling: expected class Mine\(Scaling\)"),
        (MINE.replace("decide", "decides"), "Mine does not define decide"),
        ("import nothing_of_this_name", "ModuleNotFoundError: No module named 'nothing_of_this_name'"),
        ("class", "SyntaxError"),
    ],
)
def test_what_is_wrong_with_a_users_file(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "Mine.py").write_text(text)
    with pytest.raises(PluginError, match=rf"Mine\.py: .*{problem}"):
        find("Mine", [tmp_path])


def test_what_is_not_there_is_told_with_what_is(tmp_path: Path) -> None:
    (tmp_path / "Mine.py").write_text(MINE)
    with pytest.raises(PluginError) as caught:
        find("Yours", [tmp_path])
    assert str(tmp_path / "Yours.py") in str(caught.value)
    assert "BasicCPUScaling" in str(caught.value) and "Mine" in str(caught.value)
    with pytest.raises(PluginError, match="neither one of ours nor in a folder of yours"):
        find("../Mine")


def test_a_name_in_two_places_is_refused(tmp_path: Path) -> None:
    (tmp_path / "BasicCPUScaling.py").write_text(MINE)
    with pytest.raises(PluginError, match=r"is in .* and in .*: give yours another name"):
        find("BasicCPUScaling", [tmp_path])


def test_a_folder_that_is_not_there_is_refused_also_for_one_of_ours(tmp_path: Path) -> None:
    with pytest.raises(NotADirectoryError, match=r"/none: expected a folder of algorithms$"):
        find("BasicCPUScaling", [tmp_path / "none"])


@pytest.mark.parametrize("name", SCALINGS.built_in())
@pytest.mark.parametrize("interval", [0.0, -5.0, float("nan"), float("inf")])
def test_an_interval_that_would_never_end_is_refused(name: str, interval: float) -> None:
    with pytest.raises(ValueError, match=r"monitor_interval: .*: expected ms greater than 0"):
        find(name)(monitor_interval=interval)
