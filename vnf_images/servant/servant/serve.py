"""The server process: service and management, without any privilege. In: settings. Out: HTTP until SIGTERM, then a drain."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import sys
import time
from pathlib import Path

from prometheus_client import Counter, Gauge
from vnf import management, settings
from vnf.load import cpu_quota
from vnf.log import INSTANCE, log
from vnf.plumbing import host

from servant.server import Connection, Service
from servant.work import Workshop

SAMPLE_S = 1.0
BACKLOG = 2048
CARRIER = Path("/sys/class/net/in0/carrier")


class LoadMeter:
    """The share of the CPU quota that this process used, over the last second."""

    def __init__(self) -> None:
        self.load = 0.0

    async def sample_forever(self) -> None:
        while True:
            before = time.monotonic(), time.process_time()
            await asyncio.sleep(SAMPLE_S)
            elapsed_s, used_s = time.monotonic() - before[0], time.process_time() - before[1]
            self.load = min(1.0, used_s / (elapsed_s * cpu_quota()))  # read anew: a quota may be changed while it runs


def bound(address: str, port: int) -> socket.socket:
    """A bound socket on an address that need not exist yet."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_IP, management.IP_FREEBIND, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((address, port))
    return made


def plugged_in() -> bool:
    """Whether the data port is there and has a peer."""
    try:
        return CARRIER.read_text().strip() == "1"
    except OSError:
        return False


async def run() -> None:
    """Serve until SIGTERM."""
    addresses = [host(settings.addresses(variable)) for variable in ("DATA_ADDRESS", "SERVICE_ADDRESS")]
    port = int(settings.number("SERVICE_PORT", 80, 1, 65535))
    cost_s = settings.number("COST_MS", 5, 0, 10_000) / 1000
    workshop = Workshop(int(settings.number("QUEUE", 128, 0, 100_000)))
    service = Service(INSTANCE, cost_s, workshop, int(settings.number("CONNECTIONS", 4096, 1, 100_000)))
    meter = LoadMeter()
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    Gauge("servant_connections", "Open connections").set_function(lambda: len(service.connections))
    Gauge("servant_queue", "Requests that wait for CPU or use it").set_function(lambda: workshop.waiting)
    Gauge("servant_load", "Share of the CPU quota used over the last second").set_function(lambda: meter.load)
    work = Counter("servant_work_cpu_seconds", "CPU time spent for requests")

    def health() -> management.Health:
        reason = "draining" if service.draining else "" if plugged_in() else "in0 is not plugged in or is down"
        return management.Health(meter.load, len(service.connections), reason)

    management.serve(host(settings.addresses("MGMT_ADDRESS")), health)
    sampling = asyncio.ensure_future(meter.sample_forever())
    servers = [
        await loop.create_server(lambda: Connection(service), sock=bound(address, port), backlog=BACKLOG)
        for address in addresses
    ]
    log("serving", addresses=addresses, port=port, cost_ms=1000 * cost_s)
    counted_s = 0.0
    while not ending.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ending.wait(), SAMPLE_S)
        spent_s = workshop.spent_s
        work.inc(spent_s - counted_s)
        counted_s = spent_s
    for server in servers:
        server.close()
    service.drain()
    deadline_s = time.monotonic() + settings.number("DRAIN_S", 2, 0, 3600)
    while service.connections and time.monotonic() < deadline_s:
        await asyncio.sleep(0.02)
    sampling.cancel()
    log("ended", cut=len(service.connections))


if __name__ == "__main__":
    asyncio.run(run())
    sys.exit(0)
