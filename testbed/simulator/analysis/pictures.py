"""A placement as a picture: nodes by type, the VNF instances on them, and the links that chains use.

In: the state. Out: a PNG or SVG file. A picture takes about half a second, more than many placements: NSS_SAVE_IMAGE_PLACEMENT
turns it on. Must not do: change the state.
"""

from collections import Counter
from dataclasses import dataclass
from math import cos, pi, sin
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch, Patch, Rectangle

from testbed.experiments.drawing import COLOURS
from testbed.simulator.model.entities import Node, NodeType
from testbed.simulator.model.instances import VnfInstance
from testbed.simulator.model.state import State

WIDTH, HEAD, ROW, GAP = 2.9, 0.62, 0.27, 0.5
INCHES = 0.95  # of a unit of length; the letters are in points
MOST_PIXELS = 4000
MOST_INSTANCES = 12
GROUND = {NodeType.RAN: "#fef3c7", NodeType.DEFAULT: "#f1f5f9", NodeType.CORE: "#dbeafe"}
NAMES = {NodeType.RAN: "RAN node", NodeType.DEFAULT: "default node", NodeType.CORE: "core node"}
INK, SOFT = "#0f172a", "#475569"


@dataclass(frozen=True, slots=True)
class Box:
    """A node's: its left side, its top (y grows downwards), its height, and the instances on it."""

    node: Node
    x: float
    y: float
    height: float
    instances: tuple[VnfInstance, ...]

    @property
    def middle(self) -> tuple[float, float]:
        """Of the box."""
        return self.x + WIDTH / 2, self.y + self.height / 2

    def edge(self, other: "Box") -> tuple[float, float]:
        """Where the line to the middle of another box leaves this one."""
        (x, y), (to_x, to_y) = self.middle, other.middle
        dx, dy = to_x - x, to_y - y
        scale = min(
            WIDTH / 2 / abs(dx) if dx else float("inf"),
            self.height / 2 / abs(dy) if dy else float("inf"),
        )
        return x + dx * scale, y + dy * scale


def draw(state: State, path: Path, title: str) -> None:
    """Draw what is placed now; the suffix of `path` says how (.png, .svg). Its folder is made."""
    boxes = _boxes(state)
    left, right = min(box.x for box in boxes.values()), max(box.x + WIDTH for box in boxes.values())
    top, bottom = min(box.y for box in boxes.values()), max(box.y + box.height for box in boxes.values())
    size = ((right - left + 0.6) * INCHES, (bottom - top + 0.6) * INCHES + 1.2)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.add_subplot()
    axes.set_xlim(left - 0.3, right + 0.3)
    axes.set_ylim(bottom + 0.3, top - 0.3)
    axes.set_aspect("equal")
    axes.axis("off")
    axes.set_title(title, fontsize=13, fontweight="bold", color=INK, loc="left")
    _links(axes, state, boxes)
    vnfs = {name: _colour(number) for number, name in enumerate(state.entities.vnfs)}
    for box in boxes.values():
        _box(axes, state, box, vnfs)
    _legend(figure, state)
    path.parent.mkdir(parents=True, exist_ok=True)
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    figure.savefig(path, dpi=min(110.0, MOST_PIXELS / max(size)), metadata=metadata)


def _boxes(state: State) -> dict[str, Box]:
    """Nodes on an ellipse, those of a type together, far enough from each other that no box covers another."""
    on: dict[str, list[VnfInstance]] = {name: [] for name in state.entities.nodes}
    for instance in state.vnf_instances.values():
        on[instance.node.name].append(instance)
    nodes = sorted(state.entities.nodes.values(), key=lambda node: list(NAMES).index(node.type))
    heights = {node.name: HEAD + ROW * max(1, min(len(on[node.name]), MOST_INSTANCES + 1)) + 0.12 for node in nodes}
    around = max(len(nodes), 5) * 1.25 / (2 * pi)
    radius_x, radius_y = around * (WIDTH + GAP), around * (max(heights.values()) + GAP)
    boxes = {}
    for number, node in enumerate(nodes):
        angle = pi + 2 * pi * number / len(nodes)
        x, y = radius_x * cos(angle) - WIDTH / 2, radius_y * sin(angle) - heights[node.name] / 2
        boxes[node.name] = Box(node, x, y, heights[node.name], tuple(on[node.name]))
    return boxes


def _box(axes: Axes, state: State, box: Box, colours: dict[str, str]) -> None:
    node = box.node
    axes.add_patch(
        FancyBboxPatch(
            (box.x, box.y),
            WIDTH,
            box.height,
            boxstyle="round,pad=0,rounding_size=0.12",
            facecolor=GROUND[node.type],
            edgecolor="#64748b",
            linewidth=1.0,
            zorder=3,
        )
    )
    cpu, mem = state.used_cpu(node.name) / node.cpu, state.used_mem(node.name) / node.mem
    axes.text(box.x + 0.12, box.y + 0.28, node.name, fontsize=10, fontweight="bold", color=INK, va="center", zorder=4)
    told = f"CPU {100 * cpu:.0f} %, memory {100 * mem:.0f} %"
    axes.text(box.x + WIDTH - 0.12, box.y + 0.28, told, fontsize=7.5, color=SOFT, va="center", ha="right", zorder=4)
    axes.add_patch(Rectangle((box.x + 0.12, box.y + 0.46), WIDTH - 0.24, 0.06, facecolor="#cbd5e1", zorder=4))
    axes.add_patch(
        Rectangle((box.x + 0.12, box.y + 0.46), (WIDTH - 0.24) * min(1, cpu), 0.06, facecolor="#16a34a", zorder=5)
    )
    shown = box.instances if len(box.instances) <= MOST_INSTANCES + 1 else box.instances[:MOST_INSTANCES]
    lines = [(colours[each.vnf.name], each.name, f"{each.vnf.name} · {_requests(each.requests)}") for each in shown]
    if len(shown) < len(box.instances):
        lines.append(("#94a3b8", f"and {len(box.instances) - len(shown)} more", ""))
    for row, (colour, left, right) in enumerate(lines or [("#cbd5e1", "no instance", "")]):
        y = box.y + HEAD + ROW * (row + 0.5)
        axes.add_patch(Rectangle((box.x + 0.14, y - 0.07), 0.14, 0.14, facecolor=colour, zorder=4))
        axes.text(box.x + 0.38, y, left, fontsize=8, color=INK, va="center", zorder=4)
        axes.text(box.x + WIDTH - 0.12, y, right, fontsize=8, color=SOFT, va="center", ha="right", zorder=4)


def _requests(count: int) -> str:
    return f"{count} request{'' if count == 1 else 's'}"


def _links(axes: Axes, state: State, boxes: dict[str, Box]) -> None:
    """An arrow for each SFC type that uses a link's direction, as wide as chains use it; bent to the middle, so that they do not
    cover each other or a box."""
    use: Counter[tuple[str, str, str]] = Counter()
    for instance in state.sfc_instances.values():
        for route in instance.routes.values():
            for link in route:
                if not link.loopback:
                    use[link.source, link.target, instance.sfc.name] += 1
    sfcs = list(state.entities.sfcs)
    together: Counter[frozenset[str]] = Counter()
    for (source, target, sfc), count in sorted(use.items()):
        start, end = boxes[source].edge(boxes[target]), boxes[target].edge(boxes[source])
        bend = _inwards(start, end) * (0.14 + 0.06 * together[frozenset((source, target))])
        together[frozenset((source, target))] += 1
        axes.add_patch(
            FancyArrowPatch(
                start,
                end,
                arrowstyle="-|>",
                mutation_scale=13,
                connectionstyle=f"arc3,rad={bend}",
                color=_colour(sfcs.index(sfc)),
                linewidth=min(6.0, 1.0 + 0.5 * count),
                alpha=0.85,
                zorder=2,
                shrinkA=1,
                shrinkB=1,
            )
        )


def _inwards(start: tuple[float, float], end: tuple[float, float]) -> int:
    """The sign of an arc's bend with which it passes nearer to (0, 0); y grows downwards."""
    (x1, y1), (x2, y2) = start, end
    return -1 if (x1 + x2) * (y2 - y1) - (y1 + y2) * (x2 - x1) < 0 else 1


def _colour(number: int) -> str:
    return COLOURS[(number + 1) % len(COLOURS)]


def _legend(figure: Figure, state: State) -> None:
    used = {instance.sfc.name for instance in state.sfc_instances.values()}
    there = {node.type for node in state.entities.nodes.values()}
    marks: list[Patch | Line2D] = [
        Patch(facecolor=GROUND[kind], edgecolor="#64748b", label=text) for kind, text in NAMES.items() if kind in there
    ]
    marks += [
        Line2D([], [], color=_colour(number), linewidth=2.5, label=f"links of {sfc.name}: {' → '.join(sfc.vnfs)}")
        for number, sfc in enumerate(state.entities.sfcs.values())
        if sfc.name in used
    ]
    figure.legend(handles=marks[:16], loc="outside lower left", fontsize=8.5, ncols=4, frameon=False)
