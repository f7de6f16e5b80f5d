"""What becomes of a message; pure. In: its score and the thresholds. Out: a verdict with its reason, the reply or the header it gets."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from spamfilter.config import Thresholds

_HEADER_WIDTH = 76
_TEST_NAME = re.compile(r"[A-Za-z0-9_]+")


class Action(Enum):
    """What is done with a message."""

    PASSED = "passed"
    TAGGED = "tagged"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class Score:
    """SpamAssassin's opinion: points, and the names of the rules that gave them."""

    points: float
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do, and why."""

    action: Action
    reason: str


def decide(score: Score, thresholds: Thresholds) -> Verdict:
    """Refuse from one threshold, tag from the other."""
    if score.points >= thresholds.reject:
        return Verdict(Action.REJECTED, f"spam score {score.points:.1f} reaches {thresholds.reject:.1f}")
    if score.points >= thresholds.tag:
        return Verdict(Action.TAGGED, f"spam score {score.points:.1f} reaches {thresholds.tag:.1f}")
    return Verdict(Action.PASSED, f"spam score {score.points:.1f} is below {thresholds.tag:.1f}")


def refusal(verdict: Verdict) -> bytes:
    """The reply to a message that is refused."""
    return f"550 5.7.1 Message refused: {verdict.reason}\r\n".encode()


def tag(score: Score, thresholds: Thresholds) -> bytes:
    """The header lines that go on top of a tagged message."""
    names = ",".join(test for test in score.tests if _TEST_NAME.fullmatch(test)) or "none"
    status = f"X-Spam-Status: Yes, score={score.points:.1f} required={thresholds.tag:.1f} tests="
    lines = [
        "X-Spam-Flag: YES",
        f"X-Spam-Score: {score.points:.1f}",
        f"X-Spam-Level: {'*' * max(0, min(50, int(score.points)))}",
        *_folded(status, names),
    ]
    return "".join(f"{line}\r\n" for line in lines).encode()


def _folded(start: str, names: str) -> list[str]:
    lines, line = [], start
    for name in re.findall(r"[^,]+,?", names):
        if len(line) + len(name) > _HEADER_WIDTH:
            lines.append(line)
            line = "\t"
        line += name
    return [*lines, line]
