"""The tutorial's files and its command do what it says."""

import csv
import json
import re
import shlex
from pathlib import Path

import pytest

from testbed.simulator.__main__ import main
from testbed.simulator.placement.registry import PLACEMENTS
from testbed.simulator.scaling.registry import SCALINGS

TUTORIAL = (Path(__file__).parents[4] / "docs" / "simulator-algorithms.md").read_text()
FILES = dict(re.findall(r"^```(?:python|json) (\S+)\n(.*?)^```", TUTORIAL, re.M | re.S))
(COMMAND,) = re.findall(r"^```sh\npython -m testbed\.simulator (.*?)\n```", TUTORIAL, re.M | re.S)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in FILES.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def scalings(folder: Path) -> list[str]:
    with (folder / "results" / "Round_0" / "vnf_instance_scaling.csv").open() as file:
        return [row["Event"] for row in csv.DictReader(file, delimiter=";")]


def test_the_command_runs_both_algorithms(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*shlex.split(COMMAND), "--quiet"]) == 0
    assert "3 of 3 requests placed" in capsys.readouterr().out
    assert {"SCALING_UP_CPU", "SCALING_DOWN_CPU"} <= set(scalings(folder))


def test_horizontal_scaling_runs_in_its_place(folder: Path) -> None:
    parameters = json.loads((folder / "parameters.json").read_text())
    parameters["scaling"] = json.loads((folder / "horizontal.json").read_text())
    (folder / "parameters.json").write_text(json.dumps(parameters))
    assert main([*shlex.split(COMMAND), "--quiet"]) == 0
    assert "SCALING_OUT" in scalings(folder)


def test_the_names_in_the_table_are_those_there_are() -> None:
    row = next(line for line in TUTORIAL.splitlines() if line.startswith("| `NaivePlacement`"))
    placements, scalings_named = (re.findall(r"`(\w+)`", cell) for cell in row.strip("| ").split("|"))
    assert sorted(scalings_named) == SCALINGS.built_in()
    assert sorted(placements) == PLACEMENTS.built_in()
