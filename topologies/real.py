"""Any network of the `topohub` package by name: `mn --custom topologies/real.py --topo real,name=sndlib/abilene`.

Propagation delays follow from the great-circle distance at two thirds of the speed of light (fibre). The first node of the
graph is domain 1 (the headquarters); every other one has a client. topohub has no link capacities: one for all is assumed.
"""

from math import asin, cos, radians, sin, sqrt

import topohub
from mininet.topo import Topo

EARTH_KM = 6371.0
FIBRE_KM_PER_MS = 299.792458 * 2 / 3
LEAST_DELAY_MS = 0.1


class Real(Topo):
    """A graph of topohub; a bare name is looked for in SNDlib and the Topology Zoo."""

    def build(self, name: str = "abilene", bandwidth_mbps: float = 100.0) -> None:
        graph = load(name)
        numbers = {node["id"]: number for number, node in enumerate(graph["nodes"], 1)}
        places = {node["id"]: node.get("pos") for node in graph["nodes"]}
        for number in numbers.values():
            self.addSwitch(f"s{number}", dpid=f"{number:016x}", protocols="OpenFlow13")
            if number > 1:
                self.addLink(self.addHost(f"c{number}", ip=f"10.{number}.0.1/8"), f"s{number}")
        for edge in graph.get("edges", graph.get("links", [])):
            source, target = edge["source"], edge["target"]
            km = edge.get("dist") or distance_km(places[source], places[target])
            delay_ms = max(LEAST_DELAY_MS, round(km / FIBRE_KM_PER_MS, 3))
            ends = (f"s{numbers[source]}", f"s{numbers[target]}")
            self.addLink(*ends, delay=f"{delay_ms}ms", bw=bandwidth_mbps)


def load(name: str) -> dict:
    """The node-link data of a topohub graph.

    Raises:
        ValueError: there is no graph of that name.
    """
    for full in [name] if "/" in name else [f"sndlib/{name}", f"topozoo/{name.capitalize()}", f"topozoo/{name}"]:
        try:
            return topohub.get(full)
        except (KeyError, FileNotFoundError, OSError):
            continue
    raise ValueError(f"name: {name!r}: expected a graph of topohub, such as 'sndlib/abilene' or 'topozoo/Geant2012'")


def distance_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle distance of two (longitude, latitude) in degrees, by the haversine formula."""
    lon_a, lat_a, lon_b, lat_b = map(radians, (*a, *b))
    h = sin((lat_b - lat_a) / 2) ** 2 + cos(lat_a) * cos(lat_b) * sin((lon_b - lon_a) / 2) ** 2
    return 2 * EARTH_KM * asin(sqrt(h))


topos = {"real": Real}
