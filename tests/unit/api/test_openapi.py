"""Schemathesis makes requests from the OpenAPI document and holds the answers against it; documents lose nothing."""

import schemathesis
from fake_backend import FakeBackend
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from sdn_app.api import convert, validation
from sdn_app.api.application import make_app
from sdn_app.chains.model import Balancing, Chain, Classifier, Constraints, OnFailure, PortRange, Protocol
from sdn_app.settings import Settings

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
SERVER_ERRORS_THAT_ARE_MEANT = {503}

schema = schemathesis.openapi.from_wsgi(
    "/openapi.json", make_app(FakeBackend(), Settings(rate_limit_rps=1e6, rate_burst_requests=1_000_000))
)


@schema.parametrize()
@settings(max_examples=15, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
def test_answers_are_as_described(case: schemathesis.Case) -> None:
    response = case.call()
    checks = CHECKS[1:] if response.status_code in SERVER_ERRORS_THAT_ARE_MEANT else CHECKS
    case.validate_response(response, checks=checks)


names = st.from_regex(r"[a-z][a-z0-9-]{0,11}", fullmatch=True)
ports = st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(lambda pair: PortRange(min(pair), max(pair)))
networks = st.ip_addresses(v=4, network="10.0.0.0/8").map(lambda address: f"{address}/32")


@st.composite
def chains(draw: st.DrawFn) -> Chain:
    functions = tuple(draw(st.lists(names, min_size=1, max_size=4)))
    protocol = draw(st.sampled_from([None, *Protocol]))
    ported = st.none() | ports if protocol in (Protocol.TCP, Protocol.UDP) else st.none()
    return Chain(
        name=draw(names),
        functions=functions,
        classifier=Classifier(
            domain=draw(st.none() | st.integers(1, 65535)),
            source=convert.classifier({"source": draw(networks)}, "").source,
            protocol=protocol,
            source_ports=draw(ported),
            destination_ports=draw(ported),
            priority=draw(st.integers(0, 999)),
        ),
        service=draw(st.none() | names),
        balancing=draw(st.sampled_from(Balancing)),
        on_failure=draw(st.sampled_from(OnFailure)),
        symmetric=draw(st.booleans()),
        constraints=Constraints(
            draw(st.none() | st.floats(0.001, 60_000)), draw(st.frozensets(st.integers(1, 65535), max_size=4))
        ),
        pinned=draw(st.just(()) | st.tuples(*[st.none() | names for _ in functions])),
        created_at=draw(st.floats(0, 4e9)),
    )


@given(chains())
@settings(deadline=None, max_examples=100)
def test_a_chain_survives_its_document(chain: Chain) -> None:
    document = convert.chain_document(chain)
    validation.check("Chain", document)
    created_at = document.pop("created_at")
    validation.check("NewChain", document)
    assert convert.chain(document, created_at) == chain
