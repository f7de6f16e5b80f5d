"""Each kind of answer of the API, in process, against the backend in memory."""

import json
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fake_backend import FakeBackend
from webob import Request, Response

from sdn_app.api.application import make_app
from sdn_app.api.problems import Problem
from sdn_app.api.security import RateLimit
from sdn_app.api.wsgi import Application
from sdn_app.settings import Settings, SettingsError

INLINE = {"attachment": {"switch": 1, "ports": ["fw1-i", "fw1-o"]}, "instance_id": "fw1"}


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def app(backend: FakeBackend) -> Application:
    return make_app(backend, Settings())


def ask(app: Application, method: str, path: str, body: Any = None, **headers: str) -> Response:
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    request = Request.blank(
        path, method=method, body=data, headers={k.replace("_", "-"): v for k, v in headers.items()}
    )
    if body is not None and "Content_Type" not in headers:
        request.content_type = "application/json"
    return request.get_response(app)


def refused(response: Response, status: int, member: str | None = None) -> dict[str, Any]:
    assert response.status_int == status, response.body
    assert response.headers["Content-Type"] == "application/problem+json"
    document: dict[str, Any] = response.json
    assert set(document) == {"type", "title", "status", "detail", "instance", "errors"}
    assert document["status"] == status
    if member is not None:
        assert member in [error["member"] for error in document["errors"]], document
        assert all(error["expected"] for error in document["errors"])
    return document


def test_a_flow_has_the_documents_fields(app: Application, backend: FakeBackend) -> None:
    assert ask(app, "POST", "/vnf/firewall/instances", INLINE).status_int == 201
    match = {"domain": 2, "protocol": "tcp", "destination_ports": "80-90"}
    made = ask(app, "POST", "/flows?wait=2.5", {"vnf_type": "firewall", "priority": 7, "match": match})
    assert made.status_int == 201 and made.headers["Location"].endswith("/flows")
    assert backend.waits == [2.5]
    (flow,) = ask(app, "GET", "/flows").json["flows"]
    assert flow == made.json
    assert set(flow) == {"flow_id", "vnf_type", "instance_id", "priority", "status", "created_at", "match"}
    assert flow["match"] == match | {"destination_ports": {"first": 80, "last": 90}}
    assert (flow["instance_id"], flow["priority"], flow["status"]) == ("fw1", 7, "active")
    assert ask(app, "DELETE", f"/flows/{flow['flow_id']}").status_int == 204
    refused(ask(app, "DELETE", f"/flows/{flow['flow_id']}"), 404, "/flow_id")


def test_instances_come_change_and_go(app: Application) -> None:
    made = ask(app, "POST", "/vnf/firewall/instances", INLINE | {"instance_id": "fw1"}).json
    assert (made["status"], made["weight"], made["vnf_type"]) == ("starting", 1, "firewall")
    changed = ask(app, "PATCH", "/instances/fw1", {"state": "draining", "weight": 9}).json
    assert (changed["status"], changed["weight"]) == ("draining", 9)
    assert ask(app, "GET", "/load-balance/firewall").json["instance_id"] == "fw1"
    refused(ask(app, "POST", "/vnf/firewall/instances", INLINE), 409, "/instance_id")
    refused(ask(app, "GET", "/load-balance/antivirus"), 503)
    refused(ask(app, "GET", "/vnf/toaster/instances"), 404, "/vnf_type")
    assert ask(app, "DELETE", "/vnf/firewall/instances/fw1").status_int == 204
    unnamed = ask(app, "POST", "/vnf/contentfilter/instances", {"attachment": INLINE["attachment"]})
    assert unnamed.json["instance_id"].startswith("conte-") and len(unnamed.json["instance_id"]) <= 12


def test_many_chains_are_one_change(app: Application, backend: FakeBackend) -> None:
    chains = [{"name": f"c{index}", "functions": ["firewall"]} for index in range(300)]
    assert ask(app, "POST", "/chains", {"chains": chains}).status_int == 201
    assert len(backend.waits) == 1 and len(backend.chains_by_name) == 300
    again = [{"name": "x", "functions": ["firewall"]}] * 2
    refused(ask(app, "POST", "/chains", {"chains": again}), 409, "/chains/1/name")
    assert "x" not in backend.chains_by_name


@pytest.mark.parametrize(
    ("body", "member"),
    [
        ({"name": "A", "functions": ["firewall"]}, "/name"),
        ({"name": "a\n", "functions": ["firewall"]}, "/name"),
        ({"name": "a", "functions": "firewall"}, "/functions"),
        ({"name": "a"}, "/functions"),
        ({"name": "a", "functions": []}, "/functions"),
        ({"name": "a", "functions": ["toaster"]}, "/functions/0"),
        ({"name": "a", "functions": ["firewall"], "colour": 1}, "/colour"),
        ({"name": "a", "functions": ["firewall"], "pinned": ["a", "b"]}, "/pinned"),
        ({"name": "a", "functions": ["firewall"], "classifier": {"domain": 0}}, "/classifier/domain"),
        ({"name": "a", "functions": ["firewall"], "classifier": {"domain": True}}, "/classifier/domain"),
        ({"name": "a", "functions": ["firewall"], "classifier": {"source": "10.0.0.1/8"}}, "/classifier/source"),
        ({"name": "a", "functions": ["firewall"], "classifier": {"source_ports": "80"}}, "/classifier/protocol"),
        (
            {"name": "a", "functions": ["firewall"], "classifier": {"protocol": "tcp", "source_ports": "9-8"}},
            "/classifier/source_ports",
        ),
        ({"chains": [{"name": "a", "functions": ["firewall"]}, {"name": "b"}]}, "/chains/1/functions"),
        ([], ""),
    ],
)
def test_a_bad_chain_is_refused_by_member(app: Application, backend: FakeBackend, body: Any, member: str) -> None:
    refused(ask(app, "POST", "/chains", body), 422, member)
    assert backend.chains_by_name == {}


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b'{"a":1,"a":2}', b'{"a":NaN}', b'{"a":Infinity}', b'{"a":1e999}', b"\xff", b"[" * 100_000,
     b'{"a":' + b"9" * 5000 + b"}"],
)  # fmt: skip
def test_malformed_json_is_400(app: Application, text: bytes) -> None:
    refused(ask(app, "POST", "/chains", text), 400)


def test_malformed_json_says_where(app: Application) -> None:
    assert "line 2, column 3" in refused(ask(app, "POST", "/chains", b"{\n  name: 1}"), 400)["detail"]


def test_http_errors(app: Application) -> None:
    refused(ask(app, "GET", "/nowhere"), 404)
    refused(ask(app, "GET", "/chains/nothing"), 404, "/name")
    refused(ask(app, "GET", "/chains/%FF"), 400)
    response = ask(app, "PUT", "/chains")
    refused(response, 405)
    assert response.headers["Allow"] == "GET, HEAD, POST"
    refused(ask(app, "POST", "/chains", b"{}", Content_Type="text/plain"), 415)
    refused(ask(app, "POST", "/chains", b" " * ((1 << 20) + 1)), 413)
    refused(ask(app, "GET", "/chains?colour=1"), 400, "?colour")
    for wait in ("-1", "31", "nan", "", "1&wait=2"):
        refused(ask(app, "POST", f"/chains?wait={wait}", {"name": "a", "functions": ["firewall"]}), 400, "?wait")
    refused(ask(app, "GET", "/events", Last_Event_ID="x"), 400, "Last-Event-ID")


def test_reading_changes_nothing(app: Application, backend: FakeBackend) -> None:
    ask(app, "POST", "/vnf/firewall/instances", INLINE)
    before = backend.state()
    for path in ("health", "flows", "chains", "services", "instances", "instances/fw1", "vnf/firewall/instances",
                 "load-balance/firewall", "topology", "paths", "statistics", "metrics", "events",
                 "openapi.json"):  # fmt: skip
        full, head = ask(app, "GET", f"/{path}"), ask(app, "HEAD", f"/{path}")
        assert full.status_int == head.status_int == 200
        assert head.body == b""
        if path != "events":
            assert head.headers["Content-Length"] == str(len(full.body))
    assert backend.state() == before


def test_events_go_on_where_the_client_stopped(app: Application) -> None:
    response = ask(app, "GET", "/events", Last_Event_ID="1")
    assert response.headers["Content-Type"] == "text/event-stream"
    assert b"id: 1\n" not in response.body
    assert b'id: 2\nevent: chain-active\ndata: {"name": "web"}\n\n: keepalive\n\n' in response.body


def test_keys_roles_and_audit(backend: FakeBackend, tmp_path: Path) -> None:
    keys, log = tmp_path / "keys", tmp_path / "audit"
    keys.write_text("# keys\nreader-0123456789 read\nwriter-0123456789 write\n")
    app = make_app(backend, replace(Settings(), api_keys_file=keys, audit_log=log))
    body = {"name": "a", "functions": ["firewall"]}
    unknown = ask(app, "GET", "/chains")
    refused(unknown, 401)
    assert unknown.headers["WWW-Authenticate"].startswith("Bearer")
    assert ask(app, "GET", "/chains", X_API_Key="reader-0123456789").status_int == 200
    refused(ask(app, "POST", "/chains", body, X_API_Key="reader-0123456789"), 403)
    assert ask(app, "POST", "/chains", body, Authorization="Bearer writer-0123456789").status_int == 201
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["status"], line["role"], line["method"], line["path"]) for line in lines] == [
        (403, "read", "POST", "/chains"),
        (201, "write", "POST", "/chains"),
    ]
    assert lines[1]["members"] == ["functions", "name"] and len(lines[1]["body_sha256"]) == 64
    assert "0123456789" not in log.read_text() and stat.S_IMODE(log.stat().st_mode) == 0o600


def test_the_rate_is_limited() -> None:
    limit = RateLimit(2.0, 1)
    limit.take("a", 0.0)
    limit.take("b", 0.0)
    with pytest.raises(Problem) as caught:
        limit.take("a", 0.1)
    assert caught.value.status == 429 and caught.value.headers["Retry-After"] == "1"
    limit.take("a", 0.6)


@pytest.mark.parametrize(
    ("variable", "value"),
    [("SFC_REST_PORT", "0"), ("SFC_REST_PORT", "x"), ("SFC_PROBE_INTERVAL_S", "nan"), ("SFC_REST_HOST", "0.0.0.0"),
     ("SFC_OPENFLOW_HOST", "here"), ("SFC_DATABASE", "")],
)  # fmt: skip
def test_a_bad_setting_is_named(variable: str, value: str) -> None:
    with pytest.raises(SettingsError, match=variable) as caught:
        Settings.from_environment({variable: value})
    assert caught.value.value == value and caught.value.expected
