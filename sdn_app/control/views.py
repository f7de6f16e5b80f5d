"""What is, as plain data for the REST API and for Prometheus. Reads only."""

from collections import Counter
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from sdn_app.chains.model import FlowRule
from sdn_app.control.controller import Controller, mac_text
from sdn_app.control.planner import FLOW_PREFIX
from sdn_app.paths.registry import Status
from sdn_app.paths.render import RenderedPath, path_latency_ms
from sdn_app.rules.pipeline import FIRST_SI, Cookie, stop_value


def health(controller: Controller) -> dict[str, Any]:
    """The controller's own state."""
    return {
        "status": "ok",
        "switches": len(controller.channels),
        "chains": len(controller.desired.chains),
        "instances": len(controller.desired.instances),
        "pending_changes": controller.pending_changes,
        "reconcile_ms": round(controller.reconcile_ms, 3),
    }


def flow_status(controller: Controller, rule: FlowRule) -> str:
    """active: its entries stand behind the switches' barriers; pending: not yet, or no traffic could take it yet."""
    return "active" if FLOW_PREFIX + rule.flow_id in controller.standing else "pending"


def topology(controller: Controller) -> dict[str, Any]:
    """Switches with ports, links (one entry a direction), hosts."""
    functions = controller.planned.functions if controller.planned else frozenset()
    switches = []
    for dpid, switch in sorted(controller.inventory.switches.items()):
        ports = []
        for number, port in sorted(switch.ports.items()):
            role = "host"
            if (dpid, number) in functions:
                role = "function"
            elif controller.inventory.discovery.is_trunk(dpid, number):
                role = "trunk"
            ports.append({"number": number, "name": port.name, "up": port.up, "role": role})
        switches.append({"switch": dpid, "domain": dpid, "connected": dpid in controller.channels, "ports": ports})
    links = [
        {"a": x.a, "a_port": x.a_port, "b": x.b, "b_port": x.b_port, "latency_ms": x.latency_ms}
        for x in controller.graph.all_links()
    ]
    hosts = [
        {"address": str(h.address), "mac": mac_text(h.mac), "switch": h.switch, "port": h.port}
        for _, h in sorted(controller.inventory.hosts.items())
    ]
    return {"switches": switches, "links": links, "hosts": hosts}


def paths(controller: Controller) -> list[dict[str, Any]]:
    """Every rendered path with its state and counters."""
    result = []
    for spi, entry in sorted(controller.registry.entries.items()):
        key = entry.path.key
        packets, size = _path_traffic(controller, entry.path)
        try:
            latency: float | None = round(path_latency_ms(controller.graph, key), 3)
        except KeyError:
            latency = None
        result.append(
            {
                "spi": spi,
                "reverse_spi": entry.path.reverse_spi,
                "chain": key.chain,
                "target": key.target,
                "ingress": key.ingress,
                "functions": [stop.instance_id for stop in key.stops],
                "terminal": key.terminal.instance_id or str(key.terminal.address),
                "segments": [list(segment) for segment in key.segments],
                "latency_ms": latency,
                "status": str(entry.status),
                "replacement": entry.replacement,
                "packets": packets,
                "bytes": size,
                "connections": controller.dealt_by_path(spi),
            }
        )
    return result


def _path_traffic(controller: Controller, path: RenderedPath) -> tuple[int, int]:
    there = controller.counters.of(Cookie.PATH, path.spi)
    back = controller.counters.of(Cookie.REPLY, path.spi)
    return there[0] + back[0], there[1] + back[1]


def _sums(controller: Controller) -> dict[str, Counter[tuple[str, str]]]:
    """Packets, bytes and connections by ("chain" or "instance", name)."""
    sums: dict[str, Counter[tuple[str, str]]] = {"packets": Counter(), "bytes": Counter(), "connections": Counter()}
    for spi, entry in controller.registry.entries.items():
        key = entry.path.key
        packets, size = _path_traffic(controller, entry.path)
        dealt = controller.dealt_by_path(spi)
        names = [("chain", key.chain)]
        if key.terminal.instance_id:
            names.append(("instance", key.terminal.instance_id))
        for name in names:
            sums["packets"][name] += packets
            sums["bytes"][name] += size
        for stop in key.stops:
            sums["connections"]["instance", stop.instance_id] += dealt
        for name in names:
            sums["connections"][name] += dealt
        for position, stop in enumerate(key.stops):
            back = len(key.stops) - 1 - position
            values = [stop_value(spi, FIRST_SI - position), stop_value(spi + 1, FIRST_SI - back)]
            for value in values:
                packets, size = controller.counters.of(Cookie.STOP, value)
                sums["packets"]["instance", stop.instance_id] += packets
                sums["bytes"]["instance", stop.instance_id] += size
    return sums


def statistics(controller: Controller) -> dict[str, Any]:
    """Counters by chain, instance and path, and of what was dropped."""
    sums = _sums(controller)
    grouped: dict[str, dict[str, dict[str, int]]] = {"chain": {}, "instance": {}}
    for counter, values in sums.items():
        for (kind, name), count in values.items():
            grouped[kind].setdefault(name, {"packets": 0, "bytes": 0, "connections": 0})[counter] = count
    return {
        "chains": grouped["chain"],
        "instances": grouped["instance"],
        "paths": [
            {name: path[name] for name in ("spi", "chain", "packets", "bytes", "connections", "status")}
            for path in paths(controller)
        ],
        "dropped": {
            "spoofed": controller.counters.total(Cookie.SPOOFED),
            "blocked": controller.counters.total(Cookie.BLOCKED),
            "invalid": controller.counters.total(Cookie.INVALID),
            "orphan": controller.counters.total(Cookie.ORPHAN),
        },
    }


class _Collector:
    """Reads the controller when Prometheus asks."""

    def __init__(self, controller: Controller) -> None:
        self._controller = controller

    def collect(self) -> Any:
        """Yield the metric families."""
        controller = self._controller
        states = Counter((i.vnf_type, str(i.state)) for i in controller.desired.instances.values())
        family = GaugeMetricFamily("sfc_instances", "Instances by type and state", labels=["vnf_type", "state"])
        for (vnf_type, state), count in sorted(states.items()):
            family.add_metric([vnf_type, state], count)
        yield family
        for counter, values in _sums(controller).items():
            for kind in ("chain", "instance"):
                text = f"{counter.capitalize()} by {kind}"
                sums = CounterMetricFamily(f"sfc_{kind}_{counter}", text, labels=[kind])
                for (each, name), count in sorted(values.items()):
                    if each == kind:
                        sums.add_metric([name], count)
                yield sums
        latency = GaugeMetricFamily("sfc_link_latency_ms", "Measured one-way latency", labels=["a", "b"])
        for link in controller.graph.links.values():
            latency.add_metric([str(link.a), str(link.b)], link.latency_ms)
        yield latency
        dropped = CounterMetricFamily("sfc_dropped_packets", "Packets that a switch dropped", labels=["reason"])
        for reason, count in statistics(controller)["dropped"].items():
            dropped.add_metric([reason], count)
        yield dropped
        yield GaugeMetricFamily("sfc_switches", "Connected switches", value=len(controller.channels))
        live = sum(entry.status is Status.LIVE for entry in controller.registry.entries.values())
        yield GaugeMetricFamily("sfc_live_paths", "Paths that are dealt", value=live)
        yield GaugeMetricFamily("sfc_reconcile_ms", "The last reconciliation", value=controller.reconcile_ms)
        yield CounterMetricFamily("sfc_entry_messages", "Entries written", value=controller.sync.messages)
        yield CounterMetricFamily("sfc_refused_connections", "Not dealt", value=controller.dealer.refused)


def metrics(controller: Controller) -> bytes:
    """Prometheus' text exposition format."""
    registry = CollectorRegistry()
    registry.register(_Collector(controller))
    return generate_latest(registry)
