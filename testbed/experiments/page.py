"""A report as one HTML page that needs nothing else: no script, no font, no picture from elsewhere.

In: a `Report`. Out: the page's text. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from testbed.experiments.drawing import colour_of, network_svg
from testbed.experiments.report import Path, Report

NOTHING = "\N{EN DASH}"
STYLE = """
:root { color-scheme: light; --ink: #0f172a; --soft: #475569; --line: #e2e8f0; --good: #166534; --bad: #b91c1c; }
* { box-sizing: border-box; }
body { margin: 0; background: #eef2f7; color: var(--ink);
  font: 15px/1.5 Inter, "Segoe UI", Roboto, "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; }
main { max-width: 1240px; margin: 0 auto; padding: 28px 30px 48px; }
h1 { font-size: 27px; margin: 0; } h2 { font-size: 18px; margin: 0 0 12px; }
header p { color: var(--soft); margin: 4px 0 20px; }
section { background: #fff; border: 1px solid var(--line); border-radius: 14px; padding: 20px 22px; margin: 0 0 18px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(165px, 1fr)); gap: 12px; margin: 0 0 18px; }
.tile { background: #fff; border: 1px solid var(--line); border-radius: 14px; padding: 14px 16px; }
.tile b { display: block; font-size: 25px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.tile span { color: var(--soft); font-size: 13px; }
table { width: 100%; border-collapse: collapse; font-variant-numeric: tabular-nums; }
th { text-align: left; font-size: 12.5px; color: var(--soft); font-weight: 600; border-bottom: 2px solid var(--line);
  padding: 5px 10px 5px 0; vertical-align: bottom; }
td { border-bottom: 1px solid var(--line); padding: 6px 10px 6px 0; }
tr:last-child td { border-bottom: 0; }
td.number, th.number { text-align: right; }
.good { color: var(--good); font-weight: 600; } .bad { color: var(--bad); font-weight: 600; }
.bar { background: var(--line); border-radius: 6px; height: 12px; min-width: 120px; }
.bar i { display: block; height: 12px; border-radius: 6px; background: #16a34a; }
.dot { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 7px; }
.note { color: var(--soft); font-size: 13px; margin: 10px 0 0; }
.two { display: grid; grid-template-columns: 1fr 1fr; gap: 18px; margin-bottom: 18px; } .two section { margin: 0; }
.scroll { overflow-x: auto; } svg { width: 100%; height: auto; display: block; }
code { font: 13px ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
@media (max-width: 900px) { .two { grid-template-columns: 1fr; } main { padding: 16px; } }
@media print { body { background: #fff; } section { break-inside: avoid; } }
"""


def page(report: Report) -> str:
    """The whole document."""
    verdict = (
        '<span class="good">all checks passed</span>' if report.good else '<span class="bad">a check failed</span>'
    )
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(report.title)}</title><style>{STYLE}</style></head>
<body><main>
<header><h1>{escape(report.title)}</h1>
<p>{escape(report.started)} · {report.duration_s:.0f} s · {verdict}</p></header>
{_tiles(report)}
<section><h2>Network</h2>{network_svg(report)}
<p class="note">RTT on a link: configured, and measured by <code>ping</code> between hosts of its two domains.
Line width: connections that crossed.</p></section>
{_checks(report)}
<div class="two">{_servants(report)}{_loads(report)}</div>
{_paths(report)}
{_functions(report)}
<div class="two">{_links(report)}{_drops(report)}</div>
<div class="two">{_steps(report)}{_environment(report)}</div>
</main></body></html>
"""


def _tiles(report: Report) -> str:
    p50 = [load.p50_ms for load in report.loads if load.p50_ms is not None]
    p99 = [load.p99_ms for load in report.loads if load.p99_ms is not None]
    used = len(report.used)
    tiles = (
        (f"{report.answered}", "HTTP connections answered"),
        (f"{report.errors}", "of them failed"),
        (f"{min(p50):.0f} to {max(p50):.0f} ms" if p50 else NOTHING, "median answer, by client"),
        (f"{max(p99):.0f} ms" if p99 else NOTHING, "greatest p99 of a client"),
        (f"{used} of {len(report.paths)}", "rendered paths used"),
        (f"{sum(drop.packets for drop in report.drops)}", "packets dropped by firewalls"),
    )
    cells = "".join(
        f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for value, name in tiles
    )
    return f'<div class="tiles">{cells}</div>'


def _checks(report: Report) -> str:
    rows = [(escape(check.name), escape(check.detail), _verdict(check.good, "failed")) for check in report.checks]
    return section("What had to be shown", ("check", "seen", "result"), rows)


def _servants(report: Report) -> str:
    total = max(1, report.answered)
    where = {placed.instance_id: placed.switch for placed in report.instances}
    rows = [
        (
            f"<code>{escape(name)}</code>",
            f"s{where[name]}" if name in where else "",
            f"{count}",
            f"{100 * count / total:.1f} %",
            f'<div class="bar"><i style="width:{100 * count / total:.1f}%"></i></div>',
        )
        for name, count in report.shares.items()
    ]
    return section("Servants", ("servant", "switch", "#connections", "#share", ""), rows)


def _loads(report: Report) -> str:
    rows = [
        (
            f"{_dot(load.domain)}<code>{escape(load.client)}</code>",
            f"{load.answered} / {load.connections}",
            f"{load.rate_cps:.0f}",
            _ms(load.p50_ms),
            _ms(load.p99_ms),
            escape(", ".join(f"{n} {kind}" for kind, n in load.errors.items())) or "none",
        )
        for load in report.loads
    ]
    return section("Clients", ("client", "#answered", "#per second", "#p50 ms", "#p99 ms", "errors"), rows)


def _paths(report: Report) -> str:
    rows = [
        (
            f"{path.spi}",
            f"{_dot(path.ingress)}{escape(path.chain)}",
            _route(path),
            f"{path.connections}",
            f"{path.packets}",
            _ms(path.configured_rtt_ms),
            _ms(path.rtt_ms),
            _verdict(path.good) if path.rtt_ms is not None else escape(path.status),
        )
        for path in report.used
    ]
    heads = (
        "SPI",
        "chain",
        "switches and instances",
        "#connections",
        "#packets",
        "#RTT configured, ms",
        "#measured, ms",
        "",
    )
    note = "Measured: the least round trip of TCP on any connection of the path; conntrack tells which. An instance may add 0.5 ms."
    unused = len(report.paths) - len(report.used)
    note += f" {unused} more rendered paths carried no connection; report.json has them."
    return section("Paths", heads, rows, note)


def _route(path: Path) -> str:
    stops = [*path.functions, path.terminal]
    words: list[str] = []
    for index, segment in enumerate(path.segments):
        crossed = segment if not index else segment[1:]
        words += [f"s{switch}" for switch in crossed]
        if index < len(stops):
            words.append(f"<code>{escape(stops[index])}</code>")
    return " → ".join(words)


def _links(report: Report) -> str:
    rows = [
        (
            f"s{link.a} to s{link.b}",
            _ms(link.configured_rtt_ms),
            _ms(link.ping_ms),
            _ms(link.median_ms),
            _ms(None if link.seen_ms is None else 2 * link.seen_ms),
            "" if link.bandwidth_mbps is None else f"{link.bandwidth_mbps:g}",
            _verdict(link.good),
        )
        for link in report.links
    ]
    heads = ("link", "#RTT configured, ms", "#ping, least", "#median", "#by controller, ms", "#Mbit/s", "")
    return section("Links", heads, rows, "Tolerance: 10 % or 0.5 ms, whichever is wider.")


def _functions(report: Report) -> str:
    rows = [
        (
            f"<code>{escape(each.instance_id)}</code>",
            escape(each.vnf_type),
            f"{each.packets}",
            escape(", ".join(f"{count} {what}" for what, count in each.passed.items())),
            escape(", ".join(f"{count} {reason}" for reason, count in each.stopped.items())) or "nothing",
            "in the kernel" if each.mean_us is None else f"{each.mean_us:,.0f}",
        )
        for each in report.functions
    ]
    note = "Stopped: by rule, signature, list, verdict or reason. A packet's time is its mean in user space; of mail, a message's."
    return section(
        "Functions", ("function", "type", "#packets in", "passed", "stopped", "#time of each, µs"), rows, note
    )


def _drops(report: Report) -> str:
    rows = [
        (f"<code>{escape(drop.instance_id)}</code>", escape(drop.rule), f"{drop.packets}") for drop in report.drops
    ] + [("switches", escape(reason), f"{count}") for reason, count in report.switch_drops.items()]
    return section("Dropped", ("where", "rule or reason", "#packets"), rows)


def _steps(report: Report) -> str:
    rows = [(f"{second:.1f}", escape(text)) for second, text in report.steps]
    return section("What happened", ("#at, s", "step"), rows)


def _environment(report: Report) -> str:
    rows = [(escape(name), escape(value)) for name, value in report.environment.items()]
    return section("Machine", ("what", "found and used"), rows)


def section(title: str, heads: Sequence[str], rows: Iterable[Sequence[str]], note: str = "") -> str:
    """A table; a head that starts with # is of a column of numbers."""
    kinds = [' class="number"' if head.startswith("#") else "" for head in heads]
    top = "".join(f"<th{kind}>{head.removeprefix('#')}</th>" for head, kind in zip(heads, kinds, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{cell}</td>" for cell, kind in zip(row, kinds, strict=True)) + "</tr>"
        for row in rows
    )
    under = f'<p class="note">{note}</p>' if note else ""
    empty = "" if body else f'<tr><td colspan="{len(heads)}">none</td></tr>'
    table = f'<div class="scroll"><table><tr>{top}</tr>{body}{empty}</table></div>'
    return f"<section><h2>{title}</h2>{table}{under}</section>"


def _dot(domain: int) -> str:
    return f'<span class="dot" style="background:{colour_of(domain)}"></span>'


def _verdict(good: bool, otherwise: str = "off") -> str:
    return '<span class="good">good</span>' if good else f'<span class="bad">{otherwise}</span>'


def _ms(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.1f}"
