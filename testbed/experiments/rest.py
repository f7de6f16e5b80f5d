"""A small client of the controller's REST API: JSON in, JSON out, problem documents as exceptions.

In: a base URL. Out: decoded answers, or a `RestError` with what the controller said. Must not retry: who calls knows
whether a request may be repeated.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any


class RestError(RuntimeError):
    """The controller refused or did not answer; `status` is 0 where there was no answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Rest:
    """The API at `base`, such as http://127.0.0.1:8080. No proxy is asked: the controller is on this machine."""

    base: str
    timeout_s: float = 10.0

    def get(self, path: str) -> Any:
        """The decoded answer to GET."""
        return self._call("GET", path, None)

    def post(self, path: str, body: Any) -> Any:
        """The decoded answer to POST."""
        return self._call("POST", path, body)

    def _call(self, method: str, path: str, body: Any) -> Any:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data else {}
        request = urllib.request.Request(self.base + path, data=data, method=method, headers=headers)
        try:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with opener.open(request, timeout=self.timeout_s) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise RestError(error.code, f"{method} {path}: {error.code}: {_problem(error.read())}") from None
        except OSError as error:
            raise RestError(0, f"{method} {path}: {error}") from None
        return json.loads(text) if text else None


def _problem(body: bytes) -> str:
    try:
        document = json.loads(body)
        faults = [f"{f['member']}: {f['value']!r}: expected {f['expected']}" for f in document.get("errors", [])]
        return "; ".join(faults) or str(document.get("detail") or document.get("title"))
    except (ValueError, KeyError, TypeError, AttributeError):
        return body.decode(errors="replace")[:300]
