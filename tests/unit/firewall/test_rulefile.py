"""The rules file: what it says, and the line of what is wrong."""

from __future__ import annotations

import pytest
from firewall.rulefile import FileRefused, Policy, parse_file

from testbed.lab.images import IMAGES_FOLDER


def test_the_image_s_own_file_is_read() -> None:
    policy, rules = parse_file((IMAGES_FOLDER / "firewall" / "rules.toml").read_text())
    assert policy == Policy("allow", "loose") and [rule.id for rule in rules] == ["telnet", "admin-port"]


def test_an_empty_file_lets_all_pass_and_rules_without_id_are_numbered() -> None:
    assert parse_file("") == (Policy(), ())
    _, rules = parse_file('[[rules]]\naction = "deny"\n[[rules]]\naction = "allow"\n')
    assert [rule.id for rule in rules] == ["rule-1", "rule-2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('default = "allow"\ndefault = "deny"\n', "2: Cannot overwrite a value"),
        ("\nx = [1\n", "2: Unclosed array"),
        ('# text\ndefault = "perhaps"\n', "2: /default is 'perhaps'; expected one of allow, deny"),
        ("mid_stream = 1\n", "1: /mid_stream is 1; expected one of loose, strict"),
        ("\ncolour = 1\n", "2: /colour is 1; expected no such member, but one of default, mid_stream, rules"),
        ("rules = 1\n", "1: /rules is 1; expected tables, each under [[rules]]"),
        ('[[rules]]\naction = "deny"\n\n[[rules]]\n\naction = "x"\n', "6: /rules/1/action is 'x'; expected one of"),
        ('[[rules]]\naction = "deny"\n\n[[ rules ]]\npriority = 1\n', "4: /rules/1/action is None; expected one of"),
        ('[[rules]]\nid = "a"\naction = "deny"\n[[rules]]\naction = "deny"\nid = "a"\n', "6: /rules/1/id is 'a'"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(FileRefused) as refused:
        parse_file(text)
    assert str(refused.value).startswith(said)


def test_all_that_is_wrong_is_told() -> None:
    with pytest.raises(FileRefused, match=r"^1: /default .*; 3: /rules/0/action .*; 4: /rules/0/id "):
        parse_file('default = 1\n[[rules]]\naction = 1\nid = ""\n')
