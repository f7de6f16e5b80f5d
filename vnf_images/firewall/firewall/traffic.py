"""What passes the ports. In: the kernel's byte counters and the time. Out: the load, as a share of a stated capacity."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

STATISTICS = ("rx_packets", "rx_bytes", "rx_dropped", "tx_packets", "tx_bytes", "tx_dropped")


class LoadMeter:
    """The busier direction's rate over the capacity, smoothed with a weight of one half for each reading."""

    def __init__(self, capacity_mbps: float) -> None:
        self._capacity_mbps = capacity_mbps
        self._last: tuple[float, dict[str, int]] | None = None
        self.load = 0.0

    def read(self, now_s: float, received_bytes: dict[str, int]) -> float:
        """Take a reading of received bytes by port; a port that is new or was plugged in anew counts from its next reading."""
        if self._last is not None and now_s > self._last[0]:
            elapsed_s, before = now_s - self._last[0], self._last[1]
            rates = [8e-6 * (count - before.get(port, count)) / elapsed_s for port, count in received_bytes.items()]
            busiest_mbps = max([rate for rate in rates if rate > 0], default=0.0)
            self.load = 0.5 * self.load + 0.5 * min(1.0, busiest_mbps / self._capacity_mbps)
        self._last = (now_s, received_bytes)
        return self.load


def port_statistics(ports: Iterable[str], root: Path = Path("/sys/class/net")) -> dict[str, dict[str, int]]:
    """The kernel's counters by port; ports that are not plugged in are left out."""
    found = {}
    for port in ports:
        try:
            found[port] = {name: int((root / port / "statistics" / name).read_text()) for name in STATISTICS}
        except OSError:
            continue
    return found
