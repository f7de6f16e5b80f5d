"""Compiled entries on random networks: in order, symmetric, loop-free, and where a function fails, past it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sdn_app.chains.model import Balancing, Chain, Classifier, InstanceState, OnFailure
from sdn_app.control.dealer import Deal, Dealer
from sdn_app.paths.registry import Status
from sdn_app.rules import pipeline as p
from sdn_app.rules.compile import deal_actions
from sdn_app.switches.diff import apply, diff
from tests.support.fake_network import Frame, Network
from tests.support.scenario import Scenario, build

TYPES = ["firewall", "antivirus", "encryption", "contentfilter"]


@st.composite
def scenarios(draw: st.DrawFn, balancing: Balancing = Balancing.ROUND_ROBIN) -> Scenario:
    count = draw(st.integers(1, 6))
    latency = st.floats(0.1, 20.0)
    edges = [(n, draw(st.integers(1, n - 1)), draw(latency)) for n in range(2, count + 1)]
    for a in range(1, count + 1):
        for b in range(a + 1, count + 1):
            if not any({a, b} == {x, y} for x, y, _ in edges) and draw(st.booleans()):
                edges.append((a, b, draw(latency)))
    switch = st.integers(1, count)
    types = draw(st.lists(st.sampled_from(TYPES), max_size=4, unique=True))
    functions = [(t, draw(st.lists(switch, min_size=1, max_size=3))) for t in types]
    servants = draw(st.lists(switch, min_size=1, max_size=3))
    clients = draw(st.lists(switch, min_size=1, max_size=3, unique=True))
    symmetric = draw(st.booleans())
    chain = Chain("chain", (), Classifier(), "emergency", balancing, symmetric=symmetric)
    return build(count, edges, functions, servants, clients, chain)


def live_spis(scenario: Scenario, ingress: int) -> list[int]:
    entries = scenario.registry.entries.items()
    return [
        spi
        for spi, e in entries
        if e.status is Status.LIVE and e.path.key.ingress == ingress and e.path.key.chain == "chain"
    ]


def functions_in(scenario: Scenario, log: list[tuple]) -> list[str]:
    return [scenario.type_at(event[1], event[2]) for event in log if event[0] == "function"]


def connect(scenario: Scenario, network: Network, client, spi: int, source_port: int) -> Frame:
    """Open a connection along `spi`, check both directions, and give the frame that the servant got."""
    syn = scenario.syn(client, source_port)
    network.to_controller.clear()
    assert not [event for event in network.send(client.switch, client.port, syn) if event[0] == "host"]
    switch, port, cookie, frame = network.to_controller[-1]
    assert p.cookie_parts(cookie)[0] == p.Cookie.DEAL
    log = network.packet_out(switch, port, deal_actions(spi, switch), frame)
    return check_log(scenario, log, spi)


def check_log(scenario: Scenario, log: list[tuple], spi: int) -> Frame:
    key = scenario.registry.entries[spi].path.key
    assert [scenario.id_at(e[1], e[2]) for e in log if e[0] == "function"] == [s.instance_id for s in key.stops]
    arrived = [event for event in log if event[0] == "host"]
    assert [(event[1], event[2]) for event in arrived] == [(key.terminal.switch, key.terminal.port)]
    assert arrived[0][3].get("eth_dst") == key.terminal.mac
    return arrived[0][3]


def answer(got: Frame, mac: int) -> Frame:
    swap = dict(ipv4_src=got.get("ipv4_dst"), ipv4_dst=got.get("ipv4_src"))
    return got.with_(eth_src=mac, eth_dst=got.get("eth_src"), tcp_src=80, tcp_dst=got.get("tcp_src"), **swap)


@settings(max_examples=120, deadline=None)
@given(scenarios())
def test_in_order_symmetric_and_loop_free(scenario: Scenario) -> None:
    network = scenario.network()
    wanted = list(scenario.desired.chains["chain"].functions)
    symmetric = scenario.desired.chains["chain"].symmetric
    for client in list(scenario.inventory.hosts.values()):
        spis = live_spis(scenario, client.switch)
        assert spis
        for number, spi in enumerate(spis):
            key = scenario.registry.entries[spi].path.key
            got = connect(scenario, network, client, spi, 40000 + number)
            back = network.send(key.terminal.switch, key.terminal.port, answer(got, key.terminal.mac))
            assert functions_in(scenario, back) == (wanted[::-1] if symmetric else [])
            ends = [event for event in back if event[0] == "host"]
            assert [(e[1], e[2], e[3].get("eth_dst")) for e in ends] == [(client.switch, client.port, client.mac)]
            network.to_controller.clear()
            again = network.send(client.switch, client.port, scenario.syn(client, 40000 + number))
            assert functions_in(scenario, again) == wanted
            assert not network.to_controller


@settings(max_examples=60, deadline=None)
@given(scenarios(), st.data())
def test_connections_through_a_failed_function_move_and_all_others_stay(
    scenario: Scenario, data: st.DataObject
) -> None:
    network = scenario.network()
    client = next(iter(scenario.inventory.hosts.values()))
    before = live_spis(scenario, client.switch)
    for number, spi in enumerate(before):
        connect(scenario, network, client, spi, 40000 + number)
    inline = [i.instance_id for i in scenario.desired.instances.values() if not i.is_servant]
    if not inline:
        return
    failed = data.draw(st.sampled_from(inline))
    scenario.set_state(failed, InstanceState.FAILED)
    after = Network(scenario.plan(), scenario.graph, scenario.cables, network.tracked)
    alone = (
        sum(i.vnf_type == scenario.desired.instances[failed].vnf_type for i in scenario.desired.instances.values()) == 1
    )
    for number, spi in enumerate(before):
        key = scenario.registry.entries[spi].path.key
        log = after.send(client.switch, client.port, scenario.syn(client, 40000 + number))
        used = [scenario.id_at(event[1], event[2]) for event in log if event[0] == "function"]
        ends = [(event[1], event[2]) for event in log if event[0] == "host"]
        if failed not in (stop.instance_id for stop in key.stops):
            assert used == [stop.instance_id for stop in key.stops]
        elif alone:
            assert ends == []
            continue
        assert failed not in used
        assert functions_in(scenario, log) == list(scenario.desired.chains["chain"].functions)
        assert ends == [(key.terminal.switch, key.terminal.port)]
        assert not after.to_controller


@settings(max_examples=60, deadline=None)
@given(scenarios(balancing=Balancing.HASH))
def test_hash_needs_no_controller(scenario: Scenario) -> None:
    network = scenario.network()
    for client in list(scenario.inventory.hosts.values()):
        for number in range(6):
            log = network.send(client.switch, client.port, scenario.syn(client, 50000 + number))
            assert functions_in(scenario, log) == list(scenario.desired.chains["chain"].functions)
            assert sum(event[0] == "host" for event in log) == 1
            again = network.send(client.switch, client.port, scenario.syn(client, 50000 + number))
            assert again == log
    assert not network.to_controller


@settings(max_examples=60, deadline=None)
@given(scenarios(), st.data())
def test_a_diff_reaches_the_desired_state_and_replay_changes_nothing(scenario: Scenario, data: st.DataObject) -> None:
    before = scenario.plan()
    instance = data.draw(st.sampled_from(sorted(scenario.desired.instances)))
    scenario.set_state(instance, data.draw(st.sampled_from(list(InstanceState))))
    after = scenario.plan()
    for dpid in after:
        steps = diff(before[dpid], after[dpid])
        assert apply(before[dpid], steps) == after[dpid]
        assert diff(after[dpid], after[dpid]) == {}


@pytest.mark.parametrize(("policy", "arrives"), [(OnFailure.FAIL_OPEN, True), (OnFailure.FAIL_CLOSED, False)])
def test_a_chain_without_a_healthy_instance(policy: OnFailure, arrives: bool) -> None:
    chain = Chain("chain", (), Classifier(), "emergency", on_failure=policy)
    scenario = build(2, [(1, 2, 1.0)], [("firewall", [2])], [1], [2], chain)
    scenario.set_state("firewall0", InstanceState.FAILED)
    network = scenario.network()
    client = next(iter(scenario.inventory.hosts.values()))
    spis = live_spis(scenario, 2)
    if arrives:
        (spi,) = spis
        connect(scenario, network, client, spi, 1)
    else:
        assert spis == []
        assert network.send(client.switch, client.port, scenario.syn(client, 1)) == []
        assert not network.to_controller


def test_strict_turn_and_retransmissions() -> None:
    turn = iter(range(100))
    dealer = Dealer()
    dealer.replace({1: Deal(lambda frame: next(turn) % 2, (("a",), ("b",)), {7: [2, 4]})}, {7: 1})
    frames = [
        bytes(12) + b"\x08\x00" + bytes([0x45]) + bytes(8) + b"\x06" + bytes(10) + bytes([0, n]) + bytes(4)
        for n in range(4)
    ]
    for frame in [frames[0], frames[0], frames[1], frames[2], frames[3], frames[3]]:
        assert dealer.packet_out(7, 1, 3, frame, 1.0, 9)
    assert dealer.dealt == {2: 2, 4: 2}
