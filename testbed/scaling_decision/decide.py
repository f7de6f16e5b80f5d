"""How many replicas of a function there are to be: a pure decision that the simulator and an orchestrator of containers share.

In: a sample with forecasts, rules, the history of earlier decisions, the time. Out: a decision with its reason, and the history for
the next one. Must not do: I/O, read a clock, draw randomness, import a simulator.
"""

from testbed.scaling_decision.behaviour import enforce, since, stabilise
from testbed.scaling_decision.model import Decision, History, Rules, Sample
from testbed.scaling_decision.recommend import metrics


def decide(sample: Sample, rules: Rules, history: History, now_s: float) -> tuple[Decision, History]:
    """Metrics ask, the greatest counts; windows, rates and limits follow.

    Raises:
        ValueError: `now_s` is before the last decision.
    """
    if now_s < history.at_s:
        raise ValueError(f"now_s: {now_s:g}: expected no time before the last decision's {history.at_s:g}")
    asked = metrics(sample, rules, now_s)
    first = max(asked, key=lambda metric: metric.replicas)
    remembered = _remember(sample.replicas, first.replicas, history, rules, now_s)
    stabilised, in_view = stabilise(sample.replicas, remembered.recommended, rules, now_s)
    enforced, limit = enforce(sample.replicas, stabilised, remembered.changes, rules, now_s)
    what = f"{sample.replicas} -> {enforced} replicas" if enforced != sample.replicas else f"{enforced} replicas stay"
    reason = f"{what}: {'; '.join(text for text in (first.text, in_view, limit) if text)}"
    return Decision(sample.replicas, first.replicas, stabilised, enforced, reason, asked), remembered


def _remember(replicas: int, recommended: int, history: History, rules: Rules, now_s: float) -> History:
    """The history with now's recommendation, and with the change that the last decision is seen to have brought. Without a
    history, what is there counts as recommended until now: nothing goes before a whole window was seen."""
    changes = history.changes
    if history.replicas is not None and history.replicas != replicas:
        changes = (*changes, (history.at_s, replicas - history.replicas))
    before = history.recommended if history.replicas is not None else ((now_s, replicas),)
    longest_s = max((each.period_s for each in (*rules.up.policies, *rules.down.policies)), default=0.0)
    return History(
        replicas,
        now_s,
        (*since(before, now_s - max(rules.up.window_s, rules.down.window_s)), (now_s, recommended)),
        since(changes, now_s - longest_s),
    )
