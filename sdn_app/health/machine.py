"""The state machine of an instance's health: what a probe's outcome or a port's change makes of its state. Pure.

In: the state before, what happened, the time. Out: the state after, and when to probe next. It sends no probes.

    starting --good probe--> active;  active, draining --`fall` bad probes in a row, or port down--> failed
    failed --`rise` good probes in a row--> active;  failed --port up--> starting
An instance that is being drained is probed like any other, and comes back from failure as draining.
"""

from dataclasses import dataclass, replace

from sdn_app.chains.model import InstanceState


@dataclass(frozen=True, slots=True)
class Policy:
    """How to probe. `fall` bad probes in a row fail an instance, `rise` good ones bring a failed one back.

    The interval doubles with every further bad probe of a failed instance, up to `max_interval_s`.
    """

    interval_s: float = 1.0
    timeout_s: float = 0.5
    fall: int = 3
    rise: int = 2
    max_interval_s: float = 10.0


@dataclass(frozen=True, slots=True)
class ProbeState:
    """State, bad and good probes in a row since it was entered, and that time. `draining`: it was when it failed."""

    state: InstanceState = InstanceState.STARTING
    failures: int = 0
    successes: int = 0
    since: float = 0.0
    draining: bool = False


def on_probe(state: ProbeState, ok: bool, now: float, policy: Policy) -> ProbeState:
    """Give the state after a probe."""
    if ok:
        counted = replace(state, failures=0, successes=state.successes + 1)
        if state.state is InstanceState.STARTING:
            return _healthy(state, now)
        if state.state is InstanceState.FAILED and counted.successes >= policy.rise:
            return _healthy(state, now)
        return counted
    counted = replace(state, failures=state.failures + 1, successes=0)
    serving = state.state in (InstanceState.ACTIVE, InstanceState.DRAINING)
    if serving and counted.failures >= policy.fall:
        return on_port_down(state, now)
    return counted


def on_port_down(state: ProbeState, now: float) -> ProbeState:
    """Give the state after a port of the instance went down: failed at once."""
    if state.state is InstanceState.FAILED:
        return state
    draining = state.draining or state.state is InstanceState.DRAINING
    return ProbeState(InstanceState.FAILED, since=now, draining=draining)


def on_port_up(state: ProbeState, now: float) -> ProbeState:
    """Give the state after all ports of the instance are up: a failed one starts again."""
    if state.state is not InstanceState.FAILED:
        return state
    return ProbeState(InstanceState.STARTING, since=now, draining=state.draining)


def next_probe_in_s(state: ProbeState, policy: Policy) -> float:
    """Give the time from one probe's outcome to the next probe."""
    if state.state is not InstanceState.FAILED:
        return policy.interval_s
    doublings = min(state.failures, 64)  # more would overflow, and is over any maximum
    return max(policy.interval_s, min(policy.interval_s * 2.0**doublings, policy.max_interval_s))


def _healthy(state: ProbeState, now: float) -> ProbeState:
    return ProbeState(InstanceState.DRAINING if state.draining else InstanceState.ACTIVE, since=now)
