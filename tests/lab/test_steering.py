"""What the wire shows: functions in order, replies the other way round, strict turns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import count, pairwise
from typing import Any

import pytest

from testbed.lab.net import SERVICE_ADDRESS, Lab
from tests.support.capture import ACK, SYN, Capture, Seen
from tests.support.lab_traffic import Held, address_of, caches_follow, once, path_of

pytestmark = pytest.mark.lab

PORTS = count(21000)
TOUR = {
    "name": "tour",
    "functions": ["firewall", "firewall"],
    "pinned": ["fw1", "fw2", None],
    "service": "emergency",
    "classifier": {"protocol": "tcp", "source_ports": "21000-21999", "priority": 500},
}
Passing = tuple[str, bool, tuple[int, int] | None]


@pytest.fixture
def tour(lab: Lab) -> Iterator[Lab]:
    """A chain through fw1 (domain 1) and then fw2 (domain 3) for some source ports."""
    lab.call("POST", "/chains?wait=10", TOUR)
    caches_follow()
    yield lab
    lab.call("DELETE", "/chains/tour")


def expected_ways(lab: Lab, path: dict[str, Any], client: str) -> tuple[list[Passing], list[Passing]]:
    """(port, leaves the switch, NSH) of everything that a frame passes on a path, and on the way back."""
    topology = lab.call("GET", "/topology")
    names = {(s["switch"], p["number"]): p["name"] for s in topology["switches"] for p in s["ports"]}
    links = {(x["a"], x["b"]): (names[x["a"], x["a_port"]], names[x["b"], x["b_port"]]) for x in topology["links"]}
    edge, last = f"s{client[1]}-eth1", f"{path['terminal']}-d"

    def way(spi: int, segments: list[list[int]], stops: list[tuple[str, str]], begin: str, end: str) -> list[Passing]:
        passed: list[Passing] = [(begin, False, None)]
        for position, segment in enumerate(segments):
            for pair in pairwise(segment):
                out, into = links[pair]
                passed += [(out, True, (spi, 255 - position)), (into, False, (spi, 255 - position))]
            if position < len(stops):
                enter, leave = stops[position]
                passed += [(enter, True, None), (leave, False, None)]
        return [*passed, (end, True, None)]

    functions = path["functions"]
    there = way(path["spi"], path["segments"], [(f"{f}-i", f"{f}-o") for f in functions], edge, last)
    reversed_segments = [segment[::-1] for segment in path["segments"][::-1]]
    stops = [(f"{f}-o", f"{f}-i") for f in functions[::-1]]
    return there, way(path["reverse_spi"], reversed_segments, stops, last, edge)


def passings(seen: list[Seen], source: tuple[str, int], destination: tuple[str, int], flags: int) -> list[Passing]:
    """Where frames of one direction with just these TCP flags passed, each place once, in order."""
    found = [
        (each.port, each.out, each.nsh)
        for each in seen
        if (each.source, each.source_port) == source
        and (each.destination, each.destination_port) == destination
        and each.flags & (SYN | ACK) == flags
    ]
    return list(dict.fromkeys(found))


@pytest.mark.parametrize("client", ["c2", "c3", "c4"])
def test_functions_are_passed_in_order_and_replies_pass_them_in_reverse(tour: Lab, client: str) -> None:
    with Capture() as capture, Held(tour, client, next(PORTS)) as held:
        path = path_of(tour, held)
    assert path["chain"] == "tour" and path["functions"] == ["fw1", "fw2"]
    assert path["terminal"] == held.servant
    there, back = expected_ways(tour, path, client)
    mine, service = (address_of(tour, client), held.port), (SERVICE_ADDRESS, 80)
    assert passings(capture.seen, mine, service, SYN) == there
    assert passings(capture.seen, service, mine, SYN | ACK) == back
    assert set(passings(capture.seen, mine, service, ACK)) == set(there), "data goes where the first packet went"
    assert set(passings(capture.seen, service, mine, ACK)) == set(back)


def test_servants_and_firewalls_take_strict_turns(lab: Lab) -> None:
    def dealt() -> Counter[tuple[str, str]]:
        counts: Counter[tuple[str, str]] = Counter()
        for path in lab.call("GET", "/paths")["paths"]:
            if path["chain"] == "web":
                counts[path["functions"][0], path["terminal"]] += path["connections"]
        return counts

    before, k = dealt(), 2
    order = []
    for client in lab.clients():
        answered = [once(lab, client) for _ in range(6 * k)]
        assert Counter(answered) == {"srv1": 2 * k, "srv2": 2 * k, "srv3": 2 * k}
        order += answered
    assert all(order[i] == order[i + 3] for i in range(len(order) - 3)), order
    taken = dealt() - before
    pairs = {(f, s): k * len(lab.clients()) for f in ("fw1", "fw2") for s in ("srv1", "srv2", "srv3")}
    assert taken == pairs, "every firewall with every servant equally often"


def test_a_connection_stays_on_its_path(lab: Lab) -> None:
    with Held(lab, "c2") as held:
        before = path_of(lab, held)
        for _ in range(20):
            once(lab, "c2")
            assert held.ask() == held.servant
        assert path_of(lab, held)["spi"] == before["spi"]
