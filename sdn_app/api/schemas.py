"""JSON Schemas (2020-12) of everything that the API reads and writes: they validate, and they are the OpenAPI
document's.

In: nothing. Out: `SCHEMAS` by name, with references of the form `#/components/schemas/NAME`. Members that are not named
are refused. What a schema cannot say (a range upside down, a function without two ports) is checked by `convert`.
"""

from typing import Any

Schema = dict[str, Any]

NAME = "^[a-z][a-z0-9-]{0,62}$"
INSTANCE_ID = "^[a-z][a-z0-9-]{0,11}$"
_OCTET = "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_ADDRESS = rf"{_OCTET}(\.{_OCTET}){{3}}"


def ref(name: str) -> Schema:
    """A reference to the schema of that name."""
    return {"$ref": f"#/components/schemas/{name}"}


def members(required: tuple[str, ...], **properties: Schema) -> Schema:
    """An object with these members and no others."""
    return {
        "type": "object",
        "required": list(required),
        "properties": properties,
        "additionalProperties": False,
    }


def whole(least: int, greatest: int, **more: Any) -> Schema:
    """A whole number in a range."""
    return {"type": "integer", "minimum": least, "maximum": greatest, **more}


def listed(name: str, most: int | None = None) -> Schema:
    """An array of what the schema of that name describes."""
    return {"type": "array", "items": ref(name)} | ({} if most is None else {"minItems": 1, "maxItems": most})


def or_null(schema: Schema) -> Schema:
    """What the schema describes, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


_text: Schema = {"type": "string"}
_object: Schema = {"type": "object"}
_time: Schema = {"type": "number", "description": "seconds since 1970"}
_state: Schema = {"type": "string", "enum": ["starting", "active", "draining", "failed"]}
_vnf_type: Schema = {"type": "string", "pattern": NAME, "description": "a VNF type"}
_instance_id: Schema = {"type": "string", "pattern": INSTANCE_ID, "description": "at most 12 characters"}
_priority = whole(0, 999, description="the greater wins")
_weight = whole(1, 100)
_address: Schema = {"type": "string", "pattern": f"^{_ADDRESS}$", "description": "an IPv4 address"}
_network: Schema = {
    "type": "string",
    "pattern": f"^{_ADDRESS}(/([0-9]|[12][0-9]|3[0-2]))?$",
    "description": "an IPv4 network, as 10.1.0.0/16",
}
_mac: Schema = {
    "type": "string",
    "pattern": "^[0-9a-fA-F][02468aceACE](:[0-9a-fA-F]{2}){5}$",
    "description": "a unicast MAC address",
}
_health_url: Schema = {
    "type": "string",
    "pattern": rf"^http://{_ADDRESS}(:[0-9]{{1,5}})?/[!-~]{{0,200}}$",
    "description": "an http address with an IPv4 host",
}
_protocol: Schema = {"type": "string", "enum": ["tcp", "udp", "icmp"]}
_match = {
    "domain": whole(1, 65535),
    "source": _network,
    "destination": _network,
    "protocol": _protocol,
    "source_ports": ref("Ports"),
    "destination_ports": ref("Ports"),
}
_chain: dict[str, Schema] = {
    "name": {"type": "string", "pattern": NAME},
    "functions": {"type": "array", "items": _vnf_type, "maxItems": 32},
    "classifier": ref("Classifier"),
    "service": {"type": "string", "pattern": NAME, "description": "a service's name"},
    "balancing": {"type": "string", "enum": ["round-robin", "weighted", "least-loaded", "sticky", "hash"]},
    "on_failure": {"type": "string", "enum": ["fail-closed", "fail-open"]},
    "symmetric": {"type": "boolean"},
    "constraints": ref("Constraints"),
    "pinned": {
        "type": "array",
        "items": {"type": ["string", "null"], "pattern": INSTANCE_ID},
        "maxItems": 33,
        "description": "an instance for each position, or null where the position is balanced",
    },
}
_service: dict[str, Schema] = {
    "name": {"type": "string", "pattern": NAME},
    "address": _address,
    "port": whole(1, 65535),
    "servant_type": _vnf_type,
    "protocol": {"type": "string", "enum": ["tcp", "udp"]},
}
_instance: dict[str, Schema] = {
    "instance_id": _instance_id,
    "attachment": ref("Attachment"),
    "health_url": or_null(_health_url),
    "address": or_null(_address),
    "mac": or_null(_mac),
    "weight": _weight,
}
_flow_answer: dict[str, Schema] = {
    "flow_id": _text,
    "vnf_type": _text,
    "instance_id": _text,
    "priority": _priority,
    "status": {"type": "string", "enum": ["pending", "active", "failed"]},
    "created_at": _time,
    "match": ref("Match"),
}
_instance_answer = _instance | {"vnf_type": _text, "status": _state, "created_at": _time}

SCHEMAS: dict[str, Schema] = {
    "Ports": {
        "oneOf": [
            {"type": "string", "pattern": "^[0-9]{1,5}(-[0-9]{1,5})?$", "description": 'ports, as "80" or "80-90"'},
            members(("first", "last"), first=whole(0, 65535), last=whole(0, 65535)),
        ]
    },
    "Match": members((), **_match),
    "Classifier": members((), **_match, priority=_priority),
    "Constraints": members(
        (),
        max_latency_ms=or_null({"type": "number", "exclusiveMinimum": 0, "maximum": 60_000}),
        avoid_domains={"type": "array", "items": whole(1, 65535), "uniqueItems": True, "maxItems": 1000},
    ),
    "NewChain": members(("name", "functions"), **_chain),
    "NewChains": members(("chains",), chains=listed("NewChain", 5000)),
    "ChainOrChains": {"oneOf": [ref("NewChain"), ref("NewChains")]},
    "Chain": members((*(_chain.keys() - {"service"}), "created_at"), **_chain, created_at=_time),
    "Chains": members(("chains",), chains=listed("Chain")),
    "AddedChains": {"oneOf": [ref("Chain"), ref("Chains")]},
    "NewService": members(("name", "address", "port"), **_service),
    "Service": members((*_service, "created_at"), **_service, created_at=_time),
    "Services": members(("services",), services=listed("Service")),
    "Attachment": members(
        ("switch", "ports"),
        switch=whole(1, 2**64 - 1, description="a datapath id"),
        ports={
            "type": "array",
            "items": {"type": "string", "pattern": "^[A-Za-z0-9_.-]{1,15}$"},
            "minItems": 1,
            "maxItems": 2,
            "uniqueItems": True,
            "description": "port names: towards clients, towards servants; one for a servant",
        },
    ),
    "NewInstance": members(("attachment",), **_instance),
    "Instance": members(tuple(_instance_answer), **_instance_answer),
    "Instances": members(("instances",), instances=listed("Instance")),
    "InstanceChange": {
        **members((), state={"type": "string", "enum": ["active", "draining"]}, weight=_weight),
        "minProperties": 1,
    },
    "NewFlow": members(
        ("vnf_type", "match"), vnf_type=_vnf_type, instance_id=_instance_id, priority=_priority, match=ref("Match")
    ),
    "Flow": members(tuple(_flow_answer), **_flow_answer),
    "Flows": members(("flows",), flows=listed("Flow")),
    "View": {"type": "object", "description": "a view of what is; its members are the controller's"},
    "Paths": members(("paths",), paths={"type": "array", "items": _object}),
    "Problem": members(
        ("type", "title", "status", "detail", "instance", "errors"),
        type=_text,
        title=_text,
        status=whole(400, 599),
        detail=_text,
        instance=_text,
        errors=listed("Fault"),
    ),
    "Fault": members(("member", "value", "expected"), member=_text, value={}, expected=_text),
}
