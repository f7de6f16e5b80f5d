"""Environments of real data: units that make the simulator's formulas hold, the fit to the profile, and the command."""

from pathlib import Path

import numpy
import pytest

from testbed.lab.images import image_spec
from testbed.simulator.inputs import arrivals, functions, networks
from testbed.simulator.inputs.__main__ import main
from testbed.simulator.inputs.units import CORE, PACKET_MBIT, demand_of_packet_rate
from testbed.simulator.model.entities import Entities, NodeType
from testbed.simulator.model.state import State
from testbed.simulator.specification.packet_flow import read_packet_flow
from testbed.simulator.specification.saved import load


def random() -> numpy.random.Generator:
    return numpy.random.default_rng(1)


@pytest.mark.parametrize("max_share", [1, 10])
def test_a_function_carries_what_was_measured(max_share: int) -> None:
    vnfs = {vnf.name: vnf for vnf in functions.of_images(max_share, 1.0).vnfs}
    assert vnfs.keys() == {"antivirus", "contentfilter", "encryption", "firewall", "spamfilter"}
    for name, vnf in vnfs.items():
        capacity = image_spec(name).capacity
        assert capacity is not None
        service_ms = PACKET_MBIT * vnf.packet_cpu_demand / vnf.cpu * 1000
        assert 1000 / service_ms * max_share == pytest.approx(capacity.packets_pps / capacity.cpus * vnf.cpu / CORE)


def test_a_full_packet_on_a_link_takes_its_octets_time() -> None:
    link_ms = PACKET_MBIT / 100 * 1000
    assert link_ms == pytest.approx(1500 * 8 / 100e6 * 1000)
    assert demand_of_packet_rate(1000, 1.0, 1) * PACKET_MBIT == pytest.approx(1.0)  # ms of a core


@pytest.mark.parametrize("topology", functions.profile_topologies())
def test_the_fit_predicts_the_measured_chains(topology: str) -> None:
    rates = functions.fitted_rates(topology)
    assert list(rates) == [functions.PROFILE_NAMES[part] for part in topology.split("-")[:3]]
    assert functions.fit_error(topology, rates) < 0.13


def test_users_are_attached_to_the_nearest_site() -> None:
    network = networks.melbourne(125, 816, random())
    assert len(network.places) == 125 and len(network.edges) == 125 * 124
    assert max(ms for _, ms in network.attached) * networks.RADIO_KM_PER_MS < 2.0
    assert all(0 <= edge.propagation_ms < 0.05 for edge in network.edges)


def test_the_haversine_distance_of_a_degree() -> None:
    place = networks.Location("here", "here", 0.0, 0.0)
    assert networks.nearest([place], (1.0, 0.0)) == (0, pytest.approx(111.19, abs=0.01))


def test_arrivals_are_all_some_user_s() -> None:
    came = arrivals.trace(10.0, 60_000)
    flows = arrivals.by_user(came, 7, random())
    assert sum(map(len, flows)) == len(came)
    assert max(sum(gap for gap, _ in flow) for flow in flows) == pytest.approx(came[-1].time)
    source = arrivals.plain_source(came, 7)
    assert 7 / source.packet_interval == pytest.approx(len(came) / came[-1].time)


@pytest.mark.parametrize(
    ("network", "chain", "nodes", "links"),
    [
        ("melbourne", "images", 20, 400),
        ("four-domain", "images", 4, 14),
        ("abilene", "sq-nx-sc", 12, 12 + 2 * 15),
    ],
)
def test_the_command_writes_what_the_simulator_reads(
    tmp_path: Path, network: str, chain: str, nodes: int, links: int
) -> None:
    saved, flow = tmp_path / "e.json", tmp_path / "flow.csv"
    options = ["--network", network, "--functions", chain, "--users", "9", "--speed", "9", "--packet-flow", str(flow)]
    assert main([*options, "--save", str(saved)]) == 0
    entities: Entities = load(saved)
    assert (len(entities.nodes), len(entities.links), len(entities.users)) == (nodes, links, 9)
    flows = read_packet_flow(flow, entities.users, entities.sfcs)
    assert flows.keys() <= {(each.user, each.sfc) for each in entities.sfc_requests.values()}
    assert sum(len(each.gaps) for each in flows.values()) > 100
    (core,) = (node.name for node in entities.nodes.values() if node.type is NodeType.CORE)
    state = State(entities)
    for request in entities.sfc_requests.values():
        assert request.egress == core != request.ingress or network == "melbourne"
        assert state.routes(request.ingress, request.egress)
    main([*options, "--save", str(tmp_path / "again.json")])
    assert (tmp_path / "again.json").read_text() == saved.read_text()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--network", "nowhere"], "name: 'nowhere': expected a graph of topohub"),
        (["--sites", "126"], "sites: 126: expected 1 to 125"),
        (["--functions", "nx"], "profile: 'nx': expected one of nx-sc-sq, "),
        (["--total-time", "1"], "the trace has fewer than 2 arrivals"),
    ],
)
def test_wrong_options_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert main([*options, "--save", str(tmp_path / "e.json")]) == 2
    assert said in capsys.readouterr().err


def test_numbers_out_of_bounds_are_refused_as_options(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--bandwidth", "0", "--save", str(tmp_path / "e.json")])
    assert ended.value.code == 2 and "--bandwidth" in capsys.readouterr().err
