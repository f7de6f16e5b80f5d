"""The controller killed and started again, and a switch emptied, under load."""

from __future__ import annotations

import time

import pytest

from testbed.lab.net import Lab
from tests.support.lab_traffic import HeldMany, Load, flows_of, kill_9, once, run

pytestmark = pytest.mark.lab

SWITCHES = ("s1", "s2", "s3", "s4")


def entries_of(lab: Lab, switch: str) -> dict[str, float]:
    """Entries and their ages, without those that pass a dead path's connections on: a restart may choose another path for those."""
    dead = {path["spi"] for path in lab.call("GET", "/paths")["paths"] if path["status"] == "dead"}
    marks = tuple(f"ct_mark={spi:#x}," for spi in dead)
    return {flow: age for flow, age in flows_of(switch).items() if not any(mark in flow for mark in marks)}


def test_a_killed_controller_breaks_no_connection(lab: Lab) -> None:
    with HeldMany(lab, 9) as held:
        load = Load(lab, "c3", seconds=6, concurrency=4, timeout_s=15)
        time.sleep(1.0)
        kill_9(lab)
        try:
            assert held.broken() == [], "without any controller"
        finally:
            lab.start_controller()
        assert held.broken() == [], "while it starts"
        lab.ready(30)
        lab.wait_until(lab.settled, "settled", 10)
        assert held.broken() == [], "when it is back"
        report = load.result()
        print(f"load over the restart: {report['answered']} answered, errors {report['errors']}")
        assert report["errors"] == {}, "first packets are sent again until there is a controller"
        assert {once(lab, "c2") for _ in range(3)} == {"srv1", "srv2", "srv3"}, "new connections are dealt again"


def test_a_restarted_controller_leaves_its_entries_alone(lab: Lab) -> None:
    lab.wait_until(lab.settled, "settled", 5)
    before, began = {switch: entries_of(lab, switch) for switch in SWITCHES}, time.monotonic()
    kill_9(lab)
    lab.start_controller()
    lab.ready(30)
    lab.wait_until(lab.settled, "settled", 10)
    time.sleep(2)
    passed_s = time.monotonic() - began
    again = {}
    for switch in SWITCHES:
        after = flows_of(switch)
        changed = [flow for flow, age in before[switch].items() if after.get(flow, 0) < age + passed_s - 1.5]
        again[switch] = len(changed)
        print(f"{switch}: {len(before[switch])} entries before, {len(changed)} of them gone or written again")
        for flow in changed[:20]:
            print(f"  age {before[switch][flow]}, then {after.get(flow)} after {passed_s:.1f} s: {flow}")
    assert again == dict.fromkeys(SWITCHES, 0)


def test_an_emptied_switch_is_filled_again(lab: Lab) -> None:
    with HeldMany(lab, 6) as held:
        lab.wait_until(lab.settled, "settled", 5)
        before = set(flows_of("s3"))
        target = run("ovs-vsctl", "get-controller", "s3").strip()
        run("ovs-vsctl", "del-controller", "s3")
        try:
            lab.wait_until(lambda: lab.call("GET", "/health")["switches"] == 3, "s3 gone", 5)
            for kind in ("del-flows", "del-groups", "del-meters"):
                run("ovs-ofctl", "-O", "OpenFlow13", kind, "s3")
            assert flows_of("s3") == {}
        finally:
            run("ovs-vsctl", "set-controller", "s3", target)
        took = lab.wait_until(lambda: before <= set(flows_of("s3")), "s3 filled again", 20)
        print(f"s3: {len(before)} entries again after {took:.2f} s")
        assert held.broken() == []
        assert [once(lab, "c3").startswith("srv") for _ in range(6)] == [True] * 6
