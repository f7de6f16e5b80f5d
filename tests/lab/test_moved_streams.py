"""Connections of a function that looks into streams, after its death: the other instance resets them at once, through the switches."""

from __future__ import annotations

import contextlib
import time

import pytest

from testbed.lab.net import Lab, Vnf
from tests.support.lab_traffic import Held, caches_follow, once, path_of, run

pytestmark = pytest.mark.lab

FIRST_PORT = 26000
CHAIN = {
    "name": "looked",
    "functions": ["firewall", "contentfilter"],
    "service": "emergency",
    "classifier": {"protocol": "tcp", "source_ports": f"{FIRST_PORT}-{FIRST_PORT + 99}", "priority": 500},
}


def test_a_client_whose_function_died_is_reset_and_can_connect_anew(lab: Lab) -> None:
    filters = (Vnf("cf8", "contentfilter", 3), Vnf("cf9", "contentfilter", 1))
    try:
        for vnf in filters:
            lab.add_instance(vnf)
        lab.ready(40)
        lab.call("POST", "/chains?wait=10", CHAIN)
        caches_follow()
        with contextlib.ExitStack() as stack:
            held = [stack.enter_context(Held(lab, "c2", FIRST_PORT + number)) for number in range(8)]
            of_dead = [each for each in held if "cf8" in path_of(lab, each)["functions"]]
            assert 0 < len(of_dead) < len(held)
            lab.kill_instance("cf8")
            lab.wait_until(lambda: lab.call("GET", "/instances/cf8")["status"] == "failed", "cf8 failed", 20)
            lab.wait_until(lab.settled, "re-steered", 5)
            caches_follow()
            for each in held:
                began = time.monotonic()
                if each in of_dead:
                    with pytest.raises(ConnectionResetError):
                        each.ask()
                    assert time.monotonic() - began < 1
                else:
                    assert each.ask() == each.servant, "a connection whose function lives goes on"
            assert once(lab, "c2", FIRST_PORT + 50).startswith("srv")
        said = run("curl", "-sS", "-m", "3", lab.instances["cf9"].health_url.replace("/health", "/metrics"))
        assert 'vnf_drops_total{reason="mid-stream-reset"}' in said
    finally:
        with contextlib.suppress(Exception):
            lab.call("DELETE", "/chains/looked")
        for vnf in filters:
            if vnf.name in lab.instances:
                lab.remove_instance(vnf.name)
