"""Links of the lab: plain ones to hosts, and trunks between switches whose latency, jitter, loss and rate are real.

In: what a topology says of a link, and whether the kernel has netem. Out: Mininet `Link` classes. The same parameters go to
netem or to the delay line.
"""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

from mininet.link import Link, TCLink

from testbed.lab.delay_line import LinkParameters
from testbed.lab.record import LabRecord, run

TRUNK_MTU = 1600
DEVICES_MS = 0.45  # what a frame takes through two TAP devices and the delay line; part of the delay that is asked for


def milliseconds(text: str | float | None) -> float:
    """A duration as Mininet states it ("5ms", "1s", "200us") in ms.

    Raises:
        ValueError: it is none.
    """
    if text is None:
        return 0.0
    if isinstance(text, int | float):
        return float(text)
    for unit, factor in (("ms", 1.0), ("us", 1e-3), ("s", 1e3)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ValueError(f"delay: {text!r}: expected a number with ms, us or s")


def parameters_of(a: str, b: str, options: dict[str, Any], seed: int = 0) -> LinkParameters:
    """A topology's link options as numbers."""
    return LinkParameters(
        a,
        b,
        milliseconds(options.get("delay")),
        milliseconds(options.get("jitter")),
        float(options.get("loss") or 0.0),
        float(options["bw"]) if options.get("bw") else None,
        int(options.get("max_queue_size") or 1000),
        seed,
    )


def checksums_off(interface: str, *prefix: str) -> None:
    """User-space switches see no finished checksums unless the offloads of every interface are off."""
    run(*prefix, "ethtool", "-K", interface, "tx", "off", "rx", "off")


class HostLink(Link):  # type: ignore[misc]  # mininet is untyped
    """A cable between a host and a switch."""

    def __init__(self, node1: Any, node2: Any, **options: Any) -> None:
        for name in ("delay", "bw", "jitter", "loss"):
            options.pop(name, None)
        super().__init__(node1, node2, **options)
        for intf in (self.intf1, self.intf2):
            intf.cmd("ethtool", "-K", intf.name, "tx", "off", "rx", "off")


class NetemTrunk(TCLink):  # type: ignore[misc]
    """A trunk whose latency the kernel makes."""

    def __init__(self, node1: Any, node2: Any, **options: Any) -> None:
        super().__init__(node1, node2, **{k: v for k, v in options.items() if v is not None})
        for intf in (self.intf1, self.intf2):
            run("ip", "link", "set", intf.name, "mtu", str(TRUNK_MTU))
            checksums_off(intf.name)


class DelayLineTrunk(Link):  # type: ignore[misc]
    """A trunk of two TAP devices that the delay line joins. `record` and `parameters` are set by the lab before it builds."""

    record: LabRecord
    parameters: ClassVar[list[LinkParameters]] = []

    def __init__(self, node1: Any, node2: Any, **options: Any) -> None:
        shaped = {name: options.pop(name, None) for name in ("delay", "bw", "jitter", "loss", "max_queue_size")}
        super().__init__(node1, node2, **options)
        wanted = parameters_of(self.intf1.name, self.intf2.name, shaped, len(type(self).parameters))
        type(self).parameters.append(replace(wanted, delay_ms=max(0.0, wanted.delay_ms - DEVICES_MS)))

    @classmethod
    def makeIntfPair(cls, name1: str, name2: str, *_: Any, **__: Any) -> None:
        """Make two TAP devices instead of a veth pair."""
        for name in (name1, name2):
            if Path(f"/sys/class/net/{name}").exists():
                raise RuntimeError(f"there is an interface named {name} already, which is not the lab's")
            cls.record.add("link", name=name)
            problem = run("ip", "tuntap", "add", "dev", name, "mode", "tap")
            if problem is None:
                problem = run("ip", "link", "set", name, "mtu", str(TRUNK_MTU), "up")
            if problem is not None:
                raise RuntimeError(f"TAP device {name}: {problem}")
            Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")


def link_of(kind: type[Link]) -> Any:
    """What Mininet calls for each link of a topology: a trunk of this kind between switches, a cable otherwise."""

    def make(node1: Any, node2: Any, **options: Any) -> Link:
        both = hasattr(node1, "dpid") and hasattr(node2, "dpid")
        return (kind if both else HostLink)(node1, node2, **options)

    return make


def as_json(parameters: list[LinkParameters]) -> list[dict[str, Any]]:
    """What the delay line reads."""
    return [asdict(each) for each in parameters]
