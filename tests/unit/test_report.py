"""The report's data, picture and page: what they tell, that nothing overlaps, and that nothing comes from elsewhere."""

import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from testbed.experiments import drawing
from testbed.experiments.page import page
from testbed.experiments.report import Check, Drops, Host, Link, Load, Path, Placed, Report, document


def made_up() -> Report:
    """A report of the four-domain network as the demo would write it."""
    links = [(1, 2, 4.0, 8.2), (1, 3, 12.0, 24.3), (1, 4, 6.0, 12.1), (2, 3, 5.0, 10.3), (3, 4, 3.0, 9.0)]
    shares = {"servant-1": 67, "servant-2": 67, "servant-3": 66}
    return Report(
        title="Four domains: an emergency service behind a firewall",
        started="2026-01-02 03:04:05",
        duration_s=41.7,
        environment={"switches": "Open vSwitch 3.1, userspace datapath", "links": "user-space delay line"},
        links=tuple(Link(a, b, delay, 100.0, ping, delay + 0.1) for a, b, delay, ping in links),
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
    report = replace(made_up(), loads=())
    assert report.shares == {"servant-1": 0, "servant-2": 0, "servant-3": 0}
    assert "0.0 %" in page(report)


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
    report = replace(
        made_up(),
        links=tuple(Link(a, b, 5.0) for a, b in ring),
        hosts=tuple(Host(f"h{n}", f"10.{n}.0.1", n) for n in range(1, domains + 1)),
        instances=(),
        paths=(),
    )
    cards, height = drawing._cards(report)
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
