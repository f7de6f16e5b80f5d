"""Signatures over the management port. In: requests. Out: answers; a change that does not compile changes nothing.

GET /signatures lists the set; POST /signatures with YARA rules adds them under a name of their first rule; PUT and DELETE
/signatures/<name> replace and take away what was added.
"""

from __future__ import annotations

import json
import re

from vnf.inline import Refused
from vnf.log import log
from vnf.management import Answer, Request

from antivirus.signatures import Signatures

_PATH = re.compile(r"/signatures(?:/([A-Za-z0-9_]{1,64}))?")
_RULE = re.compile(r"^\s*(?:(?:private|global)\s+)*rule\s+([A-Za-z0-9_]{1,64})", re.MULTILINE)


class SignatureRoutes:
    """What the management server answers for an antivirus."""

    def __init__(self, signatures: Signatures) -> None:
        self._signatures = signatures

    def __call__(self, request: Request) -> Answer | None:
        match = _PATH.fullmatch(request.path)
        if match is None:
            return None
        name = match[1]
        if request.method == "GET" and name is None:
            return _json(200, {"signatures": self._signatures.names, "added": sorted(self._signatures.added())})
        if request.method == "GET":
            text = self._signatures.added().get(name)
            return _missing(name) if text is None else Answer(200, "text/plain", text.encode())
        if request.method == ("POST" if name is None else "PUT"):
            return self._add(name, request.body)
        if request.method == "DELETE" and name is not None:
            return self._remove(name)
        allow = "GET, POST" if name is None else "GET, PUT, DELETE"
        problem = _problem(405, f"expected {allow}")
        return Answer(problem.status, problem.content_type, problem.body, allow)

    def _add(self, name: str | None, body: bytes) -> Answer:
        try:
            text = body.decode()
        except UnicodeDecodeError as error:
            return _problem(400, str(error))
        rule = _RULE.search(text)
        if rule is None:
            return _problem(400, "expected YARA rules")
        name = name or rule[1]
        try:
            self._signatures.add(name, text)
        except Refused as error:
            log("signatures refused, the old ones stay", name=name, error=str(error))
            return _problem(422, str(error))
        log("signatures added", name=name)
        return _json(201, {"name": name, "signatures": self._signatures.names})

    def _remove(self, name: str) -> Answer:
        try:
            removed = self._signatures.remove(name)
        except Refused as error:
            return _problem(422, str(error))
        if removed:
            log("signatures removed", name=name)
        return Answer(204, "text/plain", b"") if removed else _missing(name)


def _missing(name: str | None) -> Answer:
    return _problem(404, f"no signatures were added as {name}")


def _problem(status: int, detail: str) -> Answer:
    body = json.dumps({"status": status, "title": "refused", "detail": detail}).encode()
    return Answer(status, "application/problem+json", body)


def _json(status: int, value: object) -> Answer:
    return Answer(status, "application/json", json.dumps(value).encode())
