"""Rendered paths on random graphs, and the path registry through random histories."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sdn_app.chains.model import Chain, Constraints
from sdn_app.network.graph import Link, NetworkGraph
from sdn_app.paths.registry import PathRegistry, Status, advance
from sdn_app.paths.render import (
    PathKey,
    Stop,
    Terminal,
    key_from_text,
    key_to_text,
    links_intact,
    path_latency_ms,
    render,
    reverse_segments,
)

SWITCHES = range(1, 8)


@st.composite
def graphs(draw: st.DrawFn) -> NetworkGraph:
    pairs = draw(st.sets(st.tuples(st.sampled_from(SWITCHES), st.sampled_from(SWITCHES)), min_size=5, max_size=16))
    links = []
    for a, b in sorted(pairs):
        latency_ms = draw(st.sampled_from([0.5, 1.0, 2.0, 7.5]))
        links += [Link(a, b, b, a, latency_ms), Link(b, a, a, b, latency_ms)]
    return NetworkGraph.of(SWITCHES, links)


@st.composite
def requests(draw: st.DrawFn) -> tuple[Chain, int, tuple[Stop, ...], Terminal]:
    places = st.sampled_from(SWITCHES)
    stops = tuple(Stop(f"f{n}", s, 50 + 2 * n, 51 + 2 * n) for n, s in enumerate(draw(st.lists(places, max_size=4))))
    limits = Constraints(draw(st.none() | st.floats(0, 20)), frozenset(draw(st.sets(places, max_size=2))))
    chain = Chain("c", tuple("firewall" for _ in stops), symmetric=draw(st.booleans()), constraints=limits)
    return chain, draw(places), stops, Terminal(draw(places), 9, 0x02, IPv4Address("10.1.0.9"), "s")


@given(graphs(), requests())
def test_a_rendered_path_keeps_order_links_and_constraints(
    graph: NetworkGraph, request: tuple[Chain, int, tuple[Stop, ...], Terminal]
) -> None:
    chain, ingress, stops, end = request
    key = render(graph, chain, ingress, "t", stops, end)
    if key is None:
        free = replace(chain, constraints=Constraints())
        if not chain.constraints.avoid_domains:
            other = render(graph, free, ingress, "t", stops, end)
            limit = chain.constraints.max_latency_ms
            assert other is None or (limit is not None and path_latency_ms(graph, other) > limit)
        return
    ends = [ingress, *(stop.switch for stop in stops), end.switch]
    assert [(segment[0], segment[-1]) for segment in key.segments] == list(pairwise(ends))
    assert all(len(set(segment)) == len(segment) for segment in key.segments)
    assert links_intact(graph, key)
    used = {switch for segment in key.segments for switch in segment}
    assert not used & (chain.constraints.avoid_domains - {ingress, end.switch})
    limit = chain.constraints.max_latency_ms
    assert limit is None or path_latency_ms(graph, key) <= limit
    back = reverse_segments(graph, key)
    assert back[0][0] == end.switch and back[-1][-1] == ingress
    if key.symmetric:
        assert [segment[::-1] for segment in back[::-1]] == list(key.segments)
    assert key_from_text(key_to_text(key)) == key


ENDS = [Terminal(1, port, port, IPv4Address("10.1.0.0") + port, f"s{port}") for port in (1, 2)]
KEYS = [
    PathKey(chain, 2, "t", (Stop(f"f{number}", 1, 10, 11),), end, ((2, 1), (1,)), True)
    for chain in ("a", "b")
    for end in ENDS
    for number in range(3)
]
SPARE = {(key.chain, key.terminal): replace(key, stops=()) for key in KEYS}
ALL = [*KEYS, *SPARE.values()]


class Ids:
    """Numbers as the store gives them."""

    def __init__(self) -> None:
        self.numbers: dict[PathKey, int] = {}

    def __call__(self, key: PathKey) -> int:
        return self.numbers.setdefault(key, 2 * len(self.numbers) + 2)


def alternative_for(spare: bool) -> Callable[[PathKey], PathKey | None]:
    return lambda key: SPARE[key.chain, key.terminal] if spare else None


rounds = st.lists(st.tuples(st.sets(st.sampled_from(KEYS)), st.sets(st.sampled_from(ALL)), st.booleans()), max_size=8)


@given(rounds, st.sampled_from([0.5, 2.5, 100.0]))
def test_registry_through_any_history(history: list[tuple[set[PathKey], set[PathKey], bool]], idle_s: float) -> None:
    registry, ids = PathRegistry(), Ids()
    for now, (wanted, broken, spare) in enumerate(history):
        wanted = wanted - broken
        before = registry

        def intact(key: PathKey, broken: set[PathKey] = broken) -> bool:
            return key not in broken

        registry = advance(before, wanted, intact, alternative_for(spare), ids, float(now))
        entries = registry.entries
        assert before.entries.keys() <= entries.keys()
        assert all(entries[spi].path.key == entry.path.key for spi, entry in before.entries.items())
        keys = [entry.path.key for entry in entries.values()]
        assert len(set(keys)) == len(keys)
        assert all(spi == entry.path.spi for spi, entry in entries.items())
        assert {entry.path.key for entry in entries.values() if entry.status is Status.LIVE} == wanted
        for entry in entries.values():
            key = entry.path.key
            if entry.status is not Status.LIVE:
                assert (entry.status is Status.DEAD) == (key in broken)
            if entry.status is not Status.DEAD:
                assert entry.replacement is None
            elif entry.replacement is not None:
                onward = entries[entry.replacement]
                assert onward.status is not Status.DEAD and onward.path.key not in broken
                assert onward.path.key.terminal == key.terminal and onward.path.key.ingress == key.ingress
            else:
                assert not any(each.chain == key.chain and each.terminal == key.terminal for each in wanted)
                assert not spare or SPARE[key.chain, key.terminal] in broken
        again = advance(registry, wanted, intact, alternative_for(spare), ids, now + 0.5)
        assert again == registry
        registry, gone = registry.collect({}, idle_s, float(now))
        assert all(entries[path.spi].status is not Status.LIVE for path in gone)
        assert all(now - entries[path.spi].since >= idle_s for path in gone)
        assert all(e.replacement is None or e.replacement in registry.entries for e in registry.entries.values())
        for path in gone:
            assert path.spi not in registry.entries


def always(_: PathKey) -> bool:
    return True


def test_replacements_spread_over_the_live_paths() -> None:
    ids = Ids()
    mine = [key for key in KEYS if key.chain == "a" and key.terminal == ENDS[0]]
    more = [replace(mine[0], stops=(Stop(f"g{number}", 1, 20, 21),)) for number in range(4)]
    first = advance(PathRegistry(), more, always, alternative_for(False), ids, 0.0)
    after = advance(first, mine[:2], lambda key: key not in more, alternative_for(False), ids, 1.0)
    taken = [entry.replacement for entry in after.entries.values() if entry.status is Status.DEAD]
    assert sorted(taken, key=str) == sorted(2 * [ids(mine[0]), ids(mine[1])], key=str)


def test_a_dead_path_that_is_wanted_again_keeps_its_number() -> None:
    ids = Ids()
    registry = advance(PathRegistry(), KEYS[:1], always, alternative_for(False), ids, 0.0)
    registry = advance(registry, [], lambda _: False, alternative_for(False), ids, 1.0)
    assert registry.entries[2].status is Status.DEAD and registry.entries[2].replacement is None
    registry = advance(registry, KEYS[:1], always, alternative_for(False), ids, 2.0)
    assert registry.entries[2].status is Status.LIVE and registry.entries[2].since == 2.0


def test_restored_paths_drain_until_they_are_wanted() -> None:
    registry = PathRegistry.restored({8: KEYS[0], 6: KEYS[1]}, 5.0)
    assert [entry.status for entry in registry.entries.values()] == [Status.DRAINING, Status.DRAINING]
    after = advance(registry, KEYS[:1], always, alternative_for(False), Ids(), 6.0)
    assert after.entries[8].status is Status.LIVE and after.entries[6] == registry.entries[6]


def test_a_standby_stays_while_a_dead_path_needs_it() -> None:
    ids = Ids()
    registry = advance(PathRegistry(), KEYS[:1], always, alternative_for(True), ids, 0.0)
    registry = advance(registry, [], lambda key: key != KEYS[0], alternative_for(True), ids, 1.0)
    assert registry.entries[2].replacement == 4 and registry.entries[4].status is Status.DRAINING
    kept, gone = registry.collect({2: 90.0}, 50.0, 100.0)
    assert gone == () and kept.entries.keys() == {2, 4}
    kept, gone = registry.collect({2: 90.0}, 50.0, 140.0)
    assert [path.spi for path in gone] == [2, 4] and not kept.entries
