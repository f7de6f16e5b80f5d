"""The user mobility file and the packet flow file: what they mean, and how a line that is wrong is refused."""

from pathlib import Path

import numpy
import pytest

from testbed.simulator.model.entities import Move
from testbed.simulator.specification.mobility import read_moves
from testbed.simulator.specification.packet_flow import read_packet_flow, write_packet_flow
from testbed.simulator.specification.problems import SpecificationError

USERS, SFCS, NODES = {"u_0", "u_1"}, {"s_0"}, {"n_0", "n_1"}


def written(folder: Path, *lines: str) -> Path:
    path = folder / "input.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def refused(path: Path) -> list[str]:
    with pytest.raises(SpecificationError) as raised:
        read_packet_flow(path, USERS, SFCS) if "user" in path.read_text() else read_moves(path, USERS, NODES, 1000)
    return [str(each) for each in raised.value.problems]


def test_moves_are_scaled_to_the_end_and_in_order(tmp_path: Path) -> None:
    path = written(tmp_path, "UID;NID;TransitionTime", "u_1;n_0;30", "u_0;n_1;7.5", "", "u_0;n_0;30")
    assert read_moves(path, USERS, NODES, 1000) == [
        Move(250.0, "u_0", "n_1"),
        Move(1000.0, "u_1", "n_0"),
        Move(1000.0, "u_0", "n_0"),
    ]


def test_moves_at_zero_or_none_are_taken_as_they_are(tmp_path: Path) -> None:
    assert read_moves(written(tmp_path, "UID;NID;TransitionTime"), USERS, NODES, 1000) == []
    path = written(tmp_path, "UID;NID;TransitionTime", "u_1;n_0;0")
    assert read_moves(path, USERS, NODES, 1000) == [Move(0.0, "u_1", "n_0")]


def test_wrong_lines_of_moves_are_all_said(tmp_path: Path) -> None:
    path = written(tmp_path, "UID;NID;TransitionTime", "u_7;n_9;3", "u_1;n_0", "u_1;n_0;-1", "u_1;n_0;nan")
    assert refused(path) == [
        'line 2, UID: "u_7": expected a user that there is',
        'line 2, NID: "n_9": expected a node that there is',
        'line 3: "u_1;n_0": expected 3 fields, UID;NID;TransitionTime',
        'line 4, TransitionTime: "-1": expected a number of at least 0',
        'line 5, TransitionTime: "nan": expected a number of at least 0',
    ]


def test_a_packet_flow_is_gaps_and_sizes_by_user_and_sfc(tmp_path: Path) -> None:
    lines = ["u_1;s_0;0;51", "u_0;s_0;3;5", "u_1;s_0;50;46", "u_1;s_0;50;60.5"]
    flows = read_packet_flow(written(tmp_path, "user;sfc;time;packet_size", *lines), USERS, SFCS)
    assert list(flows) == [("u_1", "s_0"), ("u_0", "s_0")]
    numpy.testing.assert_array_equal(flows["u_1", "s_0"].gaps, [0, 50, 50])
    numpy.testing.assert_array_equal(flows["u_1", "s_0"].sizes, [51, 46, 60.5])


def test_wrong_lines_of_packets_are_all_said(tmp_path: Path) -> None:
    path = written(tmp_path, "user;sfc;time;packet_size", "u_7;s_9;x;0", "", "u_1;s_0;inf;1")
    assert refused(path) == [
        'line 2, user: "u_7": expected a user that there is',
        'line 2, sfc: "s_9": expected a SFC that there is',
        'line 2, time: "x": expected a number of at least 0',
        'line 2, packet_size: "0": expected a number greater than 0',
        'line 4, time: "inf": expected a number of at least 0',
    ]


def test_of_a_file_that_is_all_wrong_the_first_lines_are_enough(tmp_path: Path) -> None:
    assert len(refused(written(tmp_path, "user;sfc;time;packet_size", *["x;s_0;0;1"] * 1000))) == 20


def test_another_header_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "user,sfc,time,packet_size", "u_1,s_0,0,1")
    assert refused(path) == ['line 1: "user,sfc,time,packet_size": expected the header user;sfc;time;packet_size']


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SpecificationError, match="No such file"):
        read_packet_flow(tmp_path / "none", USERS, SFCS)
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(SpecificationError, match="a text file in UTF-8"):
        read_packet_flow(tmp_path / "bytes", USERS, SFCS)


def test_a_written_flow_is_read_again(tmp_path: Path) -> None:
    write_packet_flow(tmp_path / "flow.csv", {("u_0", "s_0"): [(0, 1.5), (2.25, 1e-3)]})
    flow = read_packet_flow(tmp_path / "flow.csv", USERS, SFCS)["u_0", "s_0"]
    assert (flow.gaps.tolist(), flow.sizes.tolist()) == ([0, 2.25], [1.5, 1e-3])
