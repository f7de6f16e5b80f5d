"""Decoding what was encoded gives it back, and no bytes make a decoder raise anything but BadMessage."""

import struct
from collections.abc import Callable
from contextlib import suppress
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdn_app.openflow import codec
from sdn_app.openflow.actions import decode_actions
from sdn_app.openflow.fields import FIELDS, decode_match, encode_match
from sdn_app.rules import text
from sdn_app.rules.entries import (
    Action,
    Bucket,
    Ct,
    Decap,
    DecNshTtl,
    EncapEthernet,
    EncapNsh,
    Flow,
    Group,
    Match,
    Meter,
    Move,
    Output,
    Resubmit,
    SetField,
    SwitchRules,
    ToGroup,
    match,
)

U8, U16, U32, U64 = (st.integers(0, (1 << bits) - 1) for bits in (8, 16, 32, 64))
CONTROLLER = 0xFFFFFFFD
TABLES = st.integers(0, 254)
NAMES = st.sampled_from(sorted(FIELDS))


@st.composite
def match_parts(draw: st.DrawFn, name: str) -> tuple[str, int, int | None]:
    full = FIELDS[name].full
    mask = draw(st.none() | st.integers(1, full - 1))
    value = draw(st.integers(0, full))
    return (name, value, None) if mask is None else (name, value & mask, mask)


@st.composite
def matches(draw: st.DrawFn) -> Match:
    names = sorted(draw(st.sets(NAMES, max_size=6)))
    return tuple(draw(match_parts(name)) for name in names)


@st.composite
def set_fields(draw: st.DrawFn) -> SetField:
    name = draw(NAMES)
    return SetField(name, draw(st.integers(0, FIELDS[name].full)))


MOVES = st.builds(Move, NAMES, NAMES, U16, U16, U16)
LOADS = set_fields()
ACTIONS: st.SearchStrategy[Action] = st.one_of(
    st.builds(Output, st.integers(0, CONTROLLER - 1)),
    st.builds(Output, st.just(CONTROLLER), U16),
    st.builds(ToGroup, U32),
    LOADS,
    MOVES,
    st.builds(Resubmit, TABLES),
    st.builds(Ct, U16, st.booleans(), st.none() | TABLES, st.lists(LOADS | MOVES, max_size=3).map(tuple)),
    st.sampled_from((EncapNsh(), EncapEthernet(), Decap(), DecNshTtl())),
)
LISTS = st.lists(ACTIONS, max_size=6).map(tuple)
FLOWS = st.builds(Flow, TABLES, U16, matches(), LISTS, st.none() | TABLES, st.none() | U32, U64)
GROUPS = st.builds(Group, U32, st.lists(st.builds(Bucket, U16, LISTS), max_size=4).map(tuple))
METERS = st.builds(Meter, U32, U32, st.integers(1, 0xFFFFFFFF))


def message(kind: int, body: bytes, xid: int = 9) -> bytes:
    return struct.pack(">BBHI", 4, kind, 8 + len(body), xid) + body


def reply(kind: int, body: bytes, flags: int = 0) -> bytes:
    return message(19, struct.pack(">HH4x", kind, flags) + body)


def as_flow_stats(flow: Flow) -> bytes:
    """What a switch would answer for the flow that an add carries."""
    sent = codec.encode_flow_mod(flow, "add", 1)
    cookie, table, priority = sent[8:16], sent[24], sent[30:32]
    body = struct.pack(">Bx", table) + struct.pack(">II", 3, 500_000_000) + priority + bytes(10)
    body += cookie + struct.pack(">QQ", 11, 12) + sent[48:]
    return struct.pack(">H", len(body) + 2) + body


@given(LISTS)
def test_actions_round_trip(actions: tuple[Action, ...]) -> None:
    encoded = codec.encode_actions(actions)
    assert len(encoded) % 8 == 0
    assert decode_actions(encoded, 0, len(encoded)) == actions


@given(matches())
def test_match_round_trip(wanted: Match) -> None:
    encoded = encode_match(wanted)
    assert decode_match(encoded, 0, len(encoded)) == (wanted, len(encoded))


@given(st.lists(FLOWS, max_size=4), st.booleans())
def test_flows_round_trip(flows: list[Flow], more: bool) -> None:
    answer = reply(1, b"".join(map(as_flow_stats, flows)), int(more))
    assert codec.decode_multipart(answer) == (9, 1, more, [codec.FlowStat(flow, 11, 12, 3.5) for flow in flows])


@given(st.lists(GROUPS, max_size=3))
def test_groups_round_trip(groups: list[Group]) -> None:
    body = b""
    for group in groups:
        sent = codec.encode_group_mod(group, "add", 1)
        body += struct.pack(">H", len(sent) - 8) + sent[10:]
    assert codec.decode_multipart(reply(7, body))[3] == groups


@given(st.lists(METERS, max_size=3))
def test_meters_round_trip(meters: list[Meter]) -> None:
    body = b""
    for meter in meters:
        sent = codec.encode_meter_mod(meter, "add", 1)
        body += struct.pack(">H", len(sent) - 8) + sent[10:]
    assert codec.decode_multipart(reply(10, body))[3] == meters


def packet_in(match_bytes: bytes, data: bytes) -> bytes:
    return message(10, struct.pack(">IHBBQ", 0xFFFFFFFF, 99, 1, 4, 5) + match_bytes + b"\0\0" + data)


@given(U32, st.binary(max_size=80), U32)
def test_packet_in(port: int, data: bytes, mark: int) -> None:
    wanted = match(in_port=port, ct_mark=mark)
    expected = codec.PacketIn(1, 4, 5, port, 99, data)
    first = encode_match(match(in_port=port))
    assert codec.decode_packet_in(packet_in(first, data)) == expected
    later = packet_in(encode_match(wanted), data)
    assert codec.decode_packet_in(later) == expected
    assert codec.decode_packet_in_match(later) == wanted


@given(U32, LISTS, st.binary(max_size=80), U32)
def test_packet_out(port: int, actions: tuple[Action, ...], data: bytes, xid: int) -> None:
    sent = codec.packet_out_template(actions)(port, data, xid)
    assert sent == codec.encode_packet_out(port, actions, data, xid)
    kind, length, found_xid, buffer, found_port, size = struct.unpack_from(">xBHIIIH", sent)
    assert (kind, length, found_xid, buffer, found_port) == (13, len(sent), xid, 0xFFFFFFFF, port)
    assert decode_actions(sent, 24, 24 + size) == actions
    assert sent[24 + size :] == data


DECODERS: tuple[tuple[int, Callable[[bytes], object]], ...] = (
    (1, codec.decode_error),
    (10, codec.decode_packet_in),
    (10, codec.decode_packet_in_match),
    (12, codec.decode_port_status),
    (19, codec.decode_multipart),
    (21, codec.decode_barrier_reply),
)


@given(st.sampled_from(DECODERS), st.binary(max_size=200), st.booleans())
def test_noise_raises_only_bad_message(decoder: tuple[int, Callable[[bytes], object]], noise: bytes, raw: bool) -> None:
    kind, decode = decoder
    with suppress(codec.BadMessage):
        decode(noise if raw else message(kind, noise))


@given(st.lists(FLOWS, min_size=1, max_size=2), st.lists(st.tuples(st.integers(8, 4000), U8), max_size=4), st.data())
def test_broken_flows_raise_only_bad_message(
    flows: list[Flow], changes: list[tuple[int, int]], data: st.DataObject
) -> None:
    body = bytearray(b"".join(map(as_flow_stats, flows)))
    for at, value in changes:
        body[at % len(body)] = value
    cut = data.draw(st.integers(0, len(body)))
    with suppress(codec.BadMessage):
        codec.decode_multipart(reply(1, bytes(body[:cut])))


@pytest.mark.parametrize("kind", [1, 6, 7, 10])
def test_a_length_of_zero_ends(kind: int) -> None:
    with pytest.raises(codec.BadMessage):
        codec.decode_multipart(reply(kind, bytes(64)))


def test_action_length_of_zero_ends() -> None:
    with pytest.raises(codec.BadMessage):
        decode_actions(bytes(16), 0, 16)


def test_nested_ct_is_bounded() -> None:
    nested = b""
    for _ in range(2700):
        nested = struct.pack(">HHIHHIHB3xH", 0xFFFF, 24 + len(nested), 0x2320, 35, 1, 0, 1, 255, 0) + nested
    assert isinstance(decode_actions(nested, 0, len(nested))[0], codec.Foreign)


def test_foreign_things_keep_their_key() -> None:
    vlan = bytes.fromhex("80000c02 1005")
    body = b"\x00\x01" + struct.pack(">H", 4 + len(vlan)) + vlan + bytes(-(4 + len(vlan)) % 8)
    found, _ = decode_match(body, 0, len(body))
    assert found == (("oxm_80000c02", 0x1005, None),)
    assert encode_match(found) == body
    pop_vlan = bytes.fromhex("0012000800000000")
    assert decode_actions(pop_vlan, 0, 8) == (cast(Action, codec.Foreign(pop_vlan)),)


def test_reg_load_of_a_whole_field_is_a_set_field() -> None:
    load = struct.pack(">HHIHHIQ", 0xFFFF, 24, 0x2320, 7, 31, 0x00010004, 77)
    assert decode_actions(load, 0, 24) == (SetField("reg0", 77),)
    part = struct.pack(">HHIHHIQ", 0xFFFF, 24, 0x2320, 7, 7, 0x00010004, 77)
    assert decode_actions(part, 0, 24) == (cast(Action, codec.Foreign(part)),)


def test_ports_and_errors() -> None:
    def port(config: int, state: int) -> bytes:
        return struct.pack(">I4x6s2x16sII24x", 7, b"\2\0\0\0\0\1", b"fw1-i", config, state)

    up, down = codec.PortDesc(7, "fw1-i", 0x020000000001, True), codec.PortDesc(7, "fw1-i", 0x020000000001, False)
    assert codec.decode_multipart(reply(13, port(0, 4) + port(1, 0) + port(0, 1)))[3] == [up, down, down]
    assert codec.decode_port_status(message(12, b"\2" + bytes(7) + port(0, 0))) == (2, up)
    assert codec.decode_error(message(1, b"\0\4\0\6rest")) == (4, 6, b"rest", 9)
    assert codec.decode_barrier_reply(message(21, b"")) == 9


def test_group_stats() -> None:
    body = struct.pack(">HxxII4xQQII", 72, 5, 1, 30, 40, 2, 3) + struct.pack(">QQQQ", 10, 20, 20, 20)
    assert codec.decode_multipart(reply(6, body))[3] == [codec.GroupStat(5, 30, 40, ((10, 20), (20, 20)))]


def test_what_cannot_be_sent_is_refused() -> None:
    with pytest.raises(ValueError, match="nsh_c1"):
        codec.encode_actions((SetField("nsh_c1", 1),))
    with pytest.raises(ValueError, match="burst"):
        codec.encode_meter_mod(Meter(1, 5, 0), "add", 1)
    with pytest.raises(ValueError, match="65535"):
        codec.encode_packet_out(1, (), bytes(70_000), 1)


def test_prerequisites_come_first() -> None:
    encoded = encode_match(match(arp_op=1, eth_type=0x0806))
    assert encoded[4:8] == FIELDS["eth_type"].header


def test_rules_text_is_sorted() -> None:
    flows = (
        Flow(1, 5, match(eth_type=0x0800, ip_proto=6, ct_state=(0x21, 0x23), ipv4_dst=0x0A000064), cookie=16),
        Flow(0, 1, (), (Output(3),), goto=1, meter=1),
        Flow(0, 9, match(in_port=2), (Ct(3, True, 4, (SetField("ct_mark", 9),)), Move("reg1", "nsh_spi", 24))),
    )
    group = Group(4, (Bucket(100, (SetField("reg1", 1), Resubmit(2))), Bucket(1, ())))
    rules = SwitchRules(frozenset(flows), frozenset({group}), frozenset({Meter(1, 100, 10)}))
    assert text.rules_text(rules, {3: "fw1-i"}).splitlines() == [
        "meter=1,pktps,burst,band=type=drop,rate=100,burst_size=10",
        "group_id=4,type=select,bucket=weight:100,actions=set_field:0x1->reg1,resubmit(,2),bucket=weight:1,actions=drop",
        "table=0,priority=9,in_port=2 actions=ct(commit,table=4,zone=3,exec(set_field:0x9->ct_mark)),"
        "move:reg1[0..23]->nsh_spi[0..23]",
        'table=0,priority=1 actions=meter:1,output:"fw1-i",goto_table:1',
        "cookie=0x10,table=1,priority=5,tcp,ct_state=+new-est+trk,ip_dst=10.0.0.100 actions=drop",
    ]
