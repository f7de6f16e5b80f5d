"""The rules file. In: TOML text. Out: the policy and the rules, or `FileRefused` with the line and the reason. Pure.

default = "allow"        # what becomes of a connection that no rule speaks of: allow or deny
mid_stream = "loose"     # TCP connections whose start was not seen: loose takes them up, strict drops them
[[rules]]
id = "telnet"
action = "deny"
protocol = "tcp"
destination_ports = 23
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import tomllib

from firewall.rule import ACTIONS, Fault, Refused, Rule, parse_rule

NUMBERED = "rule-{}"  # the id of a rule that has none, by its place
MID_STREAM = ("loose", "strict")
_SETTINGS = {"default": ACTIONS, "mid_stream": MID_STREAM}
_HEADER = re.compile(r"\s*\[\[\s*rules\s*\]\]")


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds where no rule decides."""

    default: str = "allow"
    mid_stream: str = "loose"


class FileRefused(ValueError):
    """The file cannot be used; the message starts with its line where that is known."""


def parse_file(text: str) -> tuple[Policy, tuple[Rule, ...]]:
    """Policy and rules in the file's order. Raises FileRefused."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise FileRefused(_with_line_first(str(error), text)) from None
    faults = [
        Fault(f"/{key}", value, f"no such member, but one of {', '.join((*_SETTINGS, 'rules'))}")
        for key, value in table.items()
        if key not in (*_SETTINGS, "rules")
    ]
    faults += [
        Fault(f"/{key}", table[key], f"one of {', '.join(allowed)}")
        for key, allowed in _SETTINGS.items()
        if key in table and table[key] not in allowed
    ]
    given = table.get("rules", [])
    if not isinstance(given, list):
        faults.append(Fault("/rules", given, "tables, each under [[rules]]"))
        given = []
    rules: dict[str, Rule] = {}
    for index, entry in enumerate(given):
        try:
            rule = parse_rule(entry, f"/rules/{index}", NUMBERED.format(index + 1))
        except Refused as refused:
            faults += refused.faults
            continue
        if rule.id in rules:
            faults.append(Fault(f"/rules/{index}/id", rule.id, "an id that no other rule has"))
        rules[rule.id] = rule
    if faults:
        raise FileRefused("; ".join(f"{line_of(text, fault.member)}: {fault}" for fault in faults))
    return Policy(**{key: table[key] for key in _SETTINGS if key in table}), tuple(rules.values())


def line_of(text: str, member: str) -> int:
    """The line, from 1, where a JSON pointer's member stands; that of its table's header where the member is missing."""
    _, *steps = member.split("/")
    key, wanted = steps[-1], int(steps[1]) if len(steps) > 1 else -1
    at, seen = 1, -1
    for number, line in enumerate(text.splitlines(), 1):
        if _HEADER.match(line):
            seen += 1
            at = number if seen == wanted else at
        if seen == wanted and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*=", line):
            return number
    return at


def _with_line_first(message: str, text: str) -> str:
    """tomllib says "... (at line 3, column 7)", or "... (at end of document)"."""
    what, _, where = message.rpartition(" (at ")
    found = re.match(r"line (\d+)", where)
    return f"{found[1] if found else max(1, len(text.splitlines()))}: {what}"
