"""What nftables is told. In: policy, rules, the generation. Out: the text of one transaction. Pure.

Each connection is judged once, by its own two ends and not by a packet's, in the chain `straight`; the verdict is kept in its
conntrack mark together with the generation of the rules. Packets of a connection of this generation pass at the second rule, also
while nobody answered it. When rules change, the generation does, and every connection is judged anew at its next
packet: a denial ends connections that run, and none that stays allowed loses a packet.

A TCP connection whose start was not seen is taken to be one that `in0`'s side opened. Where its first packet here comes from `out0`,
conntrack holds it the wrong way round: such connections are judged `mirrored`.

    mark   bit 31 mirrored | bits 12-30 generation | bits 0-11 position of the rule that allowed it, 0 the default

Counters are named objects: they go on counting over a change of rules.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from firewall.rule import PROTOCOLS, Rule
from firewall.rulefile import Policy

FAMILY, TABLE = "inet", "firewall"
MIRRORED, GENERATION, POSITION = 0x80000000, 0x7FFFF000, 0x00000FFF
GENERATION_SHIFT = 12
MOST_RULES = 1000
MOST_NEW_CPS = (
    10_000  # with the image's time-outs of unanswered connections they stay below conntrack's default maximum
)
RULE_COUNTER = "rule-"
DEFAULT_COUNTER = "default"
DROPS = ("invalid", "mid-stream", "too-many-new")  # counters of what is dropped before any rule is asked
PASSES = ("untracked", "related", "taken-up")
FROM_OUT0 = 1  # a packet's mark: it came in by out0

# Loaded once: which port a packet came in by, no frame that is not IP or ARP, nothing for or from the own stack on
# the data ports, and conntrack for the data ports alone.
GUARD = f"""
add table bridge guard
delete table bridge guard
table bridge guard {{
	counter not-ip {{ }}
	chain side {{
		type filter hook prerouting priority -300; policy accept;
		iifname "out0" meta mark set {FROM_OUT0}
	}}
	chain forward {{
		type filter hook forward priority -250; policy drop;
		ether type {{ ip, ip6, arp }} accept
		counter name "not-ip" drop
	}}
	chain input {{ type filter hook input priority filter; policy drop; }}
	chain output {{ type filter hook output priority filter; policy drop; }}
}}
add table inet management
delete table inet management
table inet management {{
	chain came {{ type filter hook prerouting priority raw; iifname "mgmt0" notrack; }}
	chain goes {{ type filter hook output priority raw; oifname "mgmt0" notrack; }}
}}
"""


def in_order(rules: Sequence[Rule]) -> list[Rule]:
    """Rules as they are asked: by priority, and as given among equals."""
    return sorted(rules, key=lambda rule: rule.priority)


def counter_names(rules: Sequence[Rule]) -> tuple[str, ...]:
    """All counters of the table."""
    return (*DROPS, *PASSES, DEFAULT_COUNTER, *(RULE_COUNTER + rule.id for rule in rules))


def transaction(policy: Policy, rules: Sequence[Rule], generation: int, gone: Collection[str] = ()) -> str:
    """The text that puts `rules` in the place of those before; `gone` are counters to remove."""
    ordered = in_order(rules)
    stamp = (generation << GENERATION_SHIFT) & GENERATION
    lines = [f"table {FAMILY} {TABLE} {{"]
    lines += [f"\tcounter {name} {{ }}" for name in counter_names(ordered)]
    lines += ["\tchain straight { }", "\tchain mirrored { }"]
    lines += ["\tchain forward { type filter hook forward priority filter; policy drop; }", "}"]
    lines += [f"flush table {FAMILY} {TABLE}", f"table {FAMILY} {TABLE} {{"]
    lines += _chain("forward", _entrance(policy, ordered, stamp))
    lines += _chain("straight", _judgement(policy, ordered, stamp, "original"))
    lines += _chain("mirrored", _judgement(policy, ordered, stamp | MIRRORED, "reply"))
    lines += ["}", *(f"delete counter {FAMILY} {TABLE} {name}" for name in sorted(gone))]
    return "\n".join(lines) + "\n"


def _chain(name: str, rules: Sequence[str]) -> list[str]:
    return [f"\tchain {name} {{", *(f"\t\t{rule}" for rule in rules), "\t}"]


def _entrance(policy: Policy, rules: Sequence[Rule], stamp: int) -> list[str]:
    counters = [DEFAULT_COUNTER, *(RULE_COUNTER + rule.id for rule in rules)]
    passed = ", ".join(f'{position} : "{name}"' for position, name in enumerate(counters))
    unseen_start = "ct mark 0 ct state new tcp flags & (fin | syn | rst | ack) != syn counter name"
    return [
        'ct state invalid counter name "invalid" drop',
        f"ct mark & {GENERATION:#010x} == {stamp:#010x} counter name ct mark & {POSITION:#x} map {{ {passed} }} accept",
        'ct state related counter name "related" accept',
        'ct state untracked counter name "untracked" accept',
        f"ct mark 0 ct state new limit rate over {MOST_NEW_CPS}/second burst {MOST_NEW_CPS} packets "
        'counter name "too-many-new" drop',
        f'{unseen_start} "mid-stream" drop'
        if policy.mid_stream == "strict"
        else f'{unseen_start} "taken-up" meta mark {FROM_OUT0} ct mark set {MIRRORED:#x}',
        f"ct mark & {MIRRORED:#x} != 0 goto mirrored",
        "goto straight",
    ]


def _judgement(policy: Policy, rules: Sequence[Rule], stamp: int, ends: str) -> list[str]:
    judged = [
        " ".join(
            [*_conditions(rule, ends), f'counter name "{RULE_COUNTER}{rule.id}"', _verdict(rule.action, stamp, at)]
        )
        for at, rule in enumerate(rules, 1)
    ]
    return [*judged, f'counter name "{DEFAULT_COUNTER}" {_verdict(policy.default, stamp, 0)}']


def _verdict(action: str, stamp: int, position: int) -> str:
    return f"ct mark set {stamp | position:#010x} accept" if action == "allow" else "drop"


def _conditions(rule: Rule, ends: str) -> list[str]:
    """`ends` says whose view of the connection is asked: its `original` direction's or its `reply`'s."""
    said = []
    for network, word in ((rule.source, "saddr"), (rule.destination, "daddr")):
        if network is not None:
            said.append(f"ct {ends} {'ip' if network.version == 4 else 'ip6'} {word} {network}")
    if rule.protocol is not None:
        said.append(f"meta l4proto {PROTOCOLS.get(str(rule.protocol), rule.protocol)}")
    for ports, word in ((rule.source_ports, "proto-src"), (rule.destination_ports, "proto-dst")):
        if ports is not None:
            said.append(f"ct {ends} {word} {ports}")
    return said
