"""Rows of figures, each against its rival in the same run, and the table that people read. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Row:
    """One figure. `ratio` is how many times better ours is than the rival's (above 1: better), None where there is no rival.

    `met` is None where no aim was stated.
    """

    name: str
    unit: str
    ours: float
    rival_name: str
    rival: float | None
    higher_is_better: bool
    aim: str = ""
    met: bool | None = None
    rival_is_least: bool = False  # the rival did not get there while it was watched: its figure is a lower bound
    samples: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float | None:
        """Ours against the rival's."""
        if self.rival is None or not self.ours or not self.rival:
            return None
        return self.ours / self.rival if self.higher_is_better else self.rival / self.ours

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {"ratio": self.ratio}


def percentile(values: Iterable[float], percent: float) -> float:
    """Nearest rank; 0 of nothing."""
    ordered = sorted(values)
    if not ordered:
        return 0.0
    return ordered[min(len(ordered) - 1, max(0, -(-len(ordered) * int(percent) // 100) - 1))]


def middle(values: Sequence[float]) -> float:
    """The median; 0 of nothing."""
    return float(median(values)) if values else 0.0


def number(value: float | None, least: bool = False) -> str:
    """A figure with about three digits."""
    if value is None:
        return "-"
    text = f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return f"> {text}" if least else text


def render(rows: Sequence[Row]) -> str:
    """The table."""
    head = ("", "ours", "rival", "", "ratio", "aim", "met")
    body = []
    for row in rows:
        ratio = "-" if row.ratio is None else f"{'> ' if row.rival_is_least else ''}{number(row.ratio)}x"
        met = {None: "", True: "yes", False: "NO"}[row.met]
        ours, rival = number(row.ours), number(row.rival, row.rival_is_least)
        body.append(
            (f"{row.name}, {row.unit}" if row.unit else row.name, ours, rival, row.rival_name, ratio, row.aim, met)
        )
    widths = [max(len(line[n]) for line in (head, *body)) for n in range(len(head))]
    right = (False, True, True, False, True, False, False)
    lines = []
    for line in (head, tuple("-" * width for width in widths), *body):
        cells = [t.rjust(w) if r else t.ljust(w) for t, w, r in zip(line, widths, right, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
