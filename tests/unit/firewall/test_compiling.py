"""What nftables is told: golden text, order, and that nft takes whatever the model can say."""

from __future__ import annotations

import os
import subprocess
from ipaddress import IPv4Network, IPv6Network
from typing import Any

from firewall.compiling import GENERATION, GUARD, MIRRORED, MOST_RULES, POSITION, in_order, transaction
from firewall.rule import PROTOCOLS, WITH_PORTS, Ports, Rule
from firewall.rulefile import MID_STREAM, Policy
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.firewall.scene import GOLDEN, golden_text

NETWORKS = {
    4: st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 32)).map(lambda pair: IPv4Network(pair, strict=False)),
    6: st.tuples(st.integers(0, 2**128 - 1), st.integers(0, 128)).map(lambda pair: IPv6Network(pair, strict=False)),
}
PORTS = st.tuples(st.integers(0, 65535), st.integers(0, 65535)).map(lambda pair: Ports(*sorted(pair)))


@st.composite
def rules(draw: Any) -> list[Rule]:
    made = []
    for id in draw(
        st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,47}", fullmatch=True), max_size=6, unique=True)
    ):
        prefixes = st.none() | NETWORKS[draw(st.sampled_from((4, 6)))]
        protocol = draw(st.none() | st.sampled_from(sorted(PROTOCOLS)) | st.integers(0, 255))
        ports = st.none() | PORTS if protocol in WITH_PORTS else st.none()
        action, priority = draw(st.sampled_from(("allow", "deny"))), draw(st.integers(0, 3))
        made.append(Rule(id, action, priority, draw(prefixes), draw(prefixes), protocol, draw(ports), draw(ports)))
    return made


POLICIES = st.builds(Policy, st.sampled_from(("allow", "deny")), st.sampled_from(MID_STREAM))


def taken(text: str) -> None:
    """nft carries it out, in a network namespace that ends with it."""
    alone = ("unshare", "-n") if os.geteuid() == 0 else ("unshare", "-rn")
    done = subprocess.run((*alone, "nft", "-f", "-"), input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_text_is_the_golden_one() -> None:
    assert golden_text() == GOLDEN.read_text(), "python -m tests.unit.firewall.renew, and read the difference"


def test_equals_stay_in_the_order_they_were_given() -> None:
    given_rules = [Rule("a", "deny", 5), Rule("b", "deny", 1), Rule("c", "deny", 5)]
    assert [rule.id for rule in in_order(given_rules)] == ["b", "a", "c"]


def test_a_mark_s_parts_do_not_overlap_and_hold_every_rule() -> None:
    assert MIRRORED ^ GENERATION ^ POSITION == 0xFFFFFFFF and MOST_RULES <= POSITION


@settings(max_examples=40, deadline=None)
@given(rules(), rules(), POLICIES, POLICIES)
def test_nft_takes_any_rules_after_any_others(
    before: list[Rule], after: list[Rule], first: Policy, second: Policy
) -> None:
    gone = {f"rule-{rule.id}" for rule in before} - {f"rule-{rule.id}" for rule in after}
    taken(GUARD + transaction(first, before, 1))
    taken(GUARD + transaction(first, before, 1) + transaction(second, after, 2, gone))


def test_nft_takes_as_many_rules_as_are_allowed() -> None:
    taken(GUARD + transaction(Policy(), [Rule(f"r{number}", "allow") for number in range(MOST_RULES)], 1))
