"""The demo: an emergency service behind a firewall on the four-domain network, from nothing to a report.

In: options. Out: progress and tables on standard output, `report.html` and `report.json` in a new folder. Exit code 0:
every check was good; 1: one was not; 2: it could not run; 130: interrupted. However it ends, the lab is torn down.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from testbed.experiments import collect, summary
from testbed.experiments.inspection import Inspection
from testbed.experiments.measures import paths_of_connections, refused_by_rule, shortest_ms
from testbed.experiments.page import page
from testbed.experiments.progress import Progress
from testbed.experiments.report import Report, document
from testbed.lab.docker_host import DockerHost
from testbed.lab.net import SERVICE_ADDRESS, Lab
from testbed.traffic.rtt import Rtt, least_of_rounds, ping_command

ROOT = Path(__file__).resolve().parents[2]
HTTP_LOAD = ROOT / "testbed" / "traffic" / "http_load.py"
SERVICE = {"name": "emergency", "address": SERVICE_ADDRESS, "port": 80}
CHAIN = {"name": "emergency-web", "functions": ["firewall"], "service": "emergency"}
TELNET, ADMINISTRATION = 23, 8081  # what the firewall's default rules drop
FLOW = {"vnf_type": "firewall", "match": {"protocol": "tcp", "destination_ports": str(TELNET)}}
GUARD = {
    "name": "guard-admin",
    "functions": ["firewall"],
    "classifier": {"protocol": "tcp", "destination_ports": str(ADMINISTRATION)},
}
CONNTRACK_EVERY_S = 5.0  # closed connections stay in conntrack for longer than this
COUNTERS_WITHIN_S = 4.0
Ends = tuple[int, int]


class Demo:
    """One run on a lab that is up."""

    def __init__(self, lab: Lab, progress: Progress, connections: int, duration_s: float | None) -> None:
        self._lab, self._say = lab, progress
        self._connections, self._duration_s = connections, duration_s
        assert lab.net is not None, "the lab is up"
        self._clients = {name: str(lab.net[name].IP()) for name in lab.clients()}
        self._started = time.strftime("%Y-%m-%d %H:%M:%S")

    def run(self) -> Report:
        """All steps in order; the report."""
        self._start()
        pings = self._ping_links()
        before = self._refused()
        loads, paths = self._load()
        open_ports = self._knock("before it is chained", (TELNET, ADMINISTRATION))
        self._guard()
        closed_ports = self._knock("through the firewall", (TELNET, ADMINISTRATION))
        drops = self._dropped_since(before)
        inspection = Inspection(self._lab, self._say, lambda name: _metrics(self._lab.instances[name]))
        inspection.run()
        knocks = (open_ports, closed_ports)
        checks = tuple(inspection.checks)
        return self._collect(collect.Seen(pings, loads, paths, drops, knocks, inspection.functions, checks))

    def _start(self) -> None:
        self._say("controller: ryu-manager sdn_app.app")
        self._lab.start_controller()
        switches = len(self._lab.topo.switches())
        self._lab.wait_until(lambda: self._lab.call("GET", "/health")["switches"] == switches, "all switches connected")
        self._say(
            f"{switches} switches connected; service {SERVICE['name']} and {len(self._lab.instances)} instances by REST"
        )
        self._lab.call("POST", "/services", SERVICE)
        for name in self._lab.instances:
            self._lab.register(name)
        self._say(f"chain {CHAIN['name']} by REST: {' -> '.join(CHAIN['functions'])} -> {SERVICE['name']}")
        self._lab.call("POST", "/chains", CHAIN)
        self._lab.ready()
        self._say("all instances active, all links found")

    # latency --------------------------------------------------------------------------------------------------------
    def _ping_links(self) -> dict[Ends, Rtt]:
        """Round trips between hosts at both ends of each link, which is the shortest way between them."""
        self._say("ping over each link")
        addresses = collect.addresses_by_switch(self._lab, self._clients)
        ends = {}
        for a, b, _ in self._lab.links():
            low, high = sorted((int(a[1:]), int(b[1:])))
            client = next(name for name in self._clients if collect.switch_of(self._clients[name]) == high)
            ends[low, high] = (client, addresses[low])
        delays = {link: self._lab.configured_delay_ms(*link) for link in ends}
        expected = {link: 2 * shortest_ms(delays, *link) for link in ends}
        self._pinged(ends, list(ends), 2)  # for ARP and learning
        return least_of_rounds(lambda links: self._pinged(ends, links, 20), expected)

    def _pinged(self, ends: Mapping[Ends, tuple[str, str]], links: Sequence[Ends], count: int) -> dict[Ends, Rtt]:
        """All these links at once, each from a client to an address."""
        running = {link: self._popen(ends[link][0], ping_command(ends[link][1], count)) for link in links}
        return {link: Rtt.parse(process.communicate(timeout=30)[0]) for link, process in running.items()}

    # traffic --------------------------------------------------------------------------------------------------------
    def _load(self) -> tuple[dict[str, dict[str, Any]], dict[tuple[str, int], int]]:
        """HTTP from every client at once: what each told, and the path of each connection."""
        each = self._connections // len(self._clients)
        bound = ["--connections", str(each)]
        if self._duration_s is not None:
            bound = ["--seconds", str(self._duration_s)]
        told = f"{each} connections" if self._duration_s is None else f"{self._duration_s:g} s of connections"
        self._say(f"HTTP: {told} from each of {', '.join(self._clients)} to {SERVICE_ADDRESS}:80")
        command = [sys.executable, str(HTTP_LOAD), f"http://{SERVICE_ADDRESS}:80/cheap", "--each", *bound]
        running = {client: self._popen(client, command) for client in self._clients}
        paths: dict[tuple[str, int], int] = {}
        told_at = time.monotonic()
        texts: dict[str, str] = {}
        while len(texts) < len(running):
            for client, process in running.items():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    if client not in texts:
                        texts[client] = process.communicate(timeout=0.5)[0]
            if time.monotonic() - told_at > CONNTRACK_EVERY_S:
                told_at = time.monotonic()
                paths |= self._paths_of_connections()
                self._say(f"HTTP: {len(paths)} connections so far")
        loads = {client: json.loads(text) for client, text in texts.items()}
        self._say(f"HTTP: {sum(load['answered'] for load in loads.values())} connections answered")
        return loads, paths | self._paths_of_connections()

    def _paths_of_connections(self) -> dict[tuple[str, int], int]:
        kernel = self._lab.machine is not None and self._lab.machine.kernel_datapath
        datapath = "system@ovs-system" if kernel else "netdev@ovs-netdev"
        command = ["ovs-appctl", "--timeout=10", "dpctl/dump-conntrack", datapath]
        return paths_of_connections(subprocess.run(command, capture_output=True, text=True, check=True).stdout)

    # what the firewall has to drop ----------------------------------------------------------------------------------
    def _guard(self) -> None:
        self._say(f"firewall for ports {TELNET} (/flows) and {ADMINISTRATION} (/chains), whoever is addressed")
        self._lab.call("POST", "/flows", FLOW)
        self._lab.call("POST", "/chains", GUARD)

    def _knock(self, when: str, ports: Sequence[int]) -> dict[str, int]:
        """Connect from every client to a server's own address, where nothing listens: errors by kind."""
        address = next(host.data_address for host in self._lab.instances.values() if host.data_address)
        self._say(f"TCP to {address} ports {', '.join(map(str, ports))}, {when}")
        command = [sys.executable, str(HTTP_LOAD), "--connections", "2", "--concurrency", "2", "--timeout", "1.5"]
        running = [
            self._popen(client, [*command, f"http://{address}:{port}/"]) for client in self._clients for port in ports
        ]
        errors = [json.loads(process.communicate(timeout=30)[0])["errors"] for process in running]
        kinds = sorted({kind for each in errors for kind in each})
        return {kind: sum(each.get(kind, 0) for each in errors) for kind in kinds}

    def _refused(self) -> dict[tuple[str, str], int]:
        """Packets by (firewall, rule)."""
        counts: dict[tuple[str, str], int] = {}
        for name, host in self._lab.instances.items():
            if host.vnf.vnf_type == "firewall":
                counts |= {(name, rule): n for rule, n in refused_by_rule(_metrics(host)).items()}
        return counts

    def _dropped_since(self, before: dict[tuple[str, str], int]) -> dict[tuple[str, str], int]:
        return {key: count - before.get(key, 0) for key, count in self._refused().items()}

    # the report -----------------------------------------------------------------------------------------------------
    def _collect(self, seen: collect.Seen) -> Report:
        answered = sum(load["answered"] for load in seen.loads.values())
        with contextlib.suppress(RuntimeError):  # counters are read from the switches now and then
            self._lab.wait_until(
                lambda: self._counted() >= 4 * answered, "the switches' counters", within_s=COUNTERS_WITHIN_S
            )
        views = collect.Views.read(self._lab.call)
        lab = collect.lab_facts(self._lab, self._clients)
        return collect.report(lab, views, seen, self._started, tuple(self._say.steps))

    def _counted(self) -> int:
        chain = self._lab.call("GET", "/statistics")["chains"].get(CHAIN["name"], {})
        return int(chain.get("packets", 0))

    def _popen(self, client: str, command: Sequence[str]) -> subprocess.Popen[str]:
        return self._lab.popen(client, *command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def _metrics(host: DockerHost) -> str:
    url = host.health_url.removesuffix("/health") + "/metrics"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the management network is on this machine
    with opener.open(url, timeout=5) as answer:
        return str(answer.read().decode())


def write(report: Report, folder: Path) -> Path:
    """Write both forms; the page's path."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(document(report), indent=2) + "\n")
    (folder / "report.html").write_text(page(report))
    return folder / "report.html"


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """The first SIGINT, SIGTERM or SIGHUP interrupts; those after it are ignored, so that the tear-down ends."""
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def interrupt(*_: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = [(number, signal.signal(number, interrupt)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the four-domain demo and write a report."""
    given = _parser().parse_args(arguments)
    progress = Progress()
    folder = given.output or ROOT / "results" / time.strftime("demo-%Y%m%d-%H%M%S")
    lab = Lab(say=progress)
    with interruptible():
        try:
            with lab:
                report = Demo(lab, progress, given.connections, given.duration).run()
                written = write(report, folder)
                print("\n".join(summary.lines(report)), flush=True)
                if given.keep:
                    progress("the lab stays up; Ctrl-C ends it")
                    with contextlib.suppress(KeyboardInterrupt):  # the way to end it; the report's result stands
                        signal.pause()
        except KeyboardInterrupt:
            progress("interrupted; everything was torn down" if not lab.record.entries() else "interrupted")
            return 130
        except (RuntimeError, OSError, subprocess.SubprocessError, ValueError) as error:
            progress(f"could not run: {error}")
            return 2
    progress("torn down")
    print(f"\nreport: {written}\n{'every check was good' if report.good else 'A CHECK WAS NOT GOOD'}")
    return 0 if report.good and not lab.record.entries() else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./scripts/demo", description=main.__doc__)
    parser.add_argument("--connections", type=_at_least(3, int), default=600, help="in all (default: 600)")
    parser.add_argument("--duration", type=_at_least(1, float), help="seconds of HTTP, instead of a number")
    parser.add_argument("--output", type=Path, help="folder of the report (default: results/demo-TIME)")
    parser.add_argument("--keep", action="store_true", help="keep the lab up after the report, until Ctrl-C")
    return parser


def _at_least(least: int, kind: type[int] | type[float]) -> Any:
    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = kind(least - 1)
        if not least <= value < 1_000_000:
            raise argparse.ArgumentTypeError(f"{text!r}: expected a number from {least} to 999999")
        return value

    return parse


if __name__ == "__main__":
    sys.exit(main())
