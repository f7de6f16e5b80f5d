"""The topologies as data: addresses, datapath ids, links and delays."""

from collections import Counter
from itertools import pairwise

import networkx as nx
import pytest

from topologies.four_domain import FourDomain
from topologies.linear import LinearDomains
from topologies.topohub import Topohub, great_circle_km
from topologies.tree import TreeDomains


def trunks(topo):
    switches = set(topo.switches())
    return {(a, b): info for a, b, info in topo.links(sort=True, withInfo=True) if {a, b} <= switches}


def delay_ms(info):
    return float(info["delay"].removesuffix("ms"))


@pytest.mark.parametrize("topo", [FourDomain(clients=2), LinearDomains(switches=12), TreeDomains(depth=3), Topohub("geant")])
def test_names_addresses_and_datapath_ids_agree(topo):
    for switch in topo.switches():
        assert int(topo.nodeInfo(switch)["dpid"], 16) == int(switch[1:])
        assert topo.nodeInfo(switch)["protocols"] == "OpenFlow13"
    addresses = Counter(topo.nodeInfo(host)["ip"] for host in topo.hosts())
    assert max(addresses.values()) == 1
    for host in topo.hosts():
        assert topo.nodeInfo(host)["ip"] == f"10.{host[1:-1]}.0.{host[-1]}/8"
    assert all(info["mtu"] == 1600 for info in trunks(topo).values())
    assert all(max(map(len, (a, b))) <= 4 for a, b in trunks(topo))


def test_four_domain_paths_differ_by_hops():
    topo = FourDomain()
    graph = nx.Graph()
    for (a, b), info in trunks(topo).items():
        graph.add_edge(a, b, ms=delay_ms(info))
    assert {tuple(sorted(edge)) for edge in graph.edges} == {("s1", "s2"), ("s1", "s3"), ("s1", "s4"), ("s2", "s3"), ("s3", "s4")}
    for source in ("s2", "s3", "s4"):
        costs = [
            (len(path) - 1, sum(graph.edges[hop]["ms"] for hop in pairwise(path))) for path in nx.all_simple_paths(graph, source, "s1")
        ]
        assert len({ms for _, ms in costs}) == len(costs)
        assert min(costs, key=lambda cost: cost[1])[0] == 1
    assert sorted(topo.hosts()) == ["h21", "h31", "h41"]


def test_tree_and_linear_have_no_loop():
    for topo in (LinearDomains(switches=7), TreeDomains(depth=2, fanout=3)):
        assert len(trunks(topo)) == len(topo.switches()) - 1
        assert nx.is_connected(nx.Graph(list(trunks(topo))))


def test_topohub_delays_follow_geography():
    assert great_circle_km((2.35, 48.86), (-0.13, 51.51)) == pytest.approx(344, abs=3)  # Paris - London
    delays = [delay_ms(info) for info in trunks(Topohub("abilene")).values()]
    assert len(delays) == 15
    assert 0.5 < min(delays) < max(delays) < 25


def test_unknown_names_and_counts_are_refused():
    with pytest.raises(ValueError, match="atlantis"):
        Topohub("atlantis")
    with pytest.raises(ValueError, match="clients: 10"):
        FourDomain(clients=10)
