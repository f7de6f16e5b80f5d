"""Entries as text in the form that `ovs-ofctl -O OpenFlow13` takes (add-flow, add-group, add-meter).

For golden files, logs and documents. In: entries, and optionally the names of ports. Out: one line an entry, always the
same for the same entries. Pure.
"""

from sdn_app.rules.entries import (
    Action,
    Ct,
    Decap,
    DecNshTtl,
    EncapEthernet,
    EncapNsh,
    Flow,
    Group,
    Match,
    Meter,
    Move,
    Output,
    Resubmit,
    SetField,
    SwitchRules,
    ToGroup,
)

Ports = dict[int, str]

RESERVED_PORTS = {
    0xFFFFFFF8: "IN_PORT",
    0xFFFFFFF9: "TABLE",
    0xFFFFFFFA: "NORMAL",
    0xFFFFFFFB: "FLOOD",
    0xFFFFFFFC: "ALL",
    0xFFFFFFFD: "CONTROLLER",
    0xFFFFFFFE: "LOCAL",
}
CONTROLLER_PORT = 0xFFFFFFFD
PROTOCOLS = {(0x0800, 1): "icmp", (0x0800, 6): "tcp", (0x0800, 17): "udp"}
ETHERNET_TYPES = {0x0800: "ip", 0x0806: "arp"}
CT_STATE_FLAGS = ("new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat")
MAC_FIELDS = frozenset({"eth_src", "eth_dst", "arp_sha", "arp_tha"})
IPV4_FIELDS = frozenset({"ipv4_src", "ipv4_dst", "arp_spa", "arp_tpa"})
DECIMAL_FIELDS = frozenset(
    {"ip_proto", "tcp_src", "tcp_dst", "udp_src", "udp_dst", "icmp_type", "arp_op", "nsh_si", "nsh_ttl"}
)
OVS_NAMES = {"ipv4_src": "ip_src", "ipv4_dst": "ip_dst"}
ACTION_NAMES = OVS_NAMES | {"in_port": "in_port_oxm"}  # in an action, in_port has 16 bits


def rules_text(rules: SwitchRules, ports: Ports | None = None) -> str:
    """All entries, one a line: meters, groups, then flows by table, falling priority and match."""
    flows = sorted((flow.table, -flow.priority, flow_text(flow, ports)) for flow in rules.flows)
    lines = [
        *(meter_text(meter) for meter in sorted(rules.meters, key=lambda meter: meter.meter_id)),
        *(group_text(group, ports) for group in sorted(rules.groups, key=lambda group: group.group_id)),
        *(text for _, _, text in flows),
    ]
    return "".join(f"{line}\n" for line in lines)


def flow_text(flow: Flow, ports: Ports | None = None) -> str:
    """One flow; a cookie of 0 is left out."""
    head = [f"cookie={flow.cookie:#x}"] if flow.cookie else []
    head += [f"table={flow.table}", f"priority={flow.priority}", *_match(flow.match, ports)]
    actions = [f"meter:{flow.meter}"] if flow.meter is not None else []
    actions += [action_text(action, ports) for action in flow.actions]
    if flow.goto is not None:
        actions.append(f"goto_table:{flow.goto}")
    return f"{','.join(head)} actions={','.join(actions) or 'drop'}"


def group_text(group: Group, ports: Ports | None = None) -> str:
    """One select group."""
    parts = [f"group_id={group.group_id}", "type=select"]
    for bucket in group.buckets:
        actions = ",".join(action_text(action, ports) for action in bucket.actions) or "drop"
        parts.append(f"bucket=weight:{bucket.weight},actions={actions}")
    return ",".join(parts)


def meter_text(meter: Meter) -> str:
    """One meter."""
    return f"meter={meter.meter_id},pktps,burst,band=type=drop,rate={meter.rate_pps},burst_size={meter.burst}"


def action_text(action: Action, ports: Ports | None = None) -> str:
    """One action."""
    match action:
        case Output(port, max_len):
            return f"CONTROLLER:{max_len}" if port == CONTROLLER_PORT else f"output:{_port(port, ports)}"
        case ToGroup(group_id):
            return f"group:{group_id}"
        case SetField(field, value):
            return f"set_field:{_value(field, value, ports)}->{ACTION_NAMES.get(field, field)}"
        case Move(src, dst, bits, src_offset, dst_offset):
            return f"move:{_bits(src, src_offset, bits)}->{_bits(dst, dst_offset, bits)}"
        case Resubmit(table):
            return f"resubmit(,{table})"
        case Ct():
            return _ct(action, ports)
        case EncapNsh():
            return "encap(nsh(md_type=1))"
        case EncapEthernet():
            return "encap(ethernet)"
        case Decap():
            return "decap()"
        case DecNshTtl():
            return "dec_nsh_ttl"


def _ct(action: Ct, ports: Ports | None) -> str:
    parts = ["commit"] if action.commit else []
    if action.table is not None:
        parts.append(f"table={action.table}")
    parts.append(f"zone={action.zone}")
    if action.execute:
        parts.append(f"exec({','.join(action_text(nested, ports) for nested in action.execute)})")
    return f"ct({','.join(parts)})"


def _match(match: Match, ports: Ports | None) -> list[str]:
    """Protocols as one word first, the other fields by name after them."""
    exact = {name: value for name, value, mask in match if mask is None}
    words: list[str] = []
    hidden: set[str] = set()
    eth_type = exact.get("eth_type", -1)
    if (eth_type, exact.get("ip_proto", -1)) in PROTOCOLS:
        words.append(PROTOCOLS[eth_type, exact["ip_proto"]])
        hidden = {"eth_type", "ip_proto"}
    elif eth_type in ETHERNET_TYPES:
        words.append(ETHERNET_TYPES[eth_type])
        hidden = {"eth_type"}
    return words + [_field(*part, ports) for part in match if part[0] not in hidden]


def _field(name: str, value: int, mask: int | None, ports: Ports | None) -> str:
    if name == "ct_state" and mask is not None:
        return f"ct_state={_flags(value, mask)}"
    text = f"{OVS_NAMES.get(name, name)}={_value(name, value, ports)}"
    return text if mask is None else f"{text}/{_value(name, mask, None)}"


def _flags(value: int, mask: int) -> str:
    names = ((1 << bit, flag) for bit, flag in enumerate(CT_STATE_FLAGS))
    return "".join(f"{'+' if value & bit else '-'}{flag}" for bit, flag in names if mask & bit)


def _value(field: str, value: int, ports: Ports | None) -> str:
    if field in MAC_FIELDS:
        return value.to_bytes(6, "big").hex(":")
    if field in IPV4_FIELDS:
        return ".".join(map(str, value.to_bytes(4, "big")))
    if field == "in_port":
        return _port(value, ports)
    return str(value) if field in DECIMAL_FIELDS else f"{value:#x}"


def _port(number: int, ports: Ports | None) -> str:
    name = (ports or {}).get(number)
    return f'"{name}"' if name is not None else RESERVED_PORTS.get(number, str(number))


def _bits(field: str, offset: int, bits: int) -> str:
    name = ACTION_NAMES.get(field, field)
    return f"{name}[{offset}]" if bits == 1 else f"{name}[{offset}..{offset + bits - 1}]"
