"""The other ways of balancing, on the wire: each chain for source ports of its own, then put back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from testbed.lab.net import Lab
from tests.support.lab_traffic import Held, HeldMany, caches_follow, once, run

pytestmark = pytest.mark.lab

PORTS = count(25000)
SERVANTS = ("srv1", "srv2", "srv3")


@contextmanager
def balanced(lab: Lab, balancing: str) -> Iterator[None]:
    """A chain that balances in this way, for the source ports of these tests."""
    chain = {
        "name": "balanced",
        "functions": ["firewall"],
        "service": "emergency",
        "balancing": balancing,
        "classifier": {"protocol": "tcp", "source_ports": "25000-25999", "priority": 500},
    }
    lab.call("POST", "/chains?wait=10", chain)
    caches_follow()
    try:
        yield
    finally:
        lab.call("DELETE", "/chains/balanced")


def answers(lab: Lab, client: str, number: int) -> Counter[str]:
    return Counter(once(lab, client, next(PORTS)) for _ in range(number))


def sent_up(lab: Lab) -> int:
    """Packets that entries of new connections sent to the controller, over all switches."""
    caches_follow()  # counters come out of the caches with their next round: this one may have passed some by
    caches_follow()
    total = 0
    for switch in lab.topo.switches():
        for line in run("ovs-ofctl", "-O", "OpenFlow13", "dump-flows", switch).splitlines():
            if "ct_state=+trk" in line and "CONTROLLER" in line:
                total += int(line.split("n_packets=")[1].split(",")[0])
    return total


def test_weights_are_shares(lab: Lab) -> None:
    lab.call("PATCH", "/instances/srv1", {"weight": 3})
    try:
        with balanced(lab, "weighted"):
            assert answers(lab, "c2", 20) == {"srv1": 12, "srv2": 4, "srv3": 4}
            with Held(lab, "c3", next(PORTS)) as held:
                lab.call("PATCH", "/instances/srv1", {"weight": 1})
                lab.wait_until(lab.settled, "the weight in force")
                caches_follow()
                assert held.ask() == held.servant, "a weight moves no connection"
                assert answers(lab, "c2", 12) == {"srv1": 4, "srv2": 4, "srv3": 4}
    finally:
        lab.call("PATCH", "/instances/srv1", {"weight": 1})


def test_a_sticky_client_keeps_its_servant(lab: Lab) -> None:
    with balanced(lab, "sticky"):
        for client in lab.clients():
            assert len(answers(lab, client, 6)) == 1, client


def test_least_loaded_fills_up_whoever_has_least(lab: Lab) -> None:
    with balanced(lab, "least-loaded"):
        taken = answers(lab, "c4", 12)
        assert set(taken) == set(SERVANTS), taken


def test_hash_mode_asks_no_controller(lab: Lab) -> None:
    with balanced(lab, "hash"):
        once(lab, "c2", next(PORTS))
        before = sent_up(lab)
        with HeldMany(lab, 0) as held:
            held.all += [Held(lab, client, next(PORTS)) for client in lab.clients() for _ in range(12)]
            assert held.broken() == []
            assert len({each.servant for each in held.all}) > 1
        assert sent_up(lab) == before
        with Held(lab, "c2"):
            pass
        assert sent_up(lab) == before + 1, "what a connection in strict turn costs, so the count counts"
