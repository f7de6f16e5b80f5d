"""What a round's summary says is what its files say."""

from pathlib import Path

import numpy
import pandas
import pytest

from testbed.simulator.analysis.measured import Measured, busy, rounds
from testbed.simulator.analysis.summary import energy_wh, summaries
from testbed.simulator.model.entities import Entities
from testbed.simulator.records.entities import write_entities
from testbed.simulator.records.writer import RoundRecorder


def test_packets_requests_and_energy_of_every_round(results: Path) -> None:
    first, second = summaries(results)
    assert (first.name, second.name) == ("round 0", "round 1")
    of = first.packets
    assert (of.created, of.processed, of.dropped, of.orphan, of.active) == (300, 295, 5, 0, 0)
    assert (first.placed, first.not_placed, first.acceptance) == (5, 1, 5 / 6)
    assert first.seconds == 1.5
    assert first.energy_wh == pytest.approx((410 + 420 + 430) * 500 / 3_600_000, rel=0.01)
    assert first.mean_watts == pytest.approx(420, abs=2)
    assert second.packets != first.packets


def test_delays_and_violations_are_of_their_sfc(results: Path) -> None:
    told = summaries(results)[0]
    assert set(told.sfcs) == {"s_0", "s_1"}
    assert told.sfcs["s_0"].created == 180
    long, short = told.sfcs["s_0"], told.sfcs["s_1"]
    for each in (long, short):
        assert each.p50_ms is not None and each.p95_ms is not None and each.p99_ms is not None
        assert each.p50_ms < each.p95_ms < each.p99_ms
    assert long.p50_ms > short.p50_ms  # type: ignore[operator]  # checked above
    assert long.violation_rate == long.violated / 180 > 0
    assert short.violation_rate == 0


def test_utilisation_is_the_time_that_servers_work(results: Path) -> None:
    measured = rounds(results)[0]
    rows = (results / "Round_0" / "vnf_instance_packets.csv").read_text().splitlines()[1:]
    worked = sum(
        float(row.split(";")[-1]) for row in rows if row.startswith("VNF_INSTANCE_PACKET_PROCESSED") and ";vi_0;" in row
    )
    there = measured.end_ms - 500
    assert measured.utilisation["vi_0"] == pytest.approx(worked / (3 * there), rel=0.01)
    by_name = {each.name: each for each in summaries(results)[0].vnfs}
    assert by_name["v_0"].instances == 3
    assert 0 < by_name["v_0"].utilisation <= by_name["v_0"].greatest <= 1


def test_busy_counts_parts_of_intervals() -> None:
    rows = pandas.DataFrame(
        {
            "Event": ["in", "in", "out", "out", "in", "other"],
            "Time": [1.0, 2.0, 4.0, 7.0, 19.0, 3.0],
            "Which": ["a", "a", "a", "a", "b", "b"],
        }
    )
    seen = busy(rows, "Which", ("in", ["out"]), numpy.array([0.0, 5.0, 10.0, 20.0]))
    assert seen.loc["a"].tolist() == pytest.approx([(3 + 3) / 5, 2 / 5, 0.0])
    assert seen.loc["b"].tolist() == pytest.approx([0.0, 0.0, 0.1])


def test_a_round_without_logs_has_no_numbers_but_no_errors(tmp_path: Path) -> None:
    nothing = Entities({}, {}, {}, {}, {}, {}, {})
    RoundRecorder(tmp_path / "Round_0", nothing, links=False, vnf=False, packets=False).close()
    write_entities(tmp_path / "Entities", nothing)
    (told,) = summaries(tmp_path)
    assert (told.packets.created, told.packets.p50_ms, told.packets.violation_rate) == (0, None, None)
    assert (told.acceptance, told.mean_watts, told.energy_wh, told.vnfs, told.seconds) == (None, None, None, (), None)
    assert energy_wh(Measured(tmp_path, tmp_path / "Round_0").windows, 0.0) is None
