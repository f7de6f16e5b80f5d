"""Structural validation of what a switch sends, before any parser sees it.

Ryu's parser steps through nested elements by lengths that the peer wrote: a zero never ends, a cut one reads into its
neighbour (CVE-2024-34483, -34484, -34486 to -34489, CVE-2024-28732, CVE-2020-35141). In: the raw bytes of one message.
Out: nothing, or `BadMessage` with the reason. Every length that Ryu steps by must move forward, stay inside its parent,
and be the exact size where Ryu steps by a constant instead of by what stands on the wire. No ryu import, no I/O, and it
must not judge values (an unknown field or action is not malformed).
"""

import struct
from collections.abc import Callable

OFP13 = 4
HEADER = 8
HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, EXPERIMENTER = 0, 1, 2, 3, 4
FEATURES_REPLY, GET_CONFIG_REPLY, PACKET_IN, FLOW_REMOVED, PORT_STATUS = 6, 8, 10, 11, 12
MULTIPART_REPLY, BARRIER_REPLY, QUEUE_GET_CONFIG_REPLY, ROLE_REPLY, GET_ASYNC_REPLY = 19, 21, 23, 25, 27

MAX_HELLO = 1024
"""A HELLO names protocol versions; 1 KiB holds thousands. Ryu expands every bit of it into an integer."""

_NX_EXPERIMENTER = 0x2320
_NXAST_CT = 35
_NXAST_CONTROLLER2 = 37
_NXAC2PT_USERDATA = 3
_MAX_DEPTH = 4
_SET_FIELD = 25
_ACTION_EXPERIMENTER = 0xFFFF
_ACTION_SIZES = {0: 16, **dict.fromkeys((11, 12, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 26, 27), 8)}
"""Exact sizes of the actions for which Ryu advances by a constant."""
_INSTRUCTION_SIZES = {1: 8, 2: 24, 6: 8}
_INSTRUCTIONS_WITH_ACTIONS = (3, 4, 5)
_BAND_TYPES = (1, 2, 0xFFFF)
_QUEUE_RATES = (1, 2)

_Unpack = Callable[[bytes, int], tuple[int, ...]]
_U16: _Unpack = struct.Struct("!H").unpack_from
_U16X2: _Unpack = struct.Struct("!HH").unpack_from
_U32: _Unpack = struct.Struct("!I").unpack_from
_HEAD = struct.Struct("!BBHI").unpack_from


class BadMessage(ValueError):
    """A message whose structure is broken; `str()` is the reason. The connection that sent it ends."""


def _need(condition: bool, reason: str) -> None:
    if not condition:
        raise BadMessage(reason)


def _round8(length: int) -> int:
    return (length + 7) // 8 * 8


def _lengths(buf: bytes, off: int, end: int, name: str) -> tuple[int, int]:
    """(type, length) of a TLV at `off`, its length at least its own header and inside the parent."""
    _need(off + 4 <= end, f"{name} cut")
    type_, length = _U16X2(buf, off)
    _need(length >= 4, f"{name} length {length}")
    _need(off + length <= end, f"{name} exceeds its parent")
    return type_, length


def _oxm(buf: bytes, off: int, end: int) -> int:
    """Check one OXM TLV; return where it ends."""
    _need(off + 4 <= end, "OXM header cut")
    (header,) = _U32(buf, off)
    length = header & 0xFF
    value = length - 4 if header >> 16 == 0xFFFF else length
    _need(value >= (2 if header & 0x100 else 1), "OXM without a value")
    _need(off + 4 + length <= end, "OXM exceeds its parent")
    return off + 4 + length


def _match(buf: bytes, off: int, end: int) -> int:
    """Check an ofp_match; return where its padding ends."""
    type_, length = _lengths(buf, off, end, "match")
    _need(type_ == 1, f"match type {type_}")
    stop = off + length
    _need(off + _round8(length) <= end, "match padding cut")
    off += 4
    while off < stop:
        off = _oxm(buf, off, stop)
    return (stop - length) + _round8(length)


def _controller2(buf: bytes, off: int, end: int) -> None:
    """Properties of NXAST_CONTROLLER2, walked with Ryu's own strides, which take padding for properties.

    Only user data's length moves Ryu, so only that one is judged.
    """
    while off + 4 <= end:
        type_, length = _U16X2(buf, off)
        size = 4
        if type_ == _NXAC2PT_USERDATA:
            _need(length >= 4, f"user data length {length}")
            size = (length - 1) // 4 * 4
            size += 4 if size > 4 and size % 8 == 0 else 0
        off += 4 + size


def _action(buf: bytes, off: int, type_: int, length: int, depth: int) -> None:
    exact = _ACTION_SIZES.get(type_)
    if exact is not None:
        _need(length == exact, f"action {type_} length {length}")
    elif type_ == _SET_FIELD:
        _oxm(buf, off + 4, off + length)
    elif type_ == _ACTION_EXPERIMENTER and _U32(buf, off + 4)[0] == _NX_EXPERIMENTER:
        _need(length >= 16, f"Nicira action length {length}")
        (subtype,) = _U16(buf, off + 8)
        if subtype == _NXAST_CT:
            _need(length >= 24, f"ct action length {length}")
            _actions(buf, off + 24, off + length, depth + 1)
        elif subtype == _NXAST_CONTROLLER2:
            _controller2(buf, off + 16, off + length)


def _actions(buf: bytes, off: int, end: int, depth: int = 0) -> None:
    _need(depth < _MAX_DEPTH, "actions nested too deeply")
    while off < end:
        type_, length = _lengths(buf, off, end, "action")
        _need(length >= 8 and length % 8 == 0, f"action {type_} length {length}")
        _action(buf, off, type_, length, depth)
        off += length


def _instructions(buf: bytes, off: int, end: int) -> None:
    while off < end:
        type_, length = _lengths(buf, off, end, "instruction")
        _need(length == _INSTRUCTION_SIZES.get(type_, length), f"instruction {type_} length {length}")
        if type_ in _INSTRUCTIONS_WITH_ACTIONS:
            _need(length >= 8, f"instruction {type_} length {length}")
            _actions(buf, off + 8, off + length)
        off += length


def _flow_stats(buf: bytes, off: int, end: int) -> int:
    _need(off + 56 <= end, "flow entry cut")
    (length,) = _U16(buf, off)
    stop = off + length
    _need(length >= 56 and stop <= end, f"flow entry length {length}")
    _instructions(buf, _match(buf, off + 48, stop), stop)
    return stop


def _counted(size: int, unit: int, at: int) -> Callable[[bytes, int, int], int]:
    """An entry of `size` bytes plus any number of `unit` bytes, its length being 16 bits at `at`."""

    def entry(buf: bytes, off: int, end: int) -> int:
        _need(off + size <= end, "statistics entry cut")
        (length,) = _U16(buf, off + at)
        _need(length >= size and (length - size) % unit == 0, f"statistics entry length {length}")
        _need(off + length <= end, "statistics entry exceeds the message")
        return off + length

    return entry


def _fixed(size: int) -> Callable[[bytes, int, int], int]:
    def entry(buf: bytes, off: int, end: int) -> int:
        _need(off + size <= end, "statistics entry cut")
        return off + size

    return entry


def _group_desc(buf: bytes, off: int, end: int) -> int:
    _need(off + 8 <= end, "group description cut")
    (length,) = _U16(buf, off)
    stop = off + length
    _need(length >= 8 and stop <= end, f"group description length {length}")
    off += 8
    while off < stop:
        _need(off + 16 <= stop, "bucket cut")
        (size,) = _U16(buf, off)
        _need(size >= 16 and off + size <= stop, f"bucket length {size}")
        _actions(buf, off + 16, off + size)
        off += size
    return stop


def _meter_config(buf: bytes, off: int, end: int) -> int:
    _need(off + 8 <= end, "meter configuration cut")
    (length,) = _U16(buf, off)
    stop = off + length
    _need(length >= 8 and stop <= end, f"meter configuration length {length}")
    off += 8
    while off < stop:
        type_, size = _lengths(buf, off, stop, "meter band")
        _need(size == 16 if type_ in _BAND_TYPES else size >= 12, f"meter band length {size}")
        off += size
    return stop


def _table_features(buf: bytes, off: int, end: int) -> int:
    _need(off + 64 <= end, "table features cut")
    (length,) = _U16(buf, off)
    stop = off + length
    _need(length >= 64 and stop <= end, f"table features length {length}")
    off += 64
    while off < stop:
        type_, size = _lengths(buf, off, stop, "table property")
        _property(buf, off + 4, off + size, type_)
        off += _round8(size)
    return stop


def _property(buf: bytes, off: int, end: int, type_: int) -> None:
    if type_ in (2, 3):
        _need(end - off <= 256, "more next tables than there are tables")
    elif type_ in (0, 1, 4, 5, 6, 7):
        while off < end:
            off += _lengths(buf, off, end, "identifier")[1]
    elif type_ in (8, 10, 12, 13, 14, 15):
        while off < end:
            _need(off + 4 <= end, "OXM identifier cut")
            off += 8 if _U16(buf, off)[0] == 0xFFFF else 4
        _need(off == end, "OXM identifier cut")
    elif type_ >= 0xFFFE:
        _need(end - off >= 8 and (end - off) % 4 == 0, "experimenter property cut")


_ENTRIES: dict[int, Callable[[bytes, int, int], int]] = {
    0: _fixed(1056),
    1: _flow_stats,
    2: _fixed(24),
    3: _fixed(24),
    4: _fixed(112),
    5: _fixed(40),
    6: _counted(40, 16, 0),
    7: _group_desc,
    8: _fixed(40),
    9: _counted(40, 16, 4),
    10: _meter_config,
    11: _fixed(16),
    12: _table_features,
    13: _fixed(64),
}
_SINGLE = (0, 2, 8, 11, 0xFFFF)


def _multipart(buf: bytes) -> None:
    end = len(buf)
    _need(end >= 16, "multipart reply cut")
    (kind,) = _U16(buf, 8)
    _need(kind not in _SINGLE or end >= 24, "multipart reply without a body")
    entry = _ENTRIES.get(kind)
    off = 16
    while entry is not None and off < end:
        off = entry(buf, off, end)


def _hello_versions(buf: bytes) -> bytes | None:
    """The first word of the version bitmap of a HELLO, or None without one."""
    _need(len(buf) <= MAX_HELLO, f"HELLO of {len(buf)} bytes")
    off, end, word = HEADER, len(buf), None
    while off < end:
        type_, length = _lengths(buf, off, end, "HELLO element")
        if type_ == 1:
            _need(length % 4 == 0, f"version bitmap length {length}")
            word = buf[off + 4 : off + 8] if length >= 8 and word is None else word
        off += _round8(length)
    return word


def plain_hello(buf: bytes) -> bytes:
    """The same HELLO with at most one version bitmap of one word, without padding (Ryu reads that as an element)."""
    version, _, _, xid = _HEAD(buf)
    word = _hello_versions(buf)
    body = b"" if word is None else struct.pack("!HH", 1, 8) + word
    return struct.pack("!BBHI", version, HELLO, HEADER + len(body), xid) + body


def _hello(buf: bytes) -> None:
    _hello_versions(buf)


def _error(buf: bytes) -> None:
    _need(len(buf) >= 12, "error message cut")
    _need(_U16(buf, 8)[0] != 0xFFFF or len(buf) >= 16, "experimenter error cut")


def _packet_in(buf: bytes) -> None:
    _need(len(buf) >= 34, "packet-in cut")
    _need(_match(buf, 24, len(buf)) + 2 <= len(buf), "packet-in padding cut")


def _flow_removed(buf: bytes) -> None:
    _need(len(buf) >= 56, "flow-removed cut")
    _match(buf, 48, len(buf))


def _queue_config(buf: bytes) -> None:
    end = len(buf)
    _need(end >= 16, "queue configuration cut")
    off = 16
    while off < end:
        _need(off + 16 <= end, "queue cut")
        (length,) = _U16(buf, off + 8)
        stop = off + length
        _need(length >= 16 and stop <= end, f"queue length {length}")
        off += 16
        while off < stop:
            type_, size = _lengths(buf, off, stop, "queue property")
            _need(size == 16 if type_ in _QUEUE_RATES else 16 <= size <= 1024, f"queue property length {size}")
            off += size


def _at_least(size: int, name: str) -> Callable[[bytes], None]:
    def check_size(buf: bytes) -> None:
        _need(len(buf) >= size, f"{name} cut")

    return check_size


_CHECKS: dict[int, Callable[[bytes], None]] = {
    HELLO: _hello,
    ERROR: _error,
    ECHO_REQUEST: _at_least(HEADER, "echo request"),
    ECHO_REPLY: _at_least(HEADER, "echo reply"),
    EXPERIMENTER: _at_least(16, "experimenter message"),
    FEATURES_REPLY: _at_least(32, "features reply"),
    GET_CONFIG_REPLY: _at_least(12, "configuration reply"),
    PACKET_IN: _packet_in,
    FLOW_REMOVED: _flow_removed,
    PORT_STATUS: _at_least(80, "port status"),
    MULTIPART_REPLY: _multipart,
    BARRIER_REPLY: _at_least(HEADER, "barrier reply"),
    QUEUE_GET_CONFIG_REPLY: _queue_config,
    ROLE_REPLY: _at_least(24, "role reply"),
    GET_ASYNC_REPLY: _at_least(32, "asynchronous configuration"),
}


def check(version: int, msg_type: int, buf: bytes) -> None:
    """Raise `BadMessage` unless `buf` is one whole message that a switch may send.

    Any version is accepted for a HELLO (it is how versions are agreed on), only OpenFlow 1.3 for all else.
    """
    _need(len(buf) >= HEADER and _U16(buf, 2)[0] == len(buf), "message length is not what its header says")
    _need(version >= 1 if msg_type == HELLO else version == OFP13, f"OpenFlow version {version}")
    checker = _CHECKS.get(msg_type)
    if checker is None:
        raise BadMessage(f"message type {msg_type} is not one that a switch sends")
    checker(buf)
