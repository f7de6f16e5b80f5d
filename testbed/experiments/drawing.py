"""The network as a picture: domains on an ellipse, links with their latency, and each domain's traffic on them.

In: a `Report`. Out: one SVG element with no reference to anything outside it. Pure. Every label stands on a ground of
its own, so that nothing is written across a line.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from html import escape
from math import cos, hypot, pi, sin

from testbed.experiments.report import Link, Report

WIDTH = 1180
CARD_WIDTH, HEADER_HEIGHT, ROW_HEIGHT, CARD_PADDING = 272, 40, 27, 10
MARGIN, LEGEND_HEIGHT = 18, 44
COLOURS = ("#475569", "#2563eb", "#d97706", "#0d9488", "#9333ea", "#dc2626", "#65a30d", "#db2777")
MARKS = {"servant": "#16a34a", "host": "#64748b"}
FUNCTION_MARK = "#b45309"
FONT = "font-family=\"Inter,'Segoe UI',Roboto,'Helvetica Neue',Arial,'DejaVu Sans',sans-serif\""
MONO = "font-family=\"ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace\""


@dataclass(frozen=True, slots=True)
class Card:
    """A domain's box: its centre, its height, and rows of (mark's colour, name, what it is)."""

    domain: int
    x: float
    y: float
    height: float
    rows: tuple[tuple[str, str, str], ...]

    def edge(self, x: float, y: float) -> tuple[float, float]:
        """Where the line from the centre to (x, y) leaves the box."""
        dx, dy = x - self.x, y - self.y
        scale = min(
            CARD_WIDTH / 2 / abs(dx) if dx else float("inf"),
            self.height / 2 / abs(dy) if dy else float("inf"),
        )
        return self.x + dx * scale, self.y + dy * scale


def colour_of(domain: int) -> str:
    """The colour of a domain's traffic."""
    return COLOURS[(domain - 1) % len(COLOURS)]


def network_svg(report: Report) -> str:
    """The picture as the text of an `<svg>` element."""
    cards, height = _cards(report)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" role="img" '
        f'aria-label="{escape(report.title)}" {FONT}>',
        f'<rect width="{WIDTH}" height="{height:.0f}" fill="#f8fafc" rx="14"/>',
    ]
    usage = _usage(report)
    parts += [_link_lines(cards, link, usage) for link in report.links]
    parts += [_link_label(cards, link) for link in report.links]
    parts += [_card(card) for card in cards.values()]
    parts.append(_legend(report, height))
    parts.append("</svg>")
    return "\n".join(parts)


def _rows(report: Report, domain: int) -> tuple[tuple[str, str, str], ...]:
    shares, total = report.shares, max(1, report.answered)
    rows = []
    for placed in report.instances:
        if placed.switch != domain:
            continue
        mark = MARKS.get(placed.vnf_type, FUNCTION_MARK)
        told = placed.vnf_type if placed.state == "active" else f"{placed.vnf_type}, {placed.state}"
        if placed.vnf_type == "servant":
            told += f" · {100 * shares[placed.instance_id] / total:.1f} %"
        rows.append((mark, placed.instance_id, told))
    rows += [(MARKS["host"], host.name, host.address) for host in report.hosts if host.switch == domain]
    return tuple(rows)


def _cards(report: Report) -> tuple[dict[int, Card], float]:
    domains = report.domains
    rows = {domain: _rows(report, domain) for domain in domains}
    tall = {domain: HEADER_HEIGHT + 2 * CARD_PADDING + ROW_HEIGHT * max(1, len(rows[domain])) for domain in domains}
    radius_x = WIDTH / 2 - CARD_WIDTH / 2 - MARGIN
    radius_y = max(250.0, 60.0 * len(domains))
    places = {
        domain: (-radius_x * sin(2 * pi * index / len(domains)), -radius_y * cos(2 * pi * index / len(domains)))
        for index, domain in enumerate(domains)
    }
    top = min((places[d][1] - tall[d] / 2 for d in domains), default=0.0)
    bottom = max((places[d][1] + tall[d] / 2 for d in domains), default=0.0)
    cards = {
        domain: Card(domain, WIDTH / 2 + x, MARGIN - top + y, tall[domain], rows[domain])
        for domain, (x, y) in places.items()
    }
    return cards, bottom - top + 2 * MARGIN + LEGEND_HEIGHT


def _usage(report: Report) -> Counter[tuple[int, int, int]]:
    """Connections by (lesser switch, greater switch, domain that they came from)."""
    usage: Counter[tuple[int, int, int]] = Counter()
    for path in report.paths:
        for a, b in path.hops:
            usage[min(a, b), max(a, b), path.ingress] += path.connections
    return usage


def _ends(cards: dict[int, Card], link: Link) -> tuple[float, float, float, float]:
    a, b = cards[link.a], cards[link.b]
    return (*a.edge(b.x, b.y), *b.edge(a.x, a.y))


def _link_lines(cards: dict[int, Card], link: Link, usage: Counter[tuple[int, int, int]]) -> str:
    a, b = cards[link.a], cards[link.b]
    length = hypot(b.x - a.x, b.y - a.y) or 1.0
    across = (-(b.y - a.y) / length, (b.x - a.x) / length)
    most = max(usage.values(), default=0) or 1
    low, high = min(link.a, link.b), max(link.a, link.b)
    flows = [(domain, n) for (x, y, domain), n in sorted(usage.items()) if (x, y) == (low, high) and n]
    strokes = [(colour_of(domain), 3 + 7 * n / most, 0.85) for domain, n in flows] or [("#cbd5e1", 3.0, 1.0)]
    offset = -sum(width + 3 for _, width, _ in strokes) / 2
    lines = []
    for colour, width, opacity in strokes:
        middle = offset + (width + 3) / 2
        offset += width + 3
        x, y = across[0] * middle, across[1] * middle
        lines.append(
            f'<line x1="{a.x + x:.1f}" y1="{a.y + y:.1f}" x2="{b.x + x:.1f}" y2="{b.y + y:.1f}" '
            f'stroke="{colour}" stroke-width="{width:.1f}" stroke-opacity="{opacity}"/>'
        )
    return "\n".join(lines)


def _link_label(cards: dict[int, Card], link: Link) -> str:
    x1, y1, x2, y2 = _ends(cards, link)
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    measured = "not measured" if link.ping_ms is None else f"{link.ping_ms:.1f} ms measured"
    colour = "#166534" if link.good else "#b91c1c" if link.ping_ms is not None else "#64748b"
    bandwidth = "" if link.bandwidth_mbps is None else f" · {link.bandwidth_mbps:g} Mbit/s"
    width, high = 168 if link.bandwidth_mbps is None else 192, 42
    return (
        f'<g transform="translate({x - width / 2:.1f},{y - high / 2:.1f})">'
        f'<rect width="{width}" height="{high}" rx="9" fill="#ffffff" stroke="#cbd5e1"/>'
        f'<text x="{width / 2}" y="17" text-anchor="middle" font-size="12" fill="#334155">'
        f"s{link.a}-s{link.b}: {link.configured_rtt_ms:g} ms RTT{bandwidth}</text>"
        f'<text x="{width / 2}" y="33" text-anchor="middle" font-size="12" font-weight="600" fill="{colour}">'
        f"{measured}</text></g>"
    )


def _card(card: Card) -> str:
    x, y = card.x - CARD_WIDTH / 2, card.y - card.height / 2
    name = "Headquarters" if card.domain == 1 else f"Domain {card.domain}"
    colour = colour_of(card.domain)
    parts = [
        f'<g transform="translate({x:.1f},{y:.1f})">',
        f'<rect width="{CARD_WIDTH}" height="{card.height:.0f}" rx="12" fill="#ffffff" stroke="#94a3b8"/>',
        f'<path fill="{colour}" d="M0 {HEADER_HEIGHT} V12 Q0 0 12 0 '
        f'H{CARD_WIDTH - 12} Q{CARD_WIDTH} 0 {CARD_WIDTH} 12 V{HEADER_HEIGHT} Z"/>',
        f'<text x="14" y="26" font-size="16" font-weight="600" fill="#ffffff">{name}</text>',
        f'<text x="{CARD_WIDTH - 14}" y="26" font-size="13" text-anchor="end" fill="#ffffff" {MONO}>'
        f"s{card.domain} · 10.{card.domain}.0.0</text>",
    ]
    for index, (mark, left, right) in enumerate(card.rows or (("#cbd5e1", "nothing plugged in", ""),)):
        base = HEADER_HEIGHT + CARD_PADDING + index * ROW_HEIGHT
        parts.append(
            f'<rect x="14" y="{base + 8}" width="11" height="11" rx="3" fill="{mark}"/>'
            f'<text x="34" y="{base + 18}" font-size="14" font-weight="600" fill="#0f172a">{escape(left)}</text>'
            f'<text x="{CARD_WIDTH - 14}" y="{base + 18}" font-size="13" text-anchor="end" fill="#475569">'
            f"{escape(right)}</text>"
        )
    parts.append("</g>")
    return "".join(parts)


def _legend(report: Report, height: float) -> str:
    y = height - LEGEND_HEIGHT / 2
    x = float(MARGIN)
    parts = []
    for label, mark in (
        ("function", FUNCTION_MARK),
        ("servant, share of connections", MARKS["servant"]),
        ("client", MARKS["host"]),
    ):
        parts.append(
            f'<rect x="{x:.0f}" y="{y - 6:.0f}" width="11" height="11" rx="3" fill="{mark}"/>'
            f'<text x="{x + 18:.0f}" y="{y + 4:.0f}" font-size="12" fill="#334155">{label}</text>'
        )
        x += 48 + 6.6 * len(label)
    for domain in sorted({path.ingress for path in report.paths if path.connections}):
        label = f"connections from domain {domain}"
        parts.append(
            f'<line x1="{x:.0f}" y1="{y:.0f}" x2="{x + 26:.0f}" y2="{y:.0f}" '
            f'stroke="{colour_of(domain)}" stroke-width="6"/>'
            f'<text x="{x + 34:.0f}" y="{y + 4:.0f}" font-size="12" fill="#334155">{label}</text>'
        )
        x += 62 + 6.6 * len(label)
    return "".join(parts)
