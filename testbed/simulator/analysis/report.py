"""A run's results as one HTML page that needs nothing else: numbers of all rounds, plots of one.

In: a results folder. Out: the page's file. The plots are SVG within it.
"""

import io
from collections.abc import Iterable
from html import escape
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from testbed.experiments.page import NOTHING, STYLE, section
from testbed.simulator.analysis.charts import CHARTS
from testbed.simulator.analysis.measured import rounds
from testbed.simulator.analysis.summary import Packets, Round, summary

PLOTS = ".plots { display: grid; grid-template-columns: 1fr 1fr; gap: 18px; } .plots section { margin: 0; } "
PLOTS += "@media (max-width: 900px) { .plots { grid-template-columns: 1fr; } }"


def write(results: Path, output: Path) -> None:
    """Write the page.

    Raises:
        FileNotFoundError: no results there.
    """
    text = page(results)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(text, encoding="utf-8")


def page(results: Path) -> str:
    """The page's text; tiles, tables but the first one, and plots are of the first round."""
    measured = rounds(results)
    told = [summary(each) for each in measured]
    first = told[0]
    plots = "".join(f"<section>{svg(draw(measured[0]), name)}</section>" for name, draw in CHARTS.items())
    title = f"Slice simulation: {results.resolve().name}"
    about = f"{len(told)} round{'s' if len(told) > 1 else ''} · {measured[0].end_ms / 1000:,.1f} s simulated"
    about += f" in each; plots are of {first.name}" if len(told) > 1 else ""
    of_first = f" of {first.name}" if len(told) > 1 else ""
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{STYLE}{PLOTS}</style></head>
<body><main>
<header><h1>{escape(title)}</h1>
<p>{about}</p></header>
{_tiles(first, of_first)}
{_rounds(told)}
{_sfcs(first, of_first)}
{_vnfs(first, of_first)}
<div class="plots">{plots}</div>
</main></body></html>
"""


def svg(figure: Figure, name: str) -> str:
    """A figure as an `<svg>` element; the same figure gives the same text."""
    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    drawn = text.getvalue()
    return drawn[drawn.index("<svg") :]


def _tiles(told: Round, of_first: str) -> str:
    of = told.packets
    tiles = (
        (f"{of.created:,}", f"packets created{of_first}"),
        (_percent(of.processed / of.created if of.created else None), "of them processed"),
        (_percent(of.violation_rate), "violated their SLA"),
        (f"{_ms(of.p50_ms)} / {_ms(of.p99_ms)} ms", "median and p99 delay"),
        (_percent(told.acceptance), f"of {told.placed + told.not_placed} requests placed"),
        (NOTHING if told.mean_watts is None else f"{told.mean_watts:,.0f} W", "mean power"),
    )
    cells = (f'<div class="tile"><b>{escape(value)}</b><span>{escape(name)}</span></div>' for value, name in tiles)
    return f'<div class="tiles">{"".join(cells)}</div>'


HEADS = (
    "#packets",
    "#processed",
    "#dropped",
    "#orphaned",
    "#under way",
    "#violated",
    "#p50, ms",
    "#p95, ms",
    "#p99, ms",
)


def _packets(of: Packets) -> Iterable[str]:
    yield from (f"{number:,}" for number in (of.created, of.processed, of.dropped, of.orphan, of.active))
    yield _percent(of.violation_rate)
    yield from (_ms(value) for value in (of.p50_ms, of.p95_ms, of.p99_ms))


def _rounds(told: list[Round]) -> str:
    rows = [
        (
            escape(each.name),
            *_packets(each.packets),
            f"{each.placed} / {each.placed + each.not_placed}",
            NOTHING if each.energy_wh is None else f"{each.energy_wh:,.3f}",
            NOTHING if each.seconds is None else f"{each.seconds:,.1f}",
        )
        for each in told
    ]
    note = "Violated: share of the packets created. Energy: each window's power, as long as it held. Took: on the clock on the wall."
    return section("Rounds", ("round", *HEADS, "#requests placed", "#energy, Wh", "#took, s"), rows, note)


def _sfcs(told: Round, of_first: str) -> str:
    rows = [(f"<code>{escape(name)}</code>", *_packets(each)) for name, each in told.sfcs.items()]
    return section(f"Service function chains{of_first}", ("SFC", *HEADS), rows)


def _vnfs(told: Round, of_first: str) -> str:
    rows = [
        (
            f"<code>{escape(each.name)}</code>",
            f"{each.instances}",
            _percent(each.utilisation),
            _percent(each.greatest),
            f'<div class="bar"><i style="width:{min(100.0, 100 * each.utilisation):.1f}%"></i></div>',
        )
        for each in told.vnfs
    ]
    note = "Utilisation: servers that were busy, of those an instance had while it was there; an instance has max_share of them."
    heads = ("VNF", "#instances", "#utilisation, mean", "#of the busiest instance", "")
    return section(f"VNF instances{of_first}", heads, rows, note)


def _ms(value: float | None) -> str:
    return NOTHING if value is None else f"{value:,.1f}"


def _percent(share: float | None) -> str:
    return NOTHING if share is None else f"{100 * share:.1f} %"
