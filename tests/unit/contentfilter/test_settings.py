"""The configuration: what it says, what it must not say, and where it says it."""

from __future__ import annotations

from pathlib import Path

import pytest
from contentfilter.inspector import Policy
from contentfilter.loading import SAMPLE, load
from contentfilter.settings import Misconfigured, parse

GOOD = """\
allow = ["fine.example"]
block = [
  "bad.example",
]

[policy]
connect = "allow"

[[lists]]
name = "ads"
file = "ads.txt"

[[lists]]
name = "more"
file = "more.txt"
action = "allow"
strict = true
"""


def test_a_whole_configuration() -> None:
    settings = parse("c.toml", GOOD)
    assert settings.policy == Policy(connect=True)
    assert [(each.name, each.allows, each.strict) for each in settings.lists] == [
        ("ads", False, False),
        ("more", True, True),
    ]
    assert parse("c.toml", "").policy == Policy()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('allow = ["fine', 'colour = 1\nallow = ["fine', "c.toml:1: colour is unknown; expected one of allow, block"),
        (
            'connect = "allow"',
            'connect = "maybe"',
            'c.toml:7: policy.connect is \'maybe\'; expected "allow" or "block"',
        ),
        ('connect = "allow"', 'conect = "allow"', "c.toml:7: policy.conect is unknown"),
        ('action = "allow"', 'action = "alow"', "c.toml:16: lists.action is 'alow'"),
        ("strict = true", "strict = 1", "c.toml:17: lists.strict is 1"),
        ('name = "more"', 'name = "ads"', "c.toml:14: lists.name 'ads' is the name of another list too"),
        ('name = "more"', 'name = "own"', "c.toml:14: lists.name is 'own'"),
        ('file = "ads.txt"', "", "c.toml:9: lists.file is None"),
        ('["fine.example"]', '"fine.example"', "c.toml:1: allow is 'fine.example'; expected a list of strings"),
        ("block = [", "max_entries = 0\nblock = [", "c.toml:2: max_entries is 0"),
        ('connect = "allow"', "connect = ", "line 7"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(old: str, new: str, said: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        parse("c.toml", GOOD.replace(old, new))
    assert said in str(caught.value)


def test_lists_are_read_from_beside_the_configuration(tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text(GOOD)
    (tmp_path / "ads.txt").write_text(
        "0.0.0.0 ads.example\nads.example\nads.example\nbroken##line\n@@||ok.ads.example^\n"
    )
    (tmp_path / "more.txt").write_text("bad.example/fine\n")
    loaded = load(tmp_path / "c.toml")
    counts = {each.name: (each.entries, each.skipped) for each in loaded.counts}
    assert counts["ads"] == (2, 1) and counts["more"][1] == 0
    assert "ads.txt:4:" in next(each.first_skipped for each in loaded.counts if each.name == "ads")
    judged = loaded.book.rules.blocked_by
    assert judged(b"www.ads.example") == "ads" and judged(b"ok.ads.example") is None
    assert judged(b"bad.example", b"/x") == "own" and judged(b"bad.example", b"/fine/x") is None
    assert judged(SAMPLE) == "own"


@pytest.mark.parametrize(
    ("lines", "changes", "said"),
    [
        ("fine.example\nbroken##line\n", ("", ""), "more.txt:2: "),
        (None, ("", ""), "more.txt: No such file or directory, named by the list more"),
        ("fine.example\n", ("block = [", "max_entries = 2\nblock = ["), "more than max_entries = 2"),
        ("fine.example\n", ('"bad.example"', '"a..b"'), "a..b"),
    ],
)
def test_lists_that_cannot_be_used(tmp_path: Path, lines: str | None, changes: tuple[str, str], said: str) -> None:
    (tmp_path / "c.toml").write_text(GOOD.replace(*changes) if changes[0] else GOOD)
    (tmp_path / "ads.txt").write_text("x.example\n")
    if lines is not None:
        (tmp_path / "more.txt").write_text(lines)
    with pytest.raises(Misconfigured) as caught:
        load(tmp_path / "c.toml")
    assert said in str(caught.value)


def test_a_missing_configuration_is_named(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"none\.toml"):
        load(tmp_path / "none.toml")
