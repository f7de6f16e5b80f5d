"""What users can do, as `api.backend.Backend` states it: checks against what is there, then a change of desired state.

In: typed values that the API validated. Out: changes, views, or an `OperationError` that names the member. Reading
methods change nothing.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from sdn_app.api.backend import OperationError
from sdn_app.chains.model import Chain, Classifier, DesiredState, FlowRule, Instance, InstanceState, Service
from sdn_app.chains.overlap import conflict
from sdn_app.control import views
from sdn_app.control.controller import Controller
from sdn_app.control.health import Health
from sdn_app.control.planner import FLOW_PREFIX

VNF_TYPES = ("firewall", "antivirus", "spamfilter", "encryption", "contentfilter", "servant")


class Operations:
    """The backend of the REST API."""

    def __init__(self, controller: Controller, health: Health, now: Callable[[], float] = time.time) -> None:
        self._controller, self._health, self._now = controller, health, now
        self._turns: dict[str, int] = {}

    @property
    def _desired(self) -> DesiredState:
        return self._controller.desired

    def health(self) -> dict[str, Any]:
        """State of the controller itself."""
        return views.health(self._controller)

    # chains ---------------------------------------------------------------------------------------------------------
    def chains(self) -> list[Chain]:
        """All chains, by name."""
        return [chain for _, chain in sorted(self._desired.chains.items())]

    def add_chains(self, chains: list[Chain], wait_s: float) -> None:
        """Add chains as one ordered change: all of them or none."""
        known = dict(self._desired.chains)
        others = [*known.values(), *self._flow_chains()]
        for chain in chains:
            if chain.name in known or chain.name.startswith((FLOW_PREFIX, "service:")):
                raise OperationError("conflict", "name", chain.name, "a name that no chain has")
            self._check_chain(chain)
            clash = conflict(chain, others, self._desired.services)
            if clash is not None:
                expected = f"another priority than {chain.classifier.priority}: it overlaps with {clash!r}"
                raise OperationError("conflict", "classifier", chain.name, expected)
            chain = replace(chain, created_at=self._now())
            known[chain.name] = chain
            others.append(chain)
        version = self._controller.change(replace(self._desired, chains=known))
        self._controller.events.publish("chains-added", names=[chain.name for chain in chains])
        self._controller.wait_for(version, wait_s)

    def _check_chain(self, chain: Chain) -> None:
        for index, vnf_type in enumerate(chain.functions):
            if vnf_type not in self.vnf_types():
                expected = f"one of {', '.join(self.vnf_types())}"
                raise OperationError("invalid", f"functions/{index}", vnf_type, expected)
        if chain.service is not None and chain.service not in self._desired.services:
            expected = f"one of the services {sorted(self._desired.services)}"
            raise OperationError("invalid", "service", chain.service, expected)

    def remove_chain(self, name: str) -> None:
        """Remove a chain; its connections are no longer carried on."""
        if name not in self._desired.chains:
            raise OperationError("not-found", "name", name, "the name of a chain")
        chains = {key: chain for key, chain in self._desired.chains.items() if key != name}
        self._controller.change(replace(self._desired, chains=chains))
        self._controller.events.publish("chain-removed", name=name)

    # services -------------------------------------------------------------------------------------------------------
    def services(self) -> list[Service]:
        """All services, by name."""
        return [service for _, service in sorted(self._desired.services.items())]

    def add_service(self, service: Service) -> None:
        """Add a service."""
        for other in self._desired.services.values():
            if other.name == service.name:
                raise OperationError("conflict", "name", service.name, "a name that no service has")
            same = (other.address, other.port, other.protocol) == (service.address, service.port, service.protocol)
            if same:
                expected = f"an address and port that service {other.name!r} does not have"
                raise OperationError("conflict", "address", f"{service.address}:{service.port}", expected)
        if service.address in self._controller.inventory.hosts:
            raise OperationError("conflict", "address", str(service.address), "an address that no host has")
        services = {**self._desired.services, service.name: replace(service, created_at=self._now())}
        self._controller.change(replace(self._desired, services=services))
        self._controller.events.publish("service-added", name=service.name)

    def remove_service(self, name: str) -> None:
        """Remove a service that no chain needs."""
        if name not in self._desired.services:
            raise OperationError("not-found", "name", name, "the name of a service")
        users = sorted(chain.name for chain in self._desired.chains.values() if chain.service == name)
        if users:
            raise OperationError("conflict", "name", name, f"a service without chains; it is used by {users}")
        services = {key: each for key, each in self._desired.services.items() if key != name}
        self._controller.change(replace(self._desired, services=services))
        self._controller.events.publish("service-removed", name=name)

    # instances ------------------------------------------------------------------------------------------------------
    def vnf_types(self) -> list[str]:
        """Types that instances and chains may have."""
        return list(VNF_TYPES)

    def instances(self, vnf_type: str | None = None) -> list[Instance]:
        """Instances, of one type or all, by id."""
        if vnf_type is not None:
            self._check_type(vnf_type)
        every = (instance for _, instance in sorted(self._desired.instances.items()))
        return [instance for instance in every if vnf_type in (None, instance.vnf_type)]

    def _check_type(self, vnf_type: str) -> None:
        if vnf_type not in self.vnf_types():
            raise OperationError("not-found", "vnf_type", vnf_type, f"one of {', '.join(self.vnf_types())}")

    def instance(self, instance_id: str) -> Instance:
        """One instance."""
        if instance_id not in self._desired.instances:
            raise OperationError("not-found", "instance_id", instance_id, "the id of an instance")
        return self._desired.instances[instance_id]

    def add_instance(self, instance: Instance) -> None:
        """Register an instance; it is dealt traffic after its first good probe."""
        self._check_type(instance.vnf_type)
        wants = 1 if instance.vnf_type == "servant" else 2
        ports = instance.attachment.ports
        if len(ports) != wants or len(set(ports)) != wants:
            expected = f"{wants} different port name{'s' if wants > 1 else ''} for a {instance.vnf_type}"
            raise OperationError("invalid", "attachment/ports", list(ports), expected)
        if wants == 1 and (instance.address is None or instance.mac is None):
            missing = "address" if instance.address is None else "mac"
            raise OperationError("invalid", missing, None, f"the {missing} of a servant's data interface")
        for other in self._desired.instances.values():
            if other.instance_id == instance.instance_id:
                raise OperationError("conflict", "instance_id", instance.instance_id, "an id that no instance has")
            if other.attachment.switch == instance.attachment.switch and set(other.attachment.ports) & set(ports):
                expected = f"ports that instance {other.instance_id!r} does not have"
                raise OperationError("conflict", "attachment/ports", list(ports), expected)
            if instance.address is not None and other.address == instance.address:
                expected = f"an address that instance {other.instance_id!r} does not have"
                raise OperationError("conflict", "address", str(instance.address), expected)
        new = replace(instance, state=InstanceState.STARTING, created_at=self._now())
        self._controller.inventory.hosts.pop(new.address, None) if new.address else None
        self._controller.set_instance(new, "registered")

    def change_instance(
        self, instance_id: str, *, state: InstanceState | None = None, weight: int | None = None
    ) -> Instance:
        """Drain, reactivate or weigh an instance. Connections keep their paths."""
        instance = self.instance(instance_id)
        if weight is not None:
            instance = replace(instance, weight=weight)
        if state is InstanceState.DRAINING:
            if instance.state is not InstanceState.DRAINING:
                instance = replace(instance, state=InstanceState.DRAINING)
        elif state is InstanceState.ACTIVE:
            self._controller.drained.discard(instance_id)
            if instance.state is InstanceState.DRAINING:
                instance = replace(instance, state=InstanceState.ACTIVE)
            elif instance.state is not InstanceState.ACTIVE:
                expected = f"a draining instance; this one is {instance.state} and becomes active by its probes"
                raise OperationError("conflict", "state", str(state), expected)
        elif state is not None:
            raise OperationError("invalid", "state", str(state), "draining or active")
        self._controller.set_instance(instance, "changed by a user")
        return instance

    def remove_instance(self, vnf_type: str, instance_id: str) -> None:
        """Remove an instance. Connections through it are re-dealt; drain it first to avoid that."""
        self._check_type(vnf_type)
        instance = self._desired.instances.get(instance_id)
        if instance is None or instance.vnf_type != vnf_type:
            raise OperationError("not-found", "instance_id", instance_id, f"the id of an instance of {vnf_type}")
        users = sorted(rule.flow_id for rule in self._desired.flows.values() if rule.instance_id == instance_id)
        if users:
            expected = f"an instance without flow rules; it is used by {users}"
            raise OperationError("conflict", "instance_id", instance_id, expected)
        instances = {key: each for key, each in self._desired.instances.items() if key != instance_id}
        self._controller.change(replace(self._desired, instances=instances))
        self._controller.events.publish("instance-removed", instance_id=instance_id, vnf_type=vnf_type)

    def next_instance(self, vnf_type: str) -> dict[str, Any]:
        """The instance that the next flow rule of this type would be given."""
        self._check_type(vnf_type)
        healthy = self._healthy(vnf_type)
        if not healthy:
            raise OperationError("unavailable", "vnf_type", vnf_type, "a type with a healthy instance")
        chosen = healthy[self._turns.get(vnf_type, 0) % len(healthy)]
        return {"vnf_type": vnf_type, "instance_id": chosen.instance_id, "healthy_instances": len(healthy)}

    def _healthy(self, vnf_type: str) -> list[Instance]:
        return [each for each in self.instances(vnf_type) if each.state is InstanceState.ACTIVE]

    # flows ----------------------------------------------------------------------------------------------------------
    def flows(self) -> list[tuple[FlowRule, str]]:
        """All flow rules with their status."""
        return [(rule, self._flow_status(rule)) for _, rule in sorted(self._desired.flows.items())]

    def _flow_status(self, rule: FlowRule) -> str:
        return views.flow_status(self._controller, rule)

    def _flow_chains(self) -> list[Chain]:
        return [
            Chain(FLOW_PREFIX + rule.flow_id, (rule.vnf_type,), replace(rule.classifier, priority=rule.priority))
            for rule in self._desired.flows.values()
        ]

    def add_flow(
        self, vnf_type: str, instance_id: str | None, classifier: Classifier, wait_s: float
    ) -> tuple[FlowRule, str]:
        """Send a match to one instance, the next in turn unless it is named."""
        self._check_type(vnf_type)
        if vnf_type == "servant":
            raise OperationError("invalid", "vnf_type", vnf_type, "an inline type; servants are reached by services")
        if instance_id is None:
            instance_id = self.next_instance(vnf_type)["instance_id"]
            self._turns[vnf_type] = self._turns.get(vnf_type, 0) + 1
        elif self.instance(instance_id).vnf_type != vnf_type:
            raise OperationError("invalid", "instance_id", instance_id, f"an instance of {vnf_type}")
        now = self._now()
        serial = self._controller.store.allocate("flow", _flow_key(vnf_type, instance_id, now))
        rule = FlowRule(f"{vnf_type}-{serial}-{int(now)}", vnf_type, instance_id, classifier, classifier.priority, now)
        chain = Chain(FLOW_PREFIX + rule.flow_id, (vnf_type,), classifier)
        clash = conflict(chain, [*self.chains(), *self._flow_chains()], self._desired.services)
        if clash is not None:
            expected = f"another priority than {classifier.priority}: it overlaps with {clash!r}"
            raise OperationError("conflict", "match", vnf_type, expected)
        version = self._controller.change(replace(self._desired, flows={**self._desired.flows, rule.flow_id: rule}))
        self._controller.wait_for(version, wait_s)
        return rule, self._flow_status(rule)

    def remove_flow(self, flow_id: str) -> None:
        """Remove a flow rule."""
        if flow_id not in self._desired.flows:
            raise OperationError("not-found", "flow_id", flow_id, "the id of a flow rule")
        flows = {key: rule for key, rule in self._desired.flows.items() if key != flow_id}
        rule = self._desired.flows[flow_id]
        self._controller.change(replace(self._desired, flows=flows))
        self._controller.store.release("flow", _flow_key(rule.vnf_type, rule.instance_id, rule.created_at))

    # views ----------------------------------------------------------------------------------------------------------
    def topology(self) -> dict[str, Any]:
        """Switches, ports, links with measured latency, hosts."""
        return views.topology(self._controller)

    def paths(self) -> list[dict[str, Any]]:
        """All rendered paths."""
        return views.paths(self._controller)

    def statistics(self) -> dict[str, Any]:
        """Counters by chain, path and instance."""
        return views.statistics(self._controller)

    def metrics(self) -> bytes:
        """Prometheus' text format."""
        return views.metrics(self._controller)

    def events(self, after: int) -> Iterator[tuple[int, str, dict[str, Any]]]:
        """Events from then on."""
        return self._controller.events.follow(after)


def _flow_key(vnf_type: str, instance_id: str, created_at: float) -> str:
    """Under what the number of a flow rule is stored."""
    return f"{vnf_type}-{instance_id}-{created_at}"
