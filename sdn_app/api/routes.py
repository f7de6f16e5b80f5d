"""The controller's routes.

In: a backend. Out: the table that `application` serves. It says everything of a route that the OpenAPI document shows.
"""

from sdn_app.api import events, openapi
from sdn_app.api.backend import Backend
from sdn_app.api.handlers import Handlers
from sdn_app.api.routing import Route
from sdn_app.api.schemas import Schema
from sdn_app.api.wsgi import answer

WAIT: dict[str, Schema] = {
    "wait": {
        "type": "number",
        "minimum": 0,
        "maximum": 30,
        "default": 5,
        "description": "seconds to wait for the switches' barriers",
    }
}
LAST_EVENT: dict[str, Schema] = {
    "Last-Event-ID": {"type": "string", "pattern": "^[0-9]{1,18}$", "description": "the number of the event seen last"}
}


def make_routes(backend: Backend) -> list[Route]:
    """The routes of the orchestration layer's document, the others, and the description of both."""
    handlers = Handlers(backend)
    routes = [*_documented_routes(handlers), *_chain_routes(handlers), *_view_routes(handlers, events.Events(backend))]
    described = Route("GET", "/openapi.json", lambda _call: answer(document), "This description (OpenAPI 3.1)")
    routes.append(described)
    document = openapi.document(routes)
    return routes


def _documented_routes(to: Handlers) -> list[Route]:
    flow, of_type = "/flows/{flow_id}", "/vnf/{vnf_type}/instances"
    return [
        Route("GET", "/health", to.health, "Whether the controller works"),
        Route("GET", "/flows", to.list_flows, "Steering rules", answer="Flows"),
        Route(
            "POST", "/flows", to.add_flow, "Send a match to one instance, chosen in turn unless it is named",
            status=201, body="NewFlow", answer="Flow", query=WAIT, problems=(404, 409, 503),
        ),
        Route(
            "DELETE", flow, to.remove_flow, "Remove a steering rule",
            status=204, answer=None, problems=(404, 409, 503),
        ),
        Route(
            "GET", of_type, to.list_instances_of_type, "Instances of a VNF type", answer="Instances", problems=(404,)
        ),
        Route(
            "POST", of_type, to.add_instance, "Register an instance",
            status=201, body="NewInstance", answer="Instance", problems=(404, 409, 503),
        ),
        Route(
            "DELETE", of_type + "/{instance_id}", to.remove_instance, "Remove an instance",
            status=204, answer=None, problems=(404, 409, 503),
        ),
        Route(
            "GET", "/load-balance/{vnf_type}", to.next_instance, "The instance whose turn it is; takes no turn",
            problems=(404, 503),
        ),
    ]  # fmt: skip


def _chain_routes(to: Handlers) -> list[Route]:
    chain, service, instance = "/chains/{name}", "/services/{name}", "/instances/{instance_id}"
    return [
        Route("GET", "/chains", to.list_chains, "Chains", answer="Chains"),
        Route(
            "POST", "/chains", to.add_chains, "Add a chain, or many as one ordered change",
            status=201, body="ChainOrChains", answer="AddedChains", query=WAIT, problems=(404, 409, 503),
        ),
        Route("GET", chain, to.get_chain, "One chain", answer="Chain", problems=(404,)),
        Route("DELETE", chain, to.remove_chain, "Remove a chain", status=204, answer=None, problems=(404, 409, 503)),
        Route("GET", "/services", to.list_services, "Services", answer="Services"),
        Route(
            "POST", "/services", to.add_service, "Add a service",
            status=201, body="NewService", answer="Service", problems=(404, 409, 503),
        ),
        Route("GET", service, to.get_service, "One service", answer="Service", problems=(404,)),
        Route(
            "DELETE", service, to.remove_service, "Remove a service",
            status=204, answer=None, problems=(404, 409, 503),
        ),
        Route("GET", "/instances", to.list_instances, "Instances of every type", answer="Instances"),
        Route("GET", instance, to.get_instance, "One instance", answer="Instance", problems=(404,)),
        Route(
            "PATCH", instance, to.change_instance, "Drain an instance, take it back, or change its weight",
            body="InstanceChange", answer="Instance", problems=(404, 409, 503),
        ),
    ]  # fmt: skip


def _view_routes(to: Handlers, stream: events.Events) -> list[Route]:
    return [
        Route("GET", "/topology", to.topology, "Switches, links, hosts and latencies"),
        Route("GET", "/paths", to.paths, "Rendered paths", answer="Paths"),
        Route("GET", "/statistics", to.statistics, "Counters"),
        Route("GET", "/metrics", to.metrics, "Metrics for Prometheus", answer=None, media_type="text/plain"),
        Route(
            "GET", "/events", stream.handle, "What happens, as it happens (server-sent events)",
            answer=None, media_type=events.MEDIA_TYPE, headers=LAST_EVENT, problems=(503,),
        ),
    ]  # fmt: skip
