"""Messages to a switch, OpenFlow 1.3: entries in, bytes out. Pure; sends nothing.

Every function raises ValueError (or a subclass, or OverflowError and struct.error for a number too large for its field)
where an entry cannot be put on the wire. Source: OpenFlow 1.3.5 section 7.3.
"""

from collections.abc import Callable
from struct import Struct
from typing import Literal

from sdn_app.openflow.actions import encode_actions
from sdn_app.openflow.fields import encode_match
from sdn_app.rules.entries import Action, Bucket, Flow, Group, Meter

Command = Literal["add", "modify", "delete"]

VERSION = 4
PACKET_OUT, FLOW_MOD, GROUP_MOD, MULTIPART_REQUEST, BARRIER_REQUEST, METER_MOD = 13, 14, 15, 18, 20, 29
MULTIPART_FLOW, MULTIPART_GROUP, MULTIPART_GROUP_DESC, MULTIPART_METER_CONFIG, MULTIPART_PORT_DESC = 1, 6, 7, 10, 13
ANY = 0xFFFFFFFF
ALL_GROUPS = 0xFFFFFFFC
NO_BUFFER = 0xFFFFFFFF
GROUP_SELECT = 1
METER_PACKETS_AND_BURST = 0x2 | 0x4
METER_DROP = 1
GOTO_TABLE, APPLY_ACTIONS, METER = 1, 4, 6
MAX_LENGTH = 0xFFFF

_HEADER = Struct(">BBHI")
_FLOW_MOD = Struct(">BBHIQQBBHHHIIIHxx")
_INSTRUCTION = Struct(">HHI")
_GOTO = Struct(">HHB3x")
_GROUP_MOD = Struct(">HBxI")
_BUCKET = Struct(">HHII4x")
_METER_MOD = Struct(">HHI")
_BAND = Struct(">HHII4x")
_MULTIPART = Struct(">HH4x")
_FLOW_STATS = Struct(">B3xII4xQQ")
_ID = Struct(">I4x")
_PACKET_OUT = Struct(">BBHIIIH6x")

_FLOW_COMMANDS = {"add": 0, "modify": 2, "delete": 4}
_COMMANDS = {"add": 0, "modify": 1, "delete": 2}


def _message(kind: int, xid: int, body: bytes = b"") -> bytes:
    return _HEADER.pack(VERSION, kind, _fits(8 + len(body)), xid) + body


def _fits(length: int) -> int:
    if length > MAX_LENGTH:
        raise ValueError(f"message of {length} bytes: expected at most {MAX_LENGTH}")
    return length


def encode_flow_mod(flow: Flow, command: Command, xid: int) -> bytes:
    """Add (which replaces the entry of the same key), modify or delete (both strict) one flow."""
    body = encode_match(flow.match)
    if command != "delete":
        body += _instructions(flow)
    length = _fits(48 + len(body))
    return (
        _FLOW_MOD.pack(
            VERSION, FLOW_MOD, length, xid, flow.cookie, 0, flow.table, _FLOW_COMMANDS[command], 0, 0,
            flow.priority, NO_BUFFER, ANY, ANY, 0,
        )
        + body
    )  # fmt: skip


def _instructions(flow: Flow) -> bytes:
    out = b""
    if flow.meter is not None:
        out = _INSTRUCTION.pack(METER, 8, flow.meter)
    if flow.actions:
        actions = encode_actions(flow.actions)
        out += _INSTRUCTION.pack(APPLY_ACTIONS, _fits(8 + len(actions)), 0) + actions
    if flow.goto is not None:
        out += _GOTO.pack(GOTO_TABLE, 8, flow.goto)
    return out


def encode_group_mod(group: Group, command: Command, xid: int) -> bytes:
    """Add, modify or delete one select group."""
    buckets = b"" if command == "delete" else b"".join([_bucket(bucket) for bucket in group.buckets])
    return _message(GROUP_MOD, xid, _GROUP_MOD.pack(_COMMANDS[command], GROUP_SELECT, group.group_id) + buckets)


def _bucket(bucket: Bucket) -> bytes:
    actions = encode_actions(bucket.actions)
    return _BUCKET.pack(_fits(16 + len(actions)), bucket.weight, ANY, ANY) + actions


def encode_meter_mod(meter: Meter, command: Command, xid: int) -> bytes:
    """Add, modify or delete one meter. A burst of 0 is refused: the switch would put the rate in its place."""
    if meter.burst < 1 and command != "delete":
        raise ValueError(f"meter {meter.meter_id}: burst {meter.burst}, expected 1 or more")
    band = b"" if command == "delete" else _BAND.pack(METER_DROP, 16, meter.rate_pps, meter.burst)
    return _message(METER_MOD, xid, _METER_MOD.pack(_COMMANDS[command], METER_PACKETS_AND_BURST, meter.meter_id) + band)


def encode_barrier_request(xid: int) -> bytes:
    """Ask for an answer once all that was sent before is done."""
    return _message(BARRIER_REQUEST, xid)


def _multipart(kind: int, xid: int, body: bytes = b"") -> bytes:
    return _message(MULTIPART_REQUEST, xid, _MULTIPART.pack(kind, 0) + body)


def encode_flow_stats_request(xid: int, cookie: int = 0, cookie_mask: int = 0, table: int = 0xFF) -> bytes:
    """Ask for the flows of a table (0xff: all) whose cookie agrees in the bits of the mask."""
    return _multipart(MULTIPART_FLOW, xid, _FLOW_STATS.pack(table, ANY, ANY, cookie, cookie_mask) + encode_match(()))


def encode_group_desc_request(xid: int) -> bytes:
    """Ask for all groups."""
    return _multipart(MULTIPART_GROUP_DESC, xid)


def encode_group_stats_request(xid: int) -> bytes:
    """Ask for the counters of all groups."""
    return _multipart(MULTIPART_GROUP, xid, _ID.pack(ALL_GROUPS))


def encode_meter_config_request(xid: int) -> bytes:
    """Ask for all meters."""
    return _multipart(MULTIPART_METER_CONFIG, xid, _ID.pack(ANY))


def encode_port_desc_request(xid: int) -> bytes:
    """Ask for all ports."""
    return _multipart(MULTIPART_PORT_DESC, xid)


def encode_packet_out(in_port: int, actions: tuple[Action, ...], data: bytes, xid: int) -> bytes:
    """Run a frame through actions as if it had come in by `in_port`."""
    return packet_out_template(actions)(in_port, data, xid)


def packet_out_template(actions: tuple[Action, ...]) -> Callable[[int, bytes, int], bytes]:
    """A function of (in_port, data, xid) that gives the packet-out for these actions, which are encoded only once."""
    encoded = encode_actions(actions)
    size = len(encoded)
    overhead = 24 + size
    pack = _PACKET_OUT.pack

    def packet_out(in_port: int, data: bytes, xid: int) -> bytes:
        length = overhead + len(data)
        if length > MAX_LENGTH:
            _fits(length)
        return pack(VERSION, PACKET_OUT, length, xid, NO_BUFFER, in_port, size) + encoded + data

    return packet_out
