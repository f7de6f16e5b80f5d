"""The WSGI application that every process of the project serves: reads a request, calls one handler, answers.

In: routes, API keys, a rate limit and an audit log. Out: a WSGI callable. Whatever goes wrong becomes a problem
document; what is not expected is logged and answered with 500, without its traceback.
"""

import json
import logging
import time
from collections.abc import Iterable, Sequence
from typing import Any

from webob import Request, Response

from sdn_app.api import body, problems, validation
from sdn_app.api.audit import AuditLog, Record
from sdn_app.api.backend import OperationError
from sdn_app.api.problems import Problem
from sdn_app.api.routing import Call, Route, Router
from sdn_app.api.security import READING_METHODS, ApiKeys, Client, RateLimit, authorise

LOG = logging.getLogger(__name__)
_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


def answer(value: object, status: int = 200, location: str | None = None) -> Response:
    """A JSON answer."""
    response = Response(json.dumps(value, allow_nan=False).encode(), status=status, content_type="application/json")
    response.charset = None
    if location is not None:
        response.headers["Location"] = location
    return response


class Application:
    """A WSGI callable for a table of routes."""

    def __init__(self, routes: Sequence[Route], keys: ApiKeys, limit: RateLimit, audit: AuditLog) -> None:
        self._router, self._keys, self._limit, self._audit = Router(routes), keys, limit, audit

    @property
    def authenticated(self) -> bool:
        """True where it asks for API keys, so that it may be served to other machines."""
        return self._keys.required

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        request = Request(environ)
        exchange = _Exchange(request)
        try:
            response = self._respond(exchange)
        except OperationError as error:
            response = problems.response(problems.of_operation(error), exchange.path)
        except Problem as problem:
            response = problems.response(problem, exchange.path)
        except Exception:
            LOG.exception("%s %s failed", request.method, exchange.path)
            failure = Problem(500, "the controller failed to carry this out; its log says why")
            response = problems.response(failure, exchange.path)
        if request.method not in READING_METHODS:
            self._audit.append(exchange.record(response.status_int))
        response.headers.update(_HEADERS)
        result: Iterable[bytes] = response(environ, start_response)
        return result

    def _respond(self, exchange: "_Exchange") -> Response:
        request = exchange.request
        now = time.monotonic()
        try:
            exchange.client = self._keys.identify(request.headers, exchange.client.name)
        finally:  # who has no key is limited by address
            self._limit.take(exchange.client.name, now)
        exchange.body = body.read_bytes(request)
        route, values = self._router.find(request.method, exchange.decode_path())
        authorise(exchange.client, request.method)
        query = validation.check_query(body.parse_query(request.query_string), route.query)
        document = None
        if route.body is not None:
            document = body.parse_json(request, exchange.body)
            if isinstance(document, dict):
                exchange.members = tuple(sorted(document))
            validation.check(route.body, document)
        return route.handler(Call(values, query, document, request.headers, request.method))


class _Exchange:
    """What is learnt of a request while it is read, for its answer and the audit log."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.client = Client(request.remote_addr or "unknown", "none")
        self.path = str(request.environ.get("PATH_INFO", ""))
        self.body = b""
        self.members: tuple[str, ...] = ()

    def decode_path(self) -> str:
        """The path as text (WSGI carries its bytes as Latin-1)."""
        try:
            self.path = self.path.encode("latin-1").decode()
        except UnicodeError:
            raise Problem(400, "the path is not UTF-8") from None
        return self.path

    def record(self, status: int) -> Record:
        """The line of the audit log."""
        return Record(
            time=time.time(),
            client=self.client.name,
            role=self.client.role,
            address=self.request.remote_addr or "unknown",
            method=self.request.method,
            path=self.path,
            status=status,
            body=self.body,
            members=self.members,
        )
