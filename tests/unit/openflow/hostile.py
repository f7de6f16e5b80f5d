"""Messages of every type that a switch sends, and the known ways to break them. Data for the tests beside it."""

import struct


def message(type_: int, body: bytes = b"", version: int = 4) -> bytes:
    return struct.pack("!BBHI", version, type_, 8 + len(body), 7) + body


def multipart(kind: int, body: bytes) -> bytes:
    return message(19, struct.pack("!HHI", kind, 0, 0) + body)


def match(*oxms: bytes) -> bytes:
    body = b"".join(oxms)
    length = 4 + len(body)
    return struct.pack("!HH", 1, length) + body + bytes(-length % 8)


IN_PORT = struct.pack("!II", 0x80000004, 1)
ETH_TYPE = struct.pack("!IH", 0x80000A02, 0x0800)
OUTPUT = struct.pack("!HHIH6x", 0, 16, 1, 128)
SET_FIELD = struct.pack("!HHII4x", 25, 16, 0x80000004, 1)
CT = struct.pack("!HHIHHIHB3xH", 0xFFFF, 40, 0x2320, 35, 1, 0, 5, 255, 0) + OUTPUT
CONTROLLER2 = (
    struct.pack("!HHIH6x", 0xFFFF, 32, 0x2320, 37) + struct.pack("!HHH2x", 0, 8, 128) + struct.pack("!HH4x", 3, 8)
)
LEARN = struct.pack("!HHIHHHHQHBxHH", 0xFFFF, 32, 0x2320, 16, 1, 1, 1, 1, 0, 1, 0, 0)
ACTIONS = OUTPUT + SET_FIELD + CT + CONTROLLER2 + LEARN + struct.pack("!HHI", 22, 8, 3)


def instructions(actions: bytes = ACTIONS) -> bytes:
    return struct.pack("!HHI", 1, 8, 2 << 24) + struct.pack("!HHI", 4, 8 + len(actions), 0) + actions


def flow(fields: bytes, body: bytes) -> bytes:
    return struct.pack("!HBxIIHHHH4xQQQ", 48 + len(fields) + len(body), 0, 1, 1, 1, 0, 0, 0, 1, 1, 1) + fields + body


def bucket(actions: bytes) -> bytes:
    return struct.pack("!HHII4x", 16 + len(actions), 1, 0xFFFFFFFF, 0xFFFFFFFF) + actions


def group(*buckets: bytes) -> bytes:
    body = b"".join(buckets)
    return struct.pack("!HBxI", 8 + len(body), 1, 5) + body


def table(*properties: bytes) -> bytes:
    body = b"".join(p + bytes(-len(p) % 8) for p in properties)
    return struct.pack("!HB5x32sQQII", 64 + len(body), 0, b"classify", 0, 0, 0, 100) + body


def prop(type_: int, body: bytes) -> bytes:
    return struct.pack("!HH", type_, 4 + len(body)) + body


PORT = struct.pack("!I4x6s2x16sIIIIIIII", 1, b"\2\0\0\0\0\1", b"s1-eth1", 0, 0, 0, 0, 0, 0, 0, 0)
QUEUE = struct.pack("!IIH6x", 1, 1, 48) + struct.pack("!HH4xH6x", 1, 16, 10) + struct.pack("!HH4xI4x", 0xFFFF, 16, 1)
BAND = struct.pack("!HHII4x", 1, 16, 10, 10)
METER = struct.pack("!HHI", 24, 1, 1) + BAND

VALID = {
    "hello": message(0, struct.pack("!HHI", 1, 8, 0x10)),
    "hello 1.5": message(0, struct.pack("!HHI", 1, 8, 0x7E), version=6),
    "error": message(1, struct.pack("!HH", 1, 1) + message(14)),
    "echo request": message(2, b"abc"),
    "echo reply": message(3),
    "experimenter": message(4, struct.pack("!II", 0x4F4E4600, 2300) + struct.pack("!IHH", 1, 1, 1)),
    "features": message(6, struct.pack("!QIBBHII", 1, 0, 254, 0, 0, 0, 0)),
    "configuration": message(8, struct.pack("!HH", 0, 128)),
    "packet-in": message(10, struct.pack("!IHBBQ", 0xFFFFFFFF, 14, 0, 0, 1) + match(IN_PORT, ETH_TYPE) + bytes(2 + 14)),
    "flow removed": message(11, struct.pack("!QHBBIIHHQQ", 1, 1, 0, 0, 1, 1, 0, 0, 1, 1) + match(IN_PORT)),
    "port status": message(12, struct.pack("!B7x", 2) + PORT),
    "description": multipart(0, bytes(1056)),
    "flows": multipart(1, flow(match(IN_PORT, ETH_TYPE), instructions()) + flow(match(), instructions(OUTPUT))),
    "aggregate": multipart(2, bytes(24)),
    "tables": multipart(3, bytes(48)),
    "ports": multipart(4, bytes(224)),
    "queues": multipart(5, bytes(80)),
    "groups": multipart(6, struct.pack("!H2xII4xQQII", 56, 1, 1, 1, 1, 1, 1) + bytes(16)),
    "group descriptions": multipart(7, group(bucket(ACTIONS), bucket(OUTPUT)) + group()),
    "group features": multipart(8, bytes(40)),
    "meters": multipart(9, struct.pack("!IH6xIQQII", 1, 56, 1, 1, 1, 1, 1) + bytes(16)),
    "meter configurations": multipart(10, METER + METER),
    "meter features": multipart(11, bytes(16)),
    "table features": multipart(
        12,
        table(
            prop(0, struct.pack("!HHHH", 1, 4, 4, 4)),
            prop(2, b"\1\2\3"),
            prop(4, struct.pack("!HHHH", 0, 4, 25, 4)),
            prop(8, struct.pack("!I", 0x80000004)),
            prop(0xFFFE, struct.pack("!III", 1, 2, 3)),
        ),
    ),
    "port descriptions": multipart(13, PORT + PORT),
    "experimenter multipart": multipart(0xFFFF, bytes(16)),
    "barrier": message(21),
    "queue configuration": message(23, struct.pack("!I4x", 1) + QUEUE),
    "role": message(25, struct.pack("!I4xQ", 1, 0)),
    "asynchronous": message(27, bytes(24)),
}

_GOTO_ZERO = struct.pack("!HHI", 1, 0, 0)
_ZERO_ACTION = struct.pack("!HHI", 0xFFFF, 0, 0x2320)
_ZERO_CT = CT[:24] + struct.pack("!HHI8x", 0xFFFF, 0, 1)
_ZERO_USERDATA = struct.pack("!HHIH6xHH4x", 0xFFFF, 24, 0x2320, 37, 3, 0)
BROKEN = {
    "HELLO element of length 0": message(0, struct.pack("!HHI", 1, 0, 0)),
    "HELLO element cut": message(0, struct.pack("!HH", 1, 64)),
    "HELLO larger than any": message(0, struct.pack("!HH", 1, 2000) + bytes(1996)),
    "CVE-2024-34484 bucket length 0": multipart(7, group(bytes(16))),
    "CVE-2024-34486 queue length 0": message(23, struct.pack("!I4xIIH6x", 1, 1, 1, 0)),
    "CVE-2024-34486 queue property length 0": message(
        23, struct.pack("!I4xIIH6x", 1, 1, 1, 32) + struct.pack("!HH12x", 1, 0)
    ),
    "CVE-2024-34483 group description length 0": multipart(7, struct.pack("!HBxI", 0, 1, 1)),
    "CVE-2024-34487 flow entry length 0": multipart(1, bytes(56)),
    "CVE-2024-34488 instruction length 0": multipart(1, flow(match(IN_PORT), _GOTO_ZERO)),
    "CVE-2024-34489 group length 0": multipart(6, bytes(40)),
    "CVE-2024-28732 table property length 0": multipart(12, table(struct.pack("!HHI", 0, 0, 0))),
    "CVE-2020-35141 queue configuration cut": message(23, struct.pack("!I4xII", 1, 1, 1)),
    "action length 0 in a flow": multipart(1, flow(match(), struct.pack("!HHI", 4, 16, 0) + _ZERO_ACTION)),
    "action length 0 in a bucket": multipart(7, group(bucket(_ZERO_ACTION))),
    "action length 0 in ct": multipart(7, group(bucket(_ZERO_CT))),
    "user data length 0 in controller": multipart(7, group(bucket(_ZERO_USERDATA))),
    "instruction identifier length 0": multipart(12, table(prop(0, bytes(4)))),
    "action identifier length 0": multipart(12, table(prop(4, bytes(4)))),
    "meter band length 0": multipart(10, struct.pack("!HHI", 24, 1, 1) + struct.pack("!HHII4x", 1, 0, 1, 1)),
    "meter configuration length 0": multipart(10, bytes(8)),
    "meter length 0": multipart(9, bytes(40)),
    "table features length 0": multipart(12, bytes(64)),
    "packet-in cut": message(10, bytes(10)),
    "packet-in match too long": message(10, struct.pack("!IHBBQHH", 1, 1, 0, 0, 1, 1, 400) + bytes(20)),
    "OXM without a value": message(10, struct.pack("!IHBBQ", 1, 1, 0, 0, 1) + match(b"\x80\0\0\0") + bytes(2)),
    "error cut": message(1),
    "experimenter cut": message(4, bytes(4)),
    "port status cut": message(12, bytes(8)),
    "features cut": message(6),
    "multipart cut": message(19),
    "a message for switches": message(14, bytes(48)),
    "an unknown type": message(99),
}
"""Most hang Ryu's own parser for ever, the others are cut or make it read into a neighbour."""
