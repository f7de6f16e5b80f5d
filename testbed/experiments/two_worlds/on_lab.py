"""A scenario on the lab: real switches, containers and connections; the calibration, and what every level came to.

In: a scenario. Out: `Constants` of a run at light load and a short full one, then, of other runs, `Outcome`s in the shape of the
simulator's. Must not do: predict, or use anything of a level for the constants.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, median
from typing import Any

from testbed.experiments.measures import paths_of_connections, route_ms
from testbed.experiments.two_worlds.cgroup import Cgroup, machine_ticks
from testbed.experiments.two_worlds.outcome import ANSWERED, REFUSED, Constants, Outcome, Request
from testbed.experiments.two_worlds.scenario import Scenario
from testbed.lab.net import ROOT, SERVICE_ADDRESS, Lab, Vnf
from testbed.traffic.http_load import percentile
from topologies.four_domain import FourDomain

SERVICE = {"name": "emergency", "address": SERVICE_ADDRESS, "port": 80}
CHAIN_NAME = "emergency-web"
LEAD_S = 1.2  # until all senders have started
IDLE_S = 3.0
LIGHT_REQUESTS = 60
LIGHT_SHARE = 1 / 3  # of the capacity by the documents, evenly spaced: no request waits for another
WARM_REQUESTS = 6
FULL_QUEUE = 32  # requests at most that wait for a servant in the calibration
SETTLE_S = 0.5
Told = dict[str, Any]
"""A request, as `open_loop` tells it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """A level on the lab. `late_ms`: the 99th percentile of how much later than planned requests left; `busy`: the share of the machine's
    cores that was in use; `inactive`: instances that were not active after it."""

    outcome: Outcome
    late_ms: float
    busy: float
    inactive: tuple[str, ...]


def lab_of(scenario: Scenario, say: Callable[[str], None]) -> Lab:
    """The lab that the scenario asks for, not yet up."""
    servant = scenario.servant
    environment = (("COST_MS", f"{servant.cost_ms:g}"), ("QUEUE", f"{servant.queue}"))
    vnfs = [Vnf(name, "firewall", switch) for name, switch in sorted(scenario.firewalls.items())]
    vnfs += [Vnf(name, "servant", at, environment, servant.cpus) for name, at in sorted(scenario.servants.items())]
    topo = FourDomain(delays_ms=dict(scenario.delays_ms), bandwidth_mbps=scenario.bandwidth_mbps)
    return Lab(topo, vnfs, say=say)


class OnLab:
    """One scenario on a lab that is up. `chain`: the name of the service's chain."""

    def __init__(self, lab: Lab, scenario: Scenario, say: Callable[[str], None], chain: str = CHAIN_NAME) -> None:
        self._lab, self._scenario, self._say, self._chain = lab, scenario, say, chain
        assert lab.net is not None, "the lab is up"
        self._addresses = {client: str(lab.net[client].IP()) for client in scenario.clients}
        self._groups: dict[str, Cgroup] = {}

    def start(self) -> None:
        """Controller, service, instances and chain."""
        self._lab.start_controller()
        switches = len(self._lab.topo.switches())
        self._lab.wait_until(lambda: self._lab.call("GET", "/health")["switches"] == switches, "all switches connected")
        self._lab.call("POST", "/services", SERVICE)
        for name in self._lab.instances:
            self._lab.register(name)
        self._lab.call("POST", "/chains", {"name": self._chain, "functions": ["firewall"], "service": SERVICE["name"]})
        self._lab.ready()
        self._say("all instances active, all links found")

    def prepare(self) -> None:
        """Quotas as the scenario has them, and a few requests to warm up."""
        servant = self._scenario.servant
        self._groups = {name: Cgroup(self._lab.instances[name].container_pid) for name in self._scenario.servants}
        for group in self._groups.values():
            group.set_quota(servant.cpus, servant.period_ms)
        quota = f"{servant.cpus * servant.period_ms:g} ms of CPU every {servant.period_ms:g} ms"
        self._say(f"each servant has {quota}")
        self._send({client: [300.0 * n for n in range(WARM_REQUESTS)] for client in self._addresses})

    # calibration ----------------------------------------------------------------------------------------------------
    def calibrate(self) -> Constants:
        """Constants of the lab, from runs of their own: no requests, single requests, and a queue full of them."""
        self._say("calibration: idle, single requests, full queues")
        idle_cores = self._speeds(IDLE_S)
        told, request_cpu_ms = self._single(idle_cores)
        speed_cores = self._full()
        ways = self._ways_ms(told)
        return Constants(
            controller_ms=max(0.0, median(each["connect_ms"] - each["rtt_ms"] for _, each in told)),
            way_ms=max(0.0, median(ways)),
            request_cpu_ms=request_cpu_ms,
            idle_cores=idle_cores,
            speed_cores=speed_cores,
        )

    def _speeds(self, seconds: float) -> float:
        """CPU time a second that a servant uses, over this time, on average over servants."""
        before = {name: (time.monotonic(), group.used_ms()) for name, group in self._groups.items()}
        time.sleep(seconds)
        speeds = []
        for name, group in self._groups.items():
            began_s, used_ms = before[name]
            speeds.append((group.used_ms() - used_ms) / 1000 / (time.monotonic() - began_s))
        return mean(speeds)

    def _single(self, idle_cores: float) -> tuple[list[tuple[str, Told]], float]:
        """Requests that never meet: what each told, and the CPU time that one takes of its servant."""
        gap_ms = 1000 / (LIGHT_SHARE * self._scenario.capacity_rps)
        clients = sorted(self._addresses)
        plan = {
            client: [gap_ms * n for n in range(LIGHT_REQUESTS) if n % len(clients) == position]
            for position, client in enumerate(clients)
        }
        before_ms, began_s = self._used_ms(), time.monotonic()
        told = [(client, each) for client, all_of in self._send(plan).items() for each in all_of]
        time.sleep(SETTLE_S)
        idle_ms = idle_cores * 1000 * (time.monotonic() - began_s) * len(self._groups)
        used_ms = sum(self._used_ms().values()) - sum(before_ms.values()) - idle_ms
        good = [(client, each) for client, each in told if each["status"] == 200 and each["rtt_ms"] is not None]
        if len(good) < LIGHT_REQUESTS / 2:
            raise RuntimeError(f"calibration: {len(good)} of {LIGHT_REQUESTS} single requests were answered")
        return good, used_ms / len(good)

    def _full(self) -> float:
        """CPU time a second that a servant gets while requests wait for it: the middle half of a queue's time."""
        servant = self._scenario.servant
        each = max(1, min(servant.queue, FULL_QUEUE))
        many = each * len(self._groups) // len(self._addresses)
        lasts_s = each * servant.cost_ms / servant.cpus / 1000
        start_s = time.monotonic() + LEAD_S
        senders = self._senders({client: [0.0] * many for client in self._addresses}, start_s)
        time.sleep(max(0.0, start_s + lasts_s / 4 - time.monotonic()))
        speed = self._speeds(lasts_s / 2)
        self._tell(senders)
        return speed

    def _ways_ms(self, told: Sequence[tuple[str, Told]]) -> list[float]:
        """One way of each connection's packets beyond the configured delays of the path that conntrack says it took."""
        paths = {path["spi"]: path["segments"] for path in self._lab.call("GET", "/paths")["paths"]}
        taken = paths_of_connections(self._conntrack())
        ways = []
        for client, each in told:
            spi = taken.get((self._addresses[client], each["source_port"]))
            if spi in paths:
                ways.append(each["rtt_ms"] / 2 - route_ms(self._scenario.delays_ms, paths[spi]))
        if not ways:
            raise RuntimeError("calibration: conntrack knows the path of none of the connections")
        return ways

    def _conntrack(self) -> str:
        kernel = self._lab.machine is not None and self._lab.machine.kernel_datapath
        datapath = "system@ovs-system" if kernel else "netdev@ovs-netdev"
        command = ["ovs-appctl", "--timeout=10", "dpctl/dump-conntrack", datapath]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout

    # levels ---------------------------------------------------------------------------------------------------------
    def level(self, arrivals: Mapping[str, Sequence[float]]) -> Measured:
        """Send these requests, and wait for the last answer."""
        start_s = time.monotonic() + LEAD_S
        senders = self._senders(arrivals, start_s)
        time.sleep(max(0.0, start_s - time.monotonic()))
        before_ms, before_ticks = self._used_ms(), machine_ticks()
        told = self._tell(senders)
        ran, ticks = (after - before for after, before in zip(machine_ticks(), before_ticks, strict=True))
        cpu_ms = {name: used_ms - before_ms[name] for name, used_ms in self._used_ms().items()}
        requests = [_request(client, each) for client, all_of in told.items() for each in all_of]
        late = sorted(each["late_ms"] for all_of in told.values() for each in all_of)
        elapsed_ms = max(each.sent_ms + each.latency_ms for each in requests)
        time.sleep(SETTLE_S)
        in_order = tuple(sorted(requests, key=lambda each: (each.sent_ms, each.client)))
        outcome = Outcome(in_order, cpu_ms, elapsed_ms)
        return Measured(outcome, percentile(late, 99) or 0.0, ran / ticks, self._inactive())

    def dealt(self) -> int:
        """Connections of the chain that the controller has dealt: whose turn it is follows."""
        paths = self._lab.call("GET", "/paths")["paths"]
        return sum(path["connections"] for path in paths if path["chain"] == self._chain)

    def _inactive(self) -> tuple[str, ...]:
        instances = [
            i for kind in ("firewall", "servant") for i in self._lab.call("GET", f"/vnf/{kind}/instances")["instances"]
        ]
        return tuple(sorted(each["instance_id"] for each in instances if each["status"] != "active"))

    def _used_ms(self) -> dict[str, float]:
        return {name: group.used_ms() for name, group in self._groups.items()}

    # senders --------------------------------------------------------------------------------------------------------
    def _send(self, plan: Mapping[str, Sequence[float]]) -> dict[str, list[Told]]:
        return self._tell(self._senders(plan, time.monotonic() + LEAD_S))

    def _senders(self, plan: Mapping[str, Sequence[float]], start_s: float) -> dict[str, subprocess.Popen[str]]:
        """An open-loop client in each client's namespace."""
        command = [sys.executable, "-m", "testbed.traffic.open_loop", f"http://{SERVICE_ADDRESS}:80/"]
        command += ["--start", f"{start_s:.6f}", "--timeout", f"{self._scenario.timeout_s:g}"]
        senders = {}
        for client, times_ms in plan.items():
            with tempfile.TemporaryFile("w+") as planned:
                json.dump(list(times_ms), planned)
                planned.seek(0)
                senders[client] = self._lab.popen(
                    client,
                    *command,
                    stdin=planned,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                    cwd=ROOT,
                )
        return senders

    def _tell(self, senders: Mapping[str, subprocess.Popen[str]]) -> dict[str, list[Told]]:
        told = {}
        for client, sender in senders.items():
            within_s = LEAD_S + self._scenario.duration_s + self._scenario.timeout_s + 30
            text, problem = sender.communicate(timeout=within_s)
            if sender.returncode:
                raise RuntimeError(f"the sender of {client} ended with {sender.returncode}: {problem[-500:]}")
            told[client] = json.loads(text)
        return told


def _request(client: str, told: Told) -> Request:
    fate = told["error"] or {200: ANSWERED, 503: REFUSED}.get(told["status"], f"status {told['status']}")
    return Request(client, told["planned_ms"], told["latency_ms"], fate, told["servant"])
