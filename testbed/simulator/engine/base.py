"""What the simulation needs of an engine: the fast one is `core.Core`, the readable one `reference.ReferenceCore`.

In, out: see `core`. Must not do: anything.
"""

from collections.abc import Callable, Iterable, Mapping
from random import Random
from typing import Protocol

from testbed.simulator.engine.parts import Flow, LinkAtWork, Packet, Rules, Watch
from testbed.simulator.engine.streams import Recorder
from testbed.simulator.model.entities import Entities
from testbed.simulator.model.instances import VnfInstance


class Engine(Protocol):
    """A round's events. `created`: packets so far; `active_requests`: flows that were begun and not ended."""

    rules: Rules
    recorder: Recorder
    created: int
    active_requests: int
    links: dict[str, LinkAtWork]
    watches: Mapping[str, Watch]

    @property
    def now(self) -> float:
        """The time of the event that is being handled (ms)."""

    def at(self, time: float, action: Callable[[], None]) -> None:
        """Do this at a time that is not before now; before everything else of that time, in the order of asking."""

    def begin(self, flow: Flow) -> None:
        """Create a flow's packets from now on."""

    def end(self, flow: Flow) -> None:
        """Create no more packets of a flow."""

    def wake(self, instance: VnfInstance) -> None:
        """Packets that waited for an instance to start up, or for more servers, are served."""

    def abandon(self, instance: VnfInstance) -> None:
        """An instance is gone: the packets that wait in it are orphans; those in service will be."""

    def run(self, until: float) -> None:
        """Handle every event up to and including this time."""

    def close(self, instances: Iterable[VnfInstance]) -> None:
        """Record the packets that are under way, on links and in these instances."""

    def under_way(self, instances: Iterable[VnfInstance]) -> list[Packet]:
        """Packets that are not done: on links, in service, and those that wait in these instances."""


EngineClass = Callable[[Entities, Rules, Recorder, Callable[[str, int], Random]], Engine]
"""What makes one: entities, rules, a recorder, and the random stream of something by its kind and number."""
