"""Flow, group and meter entries as plain data: what `rules.compile` produces, `switches.diff` compares and
`openflow.codec` puts on the wire. A flow is known by table, priority and match; a group or meter by its id; everything
else is data. Pure.

A match is a tuple of (field, value, mask) sorted by field name, mask None for exact; values and masks are ints (MAC and
IPv4 addresses too). Field names are those of `ovs-fields(7)`: in_port, eth_src, eth_dst, eth_type, ip_proto, ipv4_src,
ipv4_dst, tcp_src, tcp_dst, udp_src, udp_dst, icmp_type, arp_op, arp_spa, arp_tpa, arp_sha, arp_tha, reg0..reg7,
ct_state, ct_mark, nsh_spi, nsh_si, nsh_ttl.
"""

from dataclasses import dataclass, field

Match = tuple[tuple[str, int, int | None], ...]


def match(**fields: int | tuple[int, int]) -> Match:
    """Build a match from field=value or field=(value, mask)."""
    return tuple(sorted((n, *v) if isinstance(v, tuple) else (n, v, None) for n, v in fields.items()))


@dataclass(frozen=True, slots=True)
class Output:
    """Send out of a port; `max_len` counts for the controller port only."""

    port: int
    max_len: int = 0


@dataclass(frozen=True, slots=True)
class ToGroup:
    """Hand to a group."""

    group_id: int


@dataclass(frozen=True, slots=True)
class SetField:
    """Write a whole field (any name that a match may use)."""

    field: str
    value: int


@dataclass(frozen=True, slots=True)
class Move:
    """Copy `bits` bits from `src`[src_offset] to `dst`[dst_offset] (NXAST_REG_MOVE)."""

    src: str
    dst: str
    bits: int
    src_offset: int = 0
    dst_offset: int = 0


@dataclass(frozen=True, slots=True)
class Resubmit:
    """Look the packet up in another table (NXAST_RESUBMIT_TABLE, same in_port)."""

    table: int


@dataclass(frozen=True, slots=True)
class Ct:
    """Connection tracking (NXAST_CT). `table` None: no recirculation. `execute`: SetField or Move on ct_mark."""

    zone: int
    commit: bool = False
    table: int | None = None
    execute: tuple["SetField | Move", ...] = ()


@dataclass(frozen=True, slots=True)
class EncapNsh:
    """encap(nsh(md_type=1)): push NSH before the frame."""


@dataclass(frozen=True, slots=True)
class EncapEthernet:
    """encap(ethernet): push an outer Ethernet header."""


@dataclass(frozen=True, slots=True)
class Decap:
    """decap(): pop the outermost header."""


@dataclass(frozen=True, slots=True)
class DecNshTtl:
    """dec_nsh_ttl."""


Action = Output | ToGroup | SetField | Move | Resubmit | Ct | EncapNsh | EncapEthernet | Decap | DecNshTtl


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow entry. Instructions are, in this order: meter, apply-actions, goto-table (None or () where absent)."""

    table: int
    priority: int
    match: Match
    actions: tuple[Action, ...] = ()
    goto: int | None = None
    meter: int | None = None
    cookie: int = 0
    _hash: int = field(init=False, repr=False, compare=False, default=0)

    def __post_init__(self) -> None:
        """Hash once: sets of a hundred thousand entries are compared at every change."""
        object.__setattr__(self, "_hash", hash((self.table, self.priority, self.match, self.cookie)))

    def __hash__(self) -> int:
        return self._hash

    @property
    def key(self) -> tuple[int, int, Match]:
        """What makes it the same entry on a switch."""
        return (self.table, self.priority, self.match)


@dataclass(frozen=True, slots=True)
class Bucket:
    """One bucket of a select group."""

    weight: int
    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """A select group."""

    group_id: int
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True, slots=True)
class Meter:
    """A meter with one drop band, in packets a second."""

    meter_id: int
    rate_pps: int
    burst: int


@dataclass(frozen=True, slots=True)
class SwitchRules:
    """All that should exist on one switch."""

    flows: frozenset[Flow] = frozenset()
    groups: frozenset[Group] = frozenset()
    meters: frozenset[Meter] = frozenset()
