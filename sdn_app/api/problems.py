"""Problem documents (RFC 9457): every answer of the API that is not a success.

In: a status and what was wrong, raised as `Problem`; or an `OperationError` of the backend. Out: a webob response of
type `application/problem+json`. It must not show tracebacks or credentials.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from webob import Response

from sdn_app.api.backend import OperationError

MEDIA_TYPE = "application/problem+json"
LONGEST_VALUE = 200  # characters of a refused value that are shown again
STATUS_OF_KIND = {"not-found": 404, "conflict": 409, "invalid": 422, "unavailable": 503}


@dataclass(frozen=True, slots=True)
class Fault:
    """One member that was refused: a JSON pointer (or `?name` for a query parameter), the value, what was expected."""

    member: str
    value: object
    expected: str

    def document(self) -> dict[str, Any]:
        """The fault as an element of `errors`; a long value is cut."""
        text = json.dumps(self.value, default=str)
        return {
            "member": self.member,
            "value": self.value if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "...",
            "expected": self.expected,
        }


@dataclass(eq=False)
class Problem(Exception):
    """A request that is refused. `headers` are added to the answer (Allow, Retry-After, WWW-Authenticate)."""

    status: int
    detail: str
    faults: Sequence[Fault] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def of_operation(error: OperationError) -> Problem:
    """The problem that an error of the backend is; its member becomes a JSON pointer."""
    member = error.member if error.member.startswith(("/", "?")) else f"/{error.member}"
    value = error.value if isinstance(error.value, str | int | float | bool | list | dict | None) else str(error.value)
    return Problem(STATUS_OF_KIND.get(error.kind, 500), str(error), [Fault(member, value, error.expected)])


def response(problem: Problem, instance: str) -> Response:
    """The answer that carries `problem`; `instance` is the path that was asked for."""
    document = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "instance": instance,
        "errors": [fault.document() for fault in problem.faults],
    }
    answer = Response(json.dumps(document).encode(), status=problem.status)
    answer.headers["Content-Type"] = MEDIA_TYPE
    answer.headers.update(problem.headers)
    return answer
