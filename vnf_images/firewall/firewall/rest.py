"""The rules over HTTP: `/rules` and `/rules/<id>` on the management server.

In: a request. Out: an answer in JSON; a problem document (RFC 9457) wherever it is not a success. GET changes
nothing; POST takes one rule or a list of them and adds all or none. Must not open sockets.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NoReturn
from urllib.parse import unquote

from vnf.log import log
from vnf.management import Answer, Request

from firewall import kernel
from firewall.kernel import KernelRefused
from firewall.rule import Fault, Refused, Rule
from firewall.rulebook import Conflict, Rulebook, UnknownRule, counts_by_rule

LONGEST_VALUE = 200  # characters of a refused value that are shown again
_ALLOWED = {"rules": ("GET", "POST"), "rule": ("GET", "DELETE")}


def answer(book: Rulebook, request: Request) -> Answer | None:
    """The answer to a request; None where its path is none of the rules'."""
    method, parts = request.method, request.path.strip("/").split("/")
    if parts[0] != "rules" or len(parts) > 2:
        return None
    id = unquote(parts[1]) if len(parts) == 2 else None
    allowed = _ALLOWED["rules" if id is None else "rule"]
    if method not in allowed:
        return problem(405, f"{method} is not possible here", allow=", ".join(allowed))
    try:
        if id is None:
            return _list(book) if method == "GET" else _add(book, request.body)
        return _show(book, id) if method == "GET" else _remove(book, id)
    except Refused as refused:
        return problem(422, str(refused), refused.faults)
    except Conflict as conflict:
        return problem(409, str(conflict))
    except UnknownRule:
        return problem(404, f"there is no rule {id}")
    except KernelRefused as refused:
        log("rules refused by the kernel", error=str(refused))
        return problem(500, f"the kernel refused it, and nothing changed: {refused}")


def problem(status: int, detail: str, faults: Sequence[Fault] = (), allow: str = "") -> Answer:
    """A problem document; long values are cut."""
    errors = [{"member": f.member, "value": _cut(f.value), "expected": f.expected} for f in faults]
    document = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    body = json.dumps({**document, "errors": errors}).encode()
    return Answer(status, "application/problem+json", body, allow)


def _list(book: Rulebook) -> Answer:
    policy = book.held.policy
    document = {"default": policy.default, "mid_stream": policy.mid_stream, "rules": _documents(book)}
    return _json(200, document)


def _show(book: Rulebook, id: str) -> Answer:
    for document in _documents(book):
        if document["id"] == id:
            return _json(200, document)
    raise UnknownRule(id)


def _add(book: Rulebook, body: bytes) -> Answer:
    try:
        given = json.loads(body, object_pairs_hook=_no_member_twice, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        return problem(400, f"the body is not JSON: {error}")
    several = isinstance(given, list)
    entries = given if several else [given]
    rules = book.add(entries, [f"/{index}" if several else "" for index in range(len(entries))])
    log("rules added", rules=[rule.document() for rule in rules])
    documents = [_document(rule, "rest", 0, 0) for rule in rules]
    return _json(201, documents if several else documents[0])


def _remove(book: Rulebook, id: str) -> Answer:
    book.remove(id)
    log("rule removed", rule=id)
    return Answer(204, "application/json", b"")


def _documents(book: Rulebook) -> list[dict[str, Any]]:
    """All rules in the order they are asked, with their counters."""
    held = book.held
    counted = counts_by_rule(held, kernel.counters())
    of_file = {rule.id for rule in held.of_file}
    return [
        _document(rule, "file" if rule.id in of_file else "rest", counted[rule.id].packets, counted[rule.id].bytes)
        for rule in held.in_order()
    ]


def _json(status: int, value: object) -> Answer:
    return Answer(status, "application/json", json.dumps(value).encode())


def _document(rule: Rule, origin: str, packets: int, octets: int) -> dict[str, Any]:
    return {**rule.document(), "origin": origin, "counters": {"packets": packets, "bytes": octets}}


def _no_member_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two programs would read such an object differently."""
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("an object has a member twice")
    return members


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _cut(value: object) -> object:
    text = json.dumps(value, default=str)
    return value if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "..."
