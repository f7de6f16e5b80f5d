"""The actions of `rules.entries` as OpenFlow 1.3 and Nicira actions. Pure.

In: a tuple of actions. Out: bytes, and the reverse. Open vSwitch may read an action back in another form than it was
sent; `decode_actions` maps every such form to the one that the entries use. An action that this program never sends
becomes `Foreign`, so that the flow differs from any that is wanted. Decoding raises `BadMessage`, and nothing else.
Sources: OpenFlow 1.3.5 section 7.2.5, ovs-actions(7), Open vSwitch `lib/ofp-actions.c`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct
from typing import cast

from sdn_app.openflow.fields import (
    FIELDS,
    decode_field,
    decode_header,
    encode_field,
    field_named,
)
from sdn_app.openflow.guards import BadMessage
from sdn_app.rules.entries import (
    Action,
    Ct,
    Decap,
    DecNshTtl,
    EncapEthernet,
    EncapNsh,
    Move,
    Output,
    Resubmit,
    SetField,
    ToGroup,
)

CONTROLLER_PORT = 0xFFFFFFFD

OUTPUT, GROUP, SET_FIELD, EXPERIMENTER = 0, 22, 25, 0xFFFF
NICIRA = 0x2320
REG_MOVE, REG_LOAD, RESUBMIT_TABLE, REG_LOAD2, CT, ENCAP, DECAP, DEC_NSH_TTL = 6, 7, 14, 33, 35, 46, 47, 48

IN_PORT_16 = 0xFFF8
NO_TABLE = 0xFF
CT_COMMIT = 1
PACKET_TYPE_NSH = 0x0001894F
PACKET_TYPE_ETHERNET = 0
PACKET_TYPE_NEXT = 0x0000FFFE
NSH_MD_TYPE_1 = bytes.fromhex("0004 01 05 01 000000")

_HEAD = Struct(">HH")
_OUTPUT = Struct(">HHIH6x")
_GROUP = Struct(">HHI")
_NICIRA = Struct(">HHIH")
_RESUBMIT = Struct(">HHIHHB3x")
_MOVE = Struct(">HHIHHHH")
_CT = Struct(">HHIHHIHB3xH")
_TYPED = Struct(">HHIHHI")


@dataclass(frozen=True, slots=True)
class Foreign:
    """An action or instruction that this program never sends: its bytes. Never encoded."""

    raw: bytes


def encode_actions(actions: tuple[Action, ...]) -> bytes:
    """The actions one after another. Raises ValueError for a field or a value that cannot be sent."""
    return b"".join([_ENCODERS[type(action)](action) for action in actions])


def _output(action: Output) -> bytes:
    return _OUTPUT.pack(OUTPUT, 16, action.port, action.max_len)


def _group(action: ToGroup) -> bytes:
    return _GROUP.pack(GROUP, 8, action.group_id)


def _set_field(action: SetField) -> bytes:
    oxm = encode_field(action.field, action.value)
    length = 4 + len(oxm)
    padding = -length % 8
    return _HEAD.pack(SET_FIELD, length + padding) + oxm + bytes(padding)


def _move(action: Move) -> bytes:
    fields = field_named(action.src).header + field_named(action.dst).header
    length = _MOVE.size + len(fields)
    padding = -length % 8
    head = _MOVE.pack(
        EXPERIMENTER, length + padding, NICIRA, REG_MOVE, action.bits, action.src_offset, action.dst_offset
    )
    return head + fields + bytes(padding)


def _resubmit(action: Resubmit) -> bytes:
    return _RESUBMIT.pack(EXPERIMENTER, 16, NICIRA, RESUBMIT_TABLE, IN_PORT_16, action.table)


def _ct(action: Ct) -> bytes:
    nested = encode_actions(action.execute) if action.execute else b""
    table = NO_TABLE if action.table is None else action.table
    flags = CT_COMMIT if action.commit else 0
    return _CT.pack(EXPERIMENTER, 24 + len(nested), NICIRA, CT, flags, 0, action.zone, table, 0) + nested


_ENCAP_NSH = _TYPED.pack(EXPERIMENTER, 24, NICIRA, ENCAP, 0, PACKET_TYPE_NSH) + NSH_MD_TYPE_1
_ENCAP_ETHERNET = _TYPED.pack(EXPERIMENTER, 16, NICIRA, ENCAP, 0, PACKET_TYPE_ETHERNET)
_DECAP = _TYPED.pack(EXPERIMENTER, 16, NICIRA, DECAP, 0, PACKET_TYPE_NEXT)
_DEC_NSH_TTL = _NICIRA.pack(EXPERIMENTER, 16, NICIRA, DEC_NSH_TTL) + bytes(6)

_ENCODERS = cast(
    "dict[type[Action], Callable[[Action], bytes]]",
    {
        Output: _output,
        ToGroup: _group,
        SetField: _set_field,
        Move: _move,
        Resubmit: _resubmit,
        Ct: _ct,
        EncapNsh: lambda _: _ENCAP_NSH,
        EncapEthernet: lambda _: _ENCAP_ETHERNET,
        Decap: lambda _: _DECAP,
        DecNshTtl: lambda _: _DEC_NSH_TTL,
    },
)


def decode_actions(buf: bytes, offset: int, end: int, inside_ct: bool = False) -> tuple[Action, ...]:
    """The actions between `offset` and `end`. Raises BadMessage where a length does not fit.

    Inside ct's exec(...) another ct stays foreign: otherwise a hostile message could nest until the stack ends.
    """
    actions = []
    while offset < end:
        if offset + 8 > end:
            raise BadMessage(f"action at {offset}: expected 8 bytes before {end}")
        kind, length = _HEAD.unpack_from(buf, offset)
        after = offset + length
        if length < 8 or length % 8 or after > end:
            raise BadMessage(f"action {kind} at {offset}: length {length} before {end}")
        action = _decode_action(buf, kind, offset, after, inside_ct)
        actions.append(cast(Action, Foreign(bytes(buf[offset:after]))) if action is None else action)
        offset = after
    return tuple(actions)


def _decode_action(buf: bytes, kind: int, offset: int, end: int, inside_ct: bool) -> Action | None:
    """The action, or None where it is foreign."""
    if kind == OUTPUT and end - offset == 16:
        _, _, port, max_len = _OUTPUT.unpack_from(buf, offset)
        return Output(port, max_len if port == CONTROLLER_PORT else 0)
    if kind == GROUP and end - offset == 8:
        return ToGroup(_GROUP.unpack_from(buf, offset)[2])
    if kind == SET_FIELD:
        return _decode_load(buf, offset + 4, end)
    if kind == EXPERIMENTER and end - offset >= 16:
        _, _, vendor, subtype = _NICIRA.unpack_from(buf, offset)
        known = vendor == NICIRA and not (inside_ct and subtype == CT)
        decoder = _NICIRA_DECODERS.get(subtype) if known else None
        return decoder(buf, offset, end) if decoder else None
    return None


def _decode_load(buf: bytes, offset: int, end: int) -> SetField | None:
    name, value, mask, _ = decode_field(buf, offset, end)
    return SetField(name, value) if mask is None and name in FIELDS else None


def _decode_load2(buf: bytes, offset: int, end: int) -> SetField | None:
    return _decode_load(buf, offset + 16, end)


def _decode_reg_load(buf: bytes, offset: int, end: int) -> SetField | None:
    """NXAST_REG_LOAD: ofs_nbits, header, 8-byte value; a SetField where it covers the field."""
    if end - offset != 24:
        return None
    field, masked, _ = decode_header(buf, offset + 12, offset + 16)
    covers = int.from_bytes(buf[offset + 10 : offset + 12], "big") + 1 == field.full.bit_length()
    if masked or not covers or field.name not in FIELDS:
        return None
    return SetField(field.name, int.from_bytes(buf[offset + 16 : end], "big"))


def _decode_move(buf: bytes, offset: int, end: int) -> Move | None:
    bits, src_offset, dst_offset = _MOVE.unpack_from(buf, offset)[4:]
    src, _, offset = decode_header(buf, offset + 16, end)
    dst, _, _ = decode_header(buf, offset, end)
    return Move(src.name, dst.name, bits, src_offset, dst_offset)


def _decode_resubmit(buf: bytes, offset: int, end: int) -> Resubmit | None:
    port, table = _RESUBMIT.unpack_from(buf, offset)[4:]
    return Resubmit(table) if port == IN_PORT_16 and end - offset == 16 else None


def _decode_ct(buf: bytes, offset: int, end: int) -> Ct | None:
    if end - offset < 24:
        raise BadMessage(f"ct at {offset}: length {end - offset}, expected 24 or more")
    flags, zone_field, zone, table, alg = _CT.unpack_from(buf, offset)[4:]
    nested = decode_actions(buf, offset + 24, end, inside_ct=True)
    execute = tuple(action for action in nested if isinstance(action, SetField | Move))
    if flags & ~CT_COMMIT or zone_field or alg or len(execute) != len(nested):
        return None
    return Ct(zone, bool(flags), None if table == NO_TABLE else table, execute)


def _decode_encap(buf: bytes, offset: int, end: int) -> EncapNsh | EncapEthernet | None:
    raw = bytes(buf[offset:end])
    if raw == _ENCAP_ETHERNET:
        return EncapEthernet()
    return EncapNsh() if raw == _ENCAP_NSH else None


def _decode_decap(buf: bytes, offset: int, end: int) -> Decap | None:
    return Decap() if bytes(buf[offset:end]) == _DECAP else None


def _decode_dec_nsh_ttl(buf: bytes, offset: int, end: int) -> DecNshTtl | None:
    return DecNshTtl() if end - offset == 16 else None


_NICIRA_DECODERS: dict[int, Callable[[bytes, int, int], Action | None]] = {
    REG_MOVE: _decode_move,
    REG_LOAD: _decode_reg_load,
    REG_LOAD2: _decode_load2,
    RESUBMIT_TABLE: _decode_resubmit,
    CT: _decode_ct,
    ENCAP: _decode_encap,
    DECAP: _decode_decap,
    DEC_NSH_TTL: _decode_dec_nsh_ttl,
}
