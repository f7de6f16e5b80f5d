"""A report as text for a terminal: links, paths, servants, what was dropped, and the checks.

In: a `Report`. Out: lines. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from testbed.experiments.report import Path, Report


def lines(report: Report) -> list[str]:
    """Everything that a person wants to see at the end."""
    return [
        *_table("Links", _links(report)),
        *_table("Paths", _paths(report)),
        f"  and {len(report.paths) - len(report.used)} rendered paths that no connection took",
        *_table("Servants", _servants(report)),
        *_table("Dropped", _drops(report)),
        *_table("Functions", _functions(report)),
        *_table("Checks", [("check", "seen", "")] + [(c.name, c.detail, _verdict(c.good)) for c in report.checks]),
    ]


def route(path: Path) -> list[str]:
    """Switches and instances in the order in which a packet meets them."""
    stops = [*path.functions, path.terminal]
    words: list[str] = []
    for index, segment in enumerate(path.segments):
        words += [f"s{switch}" for switch in (segment if not index else segment[1:])]
        words += stops[index : index + 1]
    return words


def _links(report: Report) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("link", "RTT configured", "measured", "median", "controller", "")]
    for link in report.links:
        seen = None if link.seen_ms is None else 2 * link.seen_ms
        cells = (_ms(link.configured_rtt_ms), _ms(link.ping_ms), _ms(link.median_ms), _ms(seen))
        rows.append((f"s{link.a}-s{link.b}", *cells, _verdict(link.good)))
    return rows


def _paths(report: Report) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("SPI", "chain", "way", "connections", "RTT configured", "measured", "")]
    for path in report.used:
        verdict = "" if path.rtt_ms is None else _verdict(path.good)
        cells = (str(path.connections), _ms(path.configured_rtt_ms), _ms(path.rtt_ms), verdict)
        rows.append((str(path.spi), path.chain, " ".join(route(path)), *cells))
    return rows


def _servants(report: Report) -> list[tuple[str, ...]]:
    total = max(1, report.answered)
    shares = [(name, str(count), f"{100 * count / total:.1f} %") for name, count in report.shares.items()]
    return [("servant", "connections", "share"), *shares]


def _drops(report: Report) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("where", "rule", "packets")]
    rows += [(drop.instance_id, drop.rule, str(drop.packets)) for drop in report.drops]
    return rows + [("switches", reason, str(count)) for reason, count in report.switch_drops.items()]


def _functions(report: Report) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("function", "type", "packets in", "passed", "stopped", "each takes")]
    for each in report.functions:
        passed = ", ".join(f"{count} {what}" for what, count in each.passed.items())
        stopped = ", ".join(f"{count} {reason}" for reason, count in each.stopped.items()) or "nothing"
        takes = "in the kernel" if each.mean_us is None else f"{each.mean_us:,.0f} us"
        rows.append((each.instance_id, each.vnf_type, str(each.packets), passed, stopped, takes))
    return rows


def _table(title: str, rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    text = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return ["", title, *(f"  {line}" for line in text)]


def _verdict(good: bool) -> str:
    return "good" if good else "NOT GOOD"


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
