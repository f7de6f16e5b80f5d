"""The firewall's metrics, read from the kernel when they are asked for. In: the rules and ports. Out: metric families."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from vnf.meters import Durations, port_metrics

from firewall import kernel
from firewall.compiling import DROPS, PASSES, TABLE
from firewall.kernel import Count, KernelRefused
from firewall.rulebook import Rulebook
from firewall.ruleset import RuleCount
from firewall.traffic import port_statistics

REFUSALS = ("drop", "reject")
PORTS = ("in0", "out0")


class FirewallCollector(Collector):
    """Counters by rule, what was dropped in all and why, what came in, connections."""

    def __init__(self, book: Rulebook) -> None:
        self._book = book
        self.durations = Durations()
        self.reloads = {"loaded": 0, "refused": 0}
        self.errors = {"reload": 0, "kernel": 0, "plumbing": 0}

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client at each request of /metrics."""
        loaded, rules, counters = 1, [], {}
        try:
            rules, counters = self._book.counts(), kernel.counters()
        except KernelRefused:
            loaded = 0
        drops = drops_by_reason(rules, counters)
        yield from _rule_metrics(rules)
        yield GaugeMetricFamily("vnf_firewall_rules_loaded", "1 when the rules are in the kernel", value=loaded)
        yield _family("drops", "Packets dropped", "reason", {reason: count.packets for reason, count in drops.items()})
        yield CounterMetricFamily(
            "vnf_firewall_dropped_packets", "Packets dropped", value=sum(count.packets for count in drops.values())
        )
        yield CounterMetricFamily(
            "vnf_firewall_dropped_bytes",
            "Bytes of dropped packets whose bytes are known",
            value=sum(count.bytes for count in drops.values()),
        )
        passes = {name: counters.get((TABLE, name), Count()).packets for name in PASSES}
        yield _family("firewall_passed_packets", "Packets that passed without a rule's word", "reason", passes)
        yield GaugeMetricFamily("vnf_connections", "Connections in conntrack", value=kernel.connections())
        yield _family("reloads", "Times that the rules file was loaded anew", "result", self.reloads)
        yield _family("errors", "What went wrong", "kind", self.errors)
        yield self.durations.metric("From a packet's arrival at a data port to its leaving by the other, of a sample")
        yield from port_metrics(PORTS)
        yield from _port_metrics()


def drops_by_reason(rules: list[RuleCount], counters: dict[tuple[str, str], Count]) -> dict[str, Count]:
    """All that does not come out again, by why."""
    denied = [count for count in rules if count.verdict in REFUSALS]
    found = {
        "rule": Count(sum(count.packets for count in denied), sum(count.bytes for count in denied)),
        "not-ip": counters.get(("guard", "not-ip"), Count()),
        "malformed": Count(kernel.malformed()),
        "table-full": Count(kernel.table_full()),
    }
    return {**found, **{name: counters.get((TABLE, name), Count()) for name in DROPS}}


def _family(name: str, text: str, label: str, values: dict[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(f"vnf_{name}", text, labels=(label,))
    for value, number in values.items():
        family.add_metric((value,), number)
    return family


def _rule_metrics(rules: list[RuleCount]) -> Iterator[Metric]:
    labels = ("chain", "rule", "verdict")
    packets = CounterMetricFamily("vnf_firewall_rule_packets", "Packets that a rule decided on", labels=labels)
    octets = CounterMetricFamily(
        "vnf_firewall_rule_bytes", "Bytes of the packets that a rule decided on", labels=labels
    )
    totals: dict[tuple[str, str, str], Count] = defaultdict(Count)
    for rule in rules:  # a file in nftables' language may use the name of an added rule
        key, before = (rule.chain, rule.rule, rule.verdict), totals[rule.chain, rule.rule, rule.verdict]
        totals[key] = Count(before.packets + rule.packets, before.bytes + rule.bytes)
    for key, count in totals.items():
        packets.add_metric(key, count.packets)
        octets.add_metric(key, count.bytes)
    yield from (packets, octets)


def _port_metrics() -> Iterator[Metric]:
    families: dict[str, CounterMetricFamily] = {}
    for port, counts in port_statistics(PORTS).items():
        for name, value in counts.items():
            family = families.setdefault(
                name, CounterMetricFamily(f"vnf_port_{name}", f"{name} of a data port", labels=("port",))
            )
            family.add_metric((port,), value)
    yield from families.values()
