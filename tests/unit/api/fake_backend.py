"""A backend in memory for the tests of the API: desired state in dicts, everything active at once."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from sdn_app.api.backend import OperationError
from sdn_app.chains.model import Chain, Classifier, FlowRule, Instance, InstanceState, Service


class FakeBackend:
    """Implements `sdn_app.api.backend.Backend`; `waits` holds the `wait_s` of each call that had one."""

    def __init__(self) -> None:
        self.chains_by_name: dict[str, Chain] = {}
        self.services_by_name: dict[str, Service] = {}
        self.instances_by_id: dict[str, Instance] = {}
        self.flows_by_id: dict[str, FlowRule] = {}
        self.waits: list[float] = []

    def state(self) -> tuple[dict[str, Any], ...]:
        maps = (self.chains_by_name, self.services_by_name, self.instances_by_id, self.flows_by_id)
        return tuple(dict(each) for each in maps)

    def health(self) -> dict[str, Any]:
        return {"status": "ok"}

    def chains(self) -> list[Chain]:
        return list(self.chains_by_name.values())

    def add_chains(self, chains: list[Chain], wait_s: float) -> None:
        for chain in chains:
            if chain.name in self.chains_by_name:
                raise OperationError("conflict", "name", chain.name, "a name that is not taken")
            for index, function in enumerate(chain.functions):
                if function not in self.vnf_types():
                    raise OperationError("invalid", f"/functions/{index}", function, "a VNF type")
        self.waits.append(wait_s)
        self.chains_by_name.update({chain.name: chain for chain in chains})

    def remove_chain(self, name: str) -> None:
        self._pop(self.chains_by_name, "name", name)

    def services(self) -> list[Service]:
        return list(self.services_by_name.values())

    def add_service(self, service: Service) -> None:
        if service.name in self.services_by_name:
            raise OperationError("conflict", "name", service.name, "a name that is not taken")
        self.services_by_name[service.name] = service

    def remove_service(self, name: str) -> None:
        self._pop(self.services_by_name, "name", name)

    def vnf_types(self) -> list[str]:
        return ["firewall", "antivirus", "spamfilter", "encryption", "contentfilter", "servant"]

    def instances(self, vnf_type: str | None = None) -> list[Instance]:
        return [item for item in self.instances_by_id.values() if vnf_type in (None, item.vnf_type)]

    def instance(self, instance_id: str) -> Instance:
        if instance_id not in self.instances_by_id:
            raise OperationError("not-found", "instance_id", instance_id, "an instance")
        return self.instances_by_id[instance_id]

    def add_instance(self, instance: Instance) -> None:
        if instance.instance_id in self.instances_by_id:
            raise OperationError("conflict", "instance_id", instance.instance_id, "an id that is not taken")
        self.instances_by_id[instance.instance_id] = instance

    def change_instance(
        self, instance_id: str, *, state: InstanceState | None = None, weight: int | None = None
    ) -> Instance:
        old = self.instance(instance_id)
        changed = replace(old, state=state or old.state, weight=weight or old.weight)
        self.instances_by_id[instance_id] = changed
        return changed

    def remove_instance(self, vnf_type: str, instance_id: str) -> None:
        if self.instance(instance_id).vnf_type != vnf_type:
            raise OperationError("not-found", "instance_id", instance_id, f"a {vnf_type}")
        self._pop(self.instances_by_id, "instance_id", instance_id)

    def next_instance(self, vnf_type: str) -> dict[str, Any]:
        found = self.instances(vnf_type)
        if not found:
            raise OperationError("unavailable", "vnf_type", vnf_type, "a type with a healthy instance")
        return {"vnf_type": vnf_type, "instance_id": found[0].instance_id}

    def flows(self) -> list[tuple[FlowRule, str]]:
        return [(flow, "active") for flow in self.flows_by_id.values()]

    def add_flow(
        self, vnf_type: str, instance_id: str | None, classifier: Classifier, wait_s: float
    ) -> tuple[FlowRule, str]:
        chosen = instance_id or str(self.next_instance(vnf_type)["instance_id"])
        self.instance(chosen)
        self.waits.append(wait_s)
        flow = FlowRule(
            f"{vnf_type}-{len(self.flows_by_id)}", vnf_type, chosen, classifier, classifier.priority, created_at=1.5
        )
        self.flows_by_id[flow.flow_id] = flow
        return flow, "active"

    def remove_flow(self, flow_id: str) -> None:
        self._pop(self.flows_by_id, "flow_id", flow_id)

    def topology(self) -> dict[str, Any]:
        return {"switches": [], "links": []}

    def paths(self) -> list[dict[str, Any]]:
        return []

    def statistics(self) -> dict[str, Any]:
        return {}

    def metrics(self) -> bytes:
        return b"# TYPE sfc_paths gauge\nsfc_paths 0\n"

    def events(self, after: int) -> Iterator[tuple[int, str, dict[str, Any]]]:
        happened = [(1, "chain-added", {"name": "web"}), (2, "chain-active", {"name": "web"})]
        yield from (event for event in happened if event[0] > after)
        yield 0, "keepalive", {}

    @staticmethod
    def _pop(values: dict[str, Any], member: str, key: str) -> None:
        if key not in values:
            raise OperationError("not-found", member, key, f"a known {member}")
        del values[key]
