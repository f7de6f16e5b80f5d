"""Which placement algorithm a name means. In: a name and the user's folders. Out: a class. Must not do: create it."""

from collections.abc import Iterable
from pathlib import Path

from testbed.simulator.placement.base import Placement
from testbed.simulator.plugins import Kind

PLACEMENTS: Kind[Placement] = Kind(
    "placement",
    Placement,  # type: ignore[type-abstract]  # only subclasses are created
    Path(__file__).parent,
    {},
)


def find(name: str, folders: Iterable[Path] = ()) -> type[Placement]:
    """The placement algorithm of this name.

    Raises:
        PluginError: there is none. The text names those there are.
    """
    return PLACEMENTS.find(name, folders)
