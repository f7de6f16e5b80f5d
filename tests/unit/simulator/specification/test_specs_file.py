"""The specs file: every key in both spellings, choices, slices, and how a file that is wrong is refused."""

from pathlib import Path
from typing import Any

import pytest

from testbed.simulator.model.entities import Slice
from testbed.simulator.specification.problems import SpecificationError
from testbed.simulator.specification.specs_file import load_specs, parse_specs


def problems(value: object) -> list[str]:
    with pytest.raises(SpecificationError) as raised:
        parse_specs(value, "spec.json")
    return [str(each) for each in raised.value.problems]


def renamed(section: dict[str, Any], old: str, new: str) -> None:
    section[new] = section.pop(old)


def test_the_benchmark_loads() -> None:
    specs = load_specs(Path(__file__).parent / "benchmark" / "spec.json")
    assert (specs.counts.nodes, specs.counts.data_sources) == (10, 1)
    assert specs.node.energy_idle == (50, 70)
    assert [place.key for place, _ in specs.node.locations] == ["IC", "BIB", "URB", "FIS"]
    assert specs.slices == (Slice("default"),)


def test_the_document_s_spellings_mean_the_same(spec: Any) -> None:
    before = parse_specs(spec)
    renamed(spec["sfc"], "vnf_num", "vnfs")
    renamed(spec["sfc_requests"], "duration", "request_duration")
    renamed(spec["data_source"], "packet_interval", "mean_packet_creation")
    renamed(spec["node"], "cpu", "CPU")
    del spec["entities_number"]["data_sources"]
    assert parse_specs(spec) == before


def test_a_value_alone_is_a_list_of_one(spec: Any) -> None:
    before = parse_specs(spec)
    spec["vnf"]["cpu"] = 2000
    assert parse_specs(spec) == before


def test_both_spellings_at_once_are_refused(spec: Any) -> None:
    spec["sfc"]["vnfs"] = [3]
    assert problems(spec) == ["sfc.vnfs: [3]: expected only one of vnf_num and vnfs"]


@pytest.mark.parametrize("blank", [None, "", []])
def test_energy_idle_may_be_blank(spec: Any, blank: object) -> None:
    spec["node"]["energy_idle"] = blank
    assert parse_specs(spec).node.energy_idle == ()


def test_packet_patterns_of_the_sfc_table_make_a_source_for_each_chain(spec: Any) -> None:
    spec["sfc"] |= {"mean_packet_creation": [7, 8], "packets_burst_size": 3}
    del spec["data_source"]["packets_burst_size"]
    assert problems(spec) == [
        "entities_number.data_sources: 1: expected 4 as there are SFCs, as the packet pattern is in the sfc block"
    ]
    del spec["entities_number"]["data_sources"]
    specs = parse_specs(spec)
    assert specs.counts.data_sources == 4
    assert specs.data_source.packet_interval == (7, 8) and specs.data_source.packets_burst_size == (3,)
    assert specs.data_source.packets_burst_interval == (20,) and specs.data_source.one_per_sfc


def test_everything_that_is_wrong_is_said_at_once(spec: Any) -> None:
    del spec["user"]
    spec["vnf"] |= {"cpu": [1, "fast", 3], "max_share": [0], "resource_intensive": "Disk"}
    spec["node"]["location"][1]["latitude"] = 100
    spec["link"] |= {"bandwidth": [], "max_packet_queue": -2, "loss": 1}
    spec["sfc_requests"]["arrival"] = "linear"
    assert problems(spec) == [
        "node.location[1].latitude: 100: expected a number from -90 to 90",
        'vnf.cpu[1]: "fast": expected a number greater than 0',
        "vnf.max_share[0]: 0: expected a whole number of at least 1",
        'vnf.resource_intensive: "Disk": expected one of "CPU", "Memory", "Network"',
        "user: missing: expected an object",
        "link.bandwidth: []: expected a list, each a number greater than 0, with at least one value",
        "link.max_packet_queue: -2: expected a whole number of at least 0, or -1 for no limit",
        "link.loss: 1: expected one of the keys bandwidth, loss_rate, propagation, energy_consumption, "
        "num_links_between_nodes, loopback_bandwidth, max_packet_queue",
        "sfc_requests.increase_requests_per_window: missing: expected a whole number of at least 1",
    ]


def test_what_does_not_fit_together_is_refused(spec: Any) -> None:
    spec["sfc"]["vnf_num"] = [3, 6]
    spec["node"] |= {"vnf_num": 7, "ran_node_prob": 0.8}
    spec["vnf"]["cpu"] = [2000, 100_001]
    assert problems(spec) == [
        "node.core_node_prob: 0.3: expected at most 1 - ran_node_prob, 0.2",
        "node.vnf_num[0]: 7: expected at most 5, the number of VNF types",
        "sfc.vnf_num[1]: 6: expected at most 5, the number of VNF types",
        "vnf.cpu[1]: 100001.0: expected at most 100000, the greatest node.cpu",
    ]


def test_packets_without_any_time_between_them_are_refused(spec: Any) -> None:
    spec["data_source"] |= {"packet_interval": 0, "packets_burst_size": 1}
    expected = "more than 0 where packets do not come in bursts with time between them"
    assert problems(spec) == [f"data_source.packet_interval: 0: expected {expected}"]


@pytest.mark.parametrize("value", [True, "5", None, float("inf"), 10**400, [[1]], {}])
def test_only_finite_numbers_are_numbers(spec: Any, value: object) -> None:
    spec["vnf"]["timeout"] = [value]
    (said,) = problems(spec)
    assert said.startswith("vnf.timeout[0]: ") and said.endswith("expected a number of at least 0")


def test_slices_leave_the_rest_to_the_default_one(spec: Any) -> None:
    spec["slices"] = [
        {"name": "video", "sfcs": ["s_0"], "node_share": 0.5, "bandwidth_share": 0.25, "weights": [1, 0, 0]},
        {"name": "calls", "sfcs": ["s_2", "s_3"], "node_share": 0.2, "bandwidth_share": 0.25},
    ]
    specs = parse_specs(spec)
    assert specs.slices[0] == Slice("video", 0.5, 0.25, (1, 0, 0))
    assert specs.slices[-1].name == "default"
    assert specs.slices[-1].node_share == pytest.approx(0.3) and specs.slices[-1].bandwidth_share == 0.5
    assert specs.slice_of == {"s_0": "video", "s_2": "calls", "s_3": "calls"}


def test_slices_cannot_share_more_than_there_is(spec: Any) -> None:
    shares = {"node_share": 0.6, "bandwidth_share": 0.4}
    spec["slices"] = [
        {"name": "video", "sfcs": ["s_0", "s_4"], **shares},
        {"name": "video", "sfcs": ["s_0"], **shares, "weights": [1, 2]},
    ]
    assert problems(spec) == [
        'slices[0].sfcs[1]: "s_4": expected an SFC, s_0 to s_3, that is in no other slice',
        'slices[1].name: "video": expected a name of its own, not "default"',
        'slices[1].sfcs[0]: "s_0": expected an SFC, s_0 to s_3, that is in no other slice',
        "slices[1].node_share: 0.6: expected at most 0.4, which other slices leave",
        "slices[1].weights: [1, 2]: expected three numbers of at least 0 (latency, capacity, energy), not all 0",
        "slices: 1: expected shares that leave something for the SFCs that are in none",
    ]


def test_a_slice_without_sfcs_is_refused(spec: Any) -> None:
    spec["slices"] = [{"name": "video", "node_share": 0.5, "bandwidth_share": 0.5}]
    assert problems(spec) == ["slices[0].sfcs: missing: expected a list, each a text"]


def test_an_empty_file_names_every_block() -> None:
    assert len(problems({})) == 8
