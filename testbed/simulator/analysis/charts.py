"""Plots of a round, each a matplotlib figure with a title and units.

In: `Measured` rounds. Out: figures. Colours are the lab's pages'. Must not do: write files.
"""

from collections.abc import Callable, Mapping

import numpy
import pandas
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from testbed.experiments.drawing import COLOURS
from testbed.simulator.analysis.measured import Measured
from testbed.simulator.records.read import entities

SIZE = (7.6, 3.7)
MOST_ROWS = 40
MOST_POINTS = 600
INK, SOFT, LINE = "#0f172a", "#475569", "#e2e8f0"
GOOD, BAD = "#16a34a", "#dc2626"


def figure(title: str, x: str, y: str, height: float = SIZE[1]) -> tuple[Figure, Axes]:
    """An empty plot."""
    made = Figure(figsize=(SIZE[0], height), layout="constrained")
    axes = made.add_subplot()
    axes.set_title(title, fontsize=11, color=INK, loc="left", fontweight="bold")
    axes.set_xlabel(x, fontsize=9, color=SOFT)
    axes.set_ylabel(y, fontsize=9, color=SOFT)
    axes.tick_params(labelsize=8.5, colors=SOFT)
    axes.grid(color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#94a3b8")
    return made, axes


def delays(measured: Measured) -> Figure:
    """Share of the processed packets with at most a delay, by SFC; dotted: the SFC's greatest allowed delay, where it is near."""
    packets = measured.packets
    made, axes = figure("Delay of processed packets, by SFC", "delay (ms)", "share of packets")
    done = packets[packets["Processed"].astype(bool) & packets["Delay"].notna()]
    greatest = float(done["Delay"].max()) if len(done) else 0.0
    for number, (name, each) in enumerate(done.groupby("SFC", observed=True)):
        colour, shares = COLOURS[(number + 1) % len(COLOURS)], numpy.linspace(0, 1, min(MOST_POINTS, len(each)))
        allowed = float(each["Max_Delay"].iloc[0])
        label = f"{name}: {len(each):,} packets, {allowed:g} ms allowed"
        axes.plot(numpy.quantile(each["Delay"], shares), shares, color=colour, linewidth=1.6, label=label)
        if allowed <= 2 * greatest:
            axes.axvline(allowed, color=colour, linestyle=":", linewidth=1.2)
    if len(done):
        axes.legend(fontsize=8, loc="best", framealpha=0.85, edgecolor=LINE)
    axes.set_ylim(0, 1.02)
    axes.set_xlim(left=0)
    return made


def packets(measured: Measured) -> Figure:
    """Packets a second over time, by event."""
    made, axes = figure("Packets over time", "time (s)", "packets per second")
    edges = measured.edges()
    shown = {
        "PACKET_CREATED": ("created", COLOURS[1]),
        "PACKET_PROCESSED": ("processed", GOOD),
        "EVENT_PACKET_SLA_VIOLATED": ("SLA violated", COLOURS[2]),
        "EVENT_PACKET_ORPHAN": ("orphaned", COLOURS[4]),
    }
    lost = {
        "PACKET_DROPPED_VNF_INSTANCE_QUEUE": ("dropped or lost", BAD),
        "PACKET_DROPPED_LINK_QUEUE": ("dropped or lost", BAD),
        "PACKET_LOST": ("dropped or lost", BAD),
    }
    totals: dict[tuple[str, str], numpy.ndarray] = {}
    for event, each in measured.events.groupby("Event", observed=True):
        told = (shown | lost).get(str(event))
        if told is not None:
            counts, _ = numpy.histogram(each["Time"], edges)
            totals[told] = totals.get(told, 0) + counts
    for (label, colour), counts in totals.items():
        rate = counts / numpy.diff(edges) * 1000
        axes.stairs(rate, edges / 1000, color=colour, linewidth=1.6, label=f"{label} ({counts.sum():,})")
    if totals:
        axes.legend(fontsize=8, frameon=False, ncols=2)
    axes.set_ylim(bottom=0)
    axes.set_xlim(0, edges[-1] / 1000)
    return made


def vnf_load(measured: Measured) -> Figure:
    """Share of each VNF instance's servers that are busy, over time; white where it is not there."""
    edges, about = measured.edges(), measured.instances
    load = measured.vnf_busy(edges).reindex(about.index).fillna(0.0).div(about["Servers"], axis=0)
    busiest = load.mean(axis=1).nlargest(MOST_ROWS).index
    kept = about.loc[busiest].sort_values(["VNF", "Node"], kind="stable").index
    left_out = len(about) - len(kept)
    title = "Load of VNF instances" + (f" (the {len(kept)} busiest of {len(about)})" if left_out else "")
    made, axes = figure(title, "time (s)", "", max(SIZE[1], 0.9 + 0.19 * len(kept)))
    if not len(kept):
        return made
    shares = load.loc[kept].to_numpy() * 100
    created, removed = (about.loc[kept, name].to_numpy()[:, None] for name in ("Created_ms", "Removed_ms"))
    shares[(edges[1:] <= created) | (edges[:-1] >= removed)] = numpy.nan  # not there: left white
    picture = axes.imshow(
        shares,
        aspect="auto",
        cmap="YlOrRd",
        vmin=0,
        vmax=max(1.0, float(numpy.nanmax(shares, initial=0.0))),
        extent=(0, edges[-1] / 1000, len(kept) - 0.5, -0.5),
        interpolation="nearest",
    )
    axes.grid(visible=False)
    axes.set_yticks(
        range(len(kept)), [f"{name} · {about.at[name, 'VNF']} on {about.at[name, 'Node']}" for name in kept]
    )
    bar = made.colorbar(picture, ax=axes, pad=0.02)
    bar.set_label("servers busy (%)", fontsize=9, color=SOFT)
    bar.ax.tick_params(labelsize=8.5, colors=SOFT)
    return made


def links(measured: Measured) -> Figure:
    """Share of the time in which links send, those most in use."""
    edges = numpy.array([0.0, max(measured.end_ms, 1.0)])
    use = measured.link_busy(edges)
    shares = use[0] * 100 if len(use) else pandas.Series(dtype=float)
    used = shares[shares > 0]
    kept = used.nlargest(20).iloc[::-1]
    title = "Use of links" + (f" (the {len(kept)} most used of {len(used)})" if len(used) > len(kept) else "")
    made, axes = figure(title, "time in which it sends (%)", "", max(SIZE[1], 0.9 + 0.2 * len(kept)))
    ends = _ends(measured)
    axes.barh([ends.get(name, name) for name in kept.index], kept.to_numpy(), color=COLOURS[1], height=0.7)
    axes.grid(visible=False, axis="y")
    axes.set_xlim(left=0)
    return made


def acceptance(measured: Measured) -> Figure:
    """Requests placed and not placed, by time window."""
    made, axes = figure("Requests decided in each time window", "time window's end (s)", "SFC requests")
    windows = measured.windows
    if not len(windows):
        return made
    at = windows["Time"].to_numpy() / 1000
    width = 0.8 * (float(numpy.diff(at).min()) if len(at) > 1 else max(1.0, at[0]))
    placed, refused = (
        windows[name].fillna(0).to_numpy() for name in ("SFC_Requests_Placed", "SFC_Requests_Not_Placed")
    )
    axes.bar(at, placed, width, color=GOOD, label=f"placed ({placed.sum():,.0f})")
    axes.bar(at, refused, width, bottom=placed, color=BAD, label=f"not placed ({refused.sum():,.0f})")
    axes.legend(fontsize=8, frameon=False, ncols=2)
    axes.set_ylim(0, 1.2 * max(1.0, float((placed + refused).max())))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return made


def power(measured: Measured) -> Figure:
    """Power of the nodes and of the links in use, after each time window."""
    made, axes = figure("Power of nodes, and of links in use", "time (s)", "power (W)")
    windows = measured.windows
    if len(windows):
        at = [*windows["Time"], max(measured.end_ms, windows["Time"].iloc[-1] + 1)]
        watts = windows["Total_Energy_Consumption"]
        axes.stairs(watts, numpy.array(at) / 1000, baseline=None, color=COLOURS[3], linewidth=1.8)
        axes.set_xlim(0, at[-1] / 1000)
        axes.set_ylim(0, 1.15 * max(1.0, float(watts.max())))
    return made


CHARTS: Mapping[str, Callable[[Measured], Figure]] = {
    "delays": delays,
    "packets": packets,
    "vnf_load": vnf_load,
    "links": links,
    "acceptance": acceptance,
    "power": power,
}
"""By name, in the order of the page."""


def _ends(measured: Measured) -> dict[str, str]:
    """By link, what to call it: its nodes and its name."""
    rows = entities(measured.results, "links")
    columns = (rows[name].astype(str) for name in ("Name", "Node_1", "Node_2"))
    return {
        name: f"{name} · within {a}" if a == b else f"{name} · {a} to {b}" for name, a, b in zip(*columns, strict=True)
    }
