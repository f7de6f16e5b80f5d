"""Which scaling algorithm a name means. In: a name and the user's folders. Out: a class. Must not do: create it."""

from collections.abc import Iterable
from pathlib import Path

from testbed.simulator.plugins import Kind
from testbed.simulator.scaling.base import Scaling

SCALINGS: Kind[Scaling] = Kind(
    "scaling",
    Scaling,  # type: ignore[type-abstract]  # only subclasses are created
    Path(__file__).parent,
    {"Basic_CPU_Scaling": "BasicCPUScaling", "Smart_Scaling": "SmartScaling"},
)


def find(name: str, folders: Iterable[Path] = ()) -> type[Scaling]:
    """The scaling algorithm of this name.

    Raises:
        PluginError: there is none. The text names those there are.
    """
    return SCALINGS.find(name, folders)
