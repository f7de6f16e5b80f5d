"""The guards accept what switches send, refuse what hangs Ryu, and leave nothing that hangs Ryu (fuzzed)."""

import contextlib
import os
import random
import signal
import struct
import subprocess
import sys

import pytest

from sdn_app.openflow import guards
from tests.unit.openflow.hostile import BROKEN, VALID, message


@pytest.mark.parametrize("name", VALID)
def test_valid_messages_pass(name: str) -> None:
    buf = VALID[name]
    guards.check(buf[0], buf[1], buf)


@pytest.mark.parametrize("name", BROKEN)
def test_broken_messages_are_refused(name: str) -> None:
    buf = BROKEN[name]
    with pytest.raises(guards.BadMessage):
        guards.check(buf[0], buf[1], buf)


@pytest.mark.parametrize("name", VALID)
def test_every_cut_of_a_message_is_judged_without_another_exception(name: str) -> None:
    for size in range(8, len(VALID[name])):
        buf = bytearray(VALID[name][:size])
        struct.pack_into("!H", buf, 2, size)
        with contextlib.suppress(guards.BadMessage):
            guards.check(buf[0], buf[1], bytes(buf))


def test_other_versions_are_refused_except_in_hello() -> None:
    guards.check(1, 0, message(0, version=1))
    with pytest.raises(guards.BadMessage):
        guards.check(1, 2, message(2, version=1))


def test_padding_after_a_hello_element_is_removed() -> None:
    padded = message(0, struct.pack("!HHII4x", 1, 12, 0x10, 0), version=6)
    assert guards.plain_hello(padded) == message(0, struct.pack("!HHI", 1, 8, 0x10), version=6)


def mutate(rng: random.Random) -> bytes:
    """A valid message with some 8- or 16-bit words overwritten, or cut, its header's length being right."""
    buf = bytearray(rng.choice(list(VALID.values())))
    for _ in range(rng.randint(1, 4)):
        if len(buf) > 10:
            at = rng.randrange(8, len(buf) - 1)
            at -= at % 2 if rng.random() < 0.8 else 0
            struct.pack_into("!H", buf, at, rng.choice((0, 0, 1, 3, 4, 7, 8, 12, 16, 24, 0xFFFF, rng.randrange(65536))))
    if rng.random() < 0.2:
        del buf[rng.randrange(8, len(buf) + 1) :]
    struct.pack_into("!H", buf, 2, len(buf))
    return bytes(buf)


def fuzz(seed: int, rounds: int) -> None:
    """Feed mutated messages through the guards to Ryu; the alarm ends the process when one takes two seconds."""
    from ryu.ofproto import ofproto_protocol, ofproto_v1_3_parser

    datapath = ofproto_protocol.ProtocolDesc(version=4)
    rng = random.Random(seed)
    passed = 0
    for _ in range(rounds):
        buf = mutate(rng)
        sys.stdout.write(buf.hex() + "\n")
        signal.alarm(2)
        try:
            guards.check(buf[0], buf[1], buf)
        except guards.BadMessage:
            continue
        passed += 1
        if buf[1] == 0:
            buf = guards.plain_hello(buf)
        try:
            ofproto_v1_3_parser.msg_parser(datapath, buf[0], buf[1], len(buf), 7, buf)
        except Exception:
            continue  # the connection's loop skips it and counts it
    assert passed > rounds / 20


@pytest.mark.parametrize("seed", range(4))
def test_nothing_that_passes_hangs_ryu(seed: int) -> None:
    rounds = int(os.environ.get("FUZZ_ROUNDS", "5000"))
    code = f"import tests.unit.openflow.test_guards as t; t.fuzz({seed}, {rounds})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120 + rounds / 500)
    assert run.returncode == 0, f"{run.stderr[-500:]} last message: {run.stdout.splitlines()[-1:]}"
