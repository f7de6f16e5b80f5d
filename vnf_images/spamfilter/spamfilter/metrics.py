"""The spam filter's metrics, by the names that all functions share where they share them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.registry import Collector
from vnf.meters import port_metrics

PACKETS = Counter("vnf_inspected_packets", "Packets that came to user space")
BYTES = Counter("vnf_inspected_bytes", "Bytes of packets that came to user space")
DROPS = Counter("vnf_drops", "Packets, connections and messages that went no further", ["reason"])
ERRORS = Counter("vnf_errors", "What failed in the filter itself or behind it", ["kind"])
PROCESSING = Histogram(
    "vnf_processing_seconds",
    "From the end of a message to the decision about it",
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60),
)
MESSAGES = Counter("vnf_spamfilter_messages", "Messages by what became of them", ["verdict"])
SCORES = Histogram(
    "vnf_spamfilter_score",
    "SpamAssassin's scores",
    buckets=(-5, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 30),
)
CONNECTIONS = Gauge("vnf_connections", "Open SMTP connections")
ACCEPTED = Counter("vnf_spamfilter_connections_accepted", "SMTP connections that client and server both opened")
RELOADS = Counter("vnf_reloads", "Times that the configuration was loaded anew", ["result"])


class Ports(Collector):
    """What came into the data ports, whoever carries it on."""

    def __init__(self, ports: Sequence[str]) -> None:
        self._ports = ports

    def collect(self) -> Iterator[Metric]:
        yield from port_metrics(self._ports)
