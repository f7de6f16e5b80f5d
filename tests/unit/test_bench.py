"""The bench's table and its hand-written rival: figures, ratios and flows, without a lab."""

import pytest

from testbed.bench.static_flows import chain_flows, connection_flows
from testbed.bench.table import Row, middle, number, percentile, render


class _Site:
    number = 2
    servants = (("10.1.0.10", "02:bb:02:00:01:0a"), ("10.1.0.11", "02:bb:02:00:01:0b"))


def test_a_ratio_above_one_is_better_whichever_way_the_figure_counts() -> None:
    assert Row("rate", "1/s", 300.0, "rival", 100.0, True).ratio == 3.0
    assert Row("time", "ms", 10.0, "rival", 40.0, False).ratio == 4.0


@pytest.mark.parametrize("rival", [None, 0.0])
def test_no_ratio_without_a_rival(rival: float | None) -> None:
    assert Row("rate", "1/s", 300.0, "", rival, True).ratio is None


def test_the_table_shows_bounds_and_missed_aims() -> None:
    rows = [
        Row("gap", "ms", 20.0, "static", 2000.0, False, "<= 200 ms", True, rival_is_least=True),
        Row("rate", "1/s", 5.0, "stock", 10.0, True, ">= 5x", False),
    ]
    text = render(rows).splitlines()
    assert "> 2,000" in text[2] and "> 100x" in text[2] and text[2].endswith("yes")
    assert "0.50x" in text[3] and text[3].endswith("NO")
    assert len({line.index("aim") if "aim" in line else line.index("<=") for line in (text[0], text[2])}) == 1


def test_percentiles_are_nearest_rank() -> None:
    values = [float(n) for n in range(1, 101)]
    assert (percentile(values, 50), percentile(values, 99), percentile([], 50)) == (50.0, 99.0, 0.0)
    assert percentile([7.0], 99) == 7.0
    assert middle([3.0, 1.0, 2.0]) == 2.0 and middle([]) == 0.0


def test_numbers_have_three_digits() -> None:
    assert [number(value) for value in (12345.6, 45.67, 0.123, None)] == ["12,346", "45.7", "0.12", "-"]


def test_a_static_chain_goes_through_all_functions_and_back() -> None:
    flows = dict(line.split(",actions=") for line in chain_flows(_Site(), 3))  # type: ignore[arg-type]
    hops = {int(m.rpartition("in_port=")[2]): int(a.rpartition("output:")[2]) for m, a in flows.items()}
    assert [hops[port] for port in (1, 21, 23, 25)] == [20, 22, 24, 10]
    assert [hops[port] for port in (10, 24, 22, 20)] == [25, 23, 21, 1]


def test_static_connections_have_one_bucket_a_servant() -> None:
    flows, groups = connection_flows(_Site())  # type: ignore[arg-type]
    assert groups[0].count("bucket=") == 2
    assert sum("ct(commit" in flow for flow in flows) == 2
    assert any(flow.endswith("actions=controller") for flow in connection_flows(_Site(), "controller")[0])  # type: ignore[arg-type]
