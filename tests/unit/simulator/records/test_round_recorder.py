"""A round's recorder: what the engine wrote down is in the documented files, in order of time, as the same bytes every time."""

from itertools import pairwise
from pathlib import Path

import numpy
import pytest

from testbed.simulator.engine.streams import PacketEvent, Recorder, Stream
from testbed.simulator.model.entities import Entities, Link, Sfc, SfcRequest
from testbed.simulator.records import sheets
from testbed.simulator.records.read import table
from testbed.simulator.records.tables import EVENT_TABLES, STREAM_TABLES
from testbed.simulator.records.writer import RoundRecorder


def entities(*names: str) -> Entities:
    requests = [
        SfcRequest(name, f"u_{number}", "s_0", 1, 0.0, "ds_0", "n_0", "n_1", 100.0)
        for number, name in enumerate(names or ("sr_0", "sr_1"))
    ]
    links = [Link(f"l_{number}", "n_0", "n_1", number, 10.0, 0.0, 1.0, 0.0) for number in range(3)]
    return Entities(
        nodes={},
        links={each.name: each for each in links},
        vnfs={},
        sfcs={"s_0": Sfc("s_0", ("v_0",), 20.0, 1, 1000.0)},
        users={},
        data_sources={},
        sfc_requests={each.name: each for each in requests},
    )


def recorder(folder: Path, log_format: str = "csv", **wanted: bool) -> RoundRecorder:
    made = RoundRecorder(folder, entities(), log_format, **wanted)
    made.placed(0, "si_0")
    made.placed(1, "si_1")
    made.created(0, "vi_0", "v_0", "n_0")
    return made


def lines(folder: Path, name: str) -> list[str]:
    return (folder / f"{name}.csv").read_text().splitlines()[1:]


def extend(stream: Stream | None, *values: float) -> None:
    assert stream is not None
    stream.add(values)


def test_it_is_a_recorder(tmp_path: Path) -> None:
    with recorder(tmp_path) as made:
        given: Recorder = made
        given.flush(0.0)


@pytest.mark.parametrize("log_format", ["csv", "parquet"])
def test_every_file_has_its_header_though_nothing_happened(tmp_path: Path, log_format: str) -> None:
    recorder(tmp_path, log_format).close()
    for name, header in {**STREAM_TABLES, **EVENT_TABLES}.items():
        frame = table(tmp_path, name)
        assert tuple(frame.columns) == header
        assert len(frame) == 0


def test_a_packet_on_a_link_is_three_rows_and_those_to_come_wait(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    extend(made.links, 0, 7, 2, 0, 10, 0, 1.0, 2.5, 40.0)
    extend(made.links, 1, 0, 1, -1, 0.5, 0, 3.0, 3.0, 3.004)
    made.flush(5.0)
    extend(made.links, 0, 8, 0, 0, 10, 1, 6.0, numpy.nan, numpy.nan)
    extend(made.links, 0, 9, 0, 0, 10, 2, 7.0, 8.0, 9.0)
    made.close()
    of_7, of_0 = "7;l_2;sr_0;si_0;u_0;s_0;ds_0;vi_0;10", "0;l_1;sr_1;si_1;u_1;s_0;ds_0;;0.5"
    assert lines(tmp_path, "links") == [
        f"EVENT_LINK_ARRIVED;1.00;{of_7}",
        f"LINK_PACKET_STARTED;2.50;{of_7}",
        f"EVENT_LINK_ARRIVED;3.00;{of_0}",
        f"LINK_PACKET_STARTED;3.00;{of_0}",
        f"LINK_PACKET_SENT;3.00;{of_0}",
        "EVENT_LINK_ARRIVED;6.00;8;l_0;sr_0;si_0;u_0;s_0;ds_0;vi_0;10",
        "LINK_PACKET_DROPPED;6.00;8;l_0;sr_0;si_0;u_0;s_0;ds_0;vi_0;10",
        "EVENT_LINK_ARRIVED;7.00;9;l_0;sr_0;si_0;u_0;s_0;ds_0;vi_0;10",
        "LINK_PACKET_STARTED;8.00;9;l_0;sr_0;si_0;u_0;s_0;ds_0;vi_0;10",
        "LINK_PACKET_LOST;9.00;9;l_0;sr_0;si_0;u_0;s_0;ds_0;vi_0;10",
        f"LINK_PACKET_SENT;40.00;{of_7}",
    ]


def test_a_packet_in_a_vnf_instance(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    extend(made.vnf_arrivals, 0, 7, 0, 10, 0, 1.0)
    extend(made.vnf_arrivals, 0, 8, 0, 10, 1, 1.0)
    extend(made.vnf_starts, 0, 7, 0, 10, 30, 2, 2000, 10, 500, 2.5, 1.0, 34.0)
    made.flush(10.0)
    extend(made.vnf_ends, 0, 7, 0, 10, 1.0, 2000, 0, 500, 0, 34.0)
    made.close()
    rest = "vi_0;sr_0;si_0;u_0;s_0;ds_0;10"
    assert lines(tmp_path, "vnf_instance_packets") == [
        f"VNF_INSTANCE_PACKET_ARRIVED;1.00;7;{rest};",
        f"VNF_INSTANCE_PACKET_ARRIVED;1.00;8;{rest};",
        f"VNF_INSTANCE_PACKET_DROPPED;1.00;8;{rest};",
        f"VNF_INSTANCE_PACKET_STARTED;1.00;7;{rest};",
        f"VNF_REMOTE_DATA_RECEIVED;31.00;7;{rest};30.00",
        f"VNF_INSTANCE_PACKET_PROCESSED;34.00;7;{rest};33.00",
    ]
    assert lines(tmp_path, "vnf_instance_resources") == [
        "CPU_INCREASE_USAGE;1.00;vi_0;2000;10;500;2.5;u_0;sr_0;si_0;7",
        "MEM_INCREASE_USAGE;1.00;vi_0;2000;10;500;2.5;u_0;sr_0;si_0;7",
        "DISK_ACCESS;1.00;vi_0;2000;10;500;2.5;u_0;sr_0;si_0;7",
        "CPU_DECREASE_USAGE;34.00;vi_0;2000;0;500;0;u_0;sr_0;si_0;7",
        "MEM_DECREASE_USAGE;34.00;vi_0;2000;0;500;0;u_0;sr_0;si_0;7",
    ]


def test_the_last_row_of_a_time_tells_what_holds_after_it(tmp_path: Path) -> None:
    """A server gets free, serves a packet that takes no time, and begins another: usage is the last one's."""
    made = recorder(tmp_path)
    extend(made.vnf_ends, 0, 1, 0, 10, 0.0, 2000, 0, 500, 0, 5.0)
    extend(made.vnf_starts, 0, 2, 0, 10, 0, 0, 2000, 20, 500, 1, 5.0, 5.0)
    extend(made.vnf_ends, 0, 2, 0, 10, 1.0, 2000, 0, 500, 0, 5.0)
    extend(made.vnf_starts, 0, 3, 0, 10, 0, 0, 2000, 30, 500, 1, 5.0, 6.0)
    made.close()
    cpu = [line.split(";") for line in lines(tmp_path, "vnf_instance_resources") if line.startswith("CPU")]
    assert [(each[0], each[4], each[-1]) for each in cpu] == [
        ("CPU_DECREASE_USAGE", "0", "1"),
        ("CPU_INCREASE_USAGE", "20", "2"),
        ("CPU_DECREASE_USAGE", "0", "2"),
        ("CPU_INCREASE_USAGE", "30", "3"),
    ]


def test_packets_and_what_became_of_them(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    for event in PacketEvent:
        if event is not PacketEvent.ACTIVE:
            extend(made.packets, 0, 4, event, 3.0)
    extend(made.ended, 0, 4, 1.0, 10, 2, 25.0, 4.0, 1, PacketEvent.PROCESSED)
    extend(made.ended, 1, 5, 2.0, 10, 2, 3.0, 0.0, 0, PacketEvent.DROPPED_LINK_QUEUE)
    extend(made.ended, 1, 6, 2.0, 10, 2, 3.0, 0.0, 0, PacketEvent.ORPHAN)
    extend(made.ended, 1, 7, 2.0, 10, 2, numpy.nan, 0.0, 0, PacketEvent.ACTIVE)
    made.close()
    assert [line.split(";")[0] for line in lines(tmp_path, "packets")] == [
        "PACKET_CREATED",
        "PACKET_PROCESSED",
        "EVENT_PACKET_ORPHAN",
        "PACKET_DROPPED_VNF_INSTANCE_QUEUE",
        "PACKET_DROPPED_LINK_QUEUE",
        "PACKET_LOST",
        "EVENT_PACKET_SLA_VIOLATED",
    ]
    assert lines(tmp_path, "packets")[0] == "PACKET_CREATED;3.00;4;sr_0;si_0;u_0;s_0;ds_0"
    assert lines(tmp_path, "packets_entities") == [
        "4;1.00;10;sr_0;2;u_0;20;25.00;4.00;True;25;False;False;False;True",
        "5;2.00;10;sr_1;2;u_1;20;3.00;0.00;False;0;False;True;False;False",
        "6;2.00;10;sr_1;2;u_1;20;3.00;0.00;False;0;False;False;True;False",
        "7;2.00;10;sr_1;2;u_1;20;;0.00;False;0;True;False;False;False",
    ]


def test_a_request_that_is_placed_again_has_the_instance_of_then(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    extend(made.packets, 0, 0, 0, 1.0)
    made.placed(0, "si_9")
    extend(made.packets, 0, 1, 0, 2.0)
    made.close()
    assert [line.split(";")[4] for line in lines(tmp_path, "packets")] == ["si_0", "si_9"]


def test_rare_rows_are_in_order_with_the_names_of_the_files(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    made.event("time_window", "EVENT_TIME_WINDOW_PROCESSED", 500, SFC_Requests_Placed=2, **{"Window Init": 0.0})
    made.event("time_window", "TIME_WINDOW_STARTED", 0.0, SFC_Requests=["sr_0", "sr_1"], CPU_Allocated=0.25)
    made.flush(100.0)
    assert made.event("placement", "PLACEMENT_PROCESSED", 501.126) is None
    made.close()
    assert lines(tmp_path, "time_window") == [
        "TIME_WINDOW_STARTED;0.00;;;;;0.25;;;;;;['sr_0', 'sr_1'];",
        "TIME_WINDOW_PROCESSED;500.00;0.00;;2;;;;;;;;;",
    ]
    assert lines(tmp_path, "placement") == ["PLACEMENT_PROCESSED;501.13"]


@pytest.mark.parametrize("log_format", ["csv", "parquet"])
def test_rare_values_may_be_missing_or_of_a_kindred_type(tmp_path: Path, log_format: str) -> None:
    with recorder(tmp_path, log_format) as made:
        made.event("sfc_request", "CREATED", 1, SFC_Request="sr_0", SFC_Instance="", Placement_Order="")
        made.event("sfc_request", "PLACED", 2, SFC_Request="sr_0", SFC_Instance="si_0", Placement_Order=numpy.int64(3))
        made.event("vnf_instance_scaling", "SCALING_UP_CPU", 2.006, VNF_Instance="vi_0", Old=1, New=numpy.float64(1.5))
    orders = table(tmp_path, "sfc_request")["Placement_Order"]
    assert orders.isna().tolist() == [True, False]
    assert orders[1] == 3
    assert table(tmp_path, "vnf_instance_scaling").iloc[0].tolist() == ["SCALING_UP_CPU", 2.01, "vi_0", 1.0, 1.5]


def test_unknown_tables_and_columns_are_refused(tmp_path: Path) -> None:
    with recorder(tmp_path) as made:
        with pytest.raises(KeyError, match="places"):
            made.event("places", "X", 0.0)
        with pytest.raises(KeyError, match="placement has no column User: expected Event, Time"):
            made.event("placement", "X", 0.0, User="u_0")
        with pytest.raises(ValueError, match="vi_7 has number 7: expected 1"):
            made.created(7, "vi_7", "v_0", "n_0")


def test_streams_that_are_not_wanted_are_none(tmp_path: Path) -> None:
    with recorder(tmp_path, links=False, vnf=False, packets=False) as made:
        assert made.links is made.vnf_arrivals is made.vnf_starts is made.vnf_ends is None
        assert made.packets is made.ended is None
        made.flush(1.0)


def test_names_that_need_quotes_come_back(tmp_path: Path) -> None:
    made = RoundRecorder(tmp_path, entities('a;"b"', "c"))
    made.placed(0, "si;0")
    extend(made.packets, 0, 0, 0, 1.0)
    made.event("sfc_instance", "X", 1.0, SFC_Instance="si;0")
    made.close()
    assert table(tmp_path, "packets")["SFC_Request"].tolist() == ['a;"b"']
    assert table(tmp_path, "sfc_instance")["SFC_Instance"].tolist() == ["si;0"]


def at_random(folder: Path, log_format: str, flushes: int) -> None:
    """Links whose packets are sent long after they came, and packets in a VNF instance."""
    random = numpy.random.default_rng(3)
    with recorder(folder, log_format) as made:
        for flush in range(flushes):
            for packet in range(flush * 100, (flush + 1) * 100):
                wait = random.exponential(200)
                extend(made.links, packet % 2, packet, packet % 3, 0, 1.5, 0, packet, packet + wait, packet + wait + 1)
                extend(made.vnf_arrivals, packet % 2, packet, 0, 1.5, 0, packet)
                extend(made.vnf_starts, packet % 2, packet, 0, 1.5, 50, 1, 10, 3, 10, 3, packet, packet + 1)
                extend(made.vnf_ends, packet % 2, packet, 0, 1.5, packet, 10, 0, 10, 0, packet + 1)
            made.flush(packet)


def test_files_are_in_order_complete_and_the_same_every_time(tmp_path: Path) -> None:
    for name in ("first", "second"):
        at_random(tmp_path / name, "csv", 20)
    for name in STREAM_TABLES:
        assert (tmp_path / "first" / f"{name}.csv").read_bytes() == (tmp_path / "second" / f"{name}.csv").read_bytes()
    links = [line.split(";") for line in lines(tmp_path / "first", "links")]
    assert len(links) == 6000
    assert all(float(a[1]) <= float(b[1]) for a, b in pairwise(links))
    assert {each[2] for each in links} == {str(packet) for packet in range(2000)}
    assert len(lines(tmp_path / "first", "vnf_instance_packets")) == 8000


def test_csv_and_parquet_read_as_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "ROW_GROUP", 1000)
    for log_format in ("csv", "parquet"):
        at_random(tmp_path / log_format, log_format, 5)
    for name in STREAM_TABLES:
        text, binary = table(tmp_path / "csv", name), table(tmp_path / "parquet", name)
        assert list(text.columns) == list(binary.columns)
        for column in text:
            assert text[column].astype(object).fillna("").tolist() == binary[column].astype(object).fillna("").tolist()


def test_a_round_that_is_aborted_leaves_readable_files(tmp_path: Path) -> None:
    def abort(log_format: str) -> None:
        with recorder(tmp_path / log_format, log_format) as made:
            extend(made.packets, 0, 0, 0, 1.0)
            raise KeyboardInterrupt

    for log_format in ("csv", "parquet"):
        with pytest.raises(KeyboardInterrupt):
            abort(log_format)
        assert len(table(tmp_path / log_format, "packets")) == 1


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    made = recorder(tmp_path)
    extend(made.packets, 0, 0, 99, 1.0)  # no such event
    with pytest.raises(Exception, match="99"):
        made.close()
    made.close()
