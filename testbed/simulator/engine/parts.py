"""What both engines are made of: packets, flows, links at work, and the paths of an SFC instance.

In: entities and instances. Out: mutable objects that an engine changes. Must not do: know what time it is.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from math import lcm

from testbed.simulator.model.entities import Link, Sfc
from testbed.simulator.model.instances import SfcInstance, VnfInstance

REQUEST_BITS = 40  # a packet's key is its request's number, then its own: the order of packets at equal times


@dataclass(frozen=True, slots=True)
class Rules:
    """How time is counted. The defaults are the correct ones; the original did otherwise (decision 0012).

    integer_times: service times and penalties are cut to whole ms. hold_link: a link is taken while a packet propagates.
    size_by_demand: a link after a VNF carries size times its `packet_network_demand`.
    """

    integer_times: bool = False
    hold_link: bool = False
    size_by_demand: bool = True


class LinkAtWork:
    """A link and until when it is taken. `starts`: when those that wait will start, where the queue has a limit."""

    __slots__ = (
        "dropped",
        "free_at",
        "limit",
        "limited",
        "link",
        "loss",
        "lost",
        "ms_per_size",
        "number",
        "propagation",
        "starts",
    )

    def __init__(self, link: Link, number: int) -> None:
        self.link, self.number = link, number
        self.ms_per_size, self.propagation, self.loss = 1000 / link.bandwidth, link.propagation, link.loss_rate
        self.limit = link.max_packet_queue
        self.limited = self.limit >= 0 or self.loss > 0
        self.free_at = 0.0
        self.starts: deque[float] = deque()
        self.dropped = self.lost = 0


class Gone:
    """What is left of an SFC instance that has ended: it makes orphans of packets, as a VNF instance that is not active does."""

    active = False
    number = -1


GONE = Gone()
Steps = tuple[LinkAtWork | VnfInstance | Gone | None, ...]
"""What a packet passes, in order; None is the end."""


@dataclass(frozen=True, slots=True)
class Way:
    """What packets pass. `following`: for each step the number of the VNF instance that it is or that comes next, -1 for none."""

    steps: Steps
    following: tuple[int, ...]

    @classmethod
    def of(cls, *steps: "LinkAtWork | VnfInstance | Gone | None") -> "Way":
        """The way over these steps."""
        following = [-1]
        for step in reversed(steps):
            following.append(step.number if isinstance(step, VnfInstance) else following[-1])
        return cls(steps, tuple(reversed(following[1:])))


class Flow:
    """A placed request's packets. `until`: none is created after it. penalty: ms a unit of size, and ms, while its user is away."""

    __slots__ = (
        "created",
        "ended",
        "key",
        "name",
        "next_size",
        "number",
        "packets",
        "penalty",
        "sfc",
        "until",
        "watch",
    )

    def __init__(
        self,
        number: int,
        name: str,
        sfc: "PlacedSfc",
        packets: Iterator[tuple[float, float]],
        until: float,
        watch: "Watch",
    ) -> None:
        self.number, self.name, self.sfc, self.packets, self.until, self.watch = (
            number,
            name,
            sfc,
            packets,
            until,
            watch,
        )
        self.key = number << REQUEST_BITS
        self.penalty: tuple[float, float] | None = None
        self.created = 0
        self.next_size = 0.0
        self.ended = False


class Packet:
    """A packet. `carried`: its size on the next link; `position`: of the step that it is at; `arrived`: at that step."""

    __slots__ = (
        "active_requests", "arrived", "carried", "created", "done", "flow", "key", "number", "penalty", "position", "size",
        "steps", "violated", "way",
    )  # fmt: skip

    arrived: float

    def __init__(self, flow: Flow, number: int, size: float, created: float, way: Way, active_requests: int) -> None:
        self.flow, self.number, self.size, self.created = flow, number, size, created
        self.way, self.steps = way, way.steps
        self.key = flow.key + number
        self.carried = size
        self.position = 0
        self.done = self.violated = False
        self.penalty = 0.0
        self.active_requests = active_requests


class Watch:
    """Packets of one SFC in the order of their deadlines, which is that of their creation."""

    __slots__ = ("armed", "max_latency", "number", "packets")

    def __init__(self, number: int, sfc: Sfc) -> None:
        self.number, self.max_latency = number, sfc.max_latency
        self.packets: deque[Packet] = deque()
        self.armed = False


class PlacedSfc:
    """The paths of an SFC instance: packet k takes instance k modulo their number at every stage.

    Args:
        turns: each packet's k; those of several SFC instances may be dealt by one iterator.
    """

    __slots__ = ("instance", "paths", "turns", "version")

    def __init__(self, instance: SfcInstance, turns: Iterator[int] | None = None) -> None:
        self.instance = instance
        self.version = -1
        self.paths: list[Way] = []
        self.turns = count() if turns is None else turns

    def next_path(self, links: dict[str, LinkAtWork]) -> Way:
        """The path of the next packet."""
        if self.version != self.instance.version:
            self.version = self.instance.version
            if not self.instance.active:
                self.paths = [Way.of(GONE, None)]
                return self.paths[0]
            stages = [stage.instances for stage in self.instance.stages]
            self.paths = [
                self._path([instances[turn % len(instances)] for instances in stages], links)
                for turn in range(lcm(*(len(instances) for instances in stages)))
            ]
        return self.paths[next(self.turns) % len(self.paths)]

    def _path(self, instances: list[VnfInstance], links: dict[str, LinkAtWork]) -> Way:
        steps: list[LinkAtWork | VnfInstance | Gone | None] = []
        at = self.instance.ingress
        for each in instances:
            steps += [links[link.name] for link in self.instance.routes[at, each.node.name]]
            steps.append(each)
            at = each.node.name
        steps += [links[link.name] for link in self.instance.routes[at, self.instance.egress]]
        return Way.of(*steps, None)
