"""Names by number: what the engine's numbers stand for, as columns of text.

In: the entities, and what is announced while a round runs. Out: Arrow arrays of names, and of several names joined as a file's
row has them. Invariant: entries are only ever added, so a number that was given out keeps its meaning.
Must not do: I/O.
"""

from collections.abc import Sequence

import numpy
import pyarrow
from numpy.typing import NDArray

from testbed.simulator.model.entities import Entities

SEPARATOR = ";"
FLOW = ("SFC_Request", "SFC_Instance", "User", "SFC", "Data_Source")


def quoted(text: str) -> str:
    """A CSV field: in quotes only where it must be."""
    if any(character in text for character in ';"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text


class Vocabulary:
    """Tuples of names, numbered from 0."""

    def __init__(self, parts: tuple[str, ...], entries: Sequence[tuple[str, ...]] = ()) -> None:
        self.parts = parts
        self._entries = list(entries)
        self._joined: dict[tuple[str, ...], pyarrow.Array] = {}
        self._codes: dict[str, tuple[dict[str, int], list[int]]] = {part: ({}, []) for part in parts}

    def __len__(self) -> int:
        return len(self._entries)

    def add(self, *names: str) -> int:
        """One more entry; gives its number."""
        self._entries.append(names)
        return len(self._entries) - 1

    def joined(self, parts: tuple[str, ...]) -> pyarrow.Array:
        """Some parts as fields of a CSV row, by number."""
        places = [self.parts.index(part) for part in parts]
        known = self._joined.get(parts, pyarrow.array([], pyarrow.string()))
        new = [SEPARATOR.join(quoted(entry[place]) for place in places) for entry in self._entries[len(known) :]]
        if new:
            known = self._joined[parts] = pyarrow.concat_arrays([known, pyarrow.array(new, pyarrow.string())])
        return known

    def coded(self, part: str, numbers: NDArray[numpy.int32]) -> pyarrow.DictionaryArray:
        """One part of these entries; a name stands once in the dictionary, in the order of first entries."""
        place = self.parts.index(part)
        code_of, codes = self._codes[part]
        for entry in self._entries[len(codes) :]:
            codes.append(code_of.setdefault(entry[place], len(code_of)))
        indices = numpy.array(codes, numpy.int32)[numbers]
        return pyarrow.DictionaryArray.from_arrays(
            pyarrow.array(indices), pyarrow.array(list(code_of), pyarrow.string())
        )


class Names:
    """All that a round's numbers stand for. A flow is a request while one SFC instance processes its packets."""

    def __init__(self, entities: Entities) -> None:
        self._requests = [
            (each.name, "", each.user, each.sfc, each.data_source) for each in entities.sfc_requests.values()
        ]
        self.links = Vocabulary(("Link",), [(name,) for name in entities.links])
        self.instances = Vocabulary(("VNF_Instance",), [("",)])  # the engine's -1 is entry 0
        self.flows = Vocabulary(FLOW, self._requests)
        self.flow_of = numpy.arange(len(self._requests))
        """By request, the flow that its packets are of now."""
        self.max_delays = [entities.sfcs[each.sfc].max_latency for each in entities.sfc_requests.values()]
        """By flow (ms)."""

    def is_placed(self, request: int) -> bool:
        """Whether an SFC instance has been named for it."""
        return int(self.flow_of[request]) != request

    def placed(self, request: int, sfc_instance: str) -> None:
        """The request's packets are of another flow from now on."""
        name, _, *rest = self._requests[request]
        self.max_delays.append(self.max_delays[request])
        self.flow_of[request] = self.flows.add(name, sfc_instance, *rest)

    def created(self, instance: int, name: str) -> None:
        """A VNF instance has a name.

        Raises:
            ValueError: instances before it have none.
        """
        if instance + 1 != len(self.instances):
            raise ValueError(f"VNF instance {name} has number {instance}: expected {len(self.instances) - 1}")
        self.instances.add(name)
