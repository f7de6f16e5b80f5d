"""The rules whose nftables text is golden. `python -m tests.unit.firewall.renew` writes it anew; read the difference first."""

from __future__ import annotations

from pathlib import Path

from firewall.compiling import transaction
from firewall.rulefile import parse_file

GOLDEN = Path(__file__).with_name("golden.nft")
FILE = """
default = "deny"

[[rules]]
id = "web"
action = "allow"
source = "10.0.0.0/8"
protocol = "tcp"
destination_ports = "80-99"

[[rules]]
id = "neighbours"
action = "allow"
priority = 10
source = "fd00::/64"
destination = "fd00::/64"
protocol = "icmpv6"

[[rules]]
id = "no-dns-answers"
action = "deny"
priority = 10
protocol = 17
source_ports = 53
"""


def golden_text() -> str:
    """The transaction that replaces a rule `old` by these, as generation 5."""
    policy, rules = parse_file(FILE)
    return transaction(policy, rules, 5, {"rule-old"})
