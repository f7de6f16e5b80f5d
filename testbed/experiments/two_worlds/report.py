"""The comparison for readers: text for a terminal, data for programs, and a page with a plot.

In: a `Report`. Out: text. Must not do: compute anything of the comparison, or write files.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from testbed.experiments.drawing import colour_of
from testbed.experiments.page import NOTHING, STYLE, section
from testbed.experiments.report import Check
from testbed.experiments.two_worlds.compare import PERCENTILES, Level, Pair, in_words
from testbed.experiments.two_worlds.outcome import Constants
from testbed.experiments.two_worlds.scenario import Scenario, domain_of

TITLE = "One scenario, two worlds: what the simulator predicts and what the lab measures"
FORMAT = "two-worlds/1"
LEFT_OUT = (
    "The model leaves out: that a refusal costs its servant CPU too; that the kernel gives a quota in pieces, so that a servant that was"
    " idle begins at full speed; that the machine's cores are shared with switches, senders and whatever else runs."
)
PAIR_HEADS = ("predicted", "measured", "difference", "%")


@dataclass(frozen=True, slots=True)
class Report:
    """Everything of a run."""

    started: str
    scenario: Scenario
    constants: Constants
    levels: tuple[Level, ...]
    checks: tuple[Check, ...]
    machine: tuple[str, ...]
    steps: tuple[tuple[float, str], ...]

    @property
    def good(self) -> bool:
        """Whether the measurement is one: nothing here says that the prediction is near it."""
        return all(check.good for check in self.checks)


def constants_in_words(constants: Constants, scenario: Scenario) -> list[tuple[str, str, str]]:
    """Each constant: what it is, its calibrated value, what documents say."""
    return [
        ("first packet of a connection at the controller", f"{constants.controller_ms:.2f} ms", "0"),
        ("one way beyond the links' configured delays", f"{constants.way_ms:.2f} ms", "0"),
        ("CPU time of a request", f"{constants.request_cpu_ms:.2f} ms", f"{scenario.servant.cost_ms:g} ms"),
        ("CPU of a servant without requests", f"{constants.idle_cores:.4f} cores", "0"),
        ("CPU of a servant that never waits", f"{constants.speed_cores:.4f} cores", f"{scenario.servant.cpus:g} cores"),
    ]


def document(report: Report) -> dict[str, Any]:
    """JSON-ready data."""
    scenario = asdict(report.scenario)
    scenario["delays_ms"] = {f"{a}-{b}": ms for (a, b), ms in report.scenario.delays_ms.items()}
    return {
        "format": FORMAT,
        "started": report.started,
        "scenario": scenario,
        "constants": asdict(report.constants),
        "in_words": in_words(report.levels),
        "levels": [_level(level) for level in report.levels],
        "checks": [asdict(check) for check in report.checks],
        "machine": list(report.machine),
        "steps": [list(step) for step in report.steps],
    }


def _level(level: Level) -> dict[str, Any]:
    clients = list(dict.fromkeys(client for client, _ in level.latency_ms))
    return {
        "share": level.share,
        "rate_rps": level.rate_rps,
        "latency_ms": {
            client: {f"p{percent}": _pair(level.latency_ms[client, percent]) for percent in PERCENTILES}
            for client in clients
        },
        **{name: _pairs(getattr(level, name)) for name in ("load", "answered", "fates")},
    }


def _pairs(pairs: Mapping[str, Pair]) -> dict[str, Any]:
    return {name: _pair(pair) for name, pair in pairs.items()}


def _pair(pair: Pair) -> dict[str, float | None]:
    return {**asdict(pair), "difference": pair.difference, "percent": pair.percent}


# rows of either form ------------------------------------------------------------------------------------------------
def latency_rows(level: Level) -> list[tuple[str, ...]]:
    """Client, percentile, and the pair in ms."""
    return [
        (client, f"p{percent}", *_cells(pair, "{:.1f}", "{:+.1f}"))
        for (client, percent), pair in level.latency_ms.items()
    ]


def other_rows(level: Level) -> list[tuple[str, ...]]:
    """Load, answers and fates, each with its pair."""
    rows = []
    for name, pair in level.load.items():
        shown = Pair(*(None if value is None else 100 * value for value in (pair.predicted, pair.measured)))
        rows.append((f"{name}: load, % of its quota", *_cells(shown, "{:.1f}", "{:+.1f}")))
    rows += [(f"{name}: answered", *_cells(pair, "{:.0f}", "{:+.0f}")) for name, pair in level.answered.items()]
    return rows + [(f"requests {fate}", *_cells(pair, "{:.0f}", "{:+.0f}")) for fate, pair in level.fates.items()]


def _cells(pair: Pair, plain: str, signed: str) -> tuple[str, str, str, str]:
    values = ((pair.predicted, plain), (pair.measured, plain), (pair.difference, signed), (pair.percent, "{:+.1f}"))
    predicted, measured, difference, percent = (NOTHING if v is None else f.format(v) for v, f in values)
    return predicted, measured, difference, percent


def _title(level: Level) -> str:
    return f"{level.share:.0%} of the servants' capacity: {level.rate_rps:.1f} requests a second"


# text ---------------------------------------------------------------------------------------------------------------
def lines(report: Report) -> list[str]:
    """Everything that a person wants to see at the end."""
    rows = [("constant", "calibrated", "documented"), *constants_in_words(report.constants, report.scenario)]
    text = ["", "Constants of the lab, from runs of their own", *_table(rows)]
    for level in report.levels:
        text += ["", _title(level)]
        text += _table([("latency", "ms", *PAIR_HEADS), *latency_rows(level)])
        text += _table([("what", *PAIR_HEADS), *other_rows(level)])
    text += ["", "The measurement"]
    text += _table([(check.name, check.detail, "good" if check.good else "NOT GOOD") for check in report.checks])
    return [*text, "", in_words(report.levels), LEFT_OUT]


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    lefts = {i for i, cell in enumerate(rows[-1]) if not cell[-1:].isdigit() and cell != NOTHING}
    return [
        "  "
        + "  ".join(
            cell.ljust(width) if i in lefts else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


# page ---------------------------------------------------------------------------------------------------------------
def page(report: Report) -> str:
    """The whole document; it needs nothing from elsewhere."""
    verdict = "" if report.good else ' · <span class="bad">the measurement has a flaw: see the checks</span>'
    levels = "".join(_level_sections(level) for level in report.levels)
    return f"""<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(TITLE)}</title><style>{STYLE}</style></head>
<body><main>
<header><h1>{escape(TITLE)}</h1><p>{escape(report.started)}{verdict}</p></header>
<section><h2>How far off</h2><p>{escape(in_words(report.levels))}</p><p class="note">{escape(LEFT_OUT)}</p></section>
<section><h2>Latency of answered requests</h2>{plot(report)}
<p class="note">Share of requests that took no longer, by client. Solid: measured on the lab; dashed: predicted.</p></section>
{levels}
{
        section(
            "Constants of the lab, from runs of their own",
            ("constant", "#calibrated", "#documented"),
            _escaped(constants_in_words(report.constants, report.scenario)),
        )
    }
{
        section(
            "The measurement",
            ("check", "seen", "result"),
            [(escape(c.name), escape(c.detail), _verdict(c.good)) for c in report.checks],
        )
    }
<div class="two">{section("Scenario", ("what", "value"), _escaped(_scenario(report.scenario)))}
{section("Machine", ("found and used",), [(escape(line),) for line in report.machine])}</div>
{section("What happened", ("#at, s", "step"), [(f"{at:.1f}", escape(text)) for at, text in report.steps])}
</main></body></html>
"""


def _level_sections(level: Level) -> str:
    heads = tuple(f"#{head}" for head in PAIR_HEADS)
    latency = section("Latency, ms", ("client", "percentile", *heads), _escaped(latency_rows(level)))
    other = section("Servants and requests", ("what", *heads), _escaped(other_rows(level)))
    return f'<h2>{escape(_title(level))}</h2><div class="two">{latency}{other}</div>'


def _scenario(scenario: Scenario) -> list[tuple[str, str]]:
    servant = scenario.servant
    return [
        ("firewalls", ", ".join(f"{name} at s{at}" for name, at in scenario.firewalls.items())),
        ("servants", ", ".join(f"{name} at s{at}" for name, at in scenario.servants.items())),
        ("a servant", f"{servant.cost_ms:g} ms of CPU a request, {servant.queue} may wait"),
        ("its quota", f"{servant.cpus:g} cores, in pieces of {servant.cpus * servant.period_ms:g} ms"),
        ("capacity by documents", f"{scenario.capacity_rps:.1f} requests a second"),
        ("a level lasts", f"{scenario.duration_s:g} s"),
        ("links, one way", ", ".join(f"s{a}-s{b} {ms:g} ms" for (a, b), ms in scenario.delays_ms.items())),
        ("arrivals", f"Poisson, seed {scenario.seed}"),
    ]


def plot(report: Report) -> str:
    """Distribution of latencies at each level, as an `<svg>` element."""
    with matplotlib.rc_context({"svg.hashsalt": FORMAT, "font.size": 9, "font.family": "DejaVu Sans"}):
        figure = Figure(figsize=(12, 3.6), layout="constrained")
        axes = figure.subplots(1, len(report.levels), squeeze=False)[0]
        for axis, level in zip(axes, report.levels, strict=True):
            for client, worlds in level.sorted_ms.items():
                for values, style in zip(worlds, ("--", "-"), strict=True):
                    shares = [100 * (i + 1) / len(values) for i in range(len(values))]
                    label = client if style == "-" else None
                    axis.step(values, shares, style, where="post", color=colour_of(domain_of(client)), label=label)
            axis.set(title=f"{level.share:.0%} of capacity", xlabel="ms", ylim=(0, 100))
            axis.grid(color="#e2e8f0")
        axes[0].set_ylabel("% of requests")
        axes[0].legend()
        with io.StringIO() as file:
            figure.savefig(file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")))
            return "<svg" + file.getvalue().partition("<svg")[2]


def _escaped(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [[escape(cell) for cell in row] for row in rows]


def _verdict(good: bool) -> str:
    return '<span class="good">good</span>' if good else '<span class="bad">not good</span>'
