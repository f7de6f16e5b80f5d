"""The `slices` of a specs file: our own, as the document has slices but no key for them.

In: `[{"name": "video", "sfcs": ["s_0"], "node_share": 0.5, "bandwidth_share": 0.5, "weights": [1, 1, 0]}]`. Shares are of every node's
CPU and memory and of every link's bandwidth; what they leave is the default slice's, in which all other SFCs are. Out: slices, and the
slice of each SFC that is named. Must not do: know other parts of the file than the number of SFCs.
"""

from testbed.simulator.model.entities import DEFAULT_SLICE, Slice
from testbed.simulator.specification.checks import SHARE, TEXT, Kind, Section, number

TOLERANCE = 1e-9


def read_slices(sections: list[Section], sfcs: int | None) -> tuple[tuple[Slice, ...], dict[str, str]]:
    """All slices, the default one last, and the slice by SFC. `sfcs`: how many there are, None where that is not known."""
    slices: list[Slice] = []
    slice_of: dict[str, str] = {}
    left = {"node_share": 1.0, "bandwidth_share": 1.0}
    for section in sections:
        name = section.get("name", TEXT)
        if name in (DEFAULT_SLICE, *(each.name for each in slices)):
            section.problems.add(section.at("name"), name, f'a name of its own, not "{DEFAULT_SLICE}"')
        for i, sfc in enumerate(section.choices("sfcs", TEXT) or ()):  # None where it is missing
            if sfc in slice_of or (sfcs is not None and sfc not in {f"s_{number}" for number in range(sfcs)}):
                expected = f"an SFC, s_0 to s_{(sfcs or 1) - 1}, that is in no other slice"
                section.problems.add(f"{section.at('sfcs')}[{i}]", sfc, expected)
            slice_of[sfc] = name
        shares = {key: section.get(key, SHARE) for key in left}
        for key, share in shares.items():
            if share is not None and share > left[key] + TOLERANCE:
                section.problems.add(section.at(key), share, f"at most {left[key]:g}, which other slices leave")
            left[key] = max(0.0, left[key] - (share or 0.0))
        weights = section.get("weights", WEIGHTS, None)
        slices.append(Slice(name, shares["node_share"], shares["bandwidth_share"], weights))
        section.close()
    in_default = sfcs is None or len(slice_of) < sfcs
    if sections and in_default and min(left.values()) <= TOLERANCE:
        sections[-1].problems.add("slices", 1, "shares that leave something for the SFCs that are in none")
    return (*slices, Slice(DEFAULT_SLICE, left["node_share"], left["bandwidth_share"])), slice_of


def _read_weights(value: object) -> tuple[float, float, float] | None:
    if value is None:
        return None
    if not isinstance(value, list | tuple) or len(value) != 3:
        raise ValueError
    latency, capacity, energy = (number(at_least=0).read(each) for each in value)
    if latency + capacity + energy <= 0:
        raise ValueError
    return latency, capacity, energy


WEIGHTS = Kind("three numbers of at least 0 (latency, capacity, energy), not all 0", _read_weights)
