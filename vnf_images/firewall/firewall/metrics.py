"""The firewall's metrics, read from the kernel when they are asked for. In: the rules and ports. Out: metric families."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from firewall.ruleset import Ruleset, RulesRefused
from firewall.traffic import port_statistics

REFUSALS = ("drop", "reject")


class FirewallCollector(Collector):
    """Counters by rule, what was dropped in all, and counters by port."""

    def __init__(self, ruleset: Ruleset, ports: Sequence[str]) -> None:
        self._ruleset = ruleset
        self._ports = ports
        self.reloads = {"loaded": 0, "refused": 0}

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client at each request of /metrics."""
        labels = ("chain", "rule", "verdict")
        packets = CounterMetricFamily("vnf_firewall_rule_packets", "Packets that a rule matched", labels=labels)
        octets = CounterMetricFamily(
            "vnf_firewall_rule_bytes", "Bytes of the packets that a rule matched", labels=labels
        )
        loaded = GaugeMetricFamily("vnf_firewall_rules_loaded", "1 when the rules are in the kernel", value=1)
        dropped = [0, 0]
        try:
            counts = self._ruleset.counts()
        except RulesRefused:
            counts = []
            loaded = GaugeMetricFamily("vnf_firewall_rules_loaded", "1 when the rules are in the kernel", value=0)
        for count in counts:
            packets.add_metric((count.chain, count.rule, count.verdict), count.packets)
            octets.add_metric((count.chain, count.rule, count.verdict), count.bytes)
            if count.verdict in REFUSALS:
                dropped = [dropped[0] + count.packets, dropped[1] + count.bytes]
        yield from (packets, octets, loaded)
        yield CounterMetricFamily(
            "vnf_firewall_dropped_packets", "Packets that rules with a counter dropped", value=dropped[0]
        )
        yield CounterMetricFamily(
            "vnf_firewall_dropped_bytes", "Bytes that rules with a counter dropped", value=dropped[1]
        )
        reloads = CounterMetricFamily(
            "vnf_firewall_reloads", "Times that rules were loaded anew on SIGHUP", labels=("result",)
        )
        for result, number in self.reloads.items():
            reloads.add_metric((result,), number)
        yield reloads
        yield from self._port_metrics()

    def _port_metrics(self) -> Iterator[Metric]:
        families: dict[str, CounterMetricFamily] = {}
        for port, statistics in port_statistics(self._ports).items():
            for name, value in statistics.items():
                family = families.setdefault(
                    name, CounterMetricFamily(f"vnf_port_{name}", f"{name} of a data port", labels=("port",))
                )
                family.add_metric((port,), value)
        yield from families.values()
