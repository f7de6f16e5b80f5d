"""What the filter counts. In: what was judged, and what was loaded. Out: metric families when they are asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from contentfilter.inspector import BLOCKED
from contentfilter.loading import Loaded


class Counts(Collector):
    """Judged requests and client hellos by verdict and list, and what the lists hold. The packet loop writes."""

    def __init__(self) -> None:
        self._judged: Counter[tuple[str, str]] = Counter()
        self._blocked: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._loaded: Loaded | None = None

    def tally(self, protocol: str, verdict: str, why: str) -> None:
        """Count one request or client hello."""
        self._judged[protocol, verdict] += 1
        if verdict == BLOCKED:
            self._blocked[why] += 1
        elif verdict == "refused":
            self._refused[why] += 1

    def loaded(self, loaded: Loaded) -> None:
        """Lists are in use from now on."""
        self._loaded = loaded

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client at each request of /metrics."""
        requests = CounterMetricFamily(
            "vnf_contentfilter_requests", "Requests and client hellos that were judged", labels=("protocol", "verdict")
        )
        for key, count in sorted(self._judged.copy().items()):
            requests.add_metric(key, count)
        blocked = CounterMetricFamily("vnf_contentfilter_blocked", "What a list stopped", labels=("list",))
        for name, count in sorted(self._blocked.copy().items()):
            blocked.add_metric((name,), count)
        refused = CounterMetricFamily(
            "vnf_contentfilter_refused", "What was stopped whatever the lists say", labels=("reason",)
        )
        for reason, count in sorted(self._refused.copy().items()):
            refused.add_metric((reason,), count)
        yield from (requests, blocked, refused)
        if self._loaded is not None:
            yield from _lists(self._loaded)


def _lists(loaded: Loaded) -> Iterator[Metric]:
    entries = GaugeMetricFamily("vnf_contentfilter_entries", "Entries without duplicates", labels=("list",))
    skipped = GaugeMetricFamily(
        "vnf_contentfilter_skipped_lines", "Lines of a list that are no entry", labels=("list",)
    )
    for each in loaded.counts:
        entries.add_metric((each.name,), each.entries)
        skipped.add_metric((each.name,), each.skipped)
    yield from (entries, skipped)
    rules = loaded.book.rules
    size = rules.allow.bytes + sum(part.table.bytes for part in rules.block)
    yield GaugeMetricFamily("vnf_contentfilter_table_bytes", "Memory of the entries", value=size)
    yield GaugeMetricFamily("vnf_contentfilter_load_seconds", "How long loading took", value=loaded.seconds)
