"""ESP in tunnel mode (RFC 4303) with AES-GCM and a 16-octet tag (RFC 4106): seals packets, opens them, refuses what is not fresh.

In: IP packets or ESP, wall-clock seconds, a source of random bits. Out: ESP or IP packets. Pure but for its state. A nonce is
never used twice, though no counter survives a restart: every sender draws an *epoch*, derives a traffic key and salt of its
own from it (HKDF, RFC 5869), and counts from 1 in it. Layout of what RFC 4106 leaves to the sender:

    SPI  32 bits: key id (8) | epoch, bits 63-40          IV  64 bits: epoch, bits 39-0 | sequence number (24)

An epoch is the time in units of 16 s (28 bits) and 36 random bits. Two epochs of one key and direction meet only if they start
in the same 16 s and draw alike: 2^-36 for each such pair. It ends after a minute or 2^24-1 packets, so 32-bit sequence
numbers suffice, and a receiver that has just started takes no recording older than MAXIMUM_AGE_S for a new sender.
"""

from __future__ import annotations

import hmac
from array import array
from collections.abc import Callable, Mapping

from encryption.gcm import SALT_OCTETS, TAG_OCTETS, Opening, Sealing
from encryption.keys import KEY_OCTETS, KeyRing

EPOCH_UNIT_S = 16
EPOCH_LIFE_S = 60
CLOCK_TOLERANCE_S = 60
MAXIMUM_AGE_S = EPOCH_UNIT_S + EPOCH_LIFE_S + CLOCK_TOLERANCE_S
TIME_BITS, RANDOM_BITS = 28, 36
PACKETS_AN_EPOCH = (1 << 24) - 1
WINDOW = 2048  # a power of two
MOST_EPOCHS = 1024
HEADER_OCTETS = 16  # SPI, sequence number, IV
OVERHEAD_OCTETS = HEADER_OCTETS + 2 + TAG_OCTETS  # with pad length and next header, without padding
IN_IPV4, IN_IPV6 = 4, 41  # next header: what the tunnel carries
_TRAILERS = {
    next_header: tuple(bytes(range(1, pad + 1)) + bytes((pad, next_header)) for pad in (2, 1, 0, 3))
    for next_header in (IN_IPV4, IN_IPV6)
}  # by the packet's length modulo 4


class Refused(Exception):
    """A packet that is not let through; `reason` is a label of few values."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def traffic_key(key: bytes, direction: str, key_id: int, epoch: int) -> tuple[bytes, bytes]:
    """Key and salt of one epoch in one direction. The direction keeps a sender's own packets from being played back to it."""
    info = b"sfc-lab esp 1 " + direction.encode() + bytes((key_id,)) + epoch.to_bytes(8, "big")
    seed = hmac.digest(bytes(32), key, "sha256")
    first = hmac.digest(seed, info + b"\x01", "sha256")
    second = hmac.digest(seed, first + info + b"\x02", "sha256")
    material = first + second
    return material[:KEY_OCTETS], material[KEY_OCTETS : KEY_OCTETS + SALT_OCTETS]


class Sender:
    """Seals packets of one direction under the ring's sending key."""

    def __init__(self, ring: KeyRing, direction: str, random_bits: Callable[[int], int], now_s: float) -> None:
        self._direction = direction
        self._random_bits = random_bits
        self.load(ring, now_s)

    def load(self, ring: KeyRing, now_s: float) -> None:
        """Use another ring from the next packet on."""
        self._key, self.key_id = ring.keys[ring.sending], ring.sending
        self._renew(now_s)

    def tick(self, now_s: float) -> None:
        """Begin a new epoch where the old one is used up. Called at least every second while packets pass."""
        self._now_s = now_s
        if not self._began_s <= now_s < self._began_s + EPOCH_LIFE_S:
            self._renew(now_s)

    def _renew(self, now_s: float) -> None:
        self._now_s = self._began_s = now_s
        started = int(now_s) // EPOCH_UNIT_S % (1 << TIME_BITS)
        epoch = started << RANDOM_BITS | self._random_bits(RANDOM_BITS)
        self._spi = bytes((self.key_id,)) + (epoch >> 40).to_bytes(3, "big")
        self._iv = (epoch & (1 << 40) - 1) << 24
        self._sequence = 0
        self._seal = Sealing(*traffic_key(self._key, self._direction, self.key_id, epoch)).seal

    def seal(self, packet: bytes, next_header: int) -> bytes:
        """ESP that carries `packet`, from SPI to tag."""
        if self._sequence == PACKETS_AN_EPOCH:
            self._renew(self._now_s)
        self._sequence = sequence = self._sequence + 1
        associated = self._spi + sequence.to_bytes(4, "big")
        iv = (self._iv | sequence).to_bytes(8, "big")
        return associated + iv + self._seal(iv, associated, packet + _TRAILERS[next_header][len(packet) & 3])


class Epoch:
    """What a receiver knows of one sender's epoch. `seen[n % WINDOW]` is the last number of that slot that was accepted.

    Within the window every number has a slot of its own, so a number was seen if and only if its slot holds it (RFC 6479's
    window without its bitmap: nothing has to be cleared when it moves).
    """

    __slots__ = ("_highest", "_seen", "open", "received_until_s")

    def __init__(self, opening: Opening, received_until_s: float) -> None:
        self.open = opening.open
        self.received_until_s = received_until_s
        self._seen = array("I", bytes(4 * WINDOW))
        self._highest = 0

    def fresh(self, sequence: int) -> bool:
        """Whether `sequence` may still be accepted."""
        return sequence > self._highest - WINDOW and self._seen[sequence & WINDOW - 1] != sequence

    def accept(self, sequence: int) -> None:
        """Note an authentic number."""
        self._seen[sequence & WINDOW - 1] = sequence
        if sequence > self._highest:
            self._highest = sequence


class Receiver:
    """Opens packets of one direction under any key of the ring. It remembers a sender's epoch until its time alone refuses it."""

    def __init__(self, ring: KeyRing, direction: str, now_s: float) -> None:
        self._direction = direction
        self._epochs: dict[bytes, Epoch] = {}  # by SPI and the epoch's part of the IV
        self._now_s = now_s
        self._keys: Mapping[int, bytes] = ring.keys

    @property
    def epochs(self) -> int:
        """How many epochs are remembered."""
        return len(self._epochs)

    def load(self, ring: KeyRing) -> None:
        """Use another ring. Epochs of keys that are gone or changed are forgotten; the others keep their windows."""
        kept = {key_id for key_id, key in ring.keys.items() if self._keys.get(key_id) == key}
        self._epochs = {name: epoch for name, epoch in self._epochs.items() if name[0] in kept}
        self._keys = ring.keys

    def tick(self, now_s: float) -> None:
        """Take note of the time and forget what is too old. Called at least every second while packets pass."""
        self._now_s = now_s
        if any(epoch.received_until_s <= now_s for epoch in self._epochs.values()):
            self._epochs = {name: epoch for name, epoch in self._epochs.items() if epoch.received_until_s > now_s}

    def open(self, esp: bytes) -> tuple[bytes, int]:
        """The packet that `esp` carries, and its next header. Raises Refused."""
        if len(esp) < OVERHEAD_OCTETS + 2 or len(esp) & 3:
            raise Refused("malformed")
        name = esp[:4] + esp[8:13]
        epoch = self._epochs.get(name)
        known = epoch is not None
        if epoch is None:
            epoch = self._unknown(name)
        sequence = int.from_bytes(esp[4:8], "big")
        if not epoch.fresh(sequence):
            raise Refused("replayed")
        text = epoch.open(esp[8:16], esp[:8], esp[16:])
        if text is None:
            raise Refused("altered" if known else "not_authentic")
        if esp[5:8] != esp[13:16] or not sequence or sequence > PACKETS_AN_EPOCH:
            raise Refused("malformed")
        pad, next_header = text[-2], text[-1]
        if pad > 3 or text[len(text) - pad - 2 :] != bytes(range(1, pad + 1)) + text[-2:]:
            raise Refused("malformed")
        if not known:
            self._epochs[name] = epoch
        epoch.accept(sequence)
        return text[: len(text) - pad - 2], next_header

    def _unknown(self, name: bytes) -> Epoch:
        """The epoch that a packet names, not yet remembered: it becomes known by an authentic packet only."""
        key = self._keys.get(name[0])
        if key is None:
            raise Refused("unknown_key")
        number = int.from_bytes(name[1:], "big")
        age_units = int(self._now_s) // EPOCH_UNIT_S - (number >> RANDOM_BITS)
        age_units = (age_units + (1 << TIME_BITS - 1)) % (1 << TIME_BITS) - (1 << TIME_BITS - 1)
        started_s = (int(self._now_s) // EPOCH_UNIT_S - age_units) * EPOCH_UNIT_S
        if not started_s - CLOCK_TOLERANCE_S <= self._now_s < started_s + MAXIMUM_AGE_S:
            raise Refused("stale")
        if len(self._epochs) >= MOST_EPOCHS:
            raise Refused("too_many_senders")
        return Epoch(Opening(*traffic_key(key, self._direction, name[0], number)), started_s + MAXIMUM_AGE_S)
