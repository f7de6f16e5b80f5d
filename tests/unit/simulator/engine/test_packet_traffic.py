"""When packets come: Poisson, in bursts, or as recorded."""

from itertools import islice

import numpy
import pytest

from testbed.simulator.engine.traffic import BLOCK, generated, recorded
from testbed.simulator.model.entities import DataSource


def gaps(source: DataSource, number: int, seed: int = 3) -> numpy.ndarray:
    return numpy.array([gap for gap, _ in islice(generated(source, numpy.random.default_rng(seed)), number)])


def test_without_bursts_gaps_are_exponential() -> None:
    """Mean and mean square within four standard errors; a gap tells nothing of the next one."""
    for source in (DataSource("src_0", 5.0, 2.0, 20.0, 1), DataSource("src_0", 5.0, 2.0, 0.0, 10)):
        drawn = gaps(source, 40_000)
        assert drawn.mean() == pytest.approx(2.0, abs=4 * 2.0 / 200)
        assert (drawn**2).mean() == pytest.approx(8.0, abs=4 * 4.0 * 20**0.5 / 200)
        assert abs(numpy.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 4 / 200


@pytest.mark.parametrize("size", [2, 7, 2048])
def test_every_burst_but_the_first_begins_with_its_interval(size: int) -> None:
    """Bursts go on over blocks."""
    drawn = gaps(DataSource("src_0", 5.0, 1e-6, 1e6, size), 3 * BLOCK)
    assert [*numpy.flatnonzero(drawn > 0.1)] == [*range(size, 3 * BLOCK, size)]


def test_a_burst_may_come_all_at_once() -> None:
    drawn = gaps(DataSource("src_0", 5.0, 0.0, 20.0, 4), 12)
    assert [*numpy.flatnonzero(drawn)] == [4, 8]


@pytest.mark.parametrize("source", [DataSource("src_0", 5.0, 0.0, 20.0, 1), DataSource("src_0", 5.0, 0.0, 0.0, 4)])
def test_packets_without_end_at_one_time_are_refused(source: DataSource) -> None:
    with pytest.raises(ValueError, match="src_0: packet_interval 0: expected more than 0"):
        gaps(source, 1)


def test_what_was_recorded_comes_as_it_was() -> None:
    times, sizes = numpy.arange(2.0 * BLOCK + 1), numpy.arange(2.0 * BLOCK + 1) + 0.5
    packets = [*recorded(times, sizes)]
    assert packets == [(float(i), i + 0.5) for i in range(2 * BLOCK + 1)]
    assert all(type(value) is float for value in packets[0])


def test_streams_are_of_their_generators() -> None:
    source = DataSource("src_0", 5.0, 2.0, 20.0, 10)
    assert [*gaps(source, 10)] == [*gaps(source, 10)] != [*gaps(source, 10, seed=4)]
