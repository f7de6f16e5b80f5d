"""The handlers of the controller's routes: each reads its call, calls one method of the backend, and answers.

In: a `Call` that was validated. Out: a webob response. No state, no decision and no knowledge of switches.
"""

import time
from collections.abc import Iterable
from secrets import token_hex
from typing import Any

from webob import Response

from sdn_app.api import convert
from sdn_app.api.backend import Backend, OperationError
from sdn_app.api.routing import Call
from sdn_app.api.wsgi import answer
from sdn_app.chains.model import InstanceState

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Handlers:
    """The handlers, bound to one backend."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def health(self, _call: Call) -> Response:
        return answer(self._backend.health())

    def topology(self, _call: Call) -> Response:
        return answer(self._backend.topology())

    def paths(self, _call: Call) -> Response:
        return answer({"paths": self._backend.paths()})

    def statistics(self, _call: Call) -> Response:
        return answer(self._backend.statistics())

    def metrics(self, _call: Call) -> Response:
        response = Response(self._backend.metrics())
        response.headers["Content-Type"] = METRICS_TYPE
        return response

    def list_chains(self, _call: Call) -> Response:
        return answer({"chains": [convert.chain_document(chain) for chain in self._backend.chains()]})

    def add_chains(self, call: Call) -> Response:
        """One chain, or `{"chains": [...]}`: applied as one ordered change, all or none."""
        now, several = time.time(), "chains" in call.body
        documents = call.body["chains"] if several else [call.body]
        chains = [
            convert.chain(document, now, f"/chains/{index}" if several else "")
            for index, document in enumerate(documents)
        ]
        _refuse_twice(chain.name for chain in chains)
        self._backend.add_chains(chains, call.query["wait"])
        shown = [convert.chain_document(chain) for chain in chains]
        return (
            answer({"chains": shown}, 201, "/chains") if several else answer(shown[0], 201, f"/chains/{chains[0].name}")
        )

    def get_chain(self, call: Call) -> Response:
        return answer(_named("chain", call.path["name"], self._backend.chains(), convert.chain_document))

    def remove_chain(self, call: Call) -> Response:
        self._backend.remove_chain(call.path["name"])
        return _nothing()

    def list_services(self, _call: Call) -> Response:
        return answer({"services": [convert.service_document(service) for service in self._backend.services()]})

    def add_service(self, call: Call) -> Response:
        service = convert.service(call.body, time.time())
        self._backend.add_service(service)
        return answer(convert.service_document(service), 201, f"/services/{service.name}")

    def get_service(self, call: Call) -> Response:
        return answer(_named("service", call.path["name"], self._backend.services(), convert.service_document))

    def remove_service(self, call: Call) -> Response:
        self._backend.remove_service(call.path["name"])
        return _nothing()

    def list_instances(self, _call: Call) -> Response:
        return answer({"instances": [convert.instance_document(item) for item in self._backend.instances()]})

    def get_instance(self, call: Call) -> Response:
        return answer(convert.instance_document(self._backend.instance(call.path["instance_id"])))

    def change_instance(self, call: Call) -> Response:
        changed = self._backend.change_instance(
            call.path["instance_id"],
            state=InstanceState(call.body["state"]) if "state" in call.body else None,
            weight=int(call.body["weight"]) if "weight" in call.body else None,
        )
        return answer(convert.instance_document(changed))

    def list_instances_of_type(self, call: Call) -> Response:
        instances = self._backend.instances(self._vnf_type(call))
        return answer({"instances": [convert.instance_document(item) for item in instances]})

    def add_instance(self, call: Call) -> Response:
        vnf_type = self._vnf_type(call)
        instance_id = call.body.get("instance_id") or f"{vnf_type[:5].rstrip('-')}-{token_hex(3)}"
        instance = convert.instance(call.body, vnf_type, instance_id, time.time())
        self._backend.add_instance(instance)
        return answer(convert.instance_document(instance), 201, f"/instances/{instance_id}")

    def remove_instance(self, call: Call) -> Response:
        self._backend.remove_instance(self._vnf_type(call), call.path["instance_id"])
        return _nothing()

    def next_instance(self, call: Call) -> Response:
        return answer(self._backend.next_instance(self._vnf_type(call)))

    def list_flows(self, _call: Call) -> Response:
        return answer({"flows": [convert.flow_document(rule, status) for rule, status in self._backend.flows()]})

    def add_flow(self, call: Call) -> Response:
        classifier = convert.classifier(call.body["match"], "/match", int(call.body.get("priority", 100)))
        instance_id = call.body.get("instance_id")
        rule, status = self._backend.add_flow(call.body["vnf_type"], instance_id, classifier, call.query["wait"])
        return answer(convert.flow_document(rule, status), 201, "/flows")

    def remove_flow(self, call: Call) -> Response:
        self._backend.remove_flow(call.path["flow_id"])
        return _nothing()

    def _vnf_type(self, call: Call) -> str:
        vnf_type, known = call.path["vnf_type"], self._backend.vnf_types()
        if vnf_type not in known:
            raise OperationError("not-found", "vnf_type", vnf_type, f"one of {sorted(known)}")
        return vnf_type


def _named(kind: str, name: str, values: Iterable[Any], document: Any) -> Any:
    for value in values:
        if value.name == name:
            return document(value)
    raise OperationError("not-found", "name", name, f"the name of a {kind}")


def _refuse_twice(names: Iterable[str]) -> None:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name in seen:
            raise OperationError("conflict", f"/chains/{index}/name", name, "a name that no other chain has")
        seen.add(name)


def _nothing() -> Response:
    return Response(status=204)  # webob gives it no Content-Type
