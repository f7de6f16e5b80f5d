"""CPU: what a running container used and may use, and how busy the machine is.

In: a process of the container. Out: numbers of the kernel's. Both versions of control groups are known. Must not touch any other group.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
PROC = Path("/proc")


def machine_ticks(proc: Path = PROC) -> tuple[int, int]:
    """Ticks of all cores since the machine began: those in which something ran, and all."""
    ticks = [int(word) for word in (proc / "stat").read_text().split("\n", 1)[0].split()[1:9]]
    return sum(ticks) - ticks[3] - ticks[4], sum(ticks)  # idle, and idle for input or output


class Cgroup:
    """The control group of a process, as it is now."""

    def __init__(self, pid: int, root: Path = ROOT, proc: Path = PROC) -> None:
        groups = {}
        for line in (proc / str(pid) / "cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            groups |= {each: (controllers, path.lstrip("/")) for each in controllers.split(",")}
        self._unified = "cpu" not in groups
        if self._unified:
            self._cpu = self._usage = root / groups[""][1]
        else:
            self._cpu, self._usage = (_mounted(root, each, *groups[each]) for each in ("cpu", "cpuacct"))

    def used_ms(self) -> float:
        """CPU time of all its processes, since it was made."""
        if not self._unified:
            return int((self._usage / "cpuacct.usage").read_text()) / 1e6
        words = dict(line.split() for line in (self._usage / "cpu.stat").read_text().splitlines())
        return int(words["usage_usec"]) / 1000

    def set_quota(self, cpus: float, period_ms: float) -> None:
        """Let it have `cpus * period_ms` of CPU time in every period."""
        quota_us, period_us = round(1000 * cpus * period_ms), round(1000 * period_ms)
        if self._unified:
            (self._cpu / "cpu.max").write_text(f"{quota_us} {period_us}")
        else:  # one after the other: a share above that of the group around it is refused, even in between
            (self._cpu / "cpu.cfs_quota_us").write_text(str(min(quota_us, self._quota_us())))
            (self._cpu / "cpu.cfs_period_us").write_text(str(period_us))
            (self._cpu / "cpu.cfs_quota_us").write_text(str(quota_us))

    def _quota_us(self) -> int:
        quota_us = int((self._cpu / "cpu.cfs_quota_us").read_text())
        return quota_us if quota_us > 0 else 1_000_000


def _mounted(root: Path, controller: str, controllers: str, path: str) -> Path:
    """Where a controller of version 1 is mounted: by its own name, or with those that share its hierarchy."""
    own = root / controller / path
    return own if own.is_dir() else root / controllers / path
