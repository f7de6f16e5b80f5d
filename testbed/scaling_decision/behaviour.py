"""What of a recommendation may be done now: stabilisation windows, then rates, then limits, as Kubernetes' HorizontalPodAutoscaler
has them (its document, "Configurable scaling behavior").

In: numbers of replicas with their times. Out: a number and, where it is another one, why. Must not do: look at metrics.
"""

import math

from testbed.scaling_decision.model import Direction, Policy, Rules, Select

Timed = tuple[tuple[float, int], ...]


def since(entries: Timed, after_s: float) -> Timed:
    """Entries later than a time."""
    return tuple(each for each in entries if each[0] > after_s)


def stabilise(replicas: int, recommended: Timed, rules: Rules, now_s: float) -> tuple[int, str]:
    """The least change that all recommendations of the direction's window agree with. `recommended`: with the one of now, last;
    which is between the least and the most."""
    least = min(count for _, count in since(recommended, now_s - rules.up.window_s) or recommended[-1:])
    most = max(count for _, count in since(recommended, now_s - rules.down.window_s) or recommended[-1:])
    stabilised, now = min(max(replicas, least), most), recommended[-1][1]
    if stabilised == now:
        return now, ""
    window_s = rules.up.window_s if now > replicas else rules.down.window_s
    return stabilised, f"{stabilised} in view of the last {window_s:g} s"


def enforce(replicas: int, stabilised: int, changes: Timed, rules: Rules, now_s: float) -> tuple[int, str]:
    """What rates and limits leave of it. Limits go before rates: nothing is ever beyond them."""
    allowed = stabilised
    if stabilised > replicas:
        allowed = min(stabilised, max(replicas, _bound(replicas, changes, rules.up, now_s, up=True)))
    elif stabilised < replicas:
        allowed = max(stabilised, min(replicas, _bound(replicas, changes, rules.down, now_s, up=False)))
    enforced = min(max(allowed, rules.min_replicas), rules.max_replicas)
    if enforced == stabilised:
        return enforced, ""
    if enforced != allowed:
        name = "min_replicas" if enforced > allowed else "max_replicas"
        return enforced, f"{name} is {enforced}"
    return enforced, f"{'no more than' if enforced < stabilised else 'no fewer than'} {enforced} at this rate"


def _bound(replicas: int, changes: Timed, direction: Direction, now_s: float, up: bool) -> int:
    """How far a direction's policies allow to go."""
    if direction.select is Select.DISABLED:
        return replicas
    bounds = [_bound_of(each, replicas, since(changes, now_s - each.period_s), up) for each in direction.policies]
    if not bounds:
        return 2**31 if up else 0
    return max(bounds) if up == (direction.select is Select.MAX) else min(bounds)


def _bound_of(policy: Policy, replicas: int, changes: Timed, up: bool) -> int:
    """Counted from the replicas at the period's beginning: those of now without the changes in it."""
    at_first = replicas - sum(count for _, count in changes)
    amount = at_first * policy.amount / 100 if policy.percent else policy.amount
    return math.ceil(at_first + amount) if up else math.floor(at_first - amount)
