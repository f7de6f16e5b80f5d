"""Real networks of the `topohub` package by name, with propagation delays from geography.

In: a name (`abilene`, `geant`, `sndlib/polska`, `topozoo/Abilene`...). Out: a Mininet `Topo`; `.venv/bin/mn --custom
topologies/topohub.py --topo topohub,geant`. A link's one-way delay is the great-circle distance at two thirds of the speed
of light. Data only: must not import anything but Mininet and topohub.
"""

from math import asin, cos, radians, sin, sqrt

import topohub
from mininet.topo import Topo

TRUNK_MTU = 1600  # room for NSH
EARTH_RADIUS_KM = 6371.0
KM_PER_MS = 299.792458 * 2 / 3  # light in fibre
MAX_DOMAINS = 255


def great_circle_km(a, b):
    """Distance of two (longitude, latitude) points in degrees by the haversine formula."""
    (lon_a, lat_a), (lon_b, lat_b) = [tuple(map(radians, point)) for point in (a, b)]
    chord = sin((lat_b - lat_a) / 2) ** 2 + cos(lat_a) * cos(lat_b) * sin((lon_b - lon_a) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * asin(sqrt(chord))


def load(name):
    """The node-link dictionary of a graph; a bare name is looked for in SNDlib, then in the Topology Zoo."""
    keys = (name,) if "/" in name else (f"sndlib/{name.lower()}", f"topozoo/{name}", f"topozoo/{name.capitalize()}")
    for key in keys:
        try:
            return topohub.get(key)
        except KeyError:
            continue
    raise ValueError(f"topohub: {name!r} is unknown; tried {', '.join(keys)}")


class Topohub(Topo):
    """Domain N is the graph's N-th node; client H of domain N is hNH with 10.N.0.H/8."""

    def build(self, name="abilene", clients=1, bw=100.0):
        """`bw` in Mbit/s of every trunk."""
        graph = load(name)
        if len(graph["nodes"]) > MAX_DOMAINS or not 0 <= clients <= 9:
            raise ValueError(f"{name}: {len(graph['nodes'])} nodes, {clients} clients; expected at most {MAX_DOMAINS} and 0..9")
        numbers = {node["id"]: number for number, node in enumerate(graph["nodes"], 1)}
        places = {node["id"]: node["pos"] for node in graph["nodes"]}
        for number in numbers.values():
            self.addSwitch(f"s{number}", dpid=f"{number:016x}", protocols="OpenFlow13")
            for index in range(1, clients + 1):
                self.addLink(self.addHost(f"h{number}{index}", ip=f"10.{number}.0.{index}/8"), f"s{number}")
        for edge in graph["edges"]:
            a, b = edge["source"], edge["target"]
            delay_ms = great_circle_km(places[a], places[b]) / KM_PER_MS
            self.addLink(f"s{numbers[a]}", f"s{numbers[b]}", delay=f"{delay_ms:.3f}ms", bw=bw, mtu=TRUNK_MTU)


topos = {"topohub": Topohub}
