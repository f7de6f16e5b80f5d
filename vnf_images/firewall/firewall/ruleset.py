"""The rules: loads them as one transaction and reads their counters back.

In: nftables text with a `table bridge firewall` that has a chain on the forward hook. Out: counters by rule. A file that nft
refuses changes nothing in the kernel. Must not touch other tables, except the guard that keeps the container's own stack away
from the data ports.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TABLE = ("bridge", "firewall")
RESET = "add table bridge firewall; delete table bridge firewall; "
GUARD = """
table bridge guard {
    chain input { type filter hook input priority filter; policy drop; }
    chain output { type filter hook output priority filter; policy drop; }
}
"""
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

    def load(self) -> None:
        """Replace the rules in the kernel by the file's. On RulesRefused those that were loaded before stay."""
        try:
            text = self._path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise RulesRefused(f"{self._path}: {error}") from None
        self._put(text)
        if not has_forward_chain(self._listed()):
            if self._loaded:
                self._put(self._loaded)
            raise RulesRefused(f"{self._path}: expected a chain with `hook forward` in `table bridge firewall`")
        self._loaded = text

    def guard(self) -> None:
        """Keep frames of the data ports from the container's own stack, and its frames from them."""
        done = _nft("-f", "-", given=GUARD)
        if done.returncode != 0:
            raise RulesRefused(f"the guard could not be loaded: {done.stderr.strip()}")

    def counts(self) -> list[RuleCount]:
        """The counters of all rules that have one; raises RulesRefused when the rules are gone."""
        return parse_counts(self._listed())

    def _put(self, text: str) -> None:
        done = _nft("-f", "-", given=RESET + text)  # on the first line, so that line numbers stay the file's
        if done.returncode != 0:
            raise RulesRefused(done.stderr.strip().replace("/dev/stdin", str(self._path)).replace("\n", " | "))

    def _listed(self) -> Sequence[Mapping[str, Any]]:
        done = _nft("-j", "list", "table", *TABLE)
        if done.returncode != 0:
            raise RulesRefused(f"the rules are not loaded: {done.stderr.strip()}")
        return list(json.loads(done.stdout)["nftables"])


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


def _nft(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(("nft", *arguments), input=given, capture_output=True, text=True, check=False)
