"""What a firewall carries on one core, beside the same container as a plain bridge: `python -m tests.support.firewall_capacity`.

Everything runs on one core: the sender, and in its context the bridge with its rules. Prints packets/s (UDP of 100 bytes, one
connection), new connections/s (TCP, opened and closed, both ends in Python) and round trips of a datagram. Best of rounds.
"""

from __future__ import annotations

import os
import socket
import threading
import time

from testbed.lab.dockerd import ensure_docker
from testbed.lab.record import LabRecord
from tests.lab.test_images import CLIENT, run
from tests.support.firewall_bench import DATAGRAM, SERVER, STREAM, THERE, Echo, Wire, made

CORE = 1
ROUNDS, ROUND_S = 5, 1.0
PAYLOAD, SEGMENTS, UDP_SEGMENT = 58, 60, 103  # with headers 100 bytes; so many packets a system call
RULES = 'default = "allow"\n' + "".join(
    f'[[rules]]\naction = "deny"\nprotocol = "tcp"\ndestination_ports = {port}\n' for port in range(20_000, 20_020)
)


def packets_pps() -> float:
    """Packets that arrive in a second."""
    sender, receiver = made(CLIENT, 4, DATAGRAM), made(SERVER, 4, DATAGRAM)
    receiver.bind((THERE[4], 9))
    sender.setsockopt(socket.SOL_UDP, UDP_SEGMENT, PAYLOAD)
    sender.connect((THERE[4], 9))
    best = 0.0
    for _ in range(ROUNDS):
        before, started = arrived(), time.monotonic()
        while time.monotonic() - started < ROUND_S:
            sender.send(bytes(PAYLOAD * SEGMENTS))
        best = max(best, (arrived() - before) / (time.monotonic() - started))
    sender.close()
    receiver.close()
    return best


def arrived() -> int:
    return int(run("ip", "netns", "exec", SERVER, "cat", "/sys/class/net/f-out/statistics/rx_packets"))


def connections_cps() -> float:
    """TCP connections that are opened and closed in a second."""
    listener = made(SERVER, 4, STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((THERE[4], 80))
    listener.listen(128)
    listener.settimeout(None)
    ended = threading.Event()

    def accept() -> None:
        while not ended.is_set():
            listener.accept()[0].close()

    accepting = threading.Thread(target=accept)
    accepting.start()
    best = 0.0
    for _ in range(ROUNDS):
        done, started = 0, time.monotonic()
        while time.monotonic() - started < ROUND_S:
            one()
            done += 1
        best = max(best, done / (time.monotonic() - started))
    ended.set()
    one()
    accepting.join()
    listener.close()
    return best


def one() -> None:
    with made(CLIENT, 4, STREAM) as connection:
        connection.connect((THERE[4], 80))
        connection.recv(1)


def round_trips_us() -> tuple[float, float]:
    """Median and 99th percentile."""
    echo, took = Echo(SERVER, 4, DATAGRAM, 7), []
    with made(CLIENT, 4, DATAGRAM) as sender:
        sender.connect((THERE[4], 7))
        for _ in range(5000):
            before = time.perf_counter()
            sender.send(b"x")
            sender.recv(10)
            took.append(1e6 * (time.perf_counter() - before))
    echo.close()
    took.sort()
    return took[len(took) // 2], took[len(took) * 99 // 100]


def plain_bridge(wire: Wire) -> None:
    """Take the rules away, and bridged packets from netfilter."""
    pid = str(wire.container.attrs["State"]["Pid"])
    inside = ("nsenter", "-t", pid, "-n")
    run(*inside, "nft", "flush", "ruleset")
    for name in ("iptables", "ip6tables"):
        run(*inside, "sysctl", "-qw", f"net.bridge.bridge-nf-call-{name}=0")


def main() -> None:
    record = LabRecord("capacity")
    try:
        ensure_docker(record)
        compare()
    finally:
        record.undo()


def compare() -> None:
    """Print a line for each, with everything on one core."""
    os.sched_setaffinity(0, {CORE})
    wire = Wire()
    try:
        wire.start(RULES)
        wire.plug()
        for name in ("firewall, 20 rules", "plain bridge"):
            pps, cps, (median, late) = packets_pps(), connections_cps(), round_trips_us()
            print(
                f"{name:20} {pps:9.0f} packets/s {cps:7.0f} connections/s, round trip {median:.1f} us, p99 {late:.1f} us"
            )
            plain_bridge(wire)
    finally:
        wire.close()


if __name__ == "__main__":
    main()
