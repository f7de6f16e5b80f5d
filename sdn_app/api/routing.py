"""The table of routes: which method and path calls which handler, and what a request and its answers look like.

In: a method and a path. Out: a route and the values in the path, or a `Problem` (404, 405 with Allow). The same table
makes the OpenAPI document. It knows no handler of its own.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from webob import Response

from sdn_app.api.problems import Problem
from sdn_app.api.schemas import Schema


@dataclass(frozen=True, slots=True)
class Call:
    """A request that was checked: the values in its path, its query with defaults, its JSON body and its headers."""

    path: Mapping[str, str]
    query: Mapping[str, float]
    body: Any
    headers: Mapping[str, str]
    method: str = "GET"


Handler = Callable[[Call], Response]


@dataclass(frozen=True, slots=True)
class Route:
    """One operation. `body` and `answer` name schemas; `problems` are the statuses that only some routes have."""

    method: str
    template: str
    handler: Handler
    summary: str
    status: int = 200
    body: str | None = None
    answer: str | None = "View"
    media_type: str = "application/json"
    query: Mapping[str, Schema] = field(default_factory=dict)
    headers: Mapping[str, Schema] = field(default_factory=dict)
    problems: tuple[int, ...] = ()

    @property
    def parameters(self) -> list[str]:
        """The names in the path's template, in order."""
        return re.findall(r"{(\w+)}", self.template)


class Router:
    """Finds a route. Two routes never match the same path unless their templates are equal."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._by_template: dict[str, dict[str, Route]] = {}
        for route in routes:
            self._by_template.setdefault(route.template, {})[route.method] = route
        self._patterns = [
            (re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", template)), methods)
            for template, methods in self._by_template.items()
        ]

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]]:
        """The route of `method` and `path`, and the values in the path. HEAD goes where GET goes.

        Raises:
            Problem: 404 where no route has the path, 405 where none of them has the method.
        """
        for pattern, methods in self._patterns:
            match = pattern.fullmatch(path)
            if match is None:
                continue
            route = methods.get("GET" if method == "HEAD" else method)
            if route is None:
                allowed = ", ".join(sorted([*methods, *(["HEAD"] if "GET" in methods else [])]))
                raise Problem(405, f"{method} is not allowed here; allowed: {allowed}", headers={"Allow": allowed})
            return route, match.groupdict()
        raise Problem(404, "no such path")
