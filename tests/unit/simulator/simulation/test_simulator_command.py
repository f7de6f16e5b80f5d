"""The simulator's command: what it gives back, what it says of bad input, its options and its environment variables."""

import contextlib
import csv
import json
import logging
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from testbed.simulator import runner
from testbed.simulator.__main__ import main

BENCHMARK = Path(__file__).parents[1] / "specification" / "benchmark"
VARIABLES = (
    "NSS_DEBUG",
    "NSS_ERROR_PATH",
    "NSS_SAVE_IMAGE_PLACEMENT",
    "NSS_RESTRICT_LINK_BANDWIDTH",
    "PATH_PACKET_FLOW_FILE",
)

Command = Callable[..., int]


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def spec() -> Any:
    """The benchmark, smaller."""
    value = json.loads((BENCHMARK / "spec.json").read_text())
    value["entities_number"] |= {"nodes": 3, "users": 4}
    value["node"]["ran_node_prob"] = 0.5
    return value


@pytest.fixture
def sim() -> Any:
    value = json.loads((BENCHMARK / "sim.json").read_text())
    value["simulation"] |= {"total_time": 400, "time_window": 100, "random_seed": 3}
    value["placement"] = {"heuristic": "NaivePlacement"}
    return value


@pytest.fixture
def command(tmp_path: Path, spec: Any, sim: Any) -> Command:
    """Runs it with the two values as files; `without` some of the options."""

    def run(*words: str, without: tuple[str, ...] = (), results: str = "results") -> int:
        (tmp_path / "spec.json").write_text(json.dumps(spec))
        (tmp_path / "sim.json").write_text(json.dumps(sim))
        options = {
            "--specs": str(tmp_path / "spec.json"),
            "--simulation_parameters": str(tmp_path / "sim.json"),
            "--path_result_files": str(tmp_path / results),
        }
        given = [word for name, value in options.items() if name not in without for word in (name, value)]
        return main([*given, "--quiet", *words])

    return run


def packets(folder: Path) -> list[dict[str, str]]:
    with (folder / "Round_0" / "packets.csv").open(newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


def entity(folder: Path, kind: str) -> dict[str, str]:
    """The first of its kind in Entities."""
    with (folder / "Entities" / f"{kind}.csv").open(newline="") as file:
        return next(csv.DictReader(file, delimiter=";"))


# it works -------------------------------------------------------------------------------------------------------------
def test_a_run_leaves_its_files_and_says_what_came_of_it(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command() == 0
    created = sum(row["Event"] == "PACKET_CREATED" for row in packets(tmp_path / "results"))
    said = capsys.readouterr().out
    assert f"round 0: {created} packets in " in said
    assert "4 of 4 requests placed" in said
    assert said.endswith(f"results: {tmp_path / 'results'}\n")


def test_rounds_may_run_at_the_same_time(
    command: Command, sim: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sim["simulation"]["num_rounds"] = 2
    assert command("--jobs", "2") == 0
    assert re.findall(r"^round (\d):", capsys.readouterr().out, re.MULTILINE) == ["0", "1"]


def test_the_seed_of_the_command_goes_first(command: Command, sim: Any, tmp_path: Path) -> None:
    sim["simulation"]["random_seed"] = 8
    assert command(results="a") == 0
    sim["simulation"]["random_seed"] = 3
    assert command("--random_seed", "8", results="b") == 0
    assert command(results="c") == 0
    a, b, c = (packets(tmp_path / name) for name in "abc")
    assert a == b != c


def test_what_was_saved_and_is_loaded_gives_the_same_results(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--save", results="first") == 0
    saved = tmp_path / "first" / "entities.json"
    assert f"entities saved: {saved}" in capsys.readouterr().out
    assert command("--load", str(saved), "--save", str(tmp_path / "again.json"), without=("--specs",), results="b") == 0
    assert (tmp_path / "again.json").read_bytes() == saved.read_bytes()
    for table in ("Round_0/packets.csv", "Round_0/links.csv", "Round_0/vnf_instance.csv", "Entities/sfc_requests.csv"):
        assert (tmp_path / "first" / table).read_bytes() == (tmp_path / "b" / table).read_bytes()


def test_entities_are_shown_and_listed(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--show", "--only_placement") == 0
    shown = capsys.readouterr().out
    assert "l_0_0_0" in shown and "l_0_1_0" not in shown
    assert command("--list", "--only_placement") == 0
    assert "l_0_1_0" in capsys.readouterr().out


def test_placements_alone(command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command("--only_placement") == 0
    assert "round 0: 0 packets" in capsys.readouterr().out
    assert packets(tmp_path / "results") == []
    assert "SFC_REQUEST_PLACED" in (tmp_path / "results" / "Round_0" / "sfc_request.csv").read_text()


def test_users_move_as_their_file_says(command: Command, tmp_path: Path) -> None:
    (tmp_path / "moves.csv").write_text("UID;NID;TransitionTime\nu_0;n_1;5\nu_0;n_2;10\n")
    assert command("--user_mobility_file", str(tmp_path / "moves.csv")) == 0
    lines = (tmp_path / "results" / "Round_0" / "user_mobility.csv").read_text().splitlines()[1:]
    assert [line.split(";")[1:3] for line in lines] == [["200.00", "u_0"], ["400.00", "u_0"]]
    assert entity(tmp_path / "results", "users")["Node"] == "n_2"


def test_without_time_windows_requests_come_at_0(command: Command, sim: Any, tmp_path: Path) -> None:
    sim["simulation"]["time_window"] = 0
    assert command() == 0
    assert entity(tmp_path / "results", "sfc_requests")["Arrival_Time"] == "0.00"


# environment variables ------------------------------------------------------------------------------------------------
def test_packets_come_as_their_file_says(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "saved").mkdir()
    assert command("--save", str(tmp_path / "saved" / "e.json"), "--only_placement") == 0
    request = json.loads((tmp_path / "saved" / "e.json").read_text())["sfc_requests"][0]
    flow = "".join(f"{request['user']};{request['sfc']};{gap};5\n" for gap in (10, 0, 2.5))
    (tmp_path / "flow.csv").write_text(f"user;sfc;time;packet_size\n{flow}")
    monkeypatch.setenv("PATH_PACKET_FLOW_FILE", str(tmp_path / "flow.csv"))
    assert command() == 0
    created = [row for row in packets(tmp_path / "results") if row["Event"] == "PACKET_CREATED"]
    begin = float(created[0]["Time"]) - 10
    assert begin % 100 == 0
    assert [float(row["Time"]) - begin for row in created] == [10.0, 10.0, 12.5]


def test_bandwidth_is_kept_unless_that_is_switched_off(
    command: Command, spec: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    spec["link"]["bandwidth"] = [0.5]
    spec["node"]["vnf_num"] = [1]
    spec["entities_number"]["nodes"] = 2
    assert command("--only_placement") == 0
    assert re.search(r"[0-3] of 4 requests placed.*Mbit/s on l_", capsys.readouterr().out, re.DOTALL)
    monkeypatch.setenv("NSS_RESTRICT_LINK_BANDWIDTH", "0")
    assert command("--only_placement") == 0
    assert "4 of 4 requests placed" in capsys.readouterr().out


def broken(folder: Path) -> str:
    folder.mkdir()
    (folder / "Broken.py").write_text(
        "from testbed.simulator.placement.base import Placement\n"
        "class Broken(Placement):\n"
        "    def plan(self, request, state):\n"
        "        raise KeyError('no such thing')\n"
    )
    return str(folder)


def test_a_round_that_fails_gives_1_and_its_traceback_is_kept(
    command: Command, sim: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sim["placement"]["heuristic"] = "Broken"
    monkeypatch.setenv("NSS_ERROR_PATH", str(tmp_path / "errors"))
    assert command("--algorithms", broken(tmp_path / "own")) == 1
    said = capsys.readouterr().err
    assert "round 0: KeyError: 'no such thing'" in said and "Traceback" not in said
    assert str(tmp_path / "errors") in said
    assert "raise KeyError" in (tmp_path / "errors" / "round_0.txt").read_text()
    monkeypatch.setenv("NSS_DEBUG", "1")
    assert command("--algorithms", str(tmp_path / "own")) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_round_that_fails_in_another_process_gives_1(
    command: Command, sim: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sim["placement"]["heuristic"] = "Broken"
    sim["simulation"]["num_rounds"] = 2
    assert command("--algorithms", broken(tmp_path / "own"), "--jobs", "2") == 1
    assert "KeyError: 'no such thing'" in capsys.readouterr().err


def test_ctrl_c_gives_130(
    command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(runner, "run_round", stopped)
    assert command() == 130
    assert "stopped; what was written is in" in capsys.readouterr().err


# bad input ------------------------------------------------------------------------------------------------------------
def refused(capsys: pytest.CaptureFixture[str], code: int, *expected: str) -> None:
    said = capsys.readouterr().err
    assert code == 2
    for each in expected:
        assert each in said, said
    assert "Traceback" not in said


def test_an_unknown_key_is_refused_with_path_and_value(
    command: Command, sim: Any, spec: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sim["simulation"]["total_tme"] = 77
    refused(capsys, command(), "sim.json", "simulation.total_tme: 77: expected one of the keys total_time")
    assert not (tmp_path / "results").exists()
    del sim["simulation"]["total_tme"]
    spec["vnf"]["cpus"] = [1]
    refused(capsys, command(), "spec.json", "vnf.cpus: [1]: expected one of the keys")


def test_a_bad_value_is_refused_with_path_and_value(
    command: Command, sim: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    sim["simulation"]["time_window"] = -5
    refused(capsys, command(), "simulation.time_window: -5: expected a number of at least 0")


@pytest.mark.parametrize("kind", ["placement", "scaling"])
def test_an_unknown_algorithm_is_refused_with_those_that_there_are(
    command: Command, sim: Any, kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sim[kind] = {"heuristic": "Nothing"}
    there = {"placement": "NaivePlacement", "scaling": "BasicCPUScaling"}[kind]
    refused(capsys, command(), "'Nothing'", there)
    assert not (tmp_path / "results" / "Round_0").exists()


def test_an_argument_that_an_algorithm_does_not_take_is_refused(
    command: Command, sim: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    sim["placement"]["parameters"] = {"luck": 7}
    refused(capsys, command(), "placement.parameters.luck")


@pytest.mark.parametrize(
    ("placement", "problem"),
    [
        ({"heuristic": "LPPPlacement", "parameters": {"time_limit_s": -1}}, "time_limit_s: -1: expected at least 0"),
        ({"heuristic": "SmartPlacement", "parameters": {"scarcity": -1}}, "scarcity: -1: expected at least 0"),
        ({"heuristic": "SmartPlacement", "parameters": {"search": "deep"}}, "search: 'deep': expected one of"),
    ],
)
def test_what_an_algorithm_refuses_is_told_with_file_and_path(
    command: Command, sim: Any, placement: Any, problem: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sim["placement"] = placement
    assert command() == 2
    assert f"sim.json: placement.parameters.{problem}" in capsys.readouterr().err


def test_a_folder_of_algorithms_that_is_not_there_is_refused(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--algorithms", str(tmp_path / "none")) == 2
    assert f"{tmp_path / 'none'}: expected a folder of algorithms" in capsys.readouterr().err


def test_a_file_that_is_no_json_is_refused_with_its_place(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "bad.json").write_text('{"simulation": {\n  "total_time": 5,,\n}}')
    code = command("--simulation_parameters", str(tmp_path / "bad.json"))
    refused(capsys, code, "bad.json: line 2, column")


def test_a_file_that_is_not_there_is_refused(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere = str(tmp_path / "nowhere.json")
    refused(capsys, command("--simulation_parameters", nowhere), "nowhere.json", "No such file")
    refused(capsys, command("--load", nowhere, without=("--specs",)), "nowhere.json", "No such file")
    refused(capsys, command("--user_mobility_file", nowhere), "nowhere.json", "No such file")
    monkeypatch.setenv("PATH_PACKET_FLOW_FILE", nowhere)
    refused(capsys, command(), "nowhere.json", "No such file")


def test_either_specs_or_saved_entities(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    refused(capsys, command("--load", "x.json"), "expected --specs or --load, one of them")
    refused(capsys, command(without=("--specs",)), "expected --specs or --load, one of them")
    refused(capsys, command(without=("--simulation_parameters",)), "--simulation_parameters: expected a file")


@pytest.mark.parametrize("words", [("--jobs", "0"), ("--random_seed", "-1"), ("--random_seed", "x"), ("--nothing",)])
def test_bad_options_give_2(command: Command, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command(*words)
    assert ended.value.code == 2
    assert words[0] in capsys.readouterr().err


def test_bad_input_has_a_traceback_where_that_is_wanted(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="one of them"):
        command("--debug", without=("--specs",))
    monkeypatch.setenv("NSS_DEBUG", "1")
    with pytest.raises(ValueError, match="one of them"):
        command(without=("--specs",))
    monkeypatch.setenv("NSS_DEBUG", "0")
    assert command(without=("--specs",)) == 2


def test_placements_are_drawn_where_that_is_wanted(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert command("--only_placement", results="without") == 0
    assert not (tmp_path / "without" / "Round_0" / "Images").exists()
    monkeypatch.setenv("NSS_SAVE_IMAGE_PLACEMENT", "1")
    assert command("--only_placement") == 0
    images = (tmp_path / "results" / "Round_0" / "Images").iterdir()
    assert sorted(each.name for each in images) == ["100.png", "200.png", "300.png", "400.png"]


# a second run, and ends that nobody planned ----------------------------------------------------------------------------
def test_an_earlier_runs_results_are_not_mixed_with_these(
    command: Command, sim: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sim["simulation"] |= {"num_rounds": 2, "log_format": "parquet"}
    assert command() == 0
    notes = tmp_path / "results" / "Round_1" / "notes.txt"
    notes.write_text("mine")
    sim["simulation"] |= {"num_rounds": 1, "log_format": "csv"}
    capsys.readouterr()
    assert command() == 0
    assert "are replaced" in capsys.readouterr().out
    assert not list((tmp_path / "results").rglob("*.parquet"))
    assert [path.name for path in (tmp_path / "results" / "Round_1").iterdir()] == ["notes.txt"]
    assert packets(tmp_path / "results")


def test_results_that_cannot_be_written_are_refused(
    command: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "results").write_text("a file")
    assert command() == 2
    assert "--path_result_files" in capsys.readouterr().err


def test_what_is_done_is_said_where_that_is_wanted(command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        assert command("--debug") == 0
        said = capsys.readouterr().err
    finally:
        logging.getLogger("testbed.simulator").handlers.clear()
        logging.getLogger("testbed.simulator").setLevel(logging.NOTSET)
    assert re.search(r"ms: r_0 (not )?placed: ", said)


def test_a_terminated_run_leaves_no_process(command: Command, sim: Any, tmp_path: Path) -> None:
    sim["simulation"] |= {"num_rounds": 2, "total_time": 10_000_000}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("testbed.simulator.__main__._run", lambda *_: 0)
        command()  # writes the two files only
    files = ["--specs", str(tmp_path / "spec.json"), "--simulation_parameters", str(tmp_path / "sim.json")]
    words = [*files, "--path_result_files", str(tmp_path / "long"), "--jobs", "2", "--quiet"]
    with subprocess.Popen([sys.executable, "-m", "testbed.simulator", *words], start_new_session=True) as running:
        deadline = time.monotonic() + 60
        while len(list((tmp_path / "long").glob("Round_*"))) < 2:
            assert time.monotonic() < deadline, "both rounds begin"
            time.sleep(0.05)
        running.terminate()
        assert running.wait(30) == 143
    deadline = time.monotonic() + 10
    while in_session(running.pid):
        assert time.monotonic() < deadline, f"processes {in_session(running.pid)} live on"
        time.sleep(0.05)


def in_session(session: int) -> list[int]:
    """Processes of a session that are no zombies."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, of = path.read_text().rpartition(")")[2].split()[:4]
            if int(of) == session and state != "Z":
                found.append(int(path.parent.name))
    return found
