"""How busy this process is. In: the time, and the kernel's account of this process. Out: the share of the CPU quota it used."""

from __future__ import annotations

import os
from pathlib import Path


class CpuLoad:
    """CPU time over the time that the quota gave, smoothed with a weight of one half for each reading."""

    def __init__(self) -> None:
        self._quota = cpu_quota()
        self._last: tuple[float, float] | None = None
        self.value = 0.0

    def read(self, now_s: float) -> float:
        """Take a reading."""
        used_s = sum(os.times()[:4])
        if self._last is not None and now_s > self._last[0]:
            share = (used_s - self._last[1]) / (now_s - self._last[0]) / self._quota
            self.value = 0.5 * self.value + 0.5 * min(1.0, share)
        self._last = (now_s, used_s)
        return self.value


def cpu_quota(root: Path = Path("/sys/fs/cgroup")) -> float:
    """The cores that this container may use, at most 1 (packets are handled by one thread); 1 when there is no quota."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except OSError:
        try:
            quota, period = ((root / "cpu" / f"cpu.cfs_{name}_us").read_text().strip() for name in ("quota", "period"))
        except OSError:
            return 1.0
    return 1.0 if quota in ("max", "-1") else min(1.0, int(quota) / int(period))
