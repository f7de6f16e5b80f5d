"""The report's data, picture and page: what they tell, that nothing overlaps, and that nothing comes from elsewhere."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from testbed.experiments import drawing
from testbed.experiments.collect import LabFacts, Seen, Views, report
from testbed.experiments.inspection import function_of
from testbed.experiments.page import page
from testbed.experiments.report import Check, Drops, Function, Host, Link, Load, Path, Placed, Report, document
from testbed.experiments.summary import lines
from testbed.traffic.rtt import Rtt


def made_up() -> Report:
    """A report of the four-domain network as the demo would write it."""
    links = [(1, 2, 4.0, 8.2), (1, 3, 12.0, 24.3), (1, 4, 6.0, 12.1), (2, 3, 5.0, 10.3), (3, 4, 3.0, 9.0)]
    shares = {"servant-1": 67, "servant-2": 67, "servant-3": 66}
    return Report(
        title="Four domains: an emergency service behind a firewall",
        started="2026-01-02 03:04:05",
        duration_s=41.7,
        environment={"switches": "Open vSwitch 3.1, userspace datapath", "links": "user-space delay line"},
        links=tuple(Link(a, b, delay, 100.0, ping, ping, delay + 0.1) for a, b, delay, ping in links),
        hosts=tuple(Host(f"h{n}", f"10.{n}.0.1", n) for n in (1, 2, 3, 4)),
        instances=(
            Placed("fw-1", "firewall", 1, "active"),
            Placed("fw-2", "firewall", 3, "starting"),
            *(Placed(f"servant-{n}", "servant", 1, "active", f"10.1.0.1{n}") for n in (1, 2, 3)),
        ),
        paths=tuple(
            Path(2 * n, "emergency-web", d, ("fw-1",), f"servant-{i}", ((d, 1), (1,)), "live", 8.0, 8.3, 22, 220)
            for n, (d, i) in enumerate([(d, i) for d in (2, 3, 4) for i in (1, 2, 3)], 1)
        ),
        loads=tuple(Load(f"h{d}", d, 200, 200, 81.2, 14.0 + d, 30.0, shares, {}) for d in (2, 3, 4)),
        drops=(Drops("fw-1", "telnet", 9),),
        switch_drops={"spoofed": 0, "blocked": 2},
        functions=(Function("av1", "antivirus", 12, {"packets": 11}, {"<eicar>": 1}, 41.5),),
        checks=(Check("every connection answered", True, "600 of 600"), Check("turns", False, "a < b & c")),
        steps=((0.1, "network"), (9.5, "controller")),
    )


class Balanced(HTMLParser):
    """Counts open elements."""

    VOID = frozenset({"meta", "rect", "line", "path", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_the_document_is_json_and_tells_the_sums() -> None:
    told = json.loads(json.dumps(document(made_up())))
    assert told["summary"] == {
        "good": False,
        "connections": 600,
        "answered": 600,
        "errors": 0,
        "servants": {"servant-1": 201, "servant-2": 201, "servant-3": 198},
        "dropped": 9,
    }


def test_a_servant_without_connections_is_told() -> None:
    idle = replace(made_up(), loads=())
    assert idle.shares == {"servant-1": 0, "servant-2": 0, "servant-3": 0}
    assert "0.0 %" in page(idle)


def test_the_page_is_well_formed_escaped_and_self_contained() -> None:
    text = page(made_up())
    parser = Balanced()
    parser.feed(text)
    assert parser.open == []
    assert "a &lt; b &amp; c" in text
    assert "<script" not in text
    assert not re.search(r"(src|href)=", text)


def test_a_link_off_its_configured_latency_is_marked() -> None:
    text = drawing.network_svg(made_up())
    assert text.count("#b91c1c") == 1  # 3-4: 9 ms instead of 6
    assert "s3-s4: 6 ms RTT" in text


@pytest.mark.parametrize("domains", [1, 2, 3, 4, 5])
def test_no_two_boxes_overlap(domains: int) -> None:
    ring = [(a, a % domains + 1) for a in range(1, domains + 1)] if domains > 1 else []
    bare = replace(
        made_up(),
        links=tuple(Link(a, b, 5.0) for a, b in ring),
        hosts=tuple(Host(f"h{n}", f"10.{n}.0.1", n) for n in range(1, domains + 1)),
        instances=(),
        paths=(),
    )
    cards, height = drawing._cards(bare)
    assert len(cards) == domains
    placed = list(cards.values())
    for index, one in enumerate(placed):
        assert one.x - drawing.CARD_WIDTH / 2 >= 0
        assert one.x + drawing.CARD_WIDTH / 2 <= drawing.WIDTH
        assert one.y - one.height / 2 >= 0
        assert one.y + one.height / 2 <= height - drawing.LEGEND_HEIGHT
        for other in placed[index + 1 :]:
            apart_x = abs(one.x - other.x) >= drawing.CARD_WIDTH
            assert apart_x or abs(one.y - other.y) >= (one.height + other.height) / 2


def test_traffic_is_drawn_on_the_links_that_it_crossed() -> None:
    usage = drawing._usage(made_up())
    assert usage[1, 2, 2] == 66
    assert usage[1, 2, 3] == 0
    assert made_up().paths[0].hops == [(2, 1)]


def told_views() -> Views:
    """What a controller of three domains would answer: one path that was used, one that was not."""
    path = {
        "spi": 4,
        "chain": "web",
        "ingress": 2,
        "functions": ["fw1"],
        "terminal": "srv1",
        "segments": [[2, 3], [3, 1]],
        "status": "live",
        "connections": 2,
        "packets": 20,
    }
    instance = {"instance_id": "srv1", "vnf_type": "servant", "status": "active", "address": "10.1.0.11"}
    return Views(
        topology={"links": [{"a": 1, "b": 2, "latency_ms": 5.2}, {"a": 2, "b": 1, "latency_ms": 5.1}]},
        paths=[path, {**path, "spi": 6, "segments": [[2, 1], [1]], "connections": 0}],
        statistics={"dropped": {"spoofed": 0}},
        instances={"srv1": {**instance, "attachment": {"switch": 1}}},
    )


def seen(rtt_ms: float = 22.4, before: dict[str, int] | None = None) -> Seen:
    """What would be measured on that network."""
    load = {
        "connections": 2,
        "answered": 2,
        "rate_cps": 10.0,
        "latency_ms": {"p50": 23.0, "p99": 24.0},
        "servants": {"srv1": 2},
        "errors": {},
        "each": [{"source_port": port, "rtt_ms": rtt_ms} for port in (40001, 40002)],
    }
    pings = {link: Rtt(10, 10, rtt, rtt) for link, rtt in {(1, 2): 10.1, (1, 3): 14.2, (2, 3): 8.1}.items()}
    knocks = ({"refused": 2} if before is None else before, {"timeout": 2})
    return Seen(pings, {"c2": load}, {("10.2.0.1", 40001): 4}, {("fw1", "telnet"): 6}, knocks)


FACTS = LabFacts(
    {(1, 2): 5.0, (1, 3): 7.0, (2, 3): 4.0}, dict.fromkeys([(1, 2), (1, 3), (2, 3)]), {"c2": "10.2.0.1"}, {}
)


def test_what_was_seen_becomes_a_report() -> None:
    told = report(FACTS, told_views(), seen(), "now", ((0.0, "start"), (9.5, "end")))
    assert [check.name for check in told.checks if not check.good] == []
    used, unused = told.paths
    assert (used.configured_rtt_ms, used.rtt_ms, used.good) == (22.0, 22.4, True)
    assert (unused.configured_rtt_ms, unused.rtt_ms) == (10.0, None)
    assert told.links[0].seen_ms == 5.2
    assert told.shares == {"srv1": 2}
    assert told.duration_s == 9.5
    assert "s2 s3 fw1 s1 srv1" in "\n".join(lines(told))


@pytest.mark.parametrize(
    ("measured", "failed"),
    [
        (seen(rtt_ms=40.0), "paths are as slow as their links and instances"),
        (seen(before={"timeout": 2}), "the firewall drops what it has to"),
        (replace(seen(), pings={}), "links are as slow as configured"),
        (replace(seen(), drops={}), "the firewall drops what it has to"),
    ],
)
def test_a_check_fails_for_its_own_reason(measured: Seen, failed: str) -> None:
    told = report(FACTS, told_views(), measured, "now", ())
    assert [check.name for check in told.checks if not check.good] == [failed]
    assert "NOT GOOD" in "\n".join(lines(told))


def test_a_link_that_ping_goes_around_is_not_said_to_be_measured() -> None:
    around = replace(FACTS, delays_ms={(1, 2): 50.0, (1, 3): 7.0, (2, 3): 4.0})
    assert report(around, told_views(), seen(), "now", ()).links[0].ping_ms is None


def test_what_a_function_did_is_read_from_its_metrics() -> None:
    told = function_of(
        "cf1",
        "contentfilter",
        """# TYPE vnf_packets_total counter
vnf_packets_total{port="in0"} 7.0
vnf_packets_total{port="out0"} 5.0
# TYPE vnf_drops_total counter
vnf_drops_total{reason="blocked"} 2.0
vnf_drops_total{reason="checksum"} 0.0
# TYPE vnf_contentfilter_requests_total counter
vnf_contentfilter_requests_total{protocol="http",verdict="passed"} 3.0
vnf_contentfilter_requests_total{protocol="http",verdict="blocked"} 1.0
# TYPE vnf_contentfilter_blocked_total counter
vnf_contentfilter_blocked_total{list="example"} 1.0
# TYPE vnf_processing_seconds histogram
vnf_processing_seconds_bucket{le="+Inf"} 4.0
vnf_processing_seconds_sum 0.002
vnf_processing_seconds_count 4.0
""",
    )
    assert told == Function(
        "cf1", "contentfilter", 12, {"requests": 3, "packets": 10}, {"blocked": 2, "example": 1}, 500.0
    )
