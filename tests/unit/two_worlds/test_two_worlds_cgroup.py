"""Both versions of control groups, as folders."""

from pathlib import Path

import pytest

from testbed.experiments.two_worlds.cgroup import Cgroup, machine_ticks


@pytest.mark.parametrize("mounts", [("cpu", "cpuacct"), ("cpu,cpuacct", "cpu,cpuacct")])
def test_version_1_in_hierarchies_of_their_own_and_shared(tmp_path: Path, mounts: tuple[str, str]) -> None:
    lines = dict.fromkeys(mounts)
    (tmp_path / "proc" / "7").mkdir(parents=True)
    (tmp_path / "proc" / "7" / "cgroup").write_text("".join(f"{n}:{each}:/box\n" for n, each in enumerate(lines)))
    for each in lines:
        (tmp_path / each / "box").mkdir(parents=True)
    cpu, usage = (tmp_path / each / "box" for each in mounts)
    (cpu / "cpu.cfs_quota_us").write_text("20000\n")
    (cpu / "cpu.cfs_period_us").write_text("100000\n")
    (usage / "cpuacct.usage").write_text("2500000\n")
    group = Cgroup(7, tmp_path, tmp_path / "proc")
    group.set_quota(0.2, 5)
    assert group.used_ms() == 2.5
    assert (cpu / "cpu.cfs_quota_us").read_text() == "1000"
    assert (cpu / "cpu.cfs_period_us").read_text() == "5000"


def test_version_2(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    (tmp_path / "7" / "cgroup").write_text("0::/box\n")
    (tmp_path / "box").mkdir()
    (tmp_path / "box" / "cpu.stat").write_text("usage_usec 2500\nuser_usec 2000\n")
    group = Cgroup(7, tmp_path, tmp_path)
    group.set_quota(0.25, 20)
    assert group.used_ms() == 2.5
    assert (tmp_path / "box" / "cpu.max").read_text() == "5000 20000"


def test_the_machine_is_busy_when_it_is_not_idle(tmp_path: Path) -> None:
    (tmp_path / "stat").write_text("cpu  10 1 20 600 30 2 3 4 5 6\ncpu0 1 2 3 4 5 6 7 8 9 10\n")
    assert machine_ticks(tmp_path) == (40, 670)
