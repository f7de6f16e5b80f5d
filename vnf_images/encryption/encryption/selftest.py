"""Whether the engine itself is sound: a published vector, and a sample under the keys in use. In: a key ring. Out: what is wrong."""

from __future__ import annotations

from encryption.esp import IN_IPV4, Receiver, Refused, Sender
from encryption.gcm import EngineFailed, Opening, Sealing
from encryption.keys import KeyRing

# McGrew and Viega, The Galois/Counter Mode of Operation, test case 16 (AES-256 with associated data), as in NIST's submission.
KEY = bytes.fromhex("feffe9928665731c6d6a8f9467308308" * 2)
SALT, IV = bytes.fromhex("cafebabe"), bytes.fromhex("facedbaddecaf888")
ASSOCIATED = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
TEXT = bytes.fromhex(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
)
SEALED = bytes.fromhex(
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
    "76fc6ece0f4e1768cddf8853bb2d551b"
)
SAMPLE = bytes.fromhex("45000020") + bytes(28)


def wrong(ring: KeyRing, now_s: float) -> str:
    """What is wrong with the engine under these keys; empty when all is well. Not for another thread than the one that seals and opens."""
    try:
        if Sealing(KEY, SALT).seal(IV, ASSOCIATED, TEXT) != SEALED:
            return "AES-GCM does not give the published test vector"
        if Opening(KEY, SALT).open(IV, ASSOCIATED, SEALED) != TEXT:
            return "AES-GCM does not open the published test vector"
        sender = Sender(ring, "self-test", lambda bits: 0, now_s)
        receiver = Receiver(ring, "self-test", now_s)
        sealed = sender.seal(SAMPLE, IN_IPV4)
        try:
            receiver.open(sealed[:-1] + bytes((sealed[-1] ^ 1,)))
            return "an altered packet was opened"
        except Refused:
            pass
        if SAMPLE in sealed or receiver.open(sealed) != (SAMPLE, IN_IPV4):
            return f"key {ring.sending} does not open what it sealed"
    except (EngineFailed, Refused) as error:
        return f"the self-test failed: {error}"
    return ""
