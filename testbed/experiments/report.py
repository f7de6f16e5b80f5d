"""What an experiment on the lab found, as typed data with one JSON form. Drawing and pages are made from this alone.

In: nothing. Out: the dataclasses, and `document`. No I/O, no clock. Names carry what a latency is: `rtt` and `ping` are
round trips, `delay` and `seen` one way.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from testbed.traffic.rtt import within_tolerance

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Link:
    """Two switches and what is between them: configured, by `ping` (round trip), as the controller sees it."""

    a: int
    b: int
    delay_ms: float
    bandwidth_mbps: float | None = None
    ping_ms: float | None = None  # the least: what the wire costs, without waits for a processor
    median_ms: float | None = None
    seen_ms: float | None = None

    @property
    def configured_rtt_ms(self) -> float:
        """There and back, as configured."""
        return 2 * self.delay_ms

    @property
    def good(self) -> bool:
        """True where the measured round trip is within the tolerance."""
        return within_tolerance(self.configured_rtt_ms, self.ping_ms)


@dataclass(frozen=True, slots=True)
class Host:
    """A client."""

    name: str
    address: str
    switch: int


@dataclass(frozen=True, slots=True)
class Placed:
    """An instance and the switch that it is plugged in to."""

    instance_id: str
    vnf_type: str
    switch: int
    state: str
    address: str = ""


INSTANCE_MS = 0.5  # what one container, under load and a CPU quota, may add to a round trip


@dataclass(frozen=True, slots=True)
class Path:
    """A rendered path: from a domain through functions to a servant, along switches. TCP measured `rtt_ms` on it."""

    spi: int
    chain: str
    ingress: int
    functions: tuple[str, ...]
    terminal: str
    segments: tuple[tuple[int, ...], ...]
    status: str
    configured_rtt_ms: float | None
    rtt_ms: float | None
    connections: int
    packets: int

    @property
    def good(self) -> bool:
        """True where the measured round trip is that of its links, and no more than functions and servant may add."""
        if self.configured_rtt_ms is None or self.rtt_ms is None:
            return False
        extra_ms = self.rtt_ms - self.configured_rtt_ms
        allowed_ms = INSTANCE_MS * (len(self.functions) + 1)
        return within_tolerance(self.configured_rtt_ms, self.rtt_ms - min(max(extra_ms, 0.0), allowed_ms))

    @property
    def hops(self) -> list[tuple[int, int]]:
        """Every link that it crosses, in order, as (from, to)."""
        return [pair for segment in self.segments for pair in pairwise(segment)]


@dataclass(frozen=True, slots=True)
class Load:
    """What one client's connections came to, as `traffic/http_load.py` tells it."""

    client: str
    domain: int
    connections: int
    answered: int
    rate_cps: float
    p50_ms: float | None
    p99_ms: float | None
    servants: dict[str, int]
    errors: dict[str, int]


@dataclass(frozen=True, slots=True)
class Drops:
    """Packets that one rule of one firewall dropped during the experiment."""

    instance_id: str
    rule: str
    packets: int


@dataclass(frozen=True, slots=True)
class Function:
    """What one network function saw, let through (packets, requests, messages), and stopped (by rule, signature, list, reason)."""

    instance_id: str
    vnf_type: str
    packets: int
    passed: dict[str, int]
    stopped: dict[str, int]
    mean_us: float | None  # what a packet (a message of mail) takes in it, where it is not the kernel that looks


@dataclass(frozen=True, slots=True)
class Check:
    """Something that the experiment had to show, and whether it did."""

    name: str
    good: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Report:
    """Everything."""

    title: str
    started: str  # local time, ISO 8601
    duration_s: float
    environment: dict[str, str]
    links: tuple[Link, ...]
    hosts: tuple[Host, ...]
    instances: tuple[Placed, ...]
    paths: tuple[Path, ...]
    loads: tuple[Load, ...]
    drops: tuple[Drops, ...]
    switch_drops: dict[str, int]
    functions: tuple[Function, ...]
    checks: tuple[Check, ...]
    steps: tuple[tuple[float, str], ...]  # seconds since the start, what began then

    @property
    def domains(self) -> list[int]:
        """All domains, ascending; domain 1 is the headquarters."""
        switches = {x for link in self.links for x in (link.a, link.b)}
        return sorted(switches | {h.switch for h in self.hosts} | {i.switch for i in self.instances})

    @property
    def used(self) -> list[Path]:
        """Paths that connections took."""
        return [path for path in self.paths if path.connections]

    @property
    def shares(self) -> dict[str, int]:
        """Connections by servant, those without any included."""
        shares = Counter({i.instance_id: 0 for i in self.instances if i.vnf_type == "servant"})
        for load in self.loads:
            shares.update(load.servants)
        return dict(sorted(shares.items()))

    @property
    def answered(self) -> int:
        """Connections that were answered."""
        return sum(load.answered for load in self.loads)

    @property
    def errors(self) -> int:
        """Connections that failed."""
        return sum(sum(load.errors.values()) for load in self.loads)

    @property
    def good(self) -> bool:
        """True where every check is."""
        return all(check.good for check in self.checks)


def document(report: Report) -> dict[str, Any]:
    """The report as JSON-ready data, with what follows from it."""
    return {
        "format": FORMAT,
        **asdict(report),
        "summary": {
            "good": report.good,
            "connections": sum(load.connections for load in report.loads),
            "answered": report.answered,
            "errors": report.errors,
            "servants": report.shares,
            "dropped": sum(drop.packets for drop in report.drops),
        },
    }
