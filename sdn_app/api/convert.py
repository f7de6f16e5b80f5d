"""Turns validated JSON members into the dataclasses of `sdn_app.chains.model`, and back, without loss.

In: dicts that passed `validation`, or dataclasses. Out: the other. What a schema cannot say is checked here, and an
error names the member: an `OperationError` of kind "invalid". It reads no clock and asks nobody whether a name exists.
"""

from ipaddress import IPv4Address, IPv4Network
from typing import Any
from urllib.parse import urlsplit

from sdn_app.api.backend import OperationError
from sdn_app.chains.model import (
    SERVANT,
    Attachment,
    Balancing,
    Chain,
    Classifier,
    Constraints,
    FlowRule,
    Instance,
    OnFailure,
    PortRange,
    Protocol,
    Service,
)

Document = dict[str, Any]
_PORTED = (Protocol.TCP, Protocol.UDP)


def chain(document: Document, created_at: float, at: str = "") -> Chain:
    """The chain that a `NewChain` describes; `at` is the pointer of the document in the body."""
    functions = tuple(document["functions"])
    service, pinned = document.get("service"), tuple(document.get("pinned", ()))
    if not functions and service is None:
        raise OperationError("invalid", f"{at}/functions", [], "at least one function, or a service")
    positions = len(functions) + (service is not None)
    if pinned and len(pinned) not in (len(functions), positions):
        expected = f"an entry for each of the {len(functions)} functions{', or also the service' if service else ''}"
        raise OperationError("invalid", f"{at}/pinned", list(pinned), expected)
    constraints = document.get("constraints", {})
    return Chain(
        name=document["name"],
        functions=functions,
        classifier=classifier(document.get("classifier", {}), f"{at}/classifier"),
        service=service,
        balancing=Balancing(document.get("balancing", Balancing.ROUND_ROBIN)),
        on_failure=OnFailure(document.get("on_failure", OnFailure.FAIL_CLOSED)),
        symmetric=document.get("symmetric", True),
        constraints=Constraints(
            max_latency_ms=constraints.get("max_latency_ms"),
            avoid_domains=frozenset(int(domain) for domain in constraints.get("avoid_domains", ())),
        ),
        pinned=pinned,
        created_at=created_at,
    )


def chain_document(value: Chain) -> Document:
    """A `Chain` as the API shows it; `service` is left out where there is none."""
    return {
        "name": value.name,
        "functions": list(value.functions),
        "classifier": match_document(value.classifier) | {"priority": value.classifier.priority},
        **({} if value.service is None else {"service": value.service}),
        "balancing": value.balancing.value,
        "on_failure": value.on_failure.value,
        "symmetric": value.symmetric,
        "constraints": {
            "max_latency_ms": value.constraints.max_latency_ms,
            "avoid_domains": sorted(value.constraints.avoid_domains),
        },
        "pinned": list(value.pinned),
        "created_at": value.created_at,
    }


def classifier(document: Document, at: str, priority: int | None = None) -> Classifier:
    """The classifier that a `Match` or `Classifier` describes; `priority` where the document has none."""
    protocol = Protocol(document["protocol"]) if "protocol" in document else None
    for name in ("source_ports", "destination_ports"):
        if name in document and protocol not in _PORTED:
            shown = None if protocol is None else protocol.value
            raise OperationError("invalid", f"{at}/protocol", shown, f'"tcp" or "udp", since {name} is given')
    if priority is None:
        priority = int(document.get("priority", Classifier().priority))
    return Classifier(
        domain=int(document["domain"]) if "domain" in document else None,
        source=_network(document, "source", at),
        destination=_network(document, "destination", at),
        protocol=protocol,
        source_ports=_ports(document, "source_ports", at),
        destination_ports=_ports(document, "destination_ports", at),
        priority=priority,
    )


def match_document(value: Classifier) -> Document:
    """The match of a classifier: only what it names, without the priority."""
    members = {
        "domain": value.domain,
        "source": None if value.source is None else str(value.source),
        "destination": None if value.destination is None else str(value.destination),
        "protocol": None if value.protocol is None else value.protocol.value,
        "source_ports": _ports_document(value.source_ports),
        "destination_ports": _ports_document(value.destination_ports),
    }
    return {name: member for name, member in members.items() if member is not None}


def service(document: Document, created_at: float) -> Service:
    """The service that a `NewService` describes."""
    address = _host(document["address"], "/address")
    return Service(
        name=document["name"],
        address=address,
        port=int(document["port"]),
        servant_type=document.get("servant_type", SERVANT),
        protocol=Protocol(document.get("protocol", Protocol.TCP)),
        created_at=created_at,
    )


def service_document(value: Service) -> Document:
    """A `Service` as the API shows it."""
    return {
        "name": value.name,
        "address": str(value.address),
        "port": value.port,
        "servant_type": value.servant_type,
        "protocol": value.protocol.value,
        "created_at": value.created_at,
    }


def instance(document: Document, vnf_type: str, instance_id: str, created_at: float) -> Instance:
    """The instance that a `NewInstance` describes. A servant has one port, an address and a MAC."""
    attachment = Attachment(int(document["attachment"]["switch"]), tuple(document["attachment"]["ports"]))
    address, mac = document.get("address"), document.get("mac")
    servant = len(attachment.ports) == 1
    if vnf_type == SERVANT and not servant:
        raise OperationError("invalid", "/attachment/ports", list(attachment.ports), "one port, for a servant")
    for name, value in (("address", address), ("mac", mac)):
        if servant and value is None:
            raise OperationError("invalid", f"/{name}", None, "a value, for an instance with one port")
        if not servant and value is not None:
            raise OperationError("invalid", f"/{name}", value, "nothing, for an instance with two ports")
    return Instance(
        instance_id=instance_id,
        vnf_type=vnf_type,
        attachment=attachment,
        health_url=_health_url(document.get("health_url")),
        address=None if address is None else _host(address, "/address"),
        mac=None if mac is None else mac.lower(),
        weight=int(document.get("weight", 1)),
        created_at=created_at,
    )


def instance_document(value: Instance) -> Document:
    """An `Instance` as the API shows it: `status` is its state."""
    return {
        "instance_id": value.instance_id,
        "vnf_type": value.vnf_type,
        "status": value.state.value,
        "weight": value.weight,
        "created_at": value.created_at,
        "attachment": {"switch": value.attachment.switch, "ports": list(value.attachment.ports)},
        "health_url": value.health_url,
        "address": None if value.address is None else str(value.address),
        "mac": value.mac,
    }


def flow_document(value: FlowRule, status: str) -> Document:
    """A `/flows` entry: the six fields of the orchestration layer's document, and the match."""
    return {
        "flow_id": value.flow_id,
        "vnf_type": value.vnf_type,
        "instance_id": value.instance_id,
        "priority": value.priority,
        "status": status,
        "created_at": value.created_at,
        "match": match_document(value.classifier),
    }


def _network(document: Document, name: str, at: str) -> IPv4Network | None:
    if name not in document:
        return None
    try:
        return IPv4Network(document[name])
    except ValueError as error:
        raise OperationError("invalid", f"{at}/{name}", document[name], f"an IPv4 network ({error})") from None


def _host(text: str, at: str) -> IPv4Address:
    address = IPv4Address(text)
    if address.is_multicast or address.is_unspecified or address.is_reserved:
        raise OperationError("invalid", at, text, "an address that a host may have")
    return address


def _health_url(text: str | None) -> str | None:
    try:
        if text is not None:
            _host(urlsplit(text).netloc.partition(":")[0], "/health_url")
            _ = urlsplit(text).port  # raises where it is over 65535
    except ValueError as error:
        raise OperationError("invalid", "/health_url", text, f"an http address ({error})") from None
    return text


def _ports(document: Document, name: str, at: str) -> PortRange | None:
    if name not in document:
        return None
    given = document[name]
    if isinstance(given, str):
        first, _, last = given.partition("-")
        ports = PortRange(int(first), int(last or first))
    else:
        ports = PortRange(int(given["first"]), int(given["last"]))
    if not ports.first <= ports.last <= 65535:
        raise OperationError("invalid", f"{at}/{name}", given, "0 <= first <= last <= 65535")
    return ports


def _ports_document(value: PortRange | None) -> Document | None:
    return None if value is None else {"first": value.first, "last": value.last}
