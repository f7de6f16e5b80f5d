"""Pure packages import no I/O, no database, no clock and no randomness (DESIGN.md, STYLE.md rule 2)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2] / "sdn_app"
PURE = ("chains", "network", "paths", "balancing", "rules", "switches", "health")
EXCEPT = {"network/discovery.py", "switches/sync.py", "health/probes.py"}
FORBIDDEN = {"asyncio", "docker", "eventlet", "http", "multiprocessing", "os", "pathlib", "random", "requests", "ryu"}
FORBIDDEN |= {"secrets", "select", "shutil", "socket", "sqlite3", "subprocess", "tempfile", "threading", "time"}
FORBIDDEN |= {"urllib", "webob"}
IMPURE_CALLS = frozenset({"open", "print", "input", "now", "today", "utcnow"})
IMPURE_NEIGHBOURS = ("sdn_app.openflow", "sdn_app.store", "sdn_app.api", "sdn_app.control", "sdn_app.app")
MODULES = sorted(path.relative_to(ROOT).as_posix() for package in PURE for path in (ROOT / package).rglob("*.py"))


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def called(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            if isinstance(node.func, ast.Name):
                yield node.func.id
            elif isinstance(node.func, ast.Attribute):
                yield node.func.attr


def impurities(source: str) -> list[str]:
    tree = ast.parse(source)
    names = [name for name in imported(tree) if name.split(".")[0] in FORBIDDEN or name.startswith(IMPURE_NEIGHBOURS)]
    return names + [name for name in called(tree) if name in IMPURE_CALLS]


@pytest.mark.parametrize("module", [each for each in MODULES if each not in EXCEPT])
def test_pure_module_does_no_io(module: str) -> None:
    assert impurities((ROOT / module).read_text()) == []


def test_the_check_sees_what_it_forbids() -> None:
    assert impurities("import time\nfrom eventlet.green import socket\nimport sdn_app.store.sqlite") == [
        "time",
        "eventlet.green",
        "sdn_app.store.sqlite",
    ]
    assert impurities("from datetime import datetime\nx = datetime.now()\nopen('f')") == ["now", "open"]
    assert impurities("import networkx as nx\nfrom sdn_app.chains.model import Chain") == []
