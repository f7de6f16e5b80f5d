"""The process of an inline function that looks into TCP streams: `run(function)` is its main program.

In: MGMT_ADDRESS, TRAFFIC_PORTS, FAIL and DRAIN_S of the environment, the image's `vnf.toml`, signals, bridged packets. Out: verdicts,
logs, metrics, health. The main thread handles packets and nothing that waits; a second one watches the ports and the engine, a third
one loads the configuration anew. Ends with 0 on SIGTERM, after a drain, and with 2 where the configuration is wrong.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Protocol

import tomllib
from prometheus_client import REGISTRY

from vnf import management, settings
from vnf.decision import PATH, Decision, Limits, LinkHeader, Route
from vnf.diversion import MARK_INSPECT, MARK_RELEASE, QUEUE, DiversionFailed, divert
from vnf.flows import FlowTable
from vnf.load import CpuLoad
from vnf.log import log
from vnf.meters import Meters
from vnf.nfqueue import ACCEPT, DROP, Queue, Queued, QueueFailed
from vnf.packet import SYN, Malformed, parse
from vnf.plumbing import Bridge, Plumber, PlumbingFailed, Port, Wiring, host
from vnf.privileges import CAP_NET_ADMIN, CAP_NET_RAW, leave_root
from vnf.signals import Signals
from vnf.stream import StreamFunction
from vnf.tap import Tap, handshake_key

PORTS = ("in0", "out0")
DESCRIPTION = Path("/etc/vnf/vnf.toml")
QUEUE_LENGTH = 8192
BATCH = 64
LOOK_AGAIN_S = 2.0
SILENCE_S = 15.0
SWEEP_S = 2.0


class Refused(ValueError):
    """A configuration that cannot be used; the message has the file, the line and the reason."""


class InlineFunction(StreamFunction, Protocol):
    """What `run` runs. `load`, `check` and the routes are called from other threads than `open`: what `load` made is put to use
    by one assignment.
    """

    @property
    def routes(self) -> management.Routes:
        """What the management server answers beyond /health and /metrics."""
        ...

    def load(self) -> dict[str, object]:
        """Load the configuration and put it to use; gives facts for the log. Raises Refused, and changes nothing then."""
        ...

    def check(self) -> str:
        """Try the engine on a sample; says what is wrong, "" where it works."""
        ...


class Engine:
    """Packets of the queue, one after another."""

    def __init__(self, function: InlineFunction, limits: Limits) -> None:
        self.flows = FlowTable(function, limits)
        self.meters = Meters(PORTS, lambda: len(self.flows), lambda: self.flows.held)
        self.heard_s = time.monotonic()
        self._fail_open = limits.fail_open
        self._tap = Tap(dict(zip(PORTS, reversed(PORTS), strict=True)))
        self._swept_s = self.heard_s

    def turn(self, queue: Queue) -> None:
        """Judge the packets that wait, up to a batch of them."""
        now_s = self.heard_s = time.monotonic()
        before = time.perf_counter_ns()
        for packet in queue.packets(BATCH):
            self._judge(queue, packet, now_s)
            after = time.perf_counter_ns()
            self.meters.took(after - before)
            before = after
        queue.flush()
        if now_s - self._swept_s > SWEEP_S:
            self._swept_s = now_s
            self.flows.expire(now_s)

    def _judge(self, queue: Queue, packet: Queued, now_s: float) -> None:
        meters = self.meters
        meters.inspected_packets += 1
        meters.inspected_bytes += len(packet.payload)
        try:
            if packet.truncated:
                raise Malformed("truncated")
            segment = parse(packet.payload, not packet.checksum_valid_later)
        except Malformed as error:
            meters.drops[str(error)] += 1
            queue.verdict(packet, DROP, 0)
            return
        handshake = segment.flags & SYN
        link = self._tap.link(handshake_key(packet.payload)) if handshake else None
        decision = self.flows.handle(segment, Route(packet.tag, link), now_s)
        if decision.drop:
            meters.drops[decision.drop] += 1
            queue.verdict(packet, DROP, 0)
        elif decision.release:
            meters.released += 1
            queue.verdict(packet, ACCEPT, MARK_RELEASE)
        else:
            queue.verdict(packet, ACCEPT, MARK_INSPECT if handshake else 0)
        if decision.injections or decision.stop or decision.error:
            queue.flush()  # what passed before must leave before what is sent now
            self._act(decision, packet)

    def _act(self, decision: Decision, packet: Queued) -> None:
        for link, segment in decision.injections:
            try:
                self._tap.send(link or _way_of(packet), segment)
            except OSError as error:  # the port was taken away: there is nobody to tell
                self.meters.errors["send"] += 1
                log("segment not sent", error=str(error))
        if decision.error is not None:
            self.meters.errors["inspector"] += 1
        if decision.stop is not None and decision.connection is not None:
            ends = decision.connection
            log(
                "connection stopped",
                reason=decision.stop.reason,
                detail=decision.stop.detail,
                client=ends.client,
                client_port=ends.client_port,
                server=ends.server,
                server_port=ends.server_port,
            )
        elif decision.error is not None:
            log("inspector failed", error=repr(decision.error))


def _way_of(packet: Queued) -> LinkHeader:
    """How a frame must be addressed to go on as this one of a path. Raises OSError where its port is gone."""
    return LinkHeader(socket.if_indextoname(packet.leaves), PATH + packet.tag + packet.source)


class Watch:
    """Ports and engine, looked at in a thread of their own."""

    def __init__(self, function: InlineFunction, engine: Engine, addresses: tuple[str, ...]) -> None:
        self._function = function
        self._engine = engine
        ports = (*(Port(name, data=True) for name in PORTS), Port("mgmt0", addresses))
        self._plumber = Plumber(Wiring(ports, Bridge("br0", PORTS)))
        self._load = CpuLoad()
        self._reason = "starting"
        self._looked_s = time.monotonic()
        self.draining = False

    def start(self) -> None:
        threading.Thread(target=self._run, name="watch", daemon=True).start()

    def health(self) -> management.Health:
        """Called from the management server's threads."""
        now_s = time.monotonic()
        reason = self._reason
        if now_s - self._looked_s > SILENCE_S:
            reason = "the watch stopped"
        elif now_s - self._engine.heard_s > SILENCE_S:
            reason = "the packet loop stopped"
        elif self.draining:
            reason = "draining"
        return management.Health(self._load.value, len(self._engine.flows), reason)

    def _run(self) -> None:
        while True:
            self._look()
            self._plumber.wait(LOOK_AGAIN_S)

    def _look(self) -> None:
        try:
            commands, wrong = self._plumber.apply()
            if commands:
                log("plumbed", commands=[" ".join(command) for command in commands])
        except PlumbingFailed as error:
            wrong = [str(error)]
        if broken := self._function.check():
            wrong = [*wrong, broken]
            self._engine.meters.errors["check"] += 1
        reason = "; ".join(wrong)
        if reason != self._reason:
            log("health", reason=reason or "ok")
        self._load.read(time.monotonic())
        self._reason, self._looked_s = reason, time.monotonic()


class Reloader:
    """Loads the configuration anew in a thread, one at a time; a request while one is under way is done after it."""

    def __init__(self, function: InlineFunction, meters: Meters) -> None:
        self._function = function
        self._meters = meters
        self._asked = threading.Event()
        threading.Thread(target=self._run, name="reload", daemon=True).start()

    def ask(self) -> None:
        self._asked.set()

    def _run(self) -> None:
        while True:
            self._asked.wait()
            self._asked.clear()
            try:
                facts = self._function.load()
            except Refused as error:
                self._meters.reloads["refused"] += 1
                log("configuration refused, the old one stays", error=str(error))
            else:
                self._meters.reloads["loaded"] += 1
                log("configuration loaded", **facts)


def run(function: InlineFunction) -> int:
    """Run an inline function until SIGTERM; gives the process's status."""
    signals = Signals(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    addresses = settings.addresses("MGMT_ADDRESS")
    drain_s = settings.number("DRAIN_S", 2, 0, 3600)
    limits = stream_limits(DESCRIPTION)
    try:
        log("configuration loaded", **function.load())
        tool = divert(sorted(limits.ports), limits.fail_open)
        leave_root(CAP_NET_ADMIN, CAP_NET_RAW)  # for the packet queue, packet sockets and plumbing
        queue = Queue(QUEUE, QUEUE_LENGTH, limits.fail_open)
    except Refused as error:
        settings.stop("configuration refused", error=str(error))
    except (DiversionFailed, QueueFailed) as error:
        settings.stop("packets cannot be diverted", error=str(error))
    log("packets diverted", tool=tool, ports=sorted(limits.ports), fail="open" if limits.fail_open else "closed")
    engine = Engine(function, limits)
    REGISTRY.register(engine.meters)
    watch = Watch(function, engine, addresses)
    reloader = Reloader(function, engine.meters)
    management.serve(host(addresses), watch.health, function.routes)
    watch.start()
    poller = select.poll()
    poller.register(queue, select.POLLIN)
    poller.register(signals, select.POLLIN)
    ends_s: float | None = None
    while ends_s is None or (len(engine.flows) and time.monotonic() < ends_s):
        poller.poll(1000 if ends_s is None else 100)
        engine.turn(queue)
        for number in signals.taken():
            if number is signal.SIGHUP:
                reloader.ask()
            elif ends_s is None:
                log("draining", signal=number.name, connections=len(engine.flows))
                ends_s, watch.draining = time.monotonic() + drain_s, True
    log("ending", connections=len(engine.flows))
    return 0


def stream_limits(description: Path) -> Limits:
    """What the image's description and the environment say of the traffic."""
    traffic = tomllib.loads(description.read_text())["traffic"]
    given = os.environ.get("TRAFFIC_PORTS")
    ports = traffic["ports"]
    if given:
        ports = []
        with contextlib.suppress(ValueError):
            ports = [int(part) for part in given.split(",")]
        if not 0 < len(ports) <= 15 or not all(0 < port < 65536 for port in ports):
            settings.stop(
                "setting wrong", variable="TRAFFIC_PORTS", value=given, expected="1 to 15 TCP ports, as 80,25"
            )
    fail = os.environ.get("FAIL") or traffic["fail"]
    if fail not in ("open", "closed"):
        settings.stop("setting wrong", variable="FAIL", value=fail, expected="open or closed")
    held_mib = settings.number("HELD_MIB", 64, 1, 65536)
    connections = settings.number("CONNECTIONS", 16384, 1, 1 << 20)
    return Limits(int(connections), int(held_mib) << 20, fail_open=fail == "open", ports=frozenset(ports))
