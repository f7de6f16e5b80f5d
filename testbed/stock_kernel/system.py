"""Checks of the kernel and of systemd: what the lab looks for on a machine before it falls back to something slower."""

import platform

from testbed.stock_kernel.shell import expect, run


def kernel() -> str:
    """Debian's kernel is the one that runs."""
    expect("Debian" in platform.version(), platform.version())
    accelerator = run("systemd-detect-virt || true")
    return f"{platform.release()} on {accelerator}, up {float(open('/proc/uptime').read().split()[0]):.0f} s"


def modules() -> str:
    """The modules that the lab would rather use than do without."""
    wanted = ("openvswitch", "nsh", "nf_conntrack", "sch_netem", "sch_htb", "bridge", "veth", "nf_tables")
    for module in wanted:
        run(f"modprobe {module}")
    return " ".join(wanted)


def systemd() -> str:
    """systemd runs the machine. (A unit that fails for reasons of the root, not ours, is named but not held against it.)"""
    state = run("timeout 240 systemctl is-system-running --wait || true", timeout_s=250)
    expect(state in ("running", "degraded"), state)
    failed = run("systemctl list-units --failed --plain --no-legend | cut -d' ' -f1")
    return f"{state}{', failed: ' + ' '.join(failed.split()) if failed else ''}"


def docker() -> str:
    """Docker's daemon is systemd's, not one that we started, and it can limit CPU."""
    run("systemctl start docker")
    expect(run("systemctl is-active docker") == "active", "docker.service is not active")
    return run(
        "docker info --format 'Docker {{.ServerVersion}}, {{.Driver}}, cgroup {{.CgroupVersion}}, quota {{.CPUCfsQuota}}'"
    )


CHECKS = [
    ("Debian's kernel runs", kernel),
    ("systemd runs the machine", systemd),
    ("kernel modules load", modules),
]
