"""Runs the firewall: rules first, so that no frame passes unfiltered, then the bridge, then a watch over both.

In: MGMT_ADDRESS, CAPACITY_MBPS, RULES_FILE. Ends with 0 on SIGTERM and 2 when settings or rules are wrong.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from prometheus_client import REGISTRY
from vnf import management, settings
from vnf.log import log
from vnf.plumbing import Bridge, Plumber, PlumbingFailed, Port, Wiring, host
from vnf.privileges import CAP_NET_ADMIN, CAP_NET_RAW, leave_root
from vnf.signals import Signals

from firewall import kernel, rest
from firewall.kernel import KernelRefused
from firewall.metrics import PORTS, FirewallCollector
from firewall.rulebook import Rulebook
from firewall.ruleset import RulesRefused
from firewall.stopwatch import Stopwatch
from firewall.traffic import LoadMeter, port_statistics

LOOK_AGAIN_S = 2.0
SILENCE_S = 15.0


class Firewall:
    """What the watch found last, for /health."""

    def __init__(self, book: Rulebook, plumber: Plumber, collector: FirewallCollector, capacity_mbps: float) -> None:
        self._book = book
        self._plumber = plumber
        self._collector = collector
        self._meter = LoadMeter(capacity_mbps)
        self._reason = "starting"
        self._looked_s = time.monotonic()

    def look(self) -> None:
        """Put ports and bridge right, and note what is still wrong."""
        try:
            commands, wrong = self._plumber.apply()
            if commands:
                log("plumbed", commands=[" ".join(command) for command in commands])
        except PlumbingFailed as error:
            self._collector.errors["plumbing"] += 1
            wrong = [str(error)]
        try:
            self._book.check()
        except KernelRefused as error:
            self._collector.errors["kernel"] += 1
            wrong = [*wrong, f"the rules are not loaded: {error}"]
        reason = "; ".join(wrong)
        if reason != self._reason:
            log("health", reason=reason or "ok")
        now_s = time.monotonic()
        self._meter.read(now_s, {port: counts["rx_bytes"] for port, counts in port_statistics(PORTS).items()})
        self._reason, self._looked_s = reason, now_s

    def health(self) -> management.Health:
        """Called from the management server's threads."""
        silent = time.monotonic() - self._looked_s > SILENCE_S
        return management.Health(
            self._meter.load, kernel.connections(), "the watch stopped" if silent else self._reason
        )


def main() -> int:
    signals = Signals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    addresses = settings.addresses("MGMT_ADDRESS")
    capacity_mbps = settings.number("CAPACITY_MBPS", 1000, 0.001, 1e6)
    if unseen := kernel.bridged_packets_are_seen():
        settings.stop("rules would be passed by", error=unseen)
    book = Rulebook(Path(os.environ.get("RULES_FILE") or "/etc/vnf/rules.toml"))
    try:
        book.load()
    except RulesRefused as error:
        settings.stop("rules refused", error=str(error))
    leave_root(CAP_NET_ADMIN, CAP_NET_RAW)  # for rules and plumbing, and for the stopwatch
    log("rules loaded", rules=[count.rule for count in book.counts()])
    collector = FirewallCollector(book)
    REGISTRY.register(collector)
    ports = (*(Port(name, data=True) for name in PORTS), Port("mgmt0", addresses))
    plumber = Plumber(Wiring(ports, Bridge("br0", PORTS)))
    firewall = Firewall(book, plumber, collector, capacity_mbps)
    Stopwatch(PORTS, collector.durations).start()
    management.serve(host(addresses), firewall.health, lambda request: rest.answer(book, request))
    while True:
        firewall.look()
        plumber.wait(LOOK_AGAIN_S, signals)
        for number in signals.taken():
            if number is not signal.SIGHUP:
                log("ending", signal=number.name)
                return 0
            reload(book, collector)


def reload(book: Rulebook, collector: FirewallCollector) -> None:
    """Load the rules file anew; the old rules stay where it is refused."""
    try:
        book.load()
    except RulesRefused as error:
        collector.reloads["refused"] += 1
        collector.errors["reload"] += 1
        log("rules refused, the old ones stay", error=str(error))
    else:
        collector.reloads["loaded"] += 1
        log("rules loaded", rules=[count.rule for count in book.counts()])


if __name__ == "__main__":
    sys.exit(main())
