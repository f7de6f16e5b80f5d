"""Nodes, links and where users are attached, of real places and topologies.

In: data files, topohub's graphs, our four-domain topology. Out: a Network. One node is the CORE, where services are; all others have
users (RAN). Must not do: give nodes or links capacities that the data does not have.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import permutations
from pathlib import Path
from statistics import fmean

import numpy

from testbed.simulator.model.entities import Location
from topologies.four_domain import BANDWIDTH_MBPS, DELAYS_MS
from topologies.real import FIBRE_KM_PER_MS, distance_km, load

DATA = Path(__file__).parent / "data"
RADIO_KM_PER_MS = 299.792458


@dataclass(frozen=True, slots=True)
class Edge:
    """A direction between two places, by number. `bandwidth`: Mbit/s, None where the data has none."""

    source: int
    target: int
    propagation_ms: float
    bandwidth: float | None = None


@dataclass(frozen=True, slots=True)
class Network:
    """`core`: the number of the place with the services. `attached`: for each user, place and ms to it besides the access."""

    places: tuple[Location | None, ...]
    edges: tuple[Edge, ...]
    core: int
    attached: tuple[tuple[int, float], ...]


def melbourne(sites: int, users: int, random: numpy.random.Generator) -> Network:
    """Edge sites with a virtual link from each to each (the document's kind of network: the data has no physical links).

    Of the data's sites and users, this many at random, in the data's order. A user is attached to the nearest site; the site
    nearest to the middle of all is the core. Propagation is the great-circle distance at two thirds of the speed of light.

    Raises:
        ValueError: there are not as many.
    """
    places = [
        Location(row["NAME"], row["SITE_ID"], float(row["LATITUDE"]), float(row["LONGITUDE"]))
        for row in _some(rows("edge-sites-melbourne-cbd.csv"), sites, random, "sites")
    ]
    points = [
        (float(row["Longitude"]), float(row["Latitude"]))
        for row in _some(rows("edge-users-melbourne-cbd.csv"), users, random, "users")
    ]
    edges = tuple(
        Edge(a, b, distance_km(_point(places[a]), _point(places[b])) / FIBRE_KM_PER_MS)
        for a, b in permutations(range(len(places)), 2)
    )
    middle = (fmean(place.longitude for place in places), fmean(place.latitude for place in places))
    core, _ = nearest(places, middle)
    attached = tuple((site, km / RADIO_KM_PER_MS) for site, km in (nearest(places, point) for point in points))
    return Network(tuple(places), edges, core, attached)


def of_topohub(name: str, users: int, random: numpy.random.Generator) -> Network:
    """A graph by name ("abilene", "sndlib/geant"): its physical links in both directions; its first node is the core.

    Users are at random other nodes, as the graphs have none.

    Raises:
        ValueError: topohub has no such graph.
    """
    graph = load(name)
    numbers = {node["id"]: number for number, node in enumerate(graph["nodes"])}
    places = {node["id"]: node.get("pos") for node in graph["nodes"]}
    edges = []
    for edge in graph.get("edges", graph.get("links", [])):
        source, target = edge["source"], edge["target"]
        if source == target:
            continue
        km = edge.get("dist") or distance_km(places[source], places[target])
        ends = numbers[source], numbers[target]
        edges += [Edge(*each, km / FIBRE_KM_PER_MS) for each in (ends, ends[::-1])]
    located = tuple(
        Location(str(node.get("name", node["id"])), str(node["id"]), node["pos"][1], node["pos"][0])
        if node.get("pos")
        else None
        for node in graph["nodes"]
    )
    return Network(located, tuple(edges), 0, _spread(users, range(1, len(numbers)), random))


def four_domain(users: int, random: numpy.random.Generator) -> Network:
    """Our four-domain network with the lab's delays and bandwidth: domain 1 is the core, users are in domains 2, 3 and 4."""
    edges = tuple(
        Edge(a - 1, b - 1, delay_ms, BANDWIDTH_MBPS)
        for ends, delay_ms in DELAYS_MS.items()
        for a, b in (ends, ends[::-1])
    )
    return Network((None,) * 4, edges, 0, _spread(users, (1, 2, 3), random))


def nearest(places: Sequence[Location], point: tuple[float, float]) -> tuple[int, float]:
    """Number and distance (km) of the place nearest to a point (longitude, latitude)."""
    distances = [distance_km(_point(place), point) for place in places]
    number = min(range(len(places)), key=distances.__getitem__)
    return number, distances[number]


def _point(place: Location) -> tuple[float, float]:
    return place.longitude, place.latitude


def rows(name: str) -> list[dict[str, str]]:
    """A data file's lines, by column."""
    with (DATA / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _some(given: list[dict[str, str]], number: int, random: numpy.random.Generator, what: str) -> list[dict[str, str]]:
    if not 0 < number <= len(given):
        raise ValueError(f"{what}: {number}: expected 1 to {len(given)}")
    return [given[i] for i in sorted(random.choice(len(given), size=number, replace=False))]


def _spread(users: int, places: Sequence[int], random: numpy.random.Generator) -> tuple[tuple[int, float], ...]:
    return tuple((places[i], 0.0) for i in random.integers(len(places), size=users).tolist())
