"""Time windows: what is placed when, the rows of a window, its power, and the progress that is told."""

from dataclasses import replace
from typing import Any

import pytest

from testbed.simulator.model.entities import SfcRequest
from testbed.simulator.model.plans import Plan, Refused
from testbed.simulator.model.state import State
from testbed.simulator.placement.base import Placement
from testbed.simulator.simulation.energy import link_watts, node_watts, total_watts
from testbed.simulator.simulation.round import Round
from tests.support import simulated as sim
from tests.support.simulated import First, Simulated

NO_PACKETS = {"packet_generation": False, "compute_loopback_time": False}


def three_requests(**changes: Any) -> Any:
    requests = [sim.request(f"r_{i}", arrival_time=time) for i, time in enumerate((25.0, 3.0, 20.0))]
    return sim.entities([sim.node(**changes)], requests=requests, links=[])


def windows(done: Simulated, *columns: str) -> list[tuple[object, ...]]:
    return [
        (time, *(row[column] for column in columns))
        for _, time, row in done.memory.of("time_window", "TIME_WINDOW_PROCESSED")
    ]


def test_without_windows_all_are_placed_at_the_beginning_whenever_they_come() -> None:
    done = sim.setting(three_requests(), total_time=100.0, time_window=0.0, **NO_PACKETS).run()
    assert windows(done, "Window Init", "Window_End", "SFC_Requests_Placed", "Count_SFC_Requests", "SFC_Requests") == [
        (0.0, 0.0, 0.0, 3, 3, ["r_1", "r_2", "r_0"])
    ]
    assert {time for _, time, _ in done.memory.of("sfc_request", "SFC_REQUEST_CREATED")} == {0.0}
    assert {time for _, time, _ in done.memory.of("sfc_request", "SFC_REQUEST_PLACED")} == {0.0}


def test_a_window_places_what_has_come_until_its_end() -> None:
    """Who comes at its very end is in it."""
    done = sim.setting(three_requests(), total_time=40.0, time_window=10.0, **NO_PACKETS).run()
    assert windows(done, "Window Init", "SFC_Requests_Placed", "SFC_Requests", "VNF_Instances_Count") == [
        (10.0, 0.0, 1, ["r_1"], 1),
        (20.0, 10.0, 1, ["r_2"], 2),
        (30.0, 20.0, 1, ["r_0"], 3),
        (40.0, 30.0, 0, [], 3),
    ]
    assert [time for _, time, _ in done.memory.of("time_window", "TIME_WINDOW_STARTED")] == [10.0, 20.0, 30.0, 40.0]
    created = [(time, row["SFC_Request"]) for _, time, row in done.memory.of("sfc_request", "SFC_REQUEST_CREATED")]
    assert created == [(3.0, "r_1"), (20.0, "r_2"), (25.0, "r_0")]
    placed = done.memory.of("sfc_request", "SFC_REQUEST_PLACED")
    assert [(time, row["SFC_Request"], row["Placement_Order"]) for _, time, row in placed] == [
        (10.0, "r_1", 0),
        (20.0, "r_2", 1),
        (30.0, "r_0", 2),
    ]
    assert [row["Value"] for _, _, row in done.memory.of("resource_usage", "CPU_ALLOCATED")] == [
        100.0,
        200.0,
        300.0,
        300.0,
    ]


def test_who_comes_after_the_last_window_is_not_placed() -> None:
    requests = [sim.request(arrival_time=25.0), sim.request("r_1", arrival_time=29.5)]
    done = sim.setting(sim.entities(requests=requests, links=[]), total_time=29.0, time_window=10.0, **NO_PACKETS).run()
    assert [time for (time,) in windows(done)] == [10.0, 20.0]
    rows = [(event, time, row["SFC_Request"]) for event, time, row in done.memory.of("sfc_request")]
    assert rows == [("SFC_REQUEST_CREATED", 25.0, "r_0"), ("SFC_REQUEST_NOT_PLACED", 29.0, "r_0")]
    assert done.result.refused == {"r_0": "it came after the last time window"}


@pytest.mark.parametrize(("by_priority", "first"), [(True, "r_2"), (False, "r_1")])
def test_the_greatest_priority_of_a_window_is_placed_first(by_priority: bool, first: str) -> None:
    given = three_requests(cpu=150.0)  # there is room for one
    requests = {name: replace(each, priority=2 if name == "r_2" else 1) for name, each in given.sfc_requests.items()}
    given = replace(given, sfc_requests=requests)
    done = sim.setting(
        given, total_time=50.0, time_window=50.0, order_sfc_request_by_priority=by_priority, **NO_PACKETS
    ).run()
    placed = done.memory.of("sfc_request", "SFC_REQUEST_PLACED")
    assert [row["SFC_Request"] for _, _, row in placed] == [first]


def test_what_does_not_fit_is_refused_with_its_reason_and_changes_nothing() -> None:
    done = sim.setting(three_requests(cpu=250.0), total_time=50.0, time_window=50.0, **NO_PACKETS).run()
    assert windows(done, "SFC_Requests_Placed", "SFC_Requests_Not_Placed", "CPU_Allocated") == [(50.0, 2, 1, 200.0)]
    assert list(done.result.refused) == ["r_0"]
    assert "50, 900 left" in done.result.refused["r_0"] or "50, 800 left" in done.result.refused["r_0"]
    assert [row["SFC_Request"] for _, _, row in done.memory.of("sfc_request", "SFC_REQUEST_NOT_PLACED")] == ["r_0"]


def test_a_placement_may_refuse_and_its_reason_is_kept() -> None:
    class Never(Placement):
        def plan(self, request: SfcRequest, state: State) -> Plan | Refused:
            return Refused(f"not {request.name}, at {self.now:g}")

    done = sim.setting(three_requests(), total_time=10.0, time_window=5.0, placement=Never, **NO_PACKETS).run()
    assert done.result.refused == {"r_1": "not r_1, at 5"}


def test_similar_requests_follow_each_other_where_that_is_wanted() -> None:
    vnfs = [sim.vnf(name) for name in ("v_0", "v_1", "v_2")]
    sfcs = [sim.sfc("s_0", "v_0", "v_1"), sim.sfc("s_1", "v_2"), sim.sfc("s_2", "v_1", "v_0")]
    requests = [sim.request(f"r_{i}", sfc=f"s_{i}") for i in range(3)]
    given = sim.entities(vnfs=vnfs, sfcs=sfcs, requests=requests, links=[])
    orders = {
        order: windows(
            sim.setting(given, total_time=1.0, order_sfc_request_by_similarity=order, **NO_PACKETS).run(),
            "SFC_Requests",
        )[0][1]
        for order in ("none", "asc", "desc")
    }
    assert orders["none"] == ["r_0", "r_1", "r_2"]
    first, second, _ = orders["asc"]  # type: ignore[misc]
    assert {first, second} == {"r_0", "r_2"}


@pytest.mark.parametrize(("cpu", "watts"), [(0.0, 100.0), (250.0, 125.0), (333.3, 133.0), (1000.0, 200.0)])
def test_power_of_a_node(cpu: float, watts: float) -> None:
    """idle + (max - idle) * round(allocated / cpu, 2): behaviour, "node energy"."""
    state = State(sim.entities(vnfs=[sim.vnf(cpu=cpu or 1.0)]), loopback=False)
    if cpu:
        state.place(sim.request(), First().plan(sim.request(), state))  # type: ignore[arg-type]
    assert node_watts(state, "n_0") == pytest.approx(watts)


def test_power_of_the_environment_has_each_link_that_chains_use_once_and_no_loopback() -> None:
    nodes = [sim.node("n_0"), sim.node("n_1"), sim.node("n_2", energy_idle=10.0)]
    requests = [sim.request("r_0"), sim.request("r_1")]
    given = sim.entities(nodes, requests=requests, links=None)
    state = State(given)
    assert (link_watts(state), total_watts(state)) == (0.0, 210.0)
    chains = [state.place(each, First("n_1").plan(each, state))[0] for each in requests]  # type: ignore[arg-type]
    assert link_watts(state) == 20.0  # to n_1 and back
    assert total_watts(state) == pytest.approx(20.0 + 100.0 + (100.0 + 100.0 * 0.2) + 10.0)
    for chain in chains:
        state.release_sfc(chain)
    assert link_watts(state) == 0.0


def test_power_stands_in_the_window_s_row() -> None:
    done = sim.setting(three_requests(), total_time=20.0, time_window=10.0, **NO_PACKETS).run()
    assert windows(done, "Total_Energy_Consumption") == [(10.0, 110.0), (20.0, pytest.approx(120.0))]


def test_progress_is_told_from_the_beginning_to_the_end() -> None:
    told: list[tuple[float, int]] = []
    setting = sim.setting(flows={("u_0", "s_0"): sim.flow(*[(1.0, 1.0)] * 50)}, total_time=100.0)
    Round(
        setting.scenario, 0, First(), [], sim.Memory(), progress=lambda time, packets: told.append((time, packets))
    ).run()
    assert (told[0], told[-1][1]) == ((0.0, 0), 50)
    assert told[-1][0] == pytest.approx(100.0, abs=0.5)
    assert told == sorted(told)
    assert len(told) in (200, 201)


def test_progress_changes_nothing() -> None:
    setting = sim.setting(total_time=100.0)
    quiet, loud = setting.run(), sim.Memory()
    Round(setting.scenario, 0, First(), [], loud, progress=lambda time, packets: None).run()
    assert quiet.memory.records("packets") == loud.records("packets")


def test_rounds_have_streams_of_their_own() -> None:
    setting = sim.setting(total_time=200.0)
    again = sim.setting(total_time=200.0)
    other = sim.Setting(setting.scenario, number=1)
    assert setting.run().memory.records("packets") == again.run().memory.records("packets")
    assert setting.run().memory.records("packets") != other.run().memory.records("packets")


def test_no_packets_are_created_after_the_limit() -> None:
    done = sim.setting(total_time=100.0, time_limit_to_packet_generation=40.0).run()
    times = [record[3] for record in done.memory.records("packets") if record[2] == 0]
    assert times and max(times) <= 40.0


def test_a_packet_may_be_created_at_the_very_limit() -> None:
    flows = {("u_0", "s_0"): sim.flow(*[(10.0, 0.1)] * 9)}
    assert sim.setting(flows=flows, time_limit_to_packet_generation=40.0).run().result.created == 4
    assert sim.setting(flows=flows, total_time=50.0).run().result.created == 5
