"""HTTP/1.1 as far as the servant needs it. In: bytes. Out: requests, and bytes of answers. Pure: no sockets, no clock."""

from __future__ import annotations

import json
from dataclasses import dataclass
from http import HTTPStatus

HEAD_LIMIT = 8192
BODY_LIMIT = 1 << 20


class BadRequest(ValueError):
    """A request that cannot be understood; `status` is what to answer before the connection is closed."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True)
class Request:
    """A request whose body was skipped; `size` is how many bytes of the buffer it took."""

    method: str
    path: str
    keep_alive: bool
    size: int


def parse(buffer: bytes | bytearray) -> Request | None:
    """The first request in `buffer`, None while it is incomplete. Raises BadRequest."""
    end = buffer.find(b"\r\n\r\n", 0, HEAD_LIMIT)
    if end < 0:
        if len(buffer) >= HEAD_LIMIT:
            raise BadRequest(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, f"the head is longer than {HEAD_LIMIT} bytes")
        return None
    lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    words = lines[0].split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0"):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "expected METHOD PATH HTTP/1.1")
    headers = {
        name.strip().lower(): value.strip().lower() for name, _, value in (line.partition(":") for line in lines[1:])
    }
    if "transfer-encoding" in headers:
        raise BadRequest(HTTPStatus.NOT_IMPLEMENTED, "bodies need a Content-Length")
    length = headers.get("content-length", "0")
    if not (length.isascii() and length.isdigit()):
        raise BadRequest(HTTPStatus.BAD_REQUEST, "Content-Length is no number")
    if len(length) > 9 or int(length) > BODY_LIMIT:
        raise BadRequest(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {BODY_LIMIT} bytes")
    size = end + 4 + int(length)
    if len(buffer) < size:
        return None
    connection = headers.get("connection", "")
    keep_alive = connection != "close" if words[2] == "HTTP/1.1" else connection == "keep-alive"
    return Request(words[0], words[1], keep_alive, size)


def head(
    status: HTTPStatus, length: int, servant: str, keep_alive: bool, *, content_type: str = "application/json"
) -> bytes:
    """The head of an answer of `length` bytes."""
    kept = "keep-alive" if keep_alive else "close"
    return (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n"
        f"X-Servant: {servant}\r\nConnection: {kept}\r\n\r\n"
    ).encode("latin-1")


def answer(status: HTTPStatus, servant: str, keep_alive: bool, **facts: object) -> bytes:
    """A whole answer in JSON that names the servant."""
    body = json.dumps({"servant": servant, **facts}).encode() + b"\n"
    return head(status, len(body), servant, keep_alive) + body
