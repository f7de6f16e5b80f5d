"""Both ports and the tunnel between them: takes frames in turn, sends what becomes of them, counts, and tells its health.

In: sockets, key rings, what is wrong with the plumbing, PLAIN_SIDE. Out: frames and counts. One thread calls everything but
`health`. It waits where there is nothing to do.
"""

from __future__ import annotations

import random
import select
import socket
import time

from vnf.load import CpuLoad
from vnf.log import log
from vnf.management import Health

from encryption import selftest
from encryption.esp import Receiver, Sender
from encryption.keys import KeyRing
from encryption.metrics import SAMPLED, Counts, processing
from encryption.ports import STATUS_UNFINISHED, STATUS_VLAN, Port
from encryption.tunnel import Tunnel

PLAIN_SIDES = {"in0": ("out0", "to_server", "to_client"), "out0": ("in0", "to_client", "to_server")}
BATCH = 64
TICK_S = 1.0
SELF_TEST_S = 5.0
SILENCE_S = 15.0


class Engine:
    """One end of the stretch. `plain` is the port on whose side packets are in clear."""

    def __init__(self, ring: KeyRing, plain: str) -> None:
        self._ring = ring
        self._plain = plain
        self._cipher, sends, receives = PLAIN_SIDES[plain]
        self._sender = Sender(ring, sends, random.SystemRandom().getrandbits, time.time())
        self._receiver = Receiver(ring, receives, time.time())
        self._tunnel = Tunnel(self._sender, self._receiver)
        self._ports: dict[str, Port] = {}
        self._poll = select.epoll()
        self._seen = 0
        self._load = CpuLoad()
        self._plumbing = "starting"
        self._unsound = selftest.wrong(ring, time.time())
        self._told_s = self._ticked_s = self._tested_s = time.monotonic()
        self.counts = Counts(drops=self._tunnel.drops, sending_key=ring.sending, keys=len(ring.keys))

    def watch(self, source: socket.socket) -> None:
        """Have `turn` return when `source` is readable."""
        self._poll.register(source, select.EPOLLIN)

    def put(self, name: str, raw: socket.socket, mtu: int) -> None:
        """Use this socket for the port from now on."""
        before = self._ports.pop(name, None)
        if before is not None:
            self._poll.unregister(before)
            before.close()
        port = self._ports[name] = Port(raw, mtu)
        self._poll.register(port, select.EPOLLIN)
        plain, cipher = (self._ports.get(side, port).mtu for side in (self._plain, self._cipher))
        self._tunnel.set_mtus(plain, cipher)
        log("port opened", port=name, mtu=mtu)

    def load(self, ring: KeyRing) -> None:
        """Use these keys from the next packet on."""
        self._ring = ring
        self._receiver.load(ring)
        self._sender.load(ring, time.time())
        self._unsound = selftest.wrong(ring, time.time())
        self.counts.sending_key, self.counts.keys = ring.sending, len(ring.keys)

    def told(self, wrong: str) -> None:
        """Note what process 1 found wrong with the plumbing."""
        if wrong != self._plumbing:
            log("health", reason=wrong or "ok")
        self._plumbing, self._told_s = wrong, time.monotonic()

    def turn(self, timeout_s: float) -> bool:
        """Wait for frames and handle up to BATCH of each port. Whether there were any."""
        events = self._poll.poll(timeout_s)
        now_s = time.monotonic()
        if now_s - self._ticked_s >= TICK_S:
            self._tick(now_s)
        if any(event & select.EPOLLERR for _, event in events):
            self.counts.errors["port"] += 1
            for port in self._ports.values():
                port.check()
        seen = self._seen
        for name, port in self._ports.items():
            self._take(name, port)
        return self._seen > seen

    def _take(self, name: str, port: Port) -> None:
        handle = self._outward if name == self._plain else self._inward
        for frame, status in port.received(BATCH):
            self._seen += 1
            if status & STATUS_VLAN:
                self.counts.drops["vlan"] += 1
            elif self._seen % SAMPLED:
                handle(frame, status)
            else:
                began_s = time.perf_counter()
                handle(frame, status)
                processing.observe(time.perf_counter() - began_s)

    def _outward(self, frame: bytes, status: int) -> None:
        for sealed in self._tunnel.outward(frame, bool(status & STATUS_UNFINISHED)):
            self._send(self._cipher, sealed)
        while self._tunnel.answers:
            self.counts.answers += 1
            self._send(self._plain, self._tunnel.answers.popleft())

    def _inward(self, frame: bytes, _status: int) -> None:
        opened = self._tunnel.inward(frame)
        if opened is not None:
            self._send(self._plain, opened)

    def _send(self, name: str, frame: bytes) -> None:
        port = self._ports.get(name)
        problem = "no_port" if port is None else port.send(frame)
        if problem:
            self.counts.drops[problem] += 1
        else:
            self.counts.sent[name] += 1

    def _tick(self, now_s: float) -> None:
        self._load.read(now_s)
        self._ticked_s = now_s
        self._tunnel.tick(time.time())
        self.counts.epochs = self._receiver.epochs
        for port in self._ports.values():
            if overruns := port.overruns():
                self.counts.drops["overrun"] += overruns
        if now_s - self._tested_s >= SELF_TEST_S:
            self._unsound, self._tested_s = selftest.wrong(self._ring, time.time()), now_s

    def health(self) -> Health:
        """Called from the management server's threads. A tunnel has no connections to count."""
        now_s = time.monotonic()
        reasons = [self._plumbing, self._unsound]
        if now_s - self._told_s > SILENCE_S:
            reasons.append("the watch over the ports stopped")
        if now_s - self._ticked_s > SILENCE_S:
            reasons.append("the engine stopped")
        return Health(self._load.value, 0, "; ".join(reason for reason in reasons if reason))
