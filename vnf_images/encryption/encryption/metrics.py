"""The engine's metrics, read when they are asked for. In: counters of the engine. Out: metric families."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from prometheus_client import Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from vnf.meters import port_metrics

SAMPLED = 64  # one frame of so many is timed: a clock costs a tenth of what a frame does

processing = Histogram(
    "vnf_processing_seconds",
    f"Time in the function of one frame in {SAMPLED}, from the ring until it was sent or dropped",
    buckets=(10e-6, 15e-6, 20e-6, 30e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 5e-3, 20e-3),
)


@dataclass(slots=True)
class Counts:
    """What the engine counted: frames `sent` by port, `drops` by reason."""

    sent: Counter[str] = field(default_factory=Counter)
    drops: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    reloads: Counter[str] = field(default_factory=lambda: Counter(loaded=0, refused=0))
    sending_key: int = 0
    keys: int = 0
    epochs: int = 0


class EncryptionCollector(Collector):
    """Called by prometheus_client at each request of /metrics."""

    def __init__(self, counts: Counts, ports: Sequence[str]) -> None:
        self._counts = counts
        self._ports = ports

    def collect(self) -> Iterator[Metric]:
        """All families."""
        counts = self._counts
        yield from port_metrics(self._ports)
        yield _counters("vnf_sent_packets", "Frames that left by a data port", "port", counts.sent)
        yield _counters("vnf_drops", "Frames that were dropped", "reason", counts.drops)
        yield _counters("vnf_errors", "What went wrong beside single frames", "kind", counts.errors)
        yield _counters("vnf_reloads", "Times that a key file was read again", "result", counts.reloads)
        yield CounterMetricFamily("vnf_encryption_answers", "ICMP messages to senders", value=counts.answers)
        yield GaugeMetricFamily("vnf_encryption_sending_key", "Id of the key that encrypts", value=counts.sending_key)
        yield GaugeMetricFamily("vnf_encryption_keys", "Keys that decrypt", value=counts.keys)
        yield GaugeMetricFamily("vnf_encryption_epochs", "Senders' epochs that are remembered", value=counts.epochs)


def _counters(name: str, text: str, label: str, values: Counter[str]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=(label,))
    for value, count in sorted(values.copy().items()):
        family.add_metric((value,), count)
    return family
