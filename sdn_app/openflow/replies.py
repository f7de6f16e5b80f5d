"""Messages from a switch, OpenFlow 1.3: bytes in, entries and counters out. Pure; receives nothing.

`buf` is one whole message, header included. Every decoder checks type and lengths and raises only `BadMessage`.
Source: OpenFlow 1.3.5 sections 7.3 and 7.4.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import cast

from sdn_app.openflow.actions import Foreign, decode_actions
from sdn_app.openflow.fields import decode_match
from sdn_app.openflow.guards import BadMessage
from sdn_app.openflow.requests import (
    APPLY_ACTIONS,
    GOTO_TABLE,
    GROUP_SELECT,
    METER,
    METER_DROP,
    MULTIPART_FLOW,
    MULTIPART_GROUP,
    MULTIPART_GROUP_DESC,
    MULTIPART_METER_CONFIG,
    MULTIPART_PORT_DESC,
    VERSION,
)
from sdn_app.rules.entries import Action, Bucket, Flow, Group, Match, Meter

ERROR, PACKET_IN, PORT_STATUS, MULTIPART_REPLY, BARRIER_REPLY = 1, 10, 12, 19, 21
MORE = 1
PORT_DOWN = 1
LINK_DOWN = 1
METER_PACKETS = 0x2
OXM_IN_PORT = b"\x80\x00\x00\x04"

_HEADER = Struct(">BBHI")
_HEAD = Struct(">HH")
_PACKET_IN = Struct(">BBHIIHBBQHH")
_FLOW_HEAD = Struct(">HBxIIH6x4xQQQ")
_INSTRUCTION = Struct(">HHI")
_GROUP_HEAD = Struct(">HBxI")
_BUCKET = Struct(">HHII4x")
_GROUP_STATS = Struct(">HxxII4xQQII")
_COUNTERS = Struct(">QQ")
_METER_HEAD = Struct(">HHI")
_BAND = Struct(">HHII4x")
_PORT = Struct(">I4x6s2x16sII24x")
_U32 = Struct(">I")


@dataclass(frozen=True, slots=True)
class PacketIn:
    """A frame that the switch sent up. `data` is the frame as far as the switch sent it; `total_len` is all of it."""

    reason: int
    table_id: int
    cookie: int
    in_port: int
    total_len: int
    data: bytes


@dataclass(frozen=True, slots=True)
class FlowStat:
    """A flow as the switch holds it, with its counters."""

    flow: Flow
    packets: int
    bytes: int
    duration_s: float


@dataclass(frozen=True, slots=True)
class GroupStat:
    """A group's counters; `buckets` are (packets, bytes) in the order of the group's buckets."""

    group_id: int
    packets: int
    bytes: int
    buckets: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class PortDesc:
    """A port. `state_up` is False where it is configured down or has no link."""

    number: int
    name: str
    mac: int
    state_up: bool


MultipartItem = FlowStat | Group | GroupStat | Meter | PortDesc


def _open(buf: bytes, kind: int, at_least: int) -> int:
    """Check a message's header; return its xid."""
    if len(buf) < max(8, at_least):
        raise BadMessage(f"message of {len(buf)} bytes: expected {max(8, at_least)} or more")
    version, found, length, xid = _HEADER.unpack_from(buf)
    if version != VERSION or found != kind or length != len(buf):
        raise BadMessage(f"header (version {version}, type {found}, length {length}): "
                         f"expected ({VERSION}, {kind}, {len(buf)})")  # fmt: skip
    return cast(int, xid)


def decode_packet_in(buf: bytes) -> PacketIn:
    """A packet-in. Only the in_port of its match is read; `decode_packet_in_match` reads the rest."""
    size = len(buf)
    if size < 34:
        raise BadMessage(f"packet-in of {size} bytes: expected 34 or more")
    version, kind, length, _, _, total_len, reason, table, cookie, _, match_len = _PACKET_IN.unpack_from(buf)
    start = 26 + (match_len + 7) // 8 * 8
    if version != VERSION or kind != PACKET_IN or length != size or match_len < 4 or start > size:
        raise BadMessage(f"packet-in: version {version}, type {kind}, length {length} of {size}, match {match_len}")
    if buf[28:32] == OXM_IN_PORT and match_len >= 12:
        in_port = _U32.unpack_from(buf, 32)[0]
    else:
        in_port = _in_port(decode_match(buf, 24, size)[0])
    return PacketIn(reason, table, cookie, in_port, total_len, buf[start:])


def _in_port(match: Match) -> int:
    for name, value, _ in match:
        if name == "in_port":
            return value
    raise BadMessage("packet-in: expected in_port in the match")


def decode_packet_in_match(buf: bytes) -> Match:
    """The whole match of a packet-in: registers, ct_state, ct_mark and so on where they were not zero."""
    _open(buf, PACKET_IN, 34)
    return decode_match(buf, 24, len(buf))[0]


def decode_multipart(buf: bytes) -> tuple[int, int, bool, list[MultipartItem]]:
    """A multipart reply as (xid, its type, whether more follow, items)."""
    xid = _open(buf, MULTIPART_REPLY, 16)
    kind, flags = _HEAD.unpack_from(buf, 8)
    items = _ITEMS.get(kind)
    if items is None:
        raise BadMessage(f"multipart type {kind}: expected one of {sorted(_ITEMS)}")
    return xid, kind, bool(flags & MORE), list(items(buf, 16, len(buf)))


def _spans(buf: bytes, offset: int, end: int, at_least: int) -> Iterator[tuple[int, int]]:
    """Where each of the structures that begin with their 16-bit length starts and ends."""
    while offset < end:
        length = _HEAD.unpack_from(buf, offset)[0] if offset + 4 <= end else 0
        if length < at_least or offset + length > end:
            raise BadMessage(f"structure at {offset}: length {length}, expected {at_least}..{end - offset}")
        yield offset, offset + length
        offset += length


def _flows(buf: bytes, offset: int, end: int) -> Iterator[FlowStat]:
    for start, stop in _spans(buf, offset, end, 56):
        _, table, seconds, nanoseconds, priority, cookie, packets, octets = _FLOW_HEAD.unpack_from(buf, start)
        match, at = decode_match(buf, start + 48, stop)
        actions, goto, meter = _decode_instructions(buf, at, stop)
        flow = Flow(table, priority, match, actions, goto, meter, cookie)
        yield FlowStat(flow, packets, octets, seconds + nanoseconds / 1e9)


def _decode_instructions(buf: bytes, offset: int, end: int) -> tuple[tuple[Action, ...], int | None, int | None]:
    """(actions, goto, meter); an instruction that this program never sends is a `Foreign` action."""
    actions: tuple[Action, ...] = ()
    goto = meter = None
    while offset < end:
        if offset + 8 > end:
            raise BadMessage(f"instruction at {offset}: expected 8 bytes before {end}")
        kind, length, word = _INSTRUCTION.unpack_from(buf, offset)
        after = offset + length
        if length < 8 or length % 8 or after > end:
            raise BadMessage(f"instruction {kind} at {offset}: length {length} before {end}")
        if kind == APPLY_ACTIONS:
            actions += decode_actions(buf, offset + 8, after)
        elif kind == GOTO_TABLE:
            goto = word >> 24
        elif kind == METER:
            meter = word
        else:
            actions += (_foreign(buf[offset:after]),)
        offset = after
    return actions, goto, meter


def _foreign(raw: bytes) -> Action:
    return cast(Action, Foreign(bytes(raw)))


def _groups(buf: bytes, offset: int, end: int) -> Iterator[Group]:
    """Groups; one that is not a select group has a single bucket with a `Foreign` action."""
    for start, stop in _spans(buf, offset, end, 8):
        _, kind, group_id = _GROUP_HEAD.unpack_from(buf, start)
        if kind == GROUP_SELECT:
            yield Group(group_id, tuple(_buckets(buf, start + 8, stop)))
        else:
            yield Group(group_id, (Bucket(0, (_foreign(buf[start:stop]),)),))


def _buckets(buf: bytes, offset: int, end: int) -> Iterator[Bucket]:
    for start, stop in _spans(buf, offset, end, 16):
        yield Bucket(_BUCKET.unpack_from(buf, start)[1], decode_actions(buf, start + 16, stop))


def _group_stats(buf: bytes, offset: int, end: int) -> Iterator[GroupStat]:
    for start, stop in _spans(buf, offset, end, 40):
        _, group_id, _, packets, octets, _, _ = _GROUP_STATS.unpack_from(buf, start)
        if (stop - start - 40) % 16:
            raise BadMessage(f"group statistics at {start}: length {stop - start}, expected 40 + 16 a bucket")
        buckets = tuple(_COUNTERS.unpack_from(buf, at) for at in range(start + 40, stop, 16))
        yield GroupStat(group_id, packets, octets, cast(tuple[tuple[int, int], ...], buckets))


def _meters(buf: bytes, offset: int, end: int) -> Iterator[Meter]:
    """Meters; one that this program cannot have made has a rate and a burst of -1."""
    for start, stop in _spans(buf, offset, end, 8):
        _, flags, meter_id = _METER_HEAD.unpack_from(buf, start)
        kind, rate, burst = 0, -1, -1
        if stop - start == 24:
            kind, _, rate, burst = _BAND.unpack_from(buf, start + 8)
        ours = kind == METER_DROP and flags & METER_PACKETS
        yield Meter(meter_id, rate, burst) if ours else Meter(meter_id, -1, -1)


def _ports(buf: bytes, offset: int, end: int) -> Iterator[PortDesc]:
    if (end - offset) % _PORT.size:
        raise BadMessage(f"ports: {end - offset} bytes, expected a multiple of {_PORT.size}")
    for at in range(offset, end, _PORT.size):
        number, mac, name, config, state = _PORT.unpack_from(buf, at)
        up = not (config & PORT_DOWN or state & LINK_DOWN)
        yield PortDesc(number, name.split(b"\0")[0].decode("ascii", "replace"), int.from_bytes(mac, "big"), up)


_ITEMS: dict[int, Callable[[bytes, int, int], Iterator[MultipartItem]]] = {
    MULTIPART_FLOW: _flows,
    MULTIPART_GROUP: _group_stats,
    MULTIPART_GROUP_DESC: _groups,
    MULTIPART_METER_CONFIG: _meters,
    MULTIPART_PORT_DESC: _ports,
}


def decode_port_status(buf: bytes) -> tuple[int, PortDesc]:
    """A port-status message as (reason: 0 added, 1 deleted, 2 modified; the port)."""
    _open(buf, PORT_STATUS, 80)
    return buf[8], next(_ports(buf, 16, 80))


def decode_error(buf: bytes) -> tuple[int, int, bytes, int]:
    """An error message as (type, code, data, xid of the message that caused it)."""
    xid = _open(buf, ERROR, 12)
    kind, code = _HEAD.unpack_from(buf, 8)
    return kind, code, bytes(buf[12:]), xid


def decode_barrier_reply(buf: bytes) -> int:
    """The xid of the barrier request that is answered."""
    return _open(buf, BARRIER_REPLY, 8)
