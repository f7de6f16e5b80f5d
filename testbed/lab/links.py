"""Links with real latency, jitter, loss and bandwidth: netem where the kernel has it, the delay line where not.

In: Mininet's link options (`delay="5ms"`, `jitter`, `loss` in percent, `bw` in Mbit/s, `mtu`). Out: a Mininet `Link` class, and
the running delay line. Both ways take the same options. Must not touch links between a switch and a host unless they are shaped.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mininet.link import Link
from mininet.node import Switch

from testbed.lab.record import Record

DEFAULT_MTU = 1500


class LinkProblem(RuntimeError):
    """A link could not be made; the message names it."""


@dataclass(frozen=True, slots=True)
class LinkSpec:
    """A trunk between the interfaces `a` and `b`; latency one way."""

    a: str
    b: str
    switches: tuple[str, str]
    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    loss_percent: float = 0.0
    bandwidth_mbps: float | None = None
    mtu: int = DEFAULT_MTU

    @classmethod
    def parse(cls, ends: tuple[str, str], switches: tuple[str, str], options: Mapping[str, Any]) -> LinkSpec:
        """From Mininet's options."""
        return cls(
            *ends,
            switches,
            delay_ms=milliseconds(options.get("delay", 0)),
            jitter_ms=milliseconds(options.get("jitter", 0)),
            loss_percent=float(options.get("loss") or 0),
            bandwidth_mbps=float(options["bw"]) if options.get("bw") else None,
            mtu=int(options.get("mtu", DEFAULT_MTU)),
        )

    def tc_commands(self, interface: str) -> list[list[str]]:
        """What shapes the traffic that leaves `interface`, by htb and netem."""
        commands, parent = [], ["root"]
        if self.bandwidth_mbps:
            rate = f"{self.bandwidth_mbps}mbit"
            commands.append(["tc", "qdisc", "replace", "dev", interface, "root", "handle", "5:", "htb", "default", "1"])
            commands.append(["tc", "class", "add", "dev", interface, "parent", "5:", "classid", "5:1", "htb", "rate", rate, "burst", "15k"])
            parent = ["parent", "5:1"]
        if self.delay_ms or self.jitter_ms or self.loss_percent:
            netem = ["delay", f"{self.delay_ms}ms"] + ([f"{self.jitter_ms}ms"] if self.jitter_ms else [])
            netem += ["loss", f"{self.loss_percent}%"] if self.loss_percent else []
            commands.append(["tc", "qdisc", "add", "dev", interface, *parent, "handle", "10:", "netem", *netem, "limit", "10000"])
        return commands


def milliseconds(value: object) -> float:
    """`5`, `5.0`, `"5ms"`, `"500us"` or `"0.1s"` in milliseconds."""
    text = str(value)
    for suffix, factor in (("ms", 1.0), ("us", 1e-3), ("s", 1e3)):
        if text.endswith(suffix):
            return float(text.removesuffix(suffix)) * factor
    return float(text)


def link_class(record: Record, netem: bool, trunks: list[LinkSpec]) -> type[Link]:
    """A Mininet link class for one lab; trunks that it makes are appended to `trunks`."""

    class LabLink(Link):  # type: ignore[misc]  # Mininet has no types
        """A veth pair, or two TAP devices that the delay line joins."""

        def __init__(self, node1: Any, node2: Any, **options: Any) -> None:
            self.is_trunk = isinstance(node1, Switch) and isinstance(node2, Switch)
            shaped = {key: options.pop(key) for key in ("delay", "jitter", "loss", "bw", "mtu") if key in options}
            shaped_access = not self.is_trunk and any(shaped.get(key) for key in ("delay", "jitter", "loss", "bw"))
            if shaped_access:
                raise LinkProblem(f"{node1}-{node2}: only links between switches have latency, jitter, loss or bandwidth")
            self.by_tap = self.is_trunk and not netem
            super().__init__(node1, node2, **options)
            if self.is_trunk:
                spec = LinkSpec.parse((self.intf1.name, self.intf2.name), (node1.name, node2.name), shaped)
                _configure_trunk(spec, netem)
                trunks.append(spec)

        def makeIntfPair(self, name1, name2, addr1=None, addr2=None, node1=None, node2=None, deleteIntfs=True):  # type: ignore[no-untyped-def]  # noqa: N802, N803
            """Mininet's hook: the two ends."""
            if self.by_tap:
                for name, address in ((name1, addr1), (name2, addr2)):
                    run("ip", "tuntap", "add", "dev", name, "mode", "tap")
                    record.add("link", name=name)
                    run("ip", "link", "set", name, "address", address)
                return
            Link.makeIntfPair(name1, name2, addr1, addr2, node1, node2, deleteIntfs=False)
            for name, node in ((name1, node1), (name2, node2)):
                if isinstance(node, Switch):
                    record.add("link", name=name)

    return LabLink


def start_delay_line(record: Record, trunks: Sequence[LinkSpec], seed: int) -> subprocess.Popen[str] | None:
    """The process that carries the frames of all trunks; None where there are none."""
    if not trunks:
        return None
    lines = [
        {
            "a": spec.a,
            "b": spec.b,
            "delay_ms": spec.delay_ms,
            "jitter_ms": spec.jitter_ms,
            "loss_percent": spec.loss_percent,
            "bandwidth_mbps": spec.bandwidth_mbps,
            "seed": seed + 2 * index,
        }
        for index, spec in enumerate(trunks)
    ]
    with (record.folder / "delay-line.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "testbed.lab.delay_line", json.dumps(lines)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
        )
    record.add("process", pid=process.pid, name="delay line")
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        raise LinkProblem(f"the delay line did not start; see {record.folder / 'delay-line.log'}")
    return process


def set_link(spec: LinkSpec, up: bool) -> None:
    """Cut or restore a trunk: both switches see their port go down, or up."""
    for interface in (spec.a, spec.b):
        run("ip", "link", "set", interface, "up" if up else "down")


def run(*command: str) -> None:
    """Run a command; raises LinkProblem with what it said."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise LinkProblem(f"{' '.join(command)}: {done.stderr.strip()}")


def _configure_trunk(spec: LinkSpec, netem: bool) -> None:
    for interface in (spec.a, spec.b):
        run("ip", "link", "set", interface, "mtu", str(spec.mtu), "up")
        run("ethtool", "-K", interface, "tx", "off", "rx", "off")
        for command in spec.tc_commands(interface) if netem else ():
            run(*command)
