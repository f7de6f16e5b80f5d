"""Finds out what the machine has, starts what is missing, and says what it chose.

In: the machine. Out: a `Machine`: which datapath, what makes links slow, who runs Open vSwitch. What is started is recorded and
later stopped; what ran before is used as it is and left running.
"""

import os
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from testbed.lab.record import LabRecord, run

OVS_SCRIPTS = Path("/usr/share/openvswitch/scripts")
OVS_RUN = Path("/var/run/openvswitch")
OVS_UNIT = "openvswitch-switch.service"
ANSWER_WITHIN_S = 15.0
# What functions need of the kernel. A container cannot load modules; where they are built in, or cannot be had, nothing happens.
NETFILTER = (
    "nfnetlink_queue xt_NFQUEUE xt_physdev xt_connmark iptable_filter iptable_mangle ip6table_filter ip6table_mangle"
)
MODULES = ("br_netfilter", *NETFILTER.split(), "tun")


@dataclass(frozen=True, slots=True)
class Machine:
    """What was found and chosen."""

    systemd: bool
    kernel_datapath: bool
    netem: bool
    ovs_was_running: bool

    @property
    def datapath(self) -> str:
        """Mininet's name of the datapath."""
        return "kernel" if self.kernel_datapath else "user"

    def lines(self) -> list[str]:
        """For people to read."""
        return [
            f"systemd: {'yes' if self.systemd else 'no; daemons are started by hand'}",
            f"Open vSwitch: {'was running' if self.ovs_was_running else 'started by the lab'}",
            f"datapath: {'kernel module' if self.kernel_datapath else 'user space (no kernel module)'}",
            f"links: {'netem' if self.netem else 'delay line in user space (no sch_netem)'}",
        ]


def examine(record: LabRecord) -> Machine:
    """Find out, and start Open vSwitch where it does not run."""
    missing = [tool for tool in ("ovs-vsctl", "mnexec", "ip", "tc", "ethtool", "nsenter") if not shutil.which(tool)]
    if missing:
        raise RuntimeError(f"missing: {', '.join(missing)}; ./scripts/setup installs them")
    if os.geteuid() != 0:
        raise RuntimeError("the lab needs root: network namespaces, Open vSwitch and Docker")
    run("modprobe", "--all", "--quiet", *MODULES)
    systemd = Path("/run/systemd/system").exists()
    running = _ovs_answers()
    if not running:
        _start_ovs(record, systemd)
    return Machine(systemd, _has_kernel_datapath(), _has_netem(), running)


def _ovs_answers() -> bool:
    return run("ovs-vsctl", "--timeout=2", "show") is None and run("ovs-appctl", "--timeout=2", "version") is None


def _has_kernel_datapath() -> bool:
    if not Path("/sys/module/openvswitch").exists():
        run("modprobe", "openvswitch")
    return Path("/sys/module/openvswitch").exists()


def _has_netem() -> bool:
    """Tried, not guessed: on the loopback interface of a network namespace of its own."""
    return run("unshare", "-n", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms") is None


def _start_ovs(record: LabRecord, systemd: bool) -> None:
    if systemd and run("systemctl", "cat", OVS_UNIT) is None:
        record.add("systemd-unit", name=OVS_UNIT)
        problem = run("systemctl", "start", OVS_UNIT)
    else:
        command = (str(OVS_SCRIPTS / "ovs-ctl"), "start", "--system-id=random", "--no-monitor", "--no-mlockall")
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        problem = None if done.returncode == 0 else done.stdout + done.stderr
        for daemon in ("ovsdb-server", "ovs-vswitchd"):
            pidfile = OVS_RUN / f"{daemon}.pid"
            if pidfile.exists():
                record.add("process", pid=int(pidfile.read_text()), name=daemon)
    end = time.monotonic() + ANSWER_WITHIN_S
    while not _ovs_answers():
        if time.monotonic() > end:
            raise RuntimeError(f"Open vSwitch does not answer: {problem or 'no reason given'}")
        time.sleep(0.1)
