"""What is read from the kernel's files."""

from __future__ import annotations

from pathlib import Path

from firewall import kernel
from firewall.kernel import Count
from firewall.metrics import drops_by_reason
from firewall.ruleset import RuleCount


def test_malformed_packets_are_added_up(tmp_path: Path) -> None:
    (tmp_path / "snmp").write_text(
        "Ip: Forwarding InHdrErrors ReasmFails\nIp: 2 3 4\nTcp: InHdrErrors\nTcp: 100\nUdp: InErrors\nUdp: 7\n"
    )
    (tmp_path / "snmp6").write_text("Ip6InReceives 9\nIp6InHdrErrors 5\n")
    assert kernel.malformed(tmp_path) == 12
    assert kernel.malformed(tmp_path / "none") == 0


def test_a_full_table_s_drops_are_added_up_over_the_cores(tmp_path: Path) -> None:
    path = tmp_path / "nf_conntrack"
    path.write_text("entries  drop early_drop\n00000001  0000000a 00000000\n00000001  00000001 00000002\n")
    assert kernel.table_full(path) == 11 and kernel.table_full(tmp_path / "none") == 0


def test_drops_are_told_by_reason() -> None:
    rules = [RuleCount("forward", "a", "drop", 2, 120), RuleCount("forward", "b", "accept", 5, 300)]
    drops = drops_by_reason(rules, {("guard", "not-ip"): Count(1, 60), ("firewall", "invalid"): Count(4, 240)})
    assert (drops["rule"], drops["not-ip"].packets, drops["invalid"].packets) == (Count(2, 120), 1, 4)
    assert set(drops) == {"rule", "not-ip", "malformed", "table-full", "invalid", "mid-stream", "too-many-new"}
