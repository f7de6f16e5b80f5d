"""From desired state to targets, options and roles."""

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network

import pytest

from sdn_app.chains.model import (
    Balancing,
    Chain,
    Classifier,
    Constraints,
    FlowRule,
    InstanceState,
    OnFailure,
    PortRange,
    Protocol,
    Service,
)
from sdn_app.control.planner import Planned, effective_chains, matches_of
from sdn_app.paths.registry import Status
from sdn_app.rules import pipeline as p
from sdn_app.rules.compile import PathCache, compile_rules
from sdn_app.rules.entries import match
from tests.support.scenario import Scenario, build

EDGES = [(1, 2, 5.0), (2, 3, 5.0), (1, 3, 5.0)]


def make(chain: Chain | None = None) -> Scenario:
    return build(3, EDGES, [("firewall", [1, 3])], [1, 1, 1], [2, 3], chain)


def plan(scenario: Scenario) -> Planned:
    scenario.plan()
    assert scenario.planned is not None
    return scenario.planned


def options(planned: Planned, chain: str = "chain") -> list[tuple[str, ...]]:
    (table,) = [t for t in planned.deals.values() if t.chain.name == chain]
    return [tuple(c.id for c in option) for option in table.options]


def live(planned: Planned) -> list[tuple[str, int, str | None]]:
    entries = planned.registry.entries.values()
    return [
        (e.path.key.chain, e.path.key.ingress, e.path.key.terminal.instance_id)
        for e in entries
        if e.status is Status.LIVE
    ]


def test_two_firewalls_and_three_servants_are_a_cycle_of_six() -> None:
    dealt = options(plan(make()))
    assert [a for a, _ in dealt] == ["firewall0", "firewall1"] * 3
    assert [b for _, b in dealt] == ["servant0", "servant1", "servant2"] * 2


def test_planning_again_changes_nothing() -> None:
    scenario = make()
    first = scenario.plan()
    spis = dict(scenario.registry.entries)
    assert scenario.plan() == first
    assert scenario.registry.entries == spis


def test_round_robin_takes_no_notice_of_weights_and_weighted_does() -> None:
    for balancing, count in ((Balancing.ROUND_ROBIN, 1), (Balancing.WEIGHTED, 3)):
        scenario = build(
            1, [], [("firewall", [1, 1])], [1], [1], Chain("chain", (), service="emergency", balancing=balancing)
        )
        heavy = replace(scenario.desired.instances["firewall0"], weight=3)
        scenario.desired = replace(scenario.desired, instances={**scenario.desired.instances, "firewall0": heavy})
        dealt = [a for a, _ in options(plan(scenario))]
        assert dealt.count("firewall0") == count * dealt.count("firewall1")


def test_every_service_has_a_chain_without_functions() -> None:
    scenario = make()
    names = [chain.name for chain in effective_chains(scenario.desired)]
    assert names == ["chain", "service:emergency"]
    targets = {t.priority for t in plan(scenario).plan.targets}
    assert targets == {p.CLASSIFY_CHAIN + 100, p.CLASSIFY_IMPLICIT}


def test_a_draining_instance_gets_nothing_new_and_keeps_its_paths() -> None:
    scenario = make()
    plan(scenario)
    scenario.set_state("firewall0", InstanceState.DRAINING)
    planned = plan(scenario)
    assert {a for a, _ in options(planned)} == {"firewall1"}
    states = {e.status for e in planned.registry.entries.values() if "firewall0" in str(e.path.key.stops)}
    assert states == {Status.DRAINING}


def test_paths_through_a_failed_function_are_replaced_at_the_same_servant() -> None:
    scenario = make()
    plan(scenario)
    scenario.set_state("firewall0", InstanceState.FAILED)
    entries = plan(scenario).registry.entries
    dead = [e for e in entries.values() if e.status is Status.DEAD]
    assert len(dead) == 6
    for entry in dead:
        assert entry.replacement is not None
        taken = entries[entry.replacement].path.key
        assert taken.terminal == entry.path.key.terminal and taken.ingress == entry.path.key.ingress
        assert [stop.instance_id for stop in taken.stops] == ["firewall1"]


def test_paths_to_a_failed_servant_have_no_replacement() -> None:
    scenario = make()
    plan(scenario)
    scenario.set_state("servant0", InstanceState.FAILED)
    dead = [e for e in plan(scenario).registry.entries.values() if e.status is Status.DEAD]
    assert dead and all(e.replacement is None for e in dead)


@pytest.mark.parametrize(("policy", "expected"), [(OnFailure.FAIL_OPEN, 3), (OnFailure.FAIL_CLOSED, 0)])
def test_without_a_function_a_chain_opens_or_closes(policy: OnFailure, expected: int) -> None:
    scenario = make(Chain("chain", (), service="emergency", on_failure=policy))
    scenario.set_state("firewall0", InstanceState.FAILED)
    scenario.set_state("firewall1", InstanceState.STARTING)
    assert len(options(plan(scenario))) == expected


def test_a_chain_without_a_service_ends_at_every_host_in_its_destination() -> None:
    scenario = make(Chain("chain", (), Classifier(destination=IPv4Network("10.3.0.0/16"))))
    planned = plan(scenario)
    assert {e.path.key.target for e in planned.registry.entries.values() if e.path.key.chain == "chain"} == {"10.3.0.1"}
    bindings = [b for facts in planned.plan.switches.values() for b in facts.bindings]
    assert all(b.terminal for b in bindings)


def test_a_domain_is_an_ingress() -> None:
    planned = plan(make(Chain("chain", (), Classifier(domain=3), "emergency")))
    assert {ingress for chain, ingress, _ in live(planned) if chain == "chain"} == {3}


def test_avoided_domains_are_not_crossed() -> None:
    chain = Chain("chain", (), service="emergency", constraints=Constraints(avoid_domains=frozenset({3})))
    scenario = make(chain)
    for entry in plan(scenario).registry.entries.values():
        key = entry.path.key
        if key.chain == "chain" and key.ingress == 2:
            assert 3 not in {switch for segment in key.segments for switch in segment}


def test_a_flow_rule_is_a_chain_of_one_pinned_function() -> None:
    scenario = make()
    rule = FlowRule("f1", "firewall", "firewall1", Classifier(destination=IPv4Network("10.3.0.1/32")), 200)
    scenario.desired = replace(scenario.desired, flows={"f1": rule})
    assert {first for first, _ in options(plan(scenario), "flow:f1")} == {"firewall1"}


def test_an_instance_whose_port_is_not_there_is_not_used() -> None:
    scenario = make()
    scenario.inventory.remove_port(3, scenario.inventory.switches[3].number_of("firewall1-o") or 0)
    planned = plan(scenario)
    assert {a for a, _ in options(planned)} == {"firewall0"}
    assert all(switch == 1 for switch, _ in planned.functions)


def test_matches() -> None:
    service = Service("web", IPv4Address("10.0.0.100"), 80)
    base = {"eth_type": 0x0800, "ipv4_dst": 0x0A000064}
    assert matches_of(Classifier(), 0x0A000064, service) == (match(**base, ip_proto=6, tcp_dst=80),)
    assert matches_of(Classifier(), 0x0A000064, None) == (match(**base),)
    assert matches_of(Classifier(protocol=Protocol.ICMP), 0x0A000064, None) == (match(**base, ip_proto=1),)
    ranged = Classifier(
        source=IPv4Network("10.2.0.0/16"),
        protocol=Protocol.UDP,
        source_ports=PortRange(8, 11),
        destination_ports=PortRange(1, 2),
    )
    source = {"ipv4_src": (0x0A020000, 0xFFFF0000), "ip_proto": 17, "udp_src": (8, 0xFFFC)}
    assert set(matches_of(ranged, 0x0A000064, None)) == {match(**base, **source, udp_dst=n) for n in (1, 2)}


def test_compiled_paths_that_are_kept_do_not_change_the_result() -> None:
    cache, scenario = PathCache(), make(Chain("chain", (), service="emergency", symmetric=False))
    for change in (
        lambda: None,
        lambda: scenario.set_state("firewall0", InstanceState.FAILED),
        lambda: scenario.set_state("firewall0", InstanceState.ACTIVE),
        lambda: setattr(scenario, "graph", build(3, [(1, 2, 50.0), *EDGES[1:]], [], [], []).graph),
    ):
        change()
        planned = plan(scenario)
        assert compile_rules(planned.plan, cache) == compile_rules(planned.plan)


def test_a_number_that_comes_back_as_another_path_is_compiled_anew() -> None:
    cache, scenario = PathCache(), make()
    before = plan(scenario).plan
    compile_rules(before, cache)
    swapped = [
        replace(each, path=replace(each.path, key=other.path.key))
        for each, other in zip(before.paths, before.paths[::-1], strict=True)
    ]
    after = replace(before, paths=tuple(swapped))
    assert compile_rules(after, cache) == compile_rules(after)
