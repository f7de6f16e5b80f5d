"""Client and server hellos, built by hand. In: what they should say. Out: handshake messages and records."""

from __future__ import annotations

from contentfilter.tls import _RETRY


def vector(size: int, data: bytes) -> bytes:
    return len(data).to_bytes(size, "big") + data


def extension(kind: int, data: bytes) -> bytes:
    return kind.to_bytes(2, "big") + vector(2, data)


def server_name(name: bytes) -> bytes:
    return extension(0, vector(2, b"\0" + vector(2, name)))


TLS13 = extension(43, vector(1, b"\x03\x04\x03\x03"))
ECH = extension(0xFE0D, b"\0" * 20)


def client_hello(*extensions: bytes) -> bytes:
    body = b"\x03\x03" + bytes(32) + vector(1, b"") + vector(2, b"\x13\x01") + vector(1, b"\0")
    return b"\x01" + vector(3, body + vector(2, b"".join(extensions)))


def server_hello(retry: bool = False) -> bytes:
    random = _RETRY if retry else bytes(32)
    return b"\x02" + vector(3, b"\x03\x03" + random + vector(1, b"") + b"\x13\x01\0" + vector(2, b""))


def records(message: bytes, size: int = 16384, kind: int = 22) -> bytes:
    """The message in records of at most `size` bytes."""
    parts = [message[at : at + size] for at in range(0, len(message), size)]
    return b"".join(bytes((kind, 3, 1)) + vector(2, part) for part in parts)
