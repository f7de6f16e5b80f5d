"""Reads what a request carries: its JSON body and its query, strictly.

In: a webob request. Out: plain values, or a `Problem` that says where the text is wrong. Duplicate members, NaN,
Infinity and numbers that no double holds are refused, because two programs would read them differently. Shapes are
`validation`'s matter.
"""

import json
from math import isfinite
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from webob import Request

from sdn_app.api.problems import Fault, Problem

LARGEST_BODY_BYTES = 1 << 20
DRAINED_BYTES = 16 << 20  # read and dropped of a body that is too large, so that its sender gets to see the answer
_BLOCK_BYTES = 1 << 16
_MEDIA_TYPES = ("application/json", "application/merge-patch+json")


def read_bytes(request: Request) -> bytes:
    """The whole body, chunked or not.

    Raises:
        Problem: 413 over `LARGEST_BODY_BYTES`, 400 where it ends early or its chunks are malformed.
    """
    source = request.environ["wsgi.input"]
    length = request.content_length
    if length is None and "HTTP_TRANSFER_ENCODING" not in request.environ:
        return b""
    try:
        if length is not None and length > LARGEST_BODY_BYTES:
            _drain(source)
            raise _too_large()
        wanted = LARGEST_BODY_BYTES + 1 if length is None else length
        data = bytes(source.read(wanted))
        if len(data) > LARGEST_BODY_BYTES:
            _drain(source)
            raise _too_large()
    except TimeoutError:
        raise Problem(408, "the body took too long", headers={"Connection": "close"}) from None
    except (OSError, ValueError) as error:  # eventlet's ways to say that the chunks are malformed or cut
        raise Problem(400, f"the body cannot be read: {error}", headers={"Connection": "close"}) from None
    if length is not None and len(data) < length:
        detail = f"the body ends after {len(data)} of {length} bytes"
        raise Problem(400, detail, headers={"Connection": "close"})
    return data


def parse_json(request: Request, data: bytes) -> Any:
    """The JSON value in `data`.

    Raises:
        Problem: 415 unless the request says that it is JSON, 400 where it is not.
    """
    if request.content_type not in _MEDIA_TYPES or request.charset not in (None, "utf-8", "UTF-8"):
        fault = Fault("Content-Type", request.headers.get("Content-Type", ""), "application/json")
        raise Problem(415, "the body's type is not application/json", [fault], {"Accept": "application/json"})
    try:
        return json.loads(
            data.decode(), object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int
        )
    except UnicodeDecodeError as error:
        raise Problem(400, f"the body is not UTF-8: byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise Problem(400, f"malformed JSON at line {error.lineno}, column {error.colno}: {error.msg}") from None
    except RecursionError:
        raise Problem(400, "the JSON is nested too deeply") from None


def parse_query(text: str) -> dict[str, str]:
    """The query's parameters.

    Raises:
        Problem: 400 where it is malformed or names a parameter twice.
    """
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text), errors="strict", max_num_fields=20)
    except ValueError:
        raise Problem(400, "malformed query", [Fault("?", text, "name=value pairs")]) from None
    query: dict[str, str] = {}
    for name, value in pairs:
        if name in query:
            raise Problem(400, "repeated query parameter", [Fault(f"?{name}", value, "the parameter once")])
        query[name] = value
    return query


def _drain(source: Any) -> None:
    left = DRAINED_BYTES
    while left > 0 and (block := source.read(min(left, _BLOCK_BYTES))):
        left -= len(block)


def _too_large() -> Problem:
    return Problem(413, f"the body is over {LARGEST_BODY_BYTES} bytes", headers={"Connection": "close"})


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for name, value in pairs:
        if name in members:
            raise Problem(400, f"duplicate member {name!r}", [Fault(f"/{name}", value, "each member once")])
        members[name] = value
    return members


def _constant(text: str) -> NoReturn:
    raise Problem(400, f"{text} is not JSON", [Fault("", text, "a finite number")])


def _float(text: str) -> float:
    value = float(text)
    if not isfinite(value):
        raise Problem(400, "a number is too large", [Fault("", text, "a finite number")])
    return value


def _int(text: str) -> int:
    if len(text) > 20:  # no member takes more; Python refuses to parse thousands of digits
        raise Problem(400, "a number is too large", [Fault("", text, "at most 20 digits")])
    return int(text)
