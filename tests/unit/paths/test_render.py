"""Rendering by hand-made examples; the general truths are in tests/properties/test_paths.py."""

from dataclasses import replace
from ipaddress import IPv4Address

from sdn_app.chains.model import Chain, Constraints
from sdn_app.network.graph import Link, NetworkGraph
from sdn_app.paths.render import (
    RenderedPath,
    Stop,
    Terminal,
    key_from_text,
    key_to_text,
    links_intact,
    path_latency_ms,
    render,
    reverse_segments,
)

EDGES = [(1, 2, 5.0), (1, 3, 10.0), (1, 4, 5.0), (2, 3, 2.0), (3, 4, 2.0)]
GRAPH = NetworkGraph.of(range(1, 5), [Link(x, y, y, x, ms) for a, b, ms in EDGES for x, y in ((a, b), (b, a))])
CHAIN = Chain("web", ("firewall", "antivirus"), service="emergency")
STOPS = (Stop("fw1", 2, 7, 8), Stop("av1", 1, 7, 8))
END = Terminal(1, 9, 0x0200, IPv4Address("10.1.0.9"), "srv1")


def test_segments_go_through_the_stops_in_order() -> None:
    key = render(GRAPH, CHAIN, 3, "emergency", STOPS, END)
    assert key is not None
    assert key.segments == ((3, 2), (2, 1), (1,))
    assert path_latency_ms(GRAPH, key) == 7
    assert reverse_segments(GRAPH, key) == ((1,), (1, 2), (2, 3))
    assert RenderedPath(4, key).reverse_spi == 5


def test_an_asymmetric_path_comes_straight_back() -> None:
    key = render(GRAPH, replace(CHAIN, symmetric=False), 3, "emergency", STOPS, END)
    assert key is not None
    assert reverse_segments(GRAPH, key) == ((1, 2, 3),)
    assert reverse_segments(GRAPH, key, frozenset({2})) == ((1, 4, 3),)
    assert reverse_segments(GRAPH.without_switches({1}), key) == ()


def test_greatest_latency_counts_to_the_last_switch() -> None:
    assert render(GRAPH, replace(CHAIN, constraints=Constraints(7.0)), 3, "e", STOPS, END) is not None
    assert render(GRAPH, replace(CHAIN, constraints=Constraints(6.9)), 3, "e", STOPS, END) is None


def test_avoided_domains_are_not_used_except_at_the_ends() -> None:
    no_two = replace(CHAIN, constraints=Constraints(avoid_domains=frozenset({2})))
    assert render(GRAPH, no_two, 3, "e", STOPS, END) is None
    around = render(GRAPH, no_two, 3, "e", STOPS[1:], END)
    assert around is not None and around.segments == ((3, 4, 1), (1,))
    ends = replace(CHAIN, constraints=Constraints(avoid_domains=frozenset({1, 3})))
    assert render(GRAPH, ends, 3, "e", STOPS, END) is not None


def test_a_cut_link_breaks_the_paths_over_it_only() -> None:
    key = render(GRAPH, CHAIN, 3, "e", STOPS, END)
    assert key is not None
    assert links_intact(GRAPH, key)
    assert links_intact(GRAPH.without_port(1, 4), key)
    assert not links_intact(GRAPH.without_port(2, 1), key)
    assert not links_intact(GRAPH.without_switches({3}), key)


def test_a_key_reads_back_from_its_text() -> None:
    for end in (END, replace(END, instance_id=None)):
        key = render(GRAPH, replace(CHAIN, name='q"é'), 3, "e", STOPS, end)
        assert key is not None
        assert key_from_text(key_to_text(key)) == key
