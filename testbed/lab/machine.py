"""Finds out what the machine has, and starts Open vSwitch where it does not run.

In: the machine as it is, and a record. Out: a `Machine`, whose `lines` say what was found and chosen. Must not change the
machine except by what it records, nor start what runs already.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from testbed.lab.record import Record

OVS_RUN = Path("/var/run/openvswitch")
OVS_DATABASE = Path("/etc/openvswitch/conf.db")
OVS_SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
OVS_UNIT = "openvswitch-switch.service"


class MachineProblem(RuntimeError):
    """Something that the lab needs is missing; the message says what and how to get it."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What was found."""

    kernel: str
    ovs_module: bool
    netem: bool
    systemd: bool
    ovs_started_here: bool

    @property
    def datapath(self) -> str:
        """Mininet's word for the datapath that is used: `kernel` or `user`."""
        return "kernel" if self.ovs_module else "user"

    def lines(self) -> tuple[str, ...]:
        """For people: each finding and the choice that follows from it."""
        return (
            f"kernel      {self.kernel}",
            "switching   Open vSwitch " + ("kernel module" if self.ovs_module else "in user space (datapath_type=netdev): no kernel module"),
            "daemon      Open vSwitch " + ("started by the lab" if self.ovs_started_here else "was running"),
            "latency     " + ("sch_netem and htb" if self.netem else "delay line in user space: the kernel has no sch_netem"),
            "services    " + ("systemd" if self.systemd else "no systemd: daemons are started by hand"),
        )


def inspect(record: Record) -> Machine:
    """Look, and start Open vSwitch if it does not answer. Raises MachineProblem."""
    if os.geteuid() != 0:
        raise MachineProblem("the lab makes network interfaces and namespaces: run it as root")
    for program in ("ip", "tc", "ovs-vsctl", "ovs-vswitchd", "mnexec", "ethtool", "nsenter"):
        if shutil.which(program) is None:
            raise MachineProblem(f"{program} is missing; scripts/setup installs it")
    systemd = Path("/run/systemd/system").is_dir()
    module = _has_ovs_module()
    return Machine(
        kernel=os.uname().release,
        ovs_module=module,
        netem=_has_netem(),
        systemd=systemd,
        ovs_started_here=_ensure_ovs(record, systemd),
    )


def _has_ovs_module() -> bool:
    _quiet("modprobe", "openvswitch")
    return Path("/sys/module/openvswitch").is_dir()


def _has_netem() -> bool:
    """Tried in a namespace of its own, which is gone when the command ends."""
    _quiet("modprobe", "sch_netem")
    return _quiet("unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", "netem", "delay", "1ms")


def _ensure_ovs(record: Record, systemd: bool) -> bool:
    if _quiet("ovs-vsctl", "--timeout=2", "show"):
        return False
    if systemd:
        _must("systemctl", "start", OVS_UNIT)
        record.add("systemd-unit", name=OVS_UNIT)
        return True
    OVS_RUN.mkdir(parents=True, exist_ok=True)
    OVS_DATABASE.parent.mkdir(parents=True, exist_ok=True)
    if not OVS_DATABASE.exists():
        _must("ovsdb-tool", "create", str(OVS_DATABASE), str(OVS_SCHEMA))
    socket = OVS_RUN / "db.sock"
    common = ("--no-chdir", "--detach", "--log-file", "-vconsole:off", "-vsyslog:off")
    for program, words in {
        "ovsdb-server": (str(OVS_DATABASE), f"--remote=punix:{socket}", "--remote=db:Open_vSwitch,Open_vSwitch,manager_options"),
        "ovs-vswitchd": (f"unix:{socket}",),
    }.items():
        pidfile = OVS_RUN / f"{program}.pid"
        _must(program, *words, f"--pidfile={pidfile}", *common)
        record.add("process", pid=int(pidfile.read_text()), name=program, pidfile=str(pidfile))
        if program == "ovsdb-server":
            _must("ovs-vsctl", "--timeout=5", "--no-wait", "init")
    return True


def _quiet(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def _must(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise MachineProblem(f"{' '.join(command)}: {done.stderr.strip()}")
