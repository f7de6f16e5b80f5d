"""The OpenAPI 3.1 document of a table of routes: the same schemas that validate, and every answer that can come.

In: routes. Out: a JSON object. It says nothing that the routes and schemas do not say.
"""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from sdn_app.api import problems
from sdn_app.api.routing import Route
from sdn_app.api.schemas import SCHEMAS, ref

VERSION = "1"
_ALWAYS = (400, 401, 405, 408, 413, 429, 500)
_MUTATING = (403,)
_WITH_BODY = (415, 422)


def document(routes: Sequence[Route], title: str = "SFC controller") -> dict[str, Any]:
    """The description of `routes`."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "info": {"title": title, "version": VERSION},
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
        "security": [{}, {"bearer": []}, {"key": []}],
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.handler.__name__ if "<" not in route.handler.__name__ else "openapi",
        "summary": route.summary,
        "responses": _responses(route),
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string", "pattern": "^[^/]+$"}}
        for name in route.parameters
    ]
    parameters += [_optional(name, "query", schema) for name, schema in route.query.items()]
    parameters += [_optional(name, "header", schema) for name, schema in route.headers.items()]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": ref(route.body)}}}
    return operation


def _optional(name: str, place: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": place, "required": False, "schema": schema}


def _responses(route: Route) -> dict[str, Any]:
    success: dict[str, Any] = {"description": HTTPStatus(route.status).phrase}
    if route.status != HTTPStatus.NO_CONTENT:
        success["content"] = {route.media_type: {} if route.answer is None else {"schema": ref(route.answer)}}
    if route.status == HTTPStatus.CREATED:
        success["headers"] = {"Location": {"required": True, "schema": {"type": "string"}}}
    statuses = set(_ALWAYS) | set(route.problems)
    if route.method != "GET":
        statuses |= set(_MUTATING)
    if route.body is not None:
        statuses |= set(_WITH_BODY)
    refused = {
        str(status): {
            "description": HTTPStatus(status).phrase,
            "content": {problems.MEDIA_TYPE: {"schema": ref("Problem")}},
        }
        for status in sorted(statuses)
    }
    return {str(route.status): success, **refused}
