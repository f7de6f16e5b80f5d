"""What a function counts. In: packets, drops, errors, as plain numbers of one thread. Out: metric families when they are asked for.

Cheaper than prometheus_client's own counters, each of which takes a lock for each packet.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

_LOWEST_BIT, _HIGHEST_BIT = 10, 31  # buckets from 1 microsecond to 2 seconds, each twice the one before
_NETWORK = Path("/sys/class/net")


class Durations:
    """How long packets took, for a histogram. One thread writes."""

    def __init__(self) -> None:
        self._buckets = [0] * 65
        self._nanoseconds = 0

    def took(self, nanoseconds: int) -> None:
        """A packet took this time."""
        self._buckets[nanoseconds.bit_length()] += 1
        self._nanoseconds += nanoseconds

    def metric(self, documentation: str) -> Metric:
        """All of them so far, under the name that every function has for it."""
        buckets, total = [], 0
        for bit, count in enumerate(list(self._buckets)):
            total += count
            if _LOWEST_BIT <= bit <= _HIGHEST_BIT:
                buckets.append((repr((1 << bit) / 1e9), total))
        family = HistogramMetricFamily("vnf_processing_seconds", documentation)
        family.add_metric((), [*buckets, ("+Inf", total)], self._nanoseconds / 1e9)
        return family


class Meters(Collector):
    """Counters of an inline function. The packet loop writes, the management server's threads read."""

    def __init__(self, ports: Sequence[str], active: Callable[[], int], held: Callable[[], int]) -> None:
        self._ports = ports
        self._active = active
        self._held = held
        self.inspected_packets = 0
        self.inspected_bytes = 0
        self.released = 0
        self.drops: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.reloads: Counter[str] = Counter()
        self._durations = Durations()
        self.took = self._durations.took  # to judge a packet

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client at each request of /metrics."""
        yield from port_metrics(self._ports)
        yield CounterMetricFamily(
            "vnf_inspected_packets", "Packets that came to user space", value=self.inspected_packets
        )
        yield CounterMetricFamily(
            "vnf_inspected_bytes", "Bytes of packets that came to user space", value=self.inspected_bytes
        )
        yield CounterMetricFamily(
            "vnf_released_connections", "Connections that the kernel carries on", value=self.released
        )
        yield _by("vnf_drops", "Packets that were dropped", "reason", self.drops)
        yield _by("vnf_errors", "Errors of the function itself", "kind", self.errors)
        yield _by("vnf_reloads", "Times that the configuration was loaded anew", "result", self.reloads)
        yield GaugeMetricFamily("vnf_connections", "Connections that are looked into", value=self._active())
        yield GaugeMetricFamily("vnf_held_bytes", "Bytes of streams that are kept", value=self._held())
        yield self._durations.metric("From a packet's arrival in user space to its verdict")


def port_metrics(ports: Sequence[str]) -> Iterator[Metric]:
    """What came into the data ports, whoever carries it on; from the kernel's counters."""
    packets = CounterMetricFamily("vnf_packets", "Packets that came into a data port", labels=("port",))
    octets = CounterMetricFamily("vnf_bytes", "Bytes that came into a data port", labels=("port",))
    for port in ports:
        try:
            counts = [int((_NETWORK / port / "statistics" / f"rx_{unit}").read_text()) for unit in ("packets", "bytes")]
        except OSError:  # it is not plugged in
            continue
        packets.add_metric((port,), counts[0])
        octets.add_metric((port,), counts[1])
    yield from (packets, octets)


def _by(name: str, documentation: str, label: str, counts: Counter[str]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, documentation, labels=(label,))
    for value, count in sorted(counts.copy().items()):
        family.add_metric((value,), count)
    return family
