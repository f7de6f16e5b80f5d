"""The match fields of `rules.entries` as OXM type-length-values, and matches made of them. Pure.

In: field names and ints. Out: bytes, and the reverse. A field that this program does not use is kept under the name
`oxm_<header>` (eight hexadecimal digits, or sixteen where an experimenter id follows) so that a foreign flow can still
be named, and deleted. Decoding trusts no length: it raises `BadMessage`.
Sources: OpenFlow 1.3.5 section 7.2.3, ovs-fields(7).
"""

from dataclasses import dataclass
from struct import Struct
from struct import error as struct_error

from sdn_app.openflow.guards import BadMessage
from sdn_app.rules.entries import Match

OPENFLOW_BASIC = 0x8000
NXM_0 = 0x0000
NXM_1 = 0x0001
EXPERIMENTER = 0xFFFF
NSH_EXPERIMENTER = 0x005AD650

PREREQUISITES = ("eth_type", "ip_proto")
"""In a match, sorted by name, eth_type stands before ip_proto; other fields may need both."""

_U16 = Struct(">H")
_U32 = Struct(">I")


@dataclass(frozen=True, slots=True)
class Field:
    """One field: the bytes of its header without and with a mask, its width in bytes, and the mask of all its bits."""

    name: str
    header: bytes
    masked_header: bytes
    size: int
    full: int


def _field(name: str, oxm_class: int, number: int, size: int, bits: int | None = None) -> Field:
    experimenter = _U32.pack(NSH_EXPERIMENTER) if oxm_class == EXPERIMENTER else b""
    word = (oxm_class << 16) | (number << 9)
    return Field(
        name,
        _U32.pack(word | (size + len(experimenter))) + experimenter,
        _U32.pack(word | 0x100 | (2 * size + len(experimenter))) + experimenter,
        size,
        (1 << (bits or 8 * size)) - 1,
    )


FIELDS: dict[str, Field] = {
    field.name: field
    for field in (
        _field("in_port", OPENFLOW_BASIC, 0, 4),
        _field("eth_dst", OPENFLOW_BASIC, 3, 6),
        _field("eth_src", OPENFLOW_BASIC, 4, 6),
        _field("eth_type", OPENFLOW_BASIC, 5, 2),
        _field("ip_proto", OPENFLOW_BASIC, 10, 1),
        _field("ipv4_src", OPENFLOW_BASIC, 11, 4),
        _field("ipv4_dst", OPENFLOW_BASIC, 12, 4),
        _field("tcp_src", OPENFLOW_BASIC, 13, 2),
        _field("tcp_dst", OPENFLOW_BASIC, 14, 2),
        _field("udp_src", OPENFLOW_BASIC, 15, 2),
        _field("udp_dst", OPENFLOW_BASIC, 16, 2),
        _field("icmp_type", OPENFLOW_BASIC, 19, 1),
        _field("arp_op", OPENFLOW_BASIC, 21, 2),
        _field("arp_spa", OPENFLOW_BASIC, 22, 4),
        _field("arp_tpa", OPENFLOW_BASIC, 23, 4),
        _field("arp_sha", OPENFLOW_BASIC, 24, 6),
        _field("arp_tha", OPENFLOW_BASIC, 25, 6),
        *(_field(f"reg{number}", NXM_1, number, 4) for number in range(8)),
        _field("ct_state", NXM_1, 105, 4, bits=8),
        _field("ct_zone", NXM_1, 106, 2),
        _field("ct_mark", NXM_1, 107, 4),
        _field("nsh_spi", EXPERIMENTER, 4, 4, bits=24),
        _field("nsh_si", EXPERIMENTER, 5, 1),
        _field("nsh_ttl", EXPERIMENTER, 10, 1, bits=6),
    )
}

_BY_HEADER: dict[bytes, tuple[Field, bool]] = {f.header: (f, False) for f in FIELDS.values()} | {
    f.masked_header: (f, True) for f in FIELDS.values()
}
# Open vSwitch names the fields of a move or a load by their older Nicira headers.
for _name, _class, _number in (
    ("eth_dst", NXM_0, 1),
    ("eth_src", NXM_0, 2),
    ("eth_type", NXM_0, 3),
    ("ip_proto", NXM_0, 6),
    ("ipv4_src", NXM_0, 7),
    ("ipv4_dst", NXM_0, 8),
    ("tcp_src", NXM_0, 9),
    ("tcp_dst", NXM_0, 10),
    ("udp_src", NXM_0, 11),
    ("udp_dst", NXM_0, 12),
    ("icmp_type", NXM_0, 13),
    ("arp_op", NXM_0, 15),
    ("arp_spa", NXM_0, 16),
    ("arp_tpa", NXM_0, 17),
    ("arp_sha", NXM_1, 17),
    ("arp_tha", NXM_1, 18),
):
    _alias = _field(_name, _class, _number, FIELDS[_name].size)
    _BY_HEADER[_alias.header] = (FIELDS[_name], False)
    _BY_HEADER[_alias.masked_header] = (FIELDS[_name], True)


def field_named(name: str) -> Field:
    """The field of this name, a foreign `oxm_<header>` one included. Raises ValueError for any other name."""
    found = FIELDS.get(name)
    if found is not None:
        return found
    if not name.startswith("oxm_"):
        raise ValueError(f"field {name!r}: expected one of {', '.join(FIELDS)}")
    header = bytes.fromhex(name[4:])
    word = _U32.unpack_from(header)[0]
    size = (word & 0xFF) - (len(header) - 4)
    masked = _U32.pack((word | 0x100) + size) + header[4:]
    return Field(name, header, masked, size, (1 << 8 * size) - 1)


def encode_field(name: str, value: int, mask: int | None = None) -> bytes:
    """One OXM. Raises ValueError or OverflowError where the value does not fit the field."""
    field = FIELDS.get(name) or field_named(name)
    size = field.size
    if mask is None:
        return field.header + value.to_bytes(size, "big")
    return field.masked_header + value.to_bytes(size, "big") + mask.to_bytes(size, "big")


def encode_match(match: Match) -> bytes:
    """An `ofp_match` of type OXM, padded to 8 bytes. Prerequisites come first: a switch refuses them after."""
    if len(match) > 1:
        match = tuple([p for p in match if p[0] in PREREQUISITES] + [p for p in match if p[0] not in PREREQUISITES])
    oxms = b"".join([encode_field(name, value, mask) for name, value, mask in match])
    length = 4 + len(oxms)
    return b"\x00\x01" + _U16.pack(length) + oxms + bytes(-length % 8)


def decode_header(buf: bytes, offset: int, end: int) -> tuple[Field, bool, int]:
    """The field whose header stands at `offset`, whether a mask follows, and where its value begins."""
    if offset + 4 > end:
        raise BadMessage(f"OXM header at {offset}: expected 4 bytes before {end}")
    start = offset + (8 if buf[offset] == 0xFF and buf[offset + 1] == 0xFF else 4)
    if start > end:
        raise BadMessage(f"experimenter OXM at {offset}: expected 8 bytes before {end}")
    header = bytes(buf[offset:start])
    known = _BY_HEADER.get(header)
    if known is not None:
        return known[0], known[1], start
    word = _U32.unpack_from(header)[0]
    masked = bool(word & 0x100)
    width = (word & 0xFF) - (len(header) - 4)
    if width < 1 or (masked and width % 2):
        raise BadMessage(f"OXM {header.hex()}: length {word & 0xFF} does not fit")
    size = width // 2 if masked else width
    plain = _U32.pack((word & ~0x1FF) | (size + len(header) - 4)) + header[4:]
    return field_named(f"oxm_{plain.hex()}"), masked, start


def decode_field(buf: bytes, offset: int, end: int) -> tuple[str, int, int | None, int]:
    """The OXM at `offset` as (name, value, mask, where the next begins); a mask of all bits is None."""
    field, masked, offset = decode_header(buf, offset, end)
    size = field.size
    after = offset + (2 * size if masked else size)
    if after > end:
        raise BadMessage(f"OXM {field.name} at {offset}: expected {after - offset} bytes before {end}")
    value = int.from_bytes(buf[offset : offset + size], "big")
    if not masked:
        return field.name, value, None, after
    mask = int.from_bytes(buf[offset + size : after], "big")
    return field.name, value, None if mask & field.full == field.full else mask, after


def decode_match(buf: bytes, offset: int, end: int) -> tuple[Match, int]:
    """The `ofp_match` at `offset`, sorted, and where its padding ends. A mask of no bits drops the field."""
    try:
        kind = _U16.unpack_from(buf, offset)[0]
        length = _U16.unpack_from(buf, offset + 2)[0]
    except struct_error as error:
        raise BadMessage(f"match at {offset}: {error}") from error
    after = offset + (length + 7) // 8 * 8
    if kind != 1 or length < 4 or after > end:
        raise BadMessage(f"match at {offset}: type {kind} and length {length} before {end}")
    stop = offset + length
    offset += 4
    found = []
    while offset < stop:
        name, value, mask, offset = decode_field(buf, offset, stop)
        if mask != 0:
            found.append((name, value, mask))
    if len(found) > 1:
        found.sort(key=lambda part: part[0])
    return tuple(found), after
