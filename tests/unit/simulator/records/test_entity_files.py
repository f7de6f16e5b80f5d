"""What was simulated and how a round ended, as files; results that others wrote are read too."""

from pathlib import Path

import pytest

from testbed.simulator.model.entities import (
    DataSource,
    Entities,
    Link,
    Location,
    Node,
    NodeType,
    Sfc,
    SfcRequest,
    User,
    Vnf,
)
from testbed.simulator.model.plans import New, Plan
from testbed.simulator.model.state import State
from testbed.simulator.records.entities import Outcome, write_end, write_entities, write_process_time
from testbed.simulator.records.read import entities, names, rounds, table
from testbed.simulator.records.tables import DOCUMENT_NAMES, ENTITY_TABLES, FILE_NAMES, KINDS, ROUND_TABLES

NODE = Node("n_0", 1, NodeType.RAN, 100, 200, 150, 70.5, 1, Location("Campus", "C", 0, 0), frozenset({"v_1", "v_0"}))
LOOP = Link("l_0", "n_0", "n_0", 0, 1000, 0, 0, 0)
VNF = Vnf("v_0", 10, 20, 2, 1, 1, 1, 1, 0, 0, 50, 10, 1000, -1)
SFC = Sfc("s_0", ("v_0",), 50, 1, 1000)
REQUEST = SfcRequest("sr_0", "u_0", "s_0", 1, 0.5, "ds_0", "n_0", "n_0", 100)
USER = User("u_0", "n_0", 1, 2, 0, 1, {"s_0": ("n_0", "n_0")})
GIVEN = Entities(
    {"n_0": NODE},
    {"l_0": LOOP},
    {"v_0": VNF},
    {"s_0": SFC},
    {"u_0": USER},
    {"ds_0": DataSource("ds_0", 10, 5, 100, 3)},
    {"sr_0": REQUEST},
)


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def test_entities_before_a_run(tmp_path: Path) -> None:
    write_entities(tmp_path, GIVEN)
    for name, header in ENTITY_TABLES.items():
        assert lines(tmp_path / f"{name}.csv")[0] == ";".join(header)
    assert lines(tmp_path / "nodes.csv")[1] == "n_0;1;RAN;100;200;150;70.5;1;Campus;['v_0', 'v_1']"
    assert lines(tmp_path / "links.csv")[1] == "l_0;n_0;n_0;0;1000;0;0;0;-1"
    assert lines(tmp_path / "data_source.csv")[1] == "ds_0;10;5;100;3"
    assert lines(tmp_path / "sfcs.csv")[1] == "s_0;50;1;1000;['v_0']"
    assert lines(tmp_path / "vnfs.csv")[1] == "v_0;10;20;2;1;1;0;0;1;1;50;10;1000;-1;CPU"
    ends = "{'s_0': {'ingress_node': 'n_0', 'egress_node': 'n_0'}}"
    assert lines(tmp_path / "users.csv")[1] == f"u_0;n_0;n_0;1;2;0;['s_0'];{ends};1"
    assert lines(tmp_path / "sfc_requests.csv")[1] == "sr_0;u_0;s_0;1;0.50;ds_0;n_0;n_0;100;False;0;"


@pytest.mark.parametrize("log_format", ["csv", "parquet"])
def test_what_became_of_requests_is_read_back(tmp_path: Path, log_format: str) -> None:
    write_entities(tmp_path / "Entities", GIVEN, {"sr_0": Outcome("si_0", 2)}, log_format)
    row = entities(tmp_path, "sfc_requests").iloc[0]
    assert (row["Placed"], row["Replacements"], row["Associated_SFC_Instance"]) == (True, 2, "si_0")
    assert names(entities(tmp_path, "nodes").iloc[0]["VNFs"]) == ["v_0", "v_1"]


def test_instances_at_the_end(tmp_path: Path) -> None:
    state = State(GIVEN)
    instance, created = state.place(REQUEST, Plan((New("n_0"),), ((LOOP,), (LOOP,))))
    state.leave(instance, "sr_0")  # it was for it all the same
    write_end(tmp_path, [instance], created, {"si_0": ["sr_0"]})
    assert lines(tmp_path / "sfc_instance_entities.csv")[1] == (
        "si_0;s_0;1000;default;True;True;['sr_0'];n_0;n_0;{'ingress': 'l_0', 'v_0': 'l_0'};['vi_0']"
    )
    assert lines(tmp_path / "vnf_instances_entities.csv")[1] == (
        "vi_0;v_0;10;20;0;0;n_0;['si_0'];500;100;1000;True;True"
    )
    write_process_time(tmp_path, 1.23456)
    assert (tmp_path / "process_time.txt").read_text() == "1.235\n"


def test_rounds_are_in_order_of_their_numbers(tmp_path: Path) -> None:
    for number in (10, 2, 0):
        (tmp_path / f"Round_{number}").mkdir()
    assert [each.name for each in rounds(tmp_path)] == ["Round_0", "Round_2", "Round_10"]
    with pytest.raises(FileNotFoundError, match="no Round_N folder"):
        rounds(tmp_path / "Round_0")
    with pytest.raises(FileNotFoundError, match=r"placement\.csv"):
        table(tmp_path / "Round_0", "placement")


def test_files_of_the_original_are_read_oldest_first(tmp_path: Path) -> None:
    (tmp_path / "user_mobility.csv").write_text(
        "Event;Time;User;Origin_Node;Destiny_Node\nM;7.5;u_1;n_1;n_2\nM;3;u_1;n_0;n_1\nfirst;3;u_0;n_0;n_1\n"
    )
    frame = table(tmp_path, "user_mobility")
    assert frame["Time"].tolist() == [3.0, 3.0, 7.5]
    assert frame["Event"].tolist() == ["first", "M", "M"]


def test_every_declared_column_is_one_of_a_table() -> None:
    used = {name for header in (*ENTITY_TABLES.values(), *ROUND_TABLES.values()) for name in header}
    assert set(KINDS) <= used


def test_names_of_the_document_lead_to_one_name_of_the_files() -> None:
    assert FILE_NAMES["VNF_PACKET_PROCESS_STARTED"] == "VNF_INSTANCE_PACKET_STARTED"
    assert FILE_NAMES["EVENT_TIME_WINDOW_STARTED"] == "TIME_WINDOW_STARTED"
    assert "SCALING_UP" not in FILE_NAMES  # of CPU or of memory
    assert {name: DOCUMENT_NAMES[name] for name in FILE_NAMES.values()} == {b: a for a, b in FILE_NAMES.items()}
