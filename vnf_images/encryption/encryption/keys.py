"""The key file: which keys there are, and which one encrypts.

In: text of lines `<id> = <64 hex digits>` and one line `send = <id>`; `#` starts a comment. Out: a key ring, or one sentence
with the line and the reason. Must never repeat a key's digits in a message.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

KEY_OCTETS = 32
HIGHEST_ID = 255  # it travels in the top octet of the SPI; 0 would make SPIs that RFC 4303 reserves
FILE_LIMIT = 65536
EXPECTED = f"`<id> = <{2 * KEY_OCTETS} hex digits>` or `send = <id>`"


class KeysRefused(ValueError):
    """The file cannot be used; the message has the file, the line and the reason."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Keys by id: all of them decrypt, `sending` encrypts."""

    sending: int
    keys: Mapping[int, bytes]


def parse_keys(text: str, source: str) -> KeyRing:
    """The key ring that `text` describes. Raises KeysRefused."""
    keys: dict[int, bytes] = {}
    sending: tuple[int, int] | None = None
    for number, line in enumerate(text.splitlines(), 1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        name, equals, value = (part.strip() for part in content.partition("="))
        where = f"{source}:{number}"
        if not equals:
            raise KeysRefused(f"{where}: expected {EXPECTED}")
        if name == "send":
            if sending is not None:
                raise KeysRefused(f"{where}: a second `send`; the first is in line {sending[1]}")
            sending = (_key_id(value, where), number)
        else:
            key_id = _key_id(name, where)
            if key_id in keys:
                raise KeysRefused(f"{where}: key {key_id} is there already")
            keys[key_id] = _key(value, where)
            if len(set(keys.values())) != len(keys):
                raise KeysRefused(f"{where}: key {key_id} has the digits of another key")
    if sending is None:
        raise KeysRefused(f"{source}: no line `send = <id>`")
    if sending[0] not in keys:
        raise KeysRefused(f"{source}:{sending[1]}: send = {sending[0]}, but there is no such key")
    return KeyRing(sending[0], keys)


def _key_id(text: str, where: str) -> int:
    if not re.fullmatch(r"[0-9]{1,3}", text) or not 1 <= int(text) <= HIGHEST_ID:
        raise KeysRefused(f"{where}: expected a key's id from 1 to {HIGHEST_ID}, or {EXPECTED}")
    return int(text)


def _key(text: str, where: str) -> bytes:
    if not re.fullmatch(r"[0-9a-fA-F]*", text):
        raise KeysRefused(f"{where}: the key has other signs than hex digits")
    if len(text) != 2 * KEY_OCTETS:
        raise KeysRefused(f"{where}: the key has {len(text)} digits; expected {2 * KEY_OCTETS} (AES-256)")
    key = bytes.fromhex(text)
    if len(set(key)) < 4:
        raise KeysRefused(f"{where}: the key is not random; `openssl rand -hex {KEY_OCTETS}` makes one")
    return key
