"""The simulation parameter file: the document's keys, their defaults, and how a file that is wrong is refused."""

from pathlib import Path
from typing import Any

import pytest

from testbed.simulator.specification.parameters import Algorithm, load_parameters, parse_parameters
from testbed.simulator.specification.problems import SpecificationError

BENCHMARK = Path(__file__).parent / "benchmark" / "sim.json"


def problems(value: object) -> list[str]:
    with pytest.raises(SpecificationError) as raised:
        parse_parameters(value, "sim.json")
    return [str(each) for each in raised.value.problems]


def test_the_benchmark_loads_with_defaults_for_what_it_leaves_out() -> None:
    read = load_parameters(BENCHMARK)
    assert read.placement == Algorithm("SmartPlacement", {})
    assert (read.scaling, read.scaling_up, read.scaling_down) == (None, None, None)
    assert read.simulation.time_limit_to_packet_generation == read.simulation.total_time == 5000
    assert read.simulation.sfc_instance_monitor_window_size == 101
    assert read.simulation.order_sfc_request_by_similarity == "none"
    assert read.simulation.log_packet_events and read.simulation.link_size_by_network_demand
    assert not read.simulation.integer_times and not read.simulation.hold_link_while_propagating


@pytest.mark.parametrize(("given", "order"), [(1, "asc"), (0, "none"), ("asc", "asc"), ("desc", "desc")])
def test_the_order_by_similarity_is_a_word_or_the_example_s_number(sim: Any, given: object, order: str) -> None:
    sim["simulation"]["order_sfc_request_by_similarity"] = given
    assert parse_parameters(sim).simulation.order_sfc_request_by_similarity == order


def test_all_three_scalings_may_be_given(sim: Any) -> None:
    for name in ("scaling", "scaling_up", "scaling_down"):
        sim[name] = {"heuristic": name.title(), "parameters": {"monitor_interval": 100}}
    read = parse_parameters(sim)
    assert read.scaling_up == Algorithm("Scaling_Up", {"monitor_interval": 100})
    assert read.scaling is not None and read.scaling_down is not None


def test_everything_that_is_wrong_is_said_at_once(sim: Any) -> None:
    sim["simulation"] |= {
        "total_time": 0,
        "num_rounds": 1.5,
        "log_link_events": 2,
        "colour": "red",
        "log_format": "xml",
    }
    del sim["simulation"]["time_window"]
    sim["scaling"] = {"parameters": 7}
    sim["placement"] = "SmartPlacement"
    sim["movement"] = {}
    found = problems(sim)
    assert "simulation.total_time: 0: expected a number greater than 0" in found
    assert "simulation.time_window: missing: expected a number of at least 0" in found
    assert "simulation.num_rounds: 1.5: expected a whole number of at least 1" in found
    assert "simulation.log_link_events: 2: expected 0 or 1" in found
    assert 'simulation.log_format: "xml": expected one of "csv", "parquet"' in found
    assert "scaling.heuristic: missing: expected a text" in found
    assert "scaling.parameters: 7: expected an object" in found
    assert 'placement: "SmartPlacement": expected an object' in found
    assert any(each.startswith('simulation.colour: "red": expected one of the keys ') for each in found)
    assert any(each.startswith("movement: {}: expected one of the keys ") for each in found)
    assert len(found) == 10


def test_a_file_that_is_no_object_is_one_problem() -> None:
    assert problems([1]) == ["[1]: expected an object"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"simulation": {\n  "total_time": }}', "line 2, column 17: Expecting value: expected JSON"),
        ('{"a": 1, "a": 2}', "the key 'a' stands twice in one object: expected JSON in UTF-8"),
        ('{"a": NaN}', "NaN is no number: expected JSON in UTF-8"),
        ("[" * 100_000, "expected JSON in UTF-8"),
        ("", "line 1, column 1: Expecting value: expected JSON"),
    ],
)
def test_what_is_no_json_is_refused_with_file_and_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "sim.json"
    path.write_text(text)
    with pytest.raises(SpecificationError) as raised:
        load_parameters(path)
    assert str(raised.value).startswith(f"{path}: ") and said in str(raised.value)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecificationError, match="No such file"):
        load_parameters(tmp_path / "none.json")
