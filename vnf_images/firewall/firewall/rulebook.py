"""The rules that hold: the file's and those added at run time, and that the kernel has them.

In: the rules file, rules to add, ids to remove. Out: what holds now. A change is carried out wholly or not at all: what is
refused, here or by nft, leaves everything as it was. Rules that were added stay over a reload of the file, not over a restart.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from firewall import kernel
from firewall.compiling import (
    DEFAULT_COUNTER,
    FAMILY,
    GENERATION,
    GENERATION_SHIFT,
    GUARD,
    MOST_RULES,
    RULE_COUNTER,
    TABLE,
    counter_names,
    in_order,
    transaction,
)
from firewall.kernel import Count, KernelRefused
from firewall.rule import Fault, Refused, Rule, parse_rule
from firewall.rulefile import FileRefused, Policy, parse_file
from firewall.ruleset import RuleCount, Ruleset, RulesRefused

ADDED = "added-{}"  # the id of an added rule that came without one
VERDICT = {"allow": "accept", "deny": "drop"}


class Conflict(ValueError):
    """The change does not go with the rules that hold."""


class UnknownRule(KeyError):
    """There is no rule with this id."""


@dataclass(frozen=True, slots=True)
class Held:
    """What holds: the file's policy and rules, and the rules that were added, each in the order they came."""

    policy: Policy = field(default_factory=Policy)
    of_file: tuple[Rule, ...] = ()
    added: tuple[Rule, ...] = ()

    def rules(self) -> tuple[Rule, ...]:
        """All rules, the file's first."""
        return (*self.of_file, *self.added)

    def in_order(self) -> list[Rule]:
        """All rules as they are asked."""
        return in_order(self.rules())


class Rulebook:
    """Used by the main thread and by those of the management server."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._raw = Ruleset(path) if path.suffix == ".nft" else None
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._generation = 0
        self.held = Held()

    def load(self) -> None:
        """Read the file (anew) and bring the kernel to it. Raises RulesRefused."""
        with self._lock:
            try:
                text = self._path.read_text()
                if self._raw is not None:
                    self._raw.load(text)
                    self._put(self.held)
                else:
                    policy, rules = parse_file(text)
                    self._put(replace(self.held, policy=policy, of_file=rules))
            except FileRefused as refused:
                raise RulesRefused(f"{self._path}:{refused}") from None
            except (OSError, UnicodeDecodeError, KernelRefused, Conflict) as error:
                raise RulesRefused(f"{self._path}: {error}") from None

    def add(self, given: Sequence[object], members: Sequence[str]) -> list[Rule]:
        """Add all of `given`; `members` are JSON pointers to each. Raises Refused, Conflict, KernelRefused."""
        with self._lock:
            taken = {rule.id for rule in self.held.rules()}
            rules: list[Rule] = []
            faults: list[Fault] = []
            for entry, member in zip(given, members, strict=True):
                try:
                    needs_id = isinstance(entry, Mapping) and "id" not in entry
                    rules.append(parse_rule(entry, member, self._free_id(taken) if needs_id else None))
                except Refused as refused:
                    faults += refused.faults
            if faults:
                raise Refused(*faults)
            self._put(replace(self.held, added=(*self.held.added, *rules)))
            return rules

    def remove(self, id: str) -> None:
        """Remove a rule that was added. Raises UnknownRule, Conflict, KernelRefused."""
        with self._lock:
            if id in {rule.id for rule in self.held.of_file}:
                raise Conflict(f"rule {id} comes from {self._path}: change the file and send SIGHUP")
            if id not in {rule.id for rule in self.held.added}:
                raise UnknownRule(id)
            self._put(replace(self.held, added=tuple(rule for rule in self.held.added if rule.id != id)))

    def counts(self) -> list[RuleCount]:
        """What each rule passed or dropped, and what was left to the default. Raises KernelRefused."""
        held = self.held
        counted = counts_by_rule(held, kernel.counters())
        rows = [(rule.id, VERDICT[rule.action], counted[rule.id]) for rule in held.in_order()]
        rows.append((DEFAULT_COUNTER, VERDICT[held.policy.default], counted[""]))
        made = [RuleCount("forward", id, verdict, count.packets, count.bytes) for id, verdict, count in rows]
        return [*(self._raw.counts() if self._raw else []), *made]

    def check(self) -> None:
        """Raises KernelRefused unless the kernel's chain still leads packets to the rules."""
        kernel.listed("chain", FAMILY, TABLE, "forward")
        if self._raw is not None:
            self._raw.counts()

    def _free_id(self, taken: Iterable[str]) -> str:
        return next(id for id in map(ADDED.format, self._numbers) if id not in taken)

    def _put(self, held: Held) -> None:
        """Bring the kernel to `held`, and keep it. Raises Conflict, KernelRefused."""
        rules, before = held.rules(), self.held.rules()
        ids = [rule.id for rule in rules]
        if twice := sorted({id for id in ids if ids.count(id) > 1}):
            raise Conflict(f"another rule has the id {', '.join(twice)}")
        if len(rules) > MOST_RULES:
            raise Conflict(f"{len(rules)} rules; expected {MOST_RULES} at most")
        generation = self._generation % (GENERATION >> GENERATION_SHIFT) + 1  # never 0: a new connection's mark
        gone = set(counter_names(before)) - set(counter_names(rules)) if self._generation else ()
        kernel.change((GUARD if not self._generation else "") + transaction(held.policy, rules, generation, gone))
        self._generation, self.held = generation, held


def counts_by_rule(held: Held, counters: dict[tuple[str, str], Count]) -> dict[str, Count]:
    """Counters by rule's id; under the empty id that of the default."""
    found = {rule.id: counters.get((TABLE, RULE_COUNTER + rule.id), Count()) for rule in held.rules()}
    return {**found, "": counters.get((TABLE, DEFAULT_COUNTER), Count())}
