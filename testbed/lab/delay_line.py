"""A delay line in user space for machines without netem: frames wait between pairs of TAP devices.

In: a JSON list of links on standard input, each with two existing TAP devices and the parameters of netem's. Out: frames, late.
One process carries all links; it ends with SIGTERM. Frames of one direction never overtake each other. It invents no frames
and knows nothing of what they carry.
"""

import errno
import fcntl
import heapq
import json
import os
import random
import select
import signal
import struct
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
MAX_FRAME = 65536
BURST = 32


@dataclass(frozen=True, slots=True)
class LinkParameters:
    """One link: its TAP devices and, for each direction alike, one-way delay, jitter (ms), loss (%), rate (Mbit/s)."""

    a: str
    b: str
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss_percent: float = 0.0
    bandwidth_mbps: float | None = None
    queue_frames: int = 1000
    seed: int = 0


@dataclass(slots=True)
class Direction:
    """One way of a link. `free_at` is when its last bit leaves the sender; `last` when its last frame arrives."""

    parameters: LinkParameters
    chance: random.Random
    free_at: float = 0.0
    last: float = 0.0
    waiting: int = 0
    dropped: int = 0

    def arrival(self, now: float, size: int) -> float | None:
        """When a frame of `size` bytes that comes now arrives; None where it is lost or the queue is full."""
        p = self.parameters
        if self.waiting >= p.queue_frames or (p.loss_percent and self.chance.random() * 100 < p.loss_percent):
            self.dropped += 1
            return None
        if p.bandwidth_mbps:
            self.free_at = max(now, self.free_at) + size * 8 / (p.bandwidth_mbps * 1e6)
            now = self.free_at
        delay_ms = p.delay_ms
        if p.jitter_ms:
            delay_ms = max(0.0, delay_ms + self.chance.uniform(-p.jitter_ms, p.jitter_ms))
        self.last = max(self.last, now + delay_ms / 1e3)
        return self.last


@dataclass(slots=True)
class DelayLine:
    """All links of a process: `ends` maps a file descriptor to (the descriptor at the other end, direction)."""

    ends: dict[int, tuple[int, Direction]] = field(default_factory=dict)
    under_way: list[tuple[float, int, int, bytes, Direction]] = field(default_factory=list)
    number: int = 0

    def add(self, parameters: LinkParameters, a: int, b: int) -> None:
        """Join two descriptors."""
        for serial, (here, there) in enumerate(((a, b), (b, a))):
            self.ends[here] = (there, Direction(parameters, random.Random(parameters.seed * 2 + serial)))

    def run(self, stopped: Callable[[], bool]) -> None:
        """Carry frames until `stopped`."""
        descriptors = list(self.ends)
        while not stopped():
            timeout = 0.2
            if self.under_way:
                timeout = max(0.0, self.under_way[0][0] - time.monotonic())
            ready = select.select(descriptors, (), (), min(timeout, 0.2))[0]
            for descriptor in ready:
                self._take(descriptor)
            self._deliver()

    def _take(self, descriptor: int) -> None:
        to, direction = self.ends[descriptor]
        for _ in range(BURST):
            try:
                frame = os.read(descriptor, MAX_FRAME)
            except OSError as error:
                if error.errno in (errno.EAGAIN, errno.EIO, errno.EBADFD):
                    return
                raise
            due = direction.arrival(time.monotonic(), len(frame))
            if due is not None:
                direction.waiting += 1
                self.number += 1
                heapq.heappush(self.under_way, (due, self.number, to, frame, direction))

    def _deliver(self) -> None:
        while self.under_way and self.under_way[0][0] <= time.monotonic():
            _, _, to, frame, direction = heapq.heappop(self.under_way)
            direction.waiting -= 1
            try:
                os.write(to, frame)
            except OSError as error:  # the far interface is down or its queue is full: the frame is lost, as on a wire
                if error.errno not in (errno.EIO, errno.EAGAIN, errno.ENOBUFS, errno.EBADFD):
                    raise


def open_tap(name: str) -> int:
    """A non-blocking descriptor of an existing TAP device."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return descriptor


def main() -> int:
    """Read links, carry frames until SIGTERM or SIGINT."""
    ended: list[int] = []
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda number, frame: ended.append(number))
    line = DelayLine()
    for link in json.load(sys.stdin):
        parameters = LinkParameters(**link)
        line.add(parameters, open_tap(parameters.a), open_tap(parameters.b))
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))  # a frame that is due waits for nobody's time slice
    except OSError:
        print("no real-time priority: latencies will vary on a busy machine", file=sys.stderr)
    print("ready", flush=True)
    line.run(lambda: bool(ended))
    return 0


if __name__ == "__main__":
    sys.exit(main())
