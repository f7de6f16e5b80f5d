"""Reads what the parts of the lab tell: conntrack's paths, a firewall's counters, latencies that paths ought to have.

In: the text that `ovs-appctl` printed, `/metrics` pages, link delays. Out: typed values. Must not run or fetch
anything.
"""

from __future__ import annotations

import heapq
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

Delays = Mapping[tuple[int, int], float]  # one way, in ms, by (lesser switch, greater switch)

_ORIGINAL = re.compile(r"orig=\(src=([\d.]+),dst=[\d.]+,sport=(\d+),")
_MARK = re.compile(r"\bmark=(0x[0-9a-f]+|\d+)")
_RULE = re.compile(r"^vnf_firewall_rule_packets_total\{([^}]*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


def paths_of_connections(conntrack: str) -> dict[tuple[str, int], int]:
    """SPI by (client's address, source port), from `ovs-appctl dpctl/dump-conntrack`.

    Its entries at both ends carry the forward path in the mark.
    """
    found: dict[tuple[str, int], int] = {}
    for line in conntrack.splitlines():
        original, mark = _ORIGINAL.search(line), _MARK.search(line)
        if original and mark and int(mark[1], 0):
            found[original[1], int(original[2])] = int(mark[1], 0)
    return found


def least_rtts(each: Iterable[tuple[str, Mapping[str, Any]]], paths: Mapping[tuple[str, int], int]) -> dict[int, float]:
    """The least round trip by SPI, of (client's address, connection as `http_load --each` tells it)."""
    least: dict[int, float] = {}
    for address, connection in each:
        spi, rtt_ms = paths.get((address, connection["source_port"])), connection["rtt_ms"]
        if spi is not None and rtt_ms is not None:
            least[spi] = min(rtt_ms, least.get(spi, rtt_ms))
    return least


def refused_by_rule(metrics: str) -> dict[str, int]:
    """Packets by rule, of the rules of a firewall's `/metrics` that drop or reject."""
    counts: dict[str, int] = {}
    for text, value in _RULE.findall(metrics):
        labels = dict(_LABEL.findall(text))
        if labels.get("verdict") in ("drop", "reject"):
            counts[labels["rule"]] = counts.get(labels["rule"], 0) + int(float(value))
    return counts


def route_ms(delays: Delays, segments: Iterable[Sequence[int]]) -> float:
    """One-way latency along the switches of all segments."""
    return sum(delays[min(a, b), max(a, b)] for segment in segments for a, b in pairwise(segment))


def shortest_ms(delays: Delays, start: int, end: int) -> float:
    """One-way latency of the shortest way, which `ping` between two domains takes; infinite where there is none."""
    neighbours: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for (a, b), delay_ms in delays.items():
        neighbours[a].append((b, delay_ms))
        neighbours[b].append((a, delay_ms))
    queue, done = [(0.0, start)], set()
    while queue:
        latency_ms, here = heapq.heappop(queue)
        if here == end:
            return latency_ms
        if here not in done:
            done.add(here)
            for there, delay_ms in neighbours[here]:
                heapq.heappush(queue, (latency_ms + delay_ms, there))
    return float("inf")
