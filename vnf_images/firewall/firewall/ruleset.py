"""A rules file in nftables' own language: loads it as one transaction and reads its counters back.

In: nftables text with a `table bridge firewall` that has a chain on the forward hook. Out: counters by rule. A file that nft
refuses changes nothing in the kernel. What it lets through still has the state of its connection looked at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from firewall import kernel
from firewall.kernel import KernelRefused

TABLE = ("bridge", "firewall")
RESET = "add table bridge firewall; delete table bridge firewall; "
VERDICTS = ("accept", "drop", "reject", "jump", "goto", "return", "queue")


class RulesRefused(ValueError):
    """The rules cannot be used; the message has the file, the line and the reason."""


@dataclass(frozen=True, slots=True)
class RuleCount:
    """What one rule with a counter saw. `rule` is its comment, or `<chain>-<position>` where it has none."""

    chain: str
    rule: str
    verdict: str
    packets: int
    bytes: int


class Ruleset:
    """The rules of one file, as loaded last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._loaded = ""

    def load(self, text: str) -> None:
        """Replace the rules in the kernel by those of `text`. On RulesRefused those that were loaded before stay."""
        self._put(text)
        if not has_forward_chain(kernel.listed("table", *TABLE)):
            if self._loaded:
                self._put(self._loaded)
            raise RulesRefused(f"{self._path}: expected a chain with `hook forward` in `table bridge firewall`")
        self._loaded = text

    def counts(self) -> list[RuleCount]:
        """The counters of all rules that have one. Raises KernelRefused when the rules are gone."""
        return parse_counts(kernel.listed("table", *TABLE)) if self._loaded else []

    def _put(self, text: str) -> None:
        try:
            kernel.change(RESET + text)  # on the first line, so that line numbers stay the file's
        except KernelRefused as refused:
            raise RulesRefused(str(refused).replace("/dev/stdin", str(self._path)).replace("\n", " | ")) from None


def has_forward_chain(listed: Sequence[Mapping[str, Any]]) -> bool:
    """Whether what nft listed filters frames that pass the bridge at all."""
    return any(entry.get("chain", {}).get("hook") == "forward" for entry in listed)


def parse_counts(listed: Sequence[Mapping[str, Any]]) -> list[RuleCount]:
    """Counters by rule, from what `nft -j list table` printed. Rules of a chain with one name are added up."""
    totals: dict[tuple[str, str, str], tuple[int, int]] = {}
    position: dict[str, int] = {}
    for entry in listed:
        rule = entry.get("rule")
        if rule is None:
            continue
        chain = rule["chain"]
        position[chain] = position.get(chain, 0) + 1
        expressions = {key: value for expression in rule["expr"] for key, value in expression.items()}
        counter = expressions.get("counter")
        if not isinstance(counter, dict):
            continue
        verdict = next((word for word in VERDICTS if word in expressions), "continue")
        key = (chain, rule.get("comment") or f"{chain}-{position[chain]}", verdict)
        packets, octets = totals.get(key, (0, 0))
        totals[key] = (packets + counter["packets"], octets + counter["bytes"])
    return [RuleCount(*key, *total) for key, total in totals.items()]
