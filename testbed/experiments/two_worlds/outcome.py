"""What came of a level in either world, in the same shape: every request, and the CPU time of each servant.

In: nothing. Out: frozen data. Must not do: compute.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

ANSWERED, REFUSED = "answered", "refused"  # other fates are kinds of errors: timeout, reset, ...


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `latency_ms`: from its SYN to the last byte of its answer, or of its refusal."""

    client: str
    sent_ms: float
    latency_ms: float
    fate: str
    servant: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A level in one world. `cpu_ms`: CPU time by servant, from the start to the last answer, `elapsed_ms` later."""

    requests: tuple[Request, ...]
    cpu_ms: Mapping[str, float]
    elapsed_ms: float


@dataclass(frozen=True, slots=True)
class Constants:
    """What the simulator is told of the lab beside its configuration; each is measured in a run of its own (`on_lab.calibrate`).

    controller_ms: a connection's first packet, by the controller. way_ms: one way through switches and cables, beyond the links' configured
    delays. request_cpu_ms: CPU time that a request really takes of its servant. idle_cores: what a servant takes without requests.
    speed_cores: what it gets of its quota while it never waits for work, `idle_cores` among it.
    """

    controller_ms: float
    way_ms: float
    request_cpu_ms: float
    idle_cores: float
    speed_cores: float
