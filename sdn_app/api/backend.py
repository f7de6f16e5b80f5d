"""What the REST API needs from the controller: one protocol, implemented by `sdn_app.control.operations.Operations`.

Every method either returns plain typed data or raises an `OperationError`, which the API turns into a problem document
(RFC 9457). Reading methods change nothing.
"""

from collections.abc import Iterator
from typing import Any, Protocol

from sdn_app.chains.model import Chain, Classifier, FlowRule, Instance, InstanceState, Service


class OperationError(Exception):
    """A request that cannot be carried out: the member, the value and what was expected.

    `kind` is one of "not-found" (404), "conflict" (409), "invalid" (422), "unavailable" (503).
    """

    def __init__(self, kind: str, member: str, value: object, expected: str) -> None:
        super().__init__(f"{member}: {value!r}: expected {expected}")
        self.kind, self.member, self.value, self.expected = kind, member, value, expected


class Backend(Protocol):
    """Operations on desired state, and views of what is. Mutators return after the change is stored and handed to the
    switches; those with `wait_s` wait up to that long for the switches' barriers."""

    def health(self) -> dict[str, Any]: ...

    def chains(self) -> list[Chain]: ...
    def add_chains(self, chains: list[Chain], wait_s: float) -> None: ...  # one ordered change for all of them
    def remove_chain(self, name: str) -> None: ...

    def services(self) -> list[Service]: ...
    def add_service(self, service: Service) -> None: ...
    def remove_service(self, name: str) -> None: ...

    def vnf_types(self) -> list[str]: ...
    def instances(self, vnf_type: str | None = None) -> list[Instance]: ...
    def instance(self, instance_id: str) -> Instance: ...
    def add_instance(self, instance: Instance) -> None: ...
    def change_instance(
        self, instance_id: str, *, state: InstanceState | None = None, weight: int | None = None
    ) -> Instance: ...
    def remove_instance(self, vnf_type: str, instance_id: str) -> None: ...
    def next_instance(self, vnf_type: str) -> dict[str, Any]: ...  # what /load-balance/<type> answers; changes nothing

    def flows(self) -> list[tuple[FlowRule, str]]: ...  # with status: "pending" | "active" | "failed"
    def add_flow(
        self, vnf_type: str, instance_id: str | None, classifier: Classifier, wait_s: float
    ) -> tuple[FlowRule, str]: ...
    def remove_flow(self, flow_id: str) -> None: ...

    def topology(self) -> dict[str, Any]: ...
    def paths(self) -> list[dict[str, Any]]: ...
    def statistics(self) -> dict[str, Any]: ...
    def metrics(self) -> bytes: ...  # Prometheus text exposition
    def events(self, after: int) -> Iterator[tuple[int, str, dict[str, Any]]]: ...

    # (number, kind, data); blocks (eventlet) between events; yields (0, "keepalive", {}) at least every 15 s
