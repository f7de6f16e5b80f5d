"""Puts together what the lab was told, what the controller answers and what was measured: one `Report`.

In: a running lab's facts, REST views, measurements. Out: a `Report` with its checks. Only `Views.read` calls REST.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from testbed.experiments.measures import Delays, least_rtts, route_ms, shortest_ms
from testbed.experiments.report import Check, Drops, Function, Host, Link, Load, Path, Placed, Report
from testbed.lab.links import parameters_of
from testbed.lab.net import Lab
from testbed.traffic.rtt import Rtt

TITLE = "Four domains: an emergency service behind a firewall"
VNF_TYPES = ("firewall", "antivirus", "spamfilter", "encryption", "contentfilter", "servant")
Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Views:
    """What the controller answered at the end."""

    topology: Json
    paths: list[Json]
    statistics: Json
    instances: dict[str, Json]

    @classmethod
    def read(cls, call: Callable[[str, str], Any]) -> Views:
        """Read them; `call` takes a method and a path."""
        instances = [i for kind in VNF_TYPES for i in call("GET", f"/vnf/{kind}/instances")["instances"]]
        return cls(
            call("GET", "/topology"),
            call("GET", "/paths")["paths"],
            call("GET", "/statistics"),
            {instance["instance_id"]: instance for instance in instances},
        )


@dataclass(frozen=True, slots=True)
class Seen:
    """What was measured. `paths`: SPI by (client's address, source port); `knocks`: errors, before and after."""

    pings: Mapping[tuple[int, int], Rtt]
    loads: Mapping[str, Json]
    paths: Mapping[tuple[str, int], int]
    drops: Mapping[tuple[str, str], int]
    knocks: tuple[Mapping[str, int], Mapping[str, int]]
    functions: tuple[Function, ...] = ()
    function_checks: tuple[Check, ...] = ()


@dataclass(frozen=True, slots=True)
class LabFacts:
    """What the lab was told to be."""

    delays_ms: Delays
    bandwidths_mbps: Mapping[tuple[int, int], float | None]
    clients: Mapping[str, str]  # address by name
    environment: Mapping[str, str]


def switch_of(address: str) -> int:
    """The domain in a data address 10.N.0.H."""
    return int(address.split(".")[1])


def addresses_by_switch(lab: Lab, clients: Mapping[str, str]) -> dict[int, str]:
    """An address to ping in each domain that has one: a client's, or a servant's own."""
    servants = [host.data_address for host in lab.instances.values() if host.data_address]
    return {switch_of(address): address for address in [*reversed(servants), *clients.values()]}


def lab_facts(lab: Lab, clients: Mapping[str, str]) -> LabFacts:
    """Read from a lab that is up."""
    delays, bandwidths = {}, {}
    for a, b, options in lab.links():
        link = (min(int(a[1:]), int(b[1:])), max(int(a[1:]), int(b[1:])))
        parameters = parameters_of(a, b, options)
        delays[link], bandwidths[link] = parameters.delay_ms, options.get("bw")
    lines = [] if lab.machine is None else [line.partition(": ") for line in lab.machine.lines()]
    return LabFacts(delays, bandwidths, clients, {name: value for name, _, value in lines})


def report(lab: LabFacts, views: Views, seen: Seen, started: str, steps: tuple[tuple[float, str], ...]) -> Report:
    """Everything in one place."""
    links = _links(lab, views, seen)
    paths = _paths(lab, views, seen)
    loads = tuple(_load(name, switch_of(lab.clients[name]), told) for name, told in seen.loads.items())
    drops = tuple(Drops(instance, rule, n) for (instance, rule), n in sorted(seen.drops.items()))
    return Report(
        title=TITLE,
        started=started,
        duration_s=steps[-1][0] if steps else 0.0,
        environment=dict(lab.environment),
        links=links,
        hosts=tuple(Host(name, address, switch_of(address)) for name, address in lab.clients.items()),
        instances=tuple(_placed(instance) for _, instance in sorted(views.instances.items())),
        paths=paths,
        loads=loads,
        drops=drops,
        switch_drops=dict(views.statistics["dropped"]),
        functions=seen.functions,
        checks=(*_checks(links, paths, loads, drops, seen), *seen.function_checks),
        steps=steps,
    )


def _links(lab: LabFacts, views: Views, seen: Seen) -> tuple[Link, ...]:
    measured = {(x["a"], x["b"]): x["latency_ms"] for x in views.topology["links"]}
    links = []
    for (a, b), delay_ms in sorted(lab.delays_ms.items()):
        ping = seen.pings.get((a, b))
        direct = shortest_ms(lab.delays_ms, a, b) >= delay_ms  # else ping took another way
        least, median = (ping.min_ms, ping.median_ms) if ping is not None and direct else (None, None)
        links.append(Link(a, b, delay_ms, lab.bandwidths_mbps[a, b], least, median, measured.get((a, b))))
    return tuple(links)


def _paths(lab: LabFacts, views: Views, seen: Seen) -> tuple[Path, ...]:
    each = [(lab.clients[name], connection) for name, told in seen.loads.items() for connection in told["each"]]
    rtts = least_rtts(each, seen.paths)
    return tuple(
        Path(
            spi=told["spi"],
            chain=told["chain"],
            ingress=told["ingress"],
            functions=tuple(told["functions"]),
            terminal=told["terminal"],
            segments=tuple(tuple(segment) for segment in told["segments"]),
            status=told["status"],
            configured_rtt_ms=2 * route_ms(lab.delays_ms, told["segments"]),
            rtt_ms=rtts.get(told["spi"]),
            connections=told["connections"],
            packets=told["packets"],
        )
        for told in views.paths
        if told["connections"] or told["ingress"] in {switch_of(address) for address in lab.clients.values()}
    )


def _load(name: str, domain: int, told: Json) -> Load:
    latency = told["latency_ms"]
    counts = (told["connections"], told["answered"], told["rate_cps"])
    return Load(name, domain, *counts, latency["p50"], latency["p99"], told["servants"], told["errors"])


def _placed(told: Json) -> Placed:
    where = told["attachment"]["switch"]
    return Placed(told["instance_id"], told["vnf_type"], where, told["status"], told["address"] or "")


def _checks(
    links: tuple[Link, ...], paths: tuple[Path, ...], loads: tuple[Load, ...], drops: tuple[Drops, ...], seen: Seen
) -> tuple[Check, ...]:
    sent, answered = sum(load.connections for load in loads), sum(load.answered for load in loads)
    measured = [path for path in paths if path.rtt_ms is not None]
    shares = Counter[str]()
    for load in loads:
        shares.update(load.servants)
    spread = max(shares.values(), default=0) - min(shares.values(), default=0)
    before, after = seen.knocks
    through = sum(n for kind, n in after.items() if kind != "timeout")
    dropped = sum(drop.packets for drop in drops)
    return (
        Check("every HTTP connection is answered", 0 < sent == answered, f"{answered} of {sent}"),
        Check(
            "servants take turns",
            bool(shares) and spread <= 1,
            f"shares differ by {spread}",
        ),
        Check(
            "links are as slow as configured",
            all(x.good for x in links),
            f"{sum(x.good for x in links)} of {len(links)}",
        ),
        Check(
            "paths are as slow as their links and instances",
            bool(measured) and all(path.good for path in measured),
            f"{sum(path.good for path in measured)} of {len(measured)} paths that connections took",
        ),
        Check(
            "the firewall drops what it has to",
            bool(before.get("refused")) and not through and dropped > 0,
            f"{_told(before)} before; {_told(after)} through it; {dropped} packets dropped",
        ),
    )


def _told(errors: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {kind}" for kind, n in errors.items()) or "nothing"
