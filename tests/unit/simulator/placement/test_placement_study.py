"""The comparison of placements on real networks."""

from pathlib import Path

import pytest

from testbed.simulator.model.state import State
from testbed.simulator.placement.DijkstraPlacement import DijkstraPlacement
from testbed.simulator.placement.network import Network
from testbed.simulator.placement.SmartPlacement import SmartPlacement
from testbed.simulator.placement_study import scene
from testbed.simulator.placement_study.__main__ import main
from testbed.simulator.placement_study.measure import attempt, gap_on_both


def test_scene_is_repeatable_and_whole() -> None:
    once, again = (scene.entities("abilene", 8, 3, scene.Room()) for _ in range(2))
    assert once == again
    assert (len(once.nodes), len(once.sfc_requests)) == (12, 8)
    assert all(any(vnf in node.vnfs for node in once.nodes.values()) for vnf in once.vnfs)
    network = Network.of(State(once))
    assert (network.ids >= 0).all()


def test_unknown_network() -> None:
    with pytest.raises(ValueError, match="expected one of SNDlib's"):
        scene.entities("atlantis", 1, 0, scene.Room())


def test_score_is_what_the_search_minimises() -> None:
    entities = scene.entities("abilene", 8, 0, scene.Room())
    smart, plain = (attempt(entities, made, 0) for made in (SmartPlacement(), DijkstraPlacement()))
    assert smart.accepted == set(entities.sfc_requests)
    assert gap_on_both(smart, smart) == 0
    assert gap_on_both(plain, smart) > 0


def test_table_and_csv(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "table.csv"
    main(
        [
            "--networks",
            "abilene",
            "--requests",
            "4",
            "--seeds",
            "0",
            "--algorithms",
            "SmartPlacement",
            "--csv",
            str(path),
        ]
    )
    printed = capsys.readouterr().out
    assert "SmartPlacement" in printed and "LPP proved: seed 0 optimal" in printed
    header, smart, best = path.read_text().splitlines()
    assert header.startswith("network;algorithm;accepted") and smart.startswith("abilene;SmartPlacement;1.0")
    assert best.split(";")[header.split(";").index("gap_same")] == "0.0"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ("--networks nope", "argument --networks: network 'nope': expected one of SNDlib's"),
        ("--requests 0", "argument --requests: '0': expected a whole number of at least 1"),
        ("--requests -3", "argument --requests: '-3': expected a whole number of at least 1"),
        ("--seeds 1 -1", "argument --seeds: '-1': expected a whole number of at least 0"),
        ("--algorithms Nope", "argument --algorithms: placement 'Nope': neither one of ours"),
        ("--time-limit 0", "argument --time-limit: '0': expected a number greater than 0"),
        ("--headroom nan", "argument --headroom: 'nan': expected a number greater than 0"),
        ("--cpu-room much", "argument --cpu-room: 'much': expected a number greater than 0"),
        ("--latency inf", "argument --latency: 'inf': expected a number greater than 0"),
        ("--csv nowhere/table.csv", "argument --csv: 'nowhere/table.csv': expected a file in a folder that is there"),
    ],
)
def test_arguments_that_are_wrong(words: str, problem: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err
