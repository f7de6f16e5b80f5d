"""Entities saved and loaded again are the same; a file that was spoilt is refused with everything that is wrong."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.simulator.model.entities import (
    DataSource,
    Entities,
    Link,
    Location,
    Node,
    NodeType,
    Sfc,
    SfcRequest,
    Slice,
    User,
    Vnf,
)
from testbed.simulator.specification.problems import SpecificationError
from testbed.simulator.specification.saved import from_json, load, save, to_json

POSITIVE = st.floats(1e-300, 1e300)
NOT_NEGATIVE = st.floats(0, 1e300)
COUNT = st.integers(0, 10**18)
NAMES = st.lists(st.text(st.characters(codec="utf-8"), min_size=1, max_size=4), min_size=2, max_size=3, unique=True)


@st.composite
def some_entities(draw: st.DrawFn) -> Entities:
    def number() -> float:
        return draw(POSITIVE)

    nodes, vnfs, sfcs, users, sources = (draw(NAMES) for _ in range(5))
    place = Location(draw(st.text(max_size=3)), "k", draw(st.floats(-90, 90)), 0.1)
    types = st.sampled_from(NodeType)
    pair = (nodes[0], nodes[-1])
    made: dict[str, list[Any]] = {
        "nodes": [
            Node(
                name, -1, draw(types), number(), number(), 0.1, 0.1, number(), draw(st.sampled_from([None, place])), vs
            )
            for name, vs in zip(nodes, (frozenset(), frozenset(vnfs), frozenset(vnfs[:1])), strict=False)
        ],
        "links": [Link("l", *pair, draw(COUNT), number(), draw(st.floats(0, 1)), draw(NOT_NEGATIVE), 0.0, -1)],
        "vnfs": [
            Vnf(
                name,
                number(),
                number(),
                1 + draw(COUNT),
                *(draw(NOT_NEGATIVE) for _ in range(5)),
                0.5,
                0,
                0,
                0,
                draw(COUNT),
            )
            for name in vnfs
        ],
        "sfcs": [
            Sfc(name, tuple(vnfs), number(), draw(COUNT), 0.0, 3, "default", draw(st.none() | POSITIVE))
            for name in sfcs
        ],
        "users": [User(name, nodes[0], 0.0, number(), 0.0, draw(COUNT), dict.fromkeys(sfcs, pair)) for name in users],
        "data_sources": [DataSource(name, number(), number(), draw(NOT_NEGATIVE), 1 + draw(COUNT)) for name in sources],
        "sfc_requests": [SfcRequest("r", users[0], sfcs[0], 0, draw(NOT_NEGATIVE), sources[-1], *pair, number())],
        "slices": [Slice("default", 0.1, 0.2, draw(st.sampled_from([None, (0.1, 0.2, 0.3)])))],
    }
    return Entities(**{kind: {each.name: each for each in values} for kind, values in made.items()})


@settings(max_examples=40, deadline=None)
@given(some_entities())
def test_saved_and_loaded_entities_are_the_same(tmp_path_factory: pytest.TempPathFactory, entities: Entities) -> None:
    path = tmp_path_factory.getbasetemp() / "entities.json"
    save(entities, path)
    loaded = load(path)
    assert loaded == entities
    for kind in (each.name for each in dataclasses.fields(Entities)):
        assert list(getattr(loaded, kind)) == list(getattr(entities, kind))


def test_drawn_entities_are_the_same(entities: Entities, tmp_path: Path) -> None:
    save(entities, tmp_path / "e.json")
    assert load(tmp_path / "e.json") == entities


def problems(value: object) -> list[str]:
    with pytest.raises(SpecificationError) as raised:
        from_json(value, "e.json")
    return [str(each) for each in raised.value.problems]


def test_types_that_are_wrong_are_all_said(entities: Entities) -> None:
    value = to_json(entities)
    value["nodes"][1] |= {"cpu": "much", "type": "EDGE", "location": {"name": "x", "key": "x", "latitude": 1}}
    value["users"][0]["ingress_egress"]["s_0"] = ["n_0"]
    del value["vnfs"][0]["mem"]
    value["links"][0]["colour"] = "red"
    assert problems(value) == [
        'nodes[1].type: "EDGE": expected one of "RAN", "CORE", "DEFAULT"',
        'nodes[1].cpu: "much": expected a number',
        "nodes[1].location.longitude: missing: expected a value",
        'links[0].colour: "red": expected one of the keys name, source, target, counter, bandwidth, loss_rate, propagation, '
        "energy, max_packet_queue",
        "vnfs[0].mem: missing: expected a value",
        'users[0].ingress_egress.s_0: ["n_0"]: expected a list of 2 values',
    ]


def test_what_does_not_fit_together_is_all_said(entities: Entities) -> None:
    value = to_json(entities)
    value["nodes"][0]["cpu"] = 0
    value["links"][3]["target"] = "n_99"
    value["sfcs"][0] |= {"vnfs": ["v_0", "v_0"], "slice": "none"}
    value["sfc_requests"][2]["user"] = "u_99"
    value["slices"].append({"name": "more", "node_share": 0.5, "bandwidth_share": 0})
    assert problems(value) == [
        "nodes[0].cpu: 0.0: expected a number greater than 0",
        'links[3].target: "n_99": expected a name of nodes',
        'sfcs[0].slice: "none": expected a name of slices',
        'sfc_requests[2].user: "u_99": expected a name of users',
        'sfcs[0].vnfs: ["v_0", "v_0"]: expected at least one VNF, each of another type',
        "slices: 1.5: expected node_share that sum to 1 at most",
        "slices[1].bandwidth_share: 0: expected a number greater than 0, at most 1",
    ]


def test_what_specs_do_not_take_is_refused_here_too(entities: Entities) -> None:
    value = to_json(entities)
    place = {"name": "x", "key": "x", "latitude": 91, "longitude": -181}
    value["nodes"][0] |= {"energy_max": 50, "energy_idle": 60, "location": place}
    value["vnfs"][0]["resource_intensive"] = "Disk"
    value["sfcs"][0]["priorities_order"] = 9
    value["sfc_requests"][0] |= {"arrival_time": -1, "duration": 0}
    value["slices"][0] |= {"node_share": 0, "weights": [1, -1, 1]}
    assert problems(value) == [
        'vnfs[0].resource_intensive: "Disk": expected one of "CPU", "Memory", "Network"',
        "sfcs[0].priorities_order: 9: expected 1 (latency), 2 (resource) or 3 (energy)",
        "sfc_requests[0].arrival_time: -1.0: expected a number of at least 0",
        "sfc_requests[0].duration: 0.0: expected a number greater than 0",
        "slices[0].weights: [1.0, -1.0, 1.0]: expected three numbers of at least 0 (latency, capacity, energy), not all 0",
        "nodes[0].energy_idle: 60.0: expected at most energy_max, 50",
        "nodes[0].location.latitude: 91.0: expected a number from -90 to 90",
        "nodes[0].location.longitude: -181.0: expected a number from -180 to 180",
        "slices[0].node_share: 0: expected a number greater than 0, at most 1",
    ]


def test_the_default_slice_may_have_nothing_where_all_chains_are_in_others(entities: Entities) -> None:
    value = to_json(entities)
    value["slices"] = [
        {"name": "all", "node_share": 1, "bandwidth_share": 1},
        {"name": "default", "node_share": 0, "bandwidth_share": 0},
    ]
    for sfc in value["sfcs"]:
        sfc["slice"] = "all"
    assert from_json(value).slices["default"].node_share == 0


def test_a_name_that_stands_twice_is_refused(entities: Entities) -> None:
    value = to_json(entities)
    value["nodes"][1]["name"] = "n_0"
    assert problems(value) == ['nodes[1].name: "n_0": expected a name of its own']


def test_another_file_is_refused(spec: Any) -> None:
    assert len(problems(spec)) == 1 and len(problems([])) == 1
