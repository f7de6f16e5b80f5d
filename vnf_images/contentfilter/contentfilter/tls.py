"""The open beginning of TLS: which server a client names.

In: both directions' bytes, in any pieces. Out: client hellos (RFC 8446 section 4.1.2, RFC 6066 section 3), and when there can be no
further one. A server may answer with a HelloRetryRequest; the hello that follows is looked at too. Keeps at most 64 KiB. No I/O.
"""

from __future__ import annotations

from dataclasses import dataclass

from contentfilter.names import BadName, name_of
from contentfilter.refused import malformed_hello

HANDSHAKE = 22
HELLO_LIMIT = 65536
_OTHER_RECORDS = (20, 21, 23)  # change of cipher, alert, data: nothing that names a server
_RECORD_LIMIT = 16384 + 256
_CLIENT_HELLO, _SERVER_HELLO = 1, 2
_SERVER_NAME, _SUPPORTED_VERSIONS = 0, 43
_ENCRYPTED_HELLO = (0xFE0D, 0xFFCE)  # ECH and its forerunner ESNI
_RETRY = bytes.fromhex("cf21ad74e59a6111be1d8c021e65b891c2a211167abb8c5e079e09e2c8a8339c")  # RFC 8446 section 4.1.3


@dataclass(frozen=True, slots=True)
class ClientHello:
    """`name` is in compared form, b"" where there is none; `encrypted` says that another name may be hidden in it; `may_be_retried`
    that it offers TLS 1.3, whose servers can ask for a second one."""

    name: bytes
    encrypted: bool
    may_be_retried: bool


class Handshake:
    """One direction's records, joined to handshake messages."""

    def __init__(self) -> None:
        self._raw = b""  # an unfinished record
        self._joined = bytearray()  # unfinished handshake messages

    def feed(self, data: bytes) -> list[bytes]:
        """The handshake messages that `data` completes, with their headers. Raises Refused."""
        raw = self._raw + data
        messages: list[bytes] = []
        at = 0
        while at < len(raw):
            header = raw[at : at + 5]
            self._check(header)
            end = at + 5 + int.from_bytes(header[3:], "big")
            if len(header) < 5 or len(raw) < end:
                break
            if header[0] == HANDSHAKE:
                self._joined += raw[at + 5 : end]
                self._take(messages)
            elif self._joined:
                raise malformed_hello("another record within a handshake message")
            at = end
        self._raw = raw[at:]
        return messages

    def _check(self, header: bytes) -> None:
        if header[0] != HANDSHAKE and header[0] not in _OTHER_RECORDS:
            raise malformed_hello(f"a record of type {header[0]}")
        if header[1:2] not in (b"", b"\x03"):
            raise malformed_hello(f"a record of version {header[1]}.x")
        if len(header) == 5 and not 0 < int.from_bytes(header[3:], "big") <= _RECORD_LIMIT:
            raise malformed_hello("an empty record, or one of more than 16 KiB")

    def _take(self, messages: list[bytes]) -> None:
        at = 0
        while len(self._joined) >= at + 4:
            end = at + 4 + int.from_bytes(self._joined[at + 1 : at + 4], "big")
            if end - at > HELLO_LIMIT:
                raise malformed_hello(f"a handshake message of more than {HELLO_LIMIT} bytes")
            if len(self._joined) < end:
                break
            messages.append(bytes(self._joined[at:end]))
            at = end
        del self._joined[:at]


class ClientSide:
    """What a client says before everything is encrypted."""

    def __init__(self) -> None:
        self._handshake = Handshake()

    def feed(self, data: bytes) -> list[ClientHello]:
        """The client hellos that `data` completes. Raises Refused."""
        hellos = []
        for message in self._handshake.feed(data):
            if message[0] != _CLIENT_HELLO:
                raise malformed_hello(f"a handshake message of type {message[0]} instead of a client hello")
            hellos.append(hello_of(message))
        return hellos


class ServerSide:
    """What a server says to a client hello. `settled` is True once it took one: the client must not send another."""

    def __init__(self) -> None:
        self._handshake = Handshake()
        self.settled = False

    def feed(self, data: bytes) -> None:
        """Take the server's next bytes. Raises Refused."""
        for message in self._handshake.feed(data):
            if message[0] == _SERVER_HELLO and message[6:38] != _RETRY:
                self.settled = True
                return


def hello_of(message: bytes) -> ClientHello:
    """A whole client hello, header included. Raises Refused."""
    reader = _Reader(message[4:])
    reader.take(2 + 32)  # version, random
    reader.vector(1)  # session
    reader.vector(2)  # ciphers
    reader.vector(1)  # compression
    extensions = _extensions(_Reader(reader.vector(2))) if reader.left else {}
    if reader.left:
        raise malformed_hello("bytes behind the extensions")
    name = _server_name(extensions[_SERVER_NAME]) if _SERVER_NAME in extensions else b""
    encrypted = any(kind in extensions for kind in _ENCRYPTED_HELLO)
    return ClientHello(name, encrypted, may_be_retried=_SUPPORTED_VERSIONS in extensions)


def _extensions(reader: _Reader) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while reader.left:
        kind = int.from_bytes(reader.take(2), "big")
        if kind in found:
            raise malformed_hello(f"extension {kind} twice")
        found[kind] = reader.vector(2)
    return found


def _server_name(extension: bytes) -> bytes:
    outer = _Reader(extension)
    names = _Reader(outer.vector(2))
    kind = names.take(1)
    name = names.vector(2)
    if kind != b"\0" or names.left or outer.left:
        raise malformed_hello("a server name that is not one host name")
    try:
        return name_of(name)
    except BadName as error:
        raise malformed_hello(str(error)) from None


class _Reader:
    """Takes vectors off the front of a structure."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._data) - self._at

    def take(self, count: int) -> bytes:
        if count > self.left:
            raise malformed_hello("a length beyond the end")
        self._at += count
        return self._data[self._at - count : self._at]

    def vector(self, size: int) -> bytes:
        """Bytes behind their length, which takes `size` bytes."""
        return self.take(int.from_bytes(self.take(size), "big"))
