"""Links in user space: frames read from one TAP device are written to its peer later, for kernels without sch_netem.

In: a JSON list of lines on the command line, `[{"a","b","delay_ms","jitter_ms","loss_percent","bandwidth_mbps","seed"}]`, whose
TAP devices exist. Out: frames. One process serves all links of a lab. Order is kept within a direction, also with jitter.
Must not create or configure devices.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import select
import struct
import sys
import time
from collections import deque
from dataclasses import dataclass

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI = 0x0002, 0x1000
FRAME_BYTES = 65536
BURST = 32  # frames read from one device before the others have their turn
QUEUE_S = 0.1  # how much may wait for bandwidth before frames are dropped
WAKE_S = 0.00006  # the kernel's timer slack: wake this much earlier and spin


@dataclass(frozen=True, slots=True)
class Shape:
    """One direction of a link."""

    delay_s: float
    jitter_s: float = 0.0
    loss: float = 0.0  # 0..1
    rate_bps: float | None = None


class Direction:
    """Frames on their way. Invariant: due times in `waiting` never decrease."""

    def __init__(self, shape: Shape, seed: int) -> None:
        self.shape = shape
        self.random = random.Random(seed)
        self.free_at = 0.0
        self.last_due = 0.0
        self.waiting: deque[tuple[float, bytes]] = deque()

    def put(self, frame: bytes, now: float) -> None:
        """Take a frame that arrived at `now`, or lose it."""
        shape = self.shape
        if shape.loss and self.random.random() < shape.loss:
            return
        sent = now
        if shape.rate_bps:
            begin = max(now, self.free_at)
            if begin - now > QUEUE_S:
                return
            self.free_at = sent = begin + len(frame) * 8 / shape.rate_bps
        due = sent + shape.delay_s
        if shape.jitter_s:
            due += self.random.uniform(-shape.jitter_s, shape.jitter_s)
        self.last_due = due = max(due, self.last_due)
        self.waiting.append((due, frame))

    def take(self, now: float) -> list[bytes]:
        """The frames that are due."""
        due = []
        while self.waiting and self.waiting[0][0] <= now:
            due.append(self.waiting.popleft()[1])
        return due


def open_tap(name: str) -> int:
    """A file descriptor that reads and writes the frames of an existing TAP device."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return fd


def run(routes: dict[int, tuple[int, Direction]]) -> None:
    """Carry frames for ever. `routes` maps a descriptor to its peer and the direction towards it."""
    inputs = list(routes)
    outgoing = list(routes.values())
    clock = time.monotonic
    while True:
        heads = [direction.waiting[0][0] for _, direction in outgoing if direction.waiting]
        wait_s = max(0.0, min(heads) - clock() - WAKE_S) if heads else None
        ready = select.select(inputs, (), (), wait_s)[0]
        for fd in ready:
            direction = routes[fd][1]
            for _ in range(BURST):
                try:
                    frame = os.read(fd, FRAME_BYTES)
                except OSError:
                    break
                direction.put(frame, clock())
        now = clock()
        for peer, direction in outgoing:
            if direction.waiting and direction.waiting[0][0] <= now:
                for frame in direction.take(now):
                    try:
                        os.write(peer, frame)
                    except OSError:  # the link is cut, or its queue is full: the frame is lost
                        continue


def main() -> int:
    """Read the lines from the first argument, say `ready`, carry frames until a signal comes."""
    routes: dict[int, tuple[int, Direction]] = {}
    for line in json.loads(sys.argv[1]):
        rate = line.get("bandwidth_mbps")
        shape = Shape(line["delay_ms"] / 1e3, line["jitter_ms"] / 1e3, line["loss_percent"] / 100, rate * 1e6 if rate else None)
        a, b = open_tap(line["a"]), open_tap(line["b"])
        routes[a] = (b, Direction(shape, line["seed"]))
        routes[b] = (a, Direction(shape, line["seed"] + 1))
    os.setpriority(os.PRIO_PROCESS, 0, -15)
    print("ready", flush=True)
    run(routes)
    return 0


if __name__ == "__main__":
    sys.exit(main())
