"""Routes on the graph: least latency, ties, avoided switches, changes."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sdn_app.network.graph import Link, NetworkGraph, published_ms


def both(a: int, b: int, latency_ms: float, port: int = 0) -> list[Link]:
    return [Link(a, 10 * b + port, b, 10 * a + port, latency_ms), Link(b, 10 * a + port, a, 10 * b + port, latency_ms)]


def four_domains() -> NetworkGraph:
    links = both(1, 2, 5) + both(1, 3, 10) + both(1, 4, 5) + both(2, 3, 2) + both(3, 4, 2)
    return NetworkGraph.of({1, 2, 3, 4}, links)


def test_route_takes_the_least_latency() -> None:
    graph = four_domains()
    assert graph.route(1, 3) == (1, 2, 3)
    assert graph.latency_ms((1, 2, 3)) == 7
    assert graph.route(2, 2) == (2,)
    assert graph.port_towards(1, 2) == 20


def test_ties_go_to_fewer_hops_and_then_to_smaller_ids() -> None:
    assert NetworkGraph.of({1, 2, 3}, both(1, 2, 1) + both(2, 3, 1) + both(1, 3, 2)).route(1, 3) == (1, 3)
    assert four_domains().route(3, 1) == (3, 2, 1)


def test_avoided_switches_are_not_crossed_but_may_be_ends() -> None:
    graph = four_domains()
    assert graph.route(1, 3, frozenset({2})) == (1, 4, 3)
    assert graph.route(2, 3, frozenset({2, 3})) == (2, 3)
    assert graph.route(1, 3, frozenset({2, 4})) == (1, 3)
    assert NetworkGraph.of({1, 2, 3}, both(1, 2, 1) + both(2, 3, 1)).route(1, 3, frozenset({2})) is None


def test_a_link_known_in_one_direction_carries_nothing() -> None:
    graph = NetworkGraph.of({1, 2}, both(1, 2, 1)[:1])
    assert graph.route(1, 2) is None
    assert graph.route(1, 9) is None


def test_parallel_links_take_each_others_place() -> None:
    graph = NetworkGraph.of({1, 2}, both(1, 2, 5) + both(1, 2, 1, port=1))
    assert graph.port_towards(1, 2) == 21
    assert len(graph.all_links()) == 4
    cut = graph.without_port(1, 21)
    assert cut.port_towards(1, 2) == 20
    assert cut.without_port(2, 10).route(1, 2) is None
    slow = graph.with_links([Link(1, 21, 2, 11, 9.0)])
    assert slow.port_towards(1, 2) == 20


def test_switches_come_and_go_with_their_links() -> None:
    graph = four_domains()
    assert graph.without_switches({2, 4}).route(1, 3) == (1, 3)
    assert graph.with_switches({5}).route(1, 5) is None
    assert graph == four_domains()
    graph.route(1, 3)
    assert graph == four_domains()


def test_published_latency_ignores_small_changes() -> None:
    assert published_ms(None, 3.0) == 3.0
    assert published_ms(1.0, 1.5) == 1.0
    assert published_ms(1.0, 1.6) == 1.6
    assert published_ms(10.0, 12.0) == 10.0
    assert published_ms(10.0, 7.9) == 7.9


@given(
    st.lists(st.tuples(st.integers(1, 8), st.integers(1, 8), st.integers(0, 3)), max_size=20),
    st.sets(st.integers(1, 8), max_size=3),
)
def test_routes_are_simple_and_consistent_hop_by_hop(pairs: list[tuple[int, int, int]], avoid: set[int]) -> None:
    graph = NetworkGraph.of(range(1, 9), [link for a, b, ms in pairs for link in both(a, b, ms)])
    off = frozenset(avoid)
    for src in graph.switches:
        for dst in graph.switches:
            route = graph.route(src, dst, off)
            if route is None:
                continue
            assert route[0] == src and route[-1] == dst and len(set(route)) == len(route)
            assert not off & set(route[1:-1])
            assert all(graph.joined(a, b) for a, b in pairwise(route))
            if len(route) > 1:
                assert graph.route(route[1], dst, off) == route[1:]
