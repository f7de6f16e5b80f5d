"""ESP: published vectors, round trips, replays, alterations, nonces over restarts, the age of what is accepted."""

from __future__ import annotations

import random

import pytest
from encryption import esp, selftest
from encryption.esp import IN_IPV4, MAXIMUM_AGE_S, WINDOW, Epoch, Receiver, Refused, Sender
from encryption.gcm import Opening, Sealing
from encryption_support import NOW_S, ipv4, ring, udp
from hypothesis import given
from hypothesis import strategies as st

PACKET = ipv4(udp(b"plain text"))


def sender(sending: int = 1, seed: int = 1, now_s: float = NOW_S) -> Sender:
    return Sender(ring(sending), "to_server", random.Random(seed).getrandbits, now_s)


def receiver(*keys: int, now_s: float = NOW_S) -> Receiver:
    return Receiver(ring(*(keys or (1,))), "to_server", now_s)


def reason(of: Receiver, packet: bytes) -> str:
    with pytest.raises(Refused) as refused:
        of.open(packet)
    return refused.value.reason


def test_the_engine_gives_the_published_vectors() -> None:
    assert selftest.wrong(ring(), NOW_S) == ""
    # NIST's gcmEncryptExtIV256.rsp: 96-bit IV, no associated data, 128-bit text.
    key = bytes.fromhex("31bdadd96698c204aa9ce1448ea94ae1fb4a9a0b3c9d773b51bb1822666b8f22")
    iv = bytes.fromhex("0d18e06c7c725ac9e362e1ce")
    text = bytes.fromhex("2db5168e932556f8089a0622981d017d")
    sealed = bytes.fromhex("fa4362189661d163fcd6a56d8bf0405a" + "d636ac1bbedd5cc3ee727dc2ab4a9489")
    assert Sealing(key, iv[:4]).seal(iv[4:], b"", text) == sealed
    assert Opening(key, iv[:4]).open(iv[4:], b"", sealed) == text


@given(st.binary(min_size=1, max_size=1600), st.sampled_from([esp.IN_IPV4, esp.IN_IPV6]))
def test_what_was_sealed_is_opened_and_does_not_show(packet: bytes, next_header: int) -> None:
    sealed = sender().seal(packet, next_header)
    assert len(sealed) % 4 == 0 and len(sealed) - len(packet) - esp.OVERHEAD_OCTETS in range(4)
    assert len(packet) < 8 or packet not in sealed
    assert receiver().open(sealed) == (packet, next_header)


def test_every_altered_bit_is_refused() -> None:
    sealed = sender().seal(PACKET, IN_IPV4)
    accepting = receiver()
    for bit in range(8 * len(sealed)):
        altered = bytearray(sealed)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Refused):
            accepting.open(bytes(altered))
    assert accepting.epochs == 0
    assert accepting.open(sealed)[0] == PACKET


@given(st.binary(max_size=200))
def test_anything_foreign_is_refused(octets: bytes) -> None:
    with pytest.raises(Refused):
        receiver().open(octets)
    with pytest.raises(Refused):
        receiver().open(b"\x01" + octets)


def test_packets_do_not_come_back_to_their_sender() -> None:
    own = Receiver(ring(), "to_client", NOW_S)
    assert reason(own, sender().seal(PACKET, IN_IPV4)) == "not_authentic"


def test_each_reason_has_its_name() -> None:
    sending, receiving = sender(), receiver()
    first = sending.seal(PACKET, IN_IPV4)
    receiving.open(first)
    assert reason(receiving, first) == "replayed"
    second = sending.seal(PACKET, IN_IPV4)
    assert reason(receiving, second[:-1] + bytes((second[-1] ^ 1,))) == "altered"
    assert reason(receiving, sender(2).seal(PACKET, IN_IPV4)) == "unknown_key"
    assert reason(receiving, b"\1" + second[1:-1]) == "malformed"
    assert reason(receiving, sender(now_s=NOW_S - MAXIMUM_AGE_S).seal(PACKET, IN_IPV4)) == "stale"
    assert reason(receiving, sender(now_s=NOW_S + 100).seal(PACKET, IN_IPV4)) == "stale"


@given(st.lists(st.integers(1, 3 * WINDOW), max_size=300), st.integers(0, 1 << 23))
def test_the_window_accepts_what_a_plain_set_accepts(numbers: list[int], start: int) -> None:
    epoch, seen, highest = Epoch(Opening(bytes(32), bytes(4)), 0), set(), 0
    for number in (start + number for number in numbers):
        expected = number not in seen and number > highest - WINDOW
        assert epoch.fresh(number) is expected
        if expected:
            epoch.accept(number)
            seen.add(number)
            highest = max(highest, number)


@given(st.permutations(range(40)))
def test_packets_in_any_order_are_opened_once_each(order: list[int]) -> None:
    sending, receiving = sender(), receiver()
    sealed = [sending.seal(PACKET + bytes((number,)), IN_IPV4) for number in range(40)]
    assert [receiving.open(sealed[number])[0][-1] for number in order] == order
    assert all(reason(receiving, packet) == "replayed" for packet in sealed)


def nonce(sealed: bytes, key: int = 1, direction: str = "to_server") -> tuple[bytes, bytes]:
    """Traffic key with salt, and IV: what must never be the same for two packets."""
    epoch = int.from_bytes(sealed[1:4] + sealed[8:13], "big")
    return b"".join(esp.traffic_key(ring(key).keys[key], direction, key, epoch)), sealed[8:16]


def test_no_nonce_comes_twice_over_restarts_and_rotations(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(esp, "PACKETS_AN_EPOCH", 7)
    bits, used = random.Random(5).getrandbits, []
    for start in range(200):  # all in the same second
        sending = Sender(ring(1, 2), "to_server", bits, NOW_S)
        used += [nonce(sending.seal(PACKET, IN_IPV4)) for _ in range(20)]
        sending.tick(NOW_S + 61 * (start % 2))
        used += [nonce(sending.seal(PACKET, IN_IPV4))]
        sending.load(ring(2, 1), NOW_S)
        used += [nonce(sending.seal(PACKET, IN_IPV4), 2) for _ in range(3)]
        sending.load(ring(1, 2), NOW_S)
        used += [nonce(sending.seal(PACKET, IN_IPV4))]
    assert len(set(used)) == len(used)


def test_directions_and_keys_have_traffic_keys_of_their_own() -> None:
    made = [
        esp.traffic_key(ring(k).keys[k], d, k, e) for k in (1, 2) for d in ("to_server", "to_client") for e in (1, 2)
    ]
    assert len(set(made)) == 8


def test_an_epoch_ends_with_its_time_and_the_receiver_follows() -> None:
    sending, receiving = sender(), receiver()
    names = set()
    for second in range(0, 600, 5):
        sending.tick(NOW_S + second)
        receiving.tick(NOW_S + second)
        sealed = sending.seal(PACKET, IN_IPV4)
        names.add(sealed[:4] + sealed[8:13])
        assert receiving.open(sealed)[0] == PACKET
        assert receiving.epochs <= 4
    assert len(names) == 10


@given(st.floats(0, 3 * MAXIMUM_AGE_S), st.floats(-59, 59))
def test_what_was_seen_is_never_opened_again_even_after_it_is_forgotten(later_s: float, skew_s: float) -> None:
    sending, receiving = sender(now_s=NOW_S + skew_s), receiver()
    sealed = sending.seal(PACKET, IN_IPV4)
    assert receiving.open(sealed)[0] == PACKET
    receiving.tick(NOW_S + later_s)
    assert reason(receiving, sealed) in ("replayed", "stale")


def test_a_receiver_that_starts_later_takes_the_sender_but_no_old_recording() -> None:
    sending = sender()
    sealed = sending.seal(PACKET, IN_IPV4)
    assert receiver(now_s=NOW_S + 59).open(sending.seal(PACKET, IN_IPV4))[0] == PACKET
    assert reason(receiver(now_s=NOW_S + MAXIMUM_AGE_S), sealed) == "stale"


def test_rotation_in_either_order_loses_nothing() -> None:
    for receiver_first in (True, False):
        sending, receiving = sender(), receiver(1, 2)
        in_flight = sending.seal(PACKET, IN_IPV4)
        steps = [lambda r=receiving: r.load(ring(2, 1)), lambda s=sending: s.load(ring(2, 1), NOW_S)]
        for step in steps if receiver_first else reversed(steps):
            step()
            assert receiving.open(sending.seal(PACKET, IN_IPV4))[0] == PACKET
        assert receiving.open(in_flight)[0] == PACKET
        receiving.load(ring(2))
        assert receiving.open(sending.seal(PACKET, IN_IPV4))[0] == PACKET
        assert reason(receiving, sender(1, 9).seal(PACKET, IN_IPV4)) == "unknown_key"


def test_senders_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(esp, "MOST_EPOCHS", 3)
    receiving = receiver()
    for seed in range(3):
        receiving.open(sender(seed=seed).seal(PACKET, IN_IPV4))
    assert reason(receiving, sender(seed=3).seal(PACKET, IN_IPV4)) == "too_many_senders"
