"""The rulebook and its REST, with a kernel that only remembers what it was told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from firewall import kernel, rest
from firewall.kernel import Count, KernelRefused
from firewall.rulebook import Rulebook
from firewall.ruleset import RulesRefused
from vnf.management import Request

DENY = {"action": "deny", "protocol": "tcp", "destination_ports": 80}


class Kernel:
    """Takes transactions, or refuses them all."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.refuses = False

    def change(self, text: str) -> None:
        if self.refuses:
            raise KernelRefused("no room")
        self.texts.append(text)

    def counters(self) -> dict[tuple[str, str], Count]:
        return {("firewall", "rule-of-file"): Count(3, 180)}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(kernel, "change", made.change)
    monkeypatch.setattr(kernel, "counters", made.counters)
    return made


@pytest.fixture
def book(fake: Kernel, tmp_path: Path) -> Rulebook:
    path = tmp_path / "rules.toml"
    path.write_text('[[rules]]\nid = "of-file"\naction = "allow"\n')
    made = Rulebook(path)
    made.load()
    return made


def ask(book: Rulebook, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    given = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    answer = rest.answer(book, Request(method, path, given))
    assert answer is not None
    assert answer.content_type == ("application/json" if answer.status < 300 else "application/problem+json")
    return answer.status, json.loads(answer.body) if answer.body else None


def ids(book: Rulebook) -> list[str]:
    return [rule["id"] for rule in ask(book, "GET", "/rules")[1]["rules"]]


def test_rules_are_listed_as_they_are_asked_with_their_counters(book: Rulebook) -> None:
    assert ask(book, "POST", "/rules", {**DENY, "id": "first", "priority": 1})[0] == 201
    status, document = ask(book, "GET", "/rules")
    assert status == 200 and (document["default"], document["mid_stream"]) == ("allow", "loose")
    assert [(rule["id"], rule["origin"]) for rule in document["rules"]] == [("first", "rest"), ("of-file", "file")]
    assert ask(book, "GET", "/rules/of-file")[1]["counters"] == {"packets": 3, "bytes": 180}


def test_a_list_is_added_whole_or_not_at_all(book: Rulebook, fake: Kernel) -> None:
    told = len(fake.texts)
    status, added = ask(book, "POST", "/rules", [DENY, {**DENY, "id": "b"}, DENY])
    assert status == 201 and [rule["id"] for rule in added] == ["added-1", "b", "added-2"]
    assert len(fake.texts) == told + 1, "one transaction"
    before = ids(book)
    status, problem = ask(book, "POST", "/rules", [{**DENY, "id": "c"}, {"action": 1}])
    assert status == 422 and problem["errors"] == [
        {"member": "/1/action", "value": 1, "expected": "one of allow, deny"}
    ]
    fake.refuses = True
    assert ask(book, "POST", "/rules", {**DENY, "id": "c"})[0] == 500
    assert ask(book, "DELETE", "/rules/b")[0] == 500
    assert ids(book) == before and len(fake.texts) == told + 1


def test_added_rules_stay_over_a_reload(book: Rulebook, tmp_path: Path) -> None:
    ask(book, "POST", "/rules", {**DENY, "id": "kept"})
    (tmp_path / "rules.toml").write_text('default = "deny"\n')
    book.load()
    assert ids(book) == ["kept"] and book.held.policy.default == "deny"
    for text, said in (('[[rules]]\nid = "kept"\naction = "deny"\n', "another rule has the id kept"), ("x\n", ":1: ")):
        (tmp_path / "rules.toml").write_text(text)
        with pytest.raises(RulesRefused, match=said):
            book.load()
    assert ids(book) == ["kept"] and book.held.policy.default == "deny"


def test_counters_of_rules_that_are_gone_are_removed_and_generations_differ(book: Rulebook, fake: Kernel) -> None:
    ask(book, "POST", "/rules", {**DENY, "id": "short"})
    assert ask(book, "DELETE", "/rules/short") == (204, None)
    assert fake.texts[-1].endswith("delete counter inet firewall rule-short\n")
    assert ["table bridge guard" in text for text in fake.texts] == [True, False, False]
    assert ["== 0x00001000" in fake.texts[0], "== 0x00002000" in fake.texts[1], "== 0x00003000" in fake.texts[2]] == [
        True
    ] * 3


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/rules", b"{", 400),
        ("POST", "/rules", b"", 400),
        ("POST", "/rules", b"[" * 100_000, 400),
        ("POST", "/rules", b"\xff", 400),
        ("POST", "/rules", b'{"action": "deny", "action": "allow"}', 400),
        ("POST", "/rules", b'{"action": "deny", "priority": NaN}', 400),
        ("POST", "/rules", b"1", 422),
        ("POST", "/rules", b'{"id": "of-file", "action": "deny"}', 409),
        ("POST", "/rules", json.dumps([DENY] * 1001).encode(), 409),
        ("PUT", "/rules", b"{}", 405),
        ("POST", "/rules/of-file", b"{}", 405),
        ("DELETE", "/rules/of-file", None, 409),
        ("DELETE", "/rules/none", None, 404),
        ("GET", "/rules/%00", None, 404),
    ],
)
def test_a_refusal_is_a_problem_document_and_changes_nothing(
    book: Rulebook, fake: Kernel, method: str, path: str, body: Any, status: int
) -> None:
    told = len(fake.texts)
    got, problem = ask(book, method, path, body)
    assert got == problem["status"] == status and problem["detail"] and problem["type"] == "about:blank"
    assert ids(book) == ["of-file"] and len(fake.texts) == told


def test_other_paths_are_not_the_rules(book: Rulebook) -> None:
    for path in ("/", "/rulesx", "/rules/a/b"):
        assert rest.answer(book, Request("GET", path, b"")) is None
