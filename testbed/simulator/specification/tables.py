"""Entities as text tables, in the form of the document's samples: `--list` shows all of them, `--show` the first of each kind.

In: entities. Out: text. Must not do: print it.
"""

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from testbed.simulator.model.entities import Entities, Location

TITLES = {
    "nodes": "Nodes",
    "links": "Links",
    "vnfs": "VNFs",
    "sfcs": "SFCs",
    "users": "Users",
    "data_sources": "Data Sources",
    "sfc_requests": "SFC Requests",
    "slices": "Slices",
}
WORDS = {"cpu": "CPU", "vnfs": "VNFs", "sfc": "SFC", "ipt": "IPT"}
HEADINGS = {"ingress": "Ingress Node", "egress": "Egress Node", "ingress_egress": "SFC Ingress / Egress"}
WIDTH = 60  # of a cell's text; longer texts take several lines


def list_all(entities: Entities) -> str:
    """A table for each kind, with a row for each entity."""
    tables = []
    for kind, title in TITLES.items():
        rows = list(getattr(entities, kind).values())
        if rows:
            names = [each.name for each in fields(rows[0])]
            cells = [[_cell(getattr(row, name)) for name in names] for row in rows]
            tables.append(f"{title}\n{table([[_heading(name)] for name in names], cells)}")
    return "\n\n".join(tables)


def show_first(entities: Entities) -> str:
    """A table for the first entity of each kind, with a row for each attribute."""
    tables = []
    for kind, title in TITLES.items():
        first = next(iter(getattr(entities, kind).values()), None)
        if first is not None:
            rows = [[[_heading(each.name)], _cell(getattr(first, each.name))] for each in fields(first)]
            tables.append(f"{title}\n{table([['Attr'], ['Value']], rows)}")
    return "\n\n".join(tables)


def table(headings: Sequence[Sequence[str]], rows: Sequence[Sequence[Sequence[str]]]) -> str:
    """A frame around cells, each a list of lines, centred."""
    widths = [max(len(line) for row in (headings, *rows) for line in row[i]) for i in range(len(headings))]
    rule = "+" + "+".join("-" * (width + 2) for width in widths) + "+"
    lines = [rule]
    for row in (headings, *rows):
        for k in range(max(len(cell) for cell in row)):
            texts = [cell[k] if k < len(cell) else "" for cell in row]
            lines.append("|" + "|".join(f" {text:^{width}} " for text, width in zip(texts, widths, strict=True)) + "|")
        lines.append(rule)
    return "\n".join(lines)


def _heading(name: str) -> str:
    return HEADINGS.get(name) or " ".join(WORDS.get(word, word.capitalize()) for word in name.split("_"))


def _cell(value: Any) -> list[str]:
    return textwrap.wrap(_text(value), WIDTH) or [""]


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, Location):
        return f"{value.name} ({value.latitude:g}, {value.longitude:g})"
    if isinstance(value, frozenset):
        return ", ".join(sorted(value, key=lambda name: (len(name), name)))
    if isinstance(value, tuple):
        return ", ".join(_text(each) for each in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {ends[0]} / {ends[1]}" for key, ends in value.items())
    return str(value)
