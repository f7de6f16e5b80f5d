"""Judges whole messages. In: a message as on the wire, or what is wrong with it. Out: the message to hand on, or the reply that refuses it.

Keeps the metrics and the log of verdicts, and the bound on the memory that all messages together take.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from vnf.log import log

from spamfilter import verdict
from spamfilter.config import Config
from spamfilter.message import Collector, Fault, fault_of, normalised, unstuffed
from spamfilter.metrics import DROPS, ERRORS, MESSAGES, PROCESSING, SCORES
from spamfilter.spamd import ScoringFailed, Spamd
from spamfilter.verdict import Action

BEYOND_SCAN = Fault("larger than is scanned", b"552 5.3.4 Message is larger than what is scanned for spam\r\n")
NO_SCORE = b"451 4.7.1 The message could not be checked, try again later\r\n"


@dataclass(frozen=True, slots=True)
class Outcome:
    """A message to hand on (with its dots stuffed), or the reply that refuses it."""

    message: bytes = b""
    refusal: bytes = b""


class Budget:
    """Bytes that messages under way hold, by collector, and their bound."""

    def __init__(self) -> None:
        self.most_bytes = 0
        self._held: dict[Collector, int] = {}
        self.total = 0

    def hold(self, collector: Collector) -> bool:
        """Note what the collector has grown to; False when it is too much."""
        size = collector.size
        if self.total + size - self._held.get(collector, 0) > self.most_bytes and collector.fault is None:
            return False
        self.total += size - self._held.get(collector, 0)
        self._held[collector] = size
        return True

    def give_back(self, collector: Collector) -> None:
        """The message is gone."""
        self.total -= self._held.pop(collector, 0)


class Judge:
    """Verdicts under the configuration of the moment."""

    def __init__(self, config: Config, spamd: Spamd) -> None:
        self._spamd = spamd
        self.budget = Budget()
        self.use(config)

    def use(self, config: Config) -> None:
        """From now on, judge by `config`."""
        self.config = config
        self.budget.most_bytes = config.limits.buffer_bytes

    async def judge(self, content: bytes, fault: Fault | None) -> Outcome:
        """The outcome for a message; with a fault it is refused unseen."""
        started_s = time.monotonic()
        if fault is None:
            if self.config.policy.bare_newlines == "normalise":
                content = normalised(content)
            fault = fault_of(content, self.config.limits, self.config.policy.bare_newlines)
        if fault is not None:
            outcome = self._refused(fault)
        elif len(content) > self.config.limits.scan_bytes and self.config.policy.beyond_scan != "head":
            outcome = self._beyond_scan(content)
        else:
            outcome = await self._scored(content)
        PROCESSING.observe(time.monotonic() - started_s)
        return outcome

    def _refused(self, fault: Fault) -> Outcome:
        MESSAGES.labels("malformed").inc()
        DROPS.labels(fault.reason).inc()
        log("message refused", reason=fault.reason)
        return Outcome(refusal=fault.reply)

    def _beyond_scan(self, content: bytes) -> Outcome:
        if self.config.policy.beyond_scan == "reject":
            return self._refused(BEYOND_SCAN)
        MESSAGES.labels("unscanned").inc()
        return Outcome(content)

    async def _scored(self, content: bytes) -> Outcome:
        limits, thresholds = self.config.limits, self.config.thresholds
        try:
            score = await self._spamd.score(unstuffed(content[: limits.scan_bytes]), limits.scan_s)
        except ScoringFailed as failure:
            return self._unscored(content, str(failure))
        decided = verdict.decide(score, thresholds)
        SCORES.observe(score.points)
        MESSAGES.labels(decided.action.value).inc()
        log("message", verdict=decided.action.value, reason=decided.reason, tests=score.tests, bytes=len(content))
        if decided.action is Action.REJECTED:
            DROPS.labels("spam").inc()
            return Outcome(refusal=verdict.refusal(decided))
        if decided.action is Action.TAGGED:
            return Outcome(verdict.tag(score, thresholds) + content)
        return Outcome(content)

    def _unscored(self, content: bytes, reason: str) -> Outcome:
        ERRORS.labels("no score").inc()
        MESSAGES.labels("unscored").inc()
        log("message without score", reason=reason, policy=self.config.policy.spamd_down)
        if self.config.policy.spamd_down == "open":
            return Outcome(content)
        DROPS.labels("no score").inc()
        return Outcome(refusal=NO_SCORE)
