"""The signature set: YARA rules of a folder, and those that were added while running.

In: rule files (`*.yar`) and rules by name. Out: a compiled set, always replaced as a whole; a set that does not compile or does not
know the test sample changes nothing. Rules that were added live as long as the process.
"""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import yara
from vnf.inline import Refused

SCAN_LIMIT_S = 5
SAMPLE = bytes.fromhex(  # the EICAR test file, as hexadecimal so that this file is none
    "58354f2150254041505b345c505a58353428505e2937434329377d24"
    "45494341522d5354414e444152442d414e544956495255532d544553542d46494c452124482b482a"
)


class Signatures:
    """The set in use. Every method may be called from any thread."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._added: dict[str, str] = {}
        self._lock = threading.Lock()
        self._rules: Any = None
        self.names: tuple[str, ...] = ()
        self.hits: Counter[str] = Counter()

    def load(self) -> None:
        """Read the folder anew. Raises Refused with the file, the line and the reason."""
        with self._lock:
            self._use(self._added)

    def add(self, name: str, text: str) -> None:
        """Add rules, or replace those that were added under this name. Raises Refused."""
        with self._lock:
            added = {**self._added, name: text}
            self._use(added)
            self._added = added

    def remove(self, name: str) -> bool:
        """Take away rules that were added; False where there are none of this name."""
        with self._lock:
            if name not in self._added:
                return False
            added = {key: text for key, text in self._added.items() if key != name}
            self._use(added)
            self._added = added
            return True

    def added(self) -> dict[str, str]:
        """The rules that were added, by name."""
        return dict(self._added)

    def match(self, data: bytes) -> str:
        """The name of the first signature in `data`, "" where there is none. Raises yara.Error where the engine fails."""
        found = self._rules.match(data=data, timeout=SCAN_LIMIT_S)
        return str(found[0].rule) if found else ""

    def check(self) -> str:
        """What is wrong with the engine, "" where it knows the sample and nothing in a clean text."""
        try:
            if not self.match(b"-" * 100 + SAMPLE):
                return "the engine does not know the test sample"
            return "the engine finds signatures where there are none" if self.match(b"-" * 100) else ""
        except yara.Error as error:
            return f"the engine fails: {error}"

    def _use(self, added: dict[str, str]) -> None:
        rules = self._compiled(added)
        names = tuple(rule.identifier for rule in rules)
        if not rules.match(data=SAMPLE, timeout=SCAN_LIMIT_S):
            raise Refused(f"{self._folder}: no rule knows the EICAR test file, by which the engine is checked")
        if found := rules.match(data=b"-" * 100, timeout=SCAN_LIMIT_S):
            raise Refused(f"rule {found[0].rule} matches everything")
        self._rules, self.names = rules, names

    def _compiled(self, added: dict[str, str]) -> Any:
        files = sorted(self._folder.glob("*.yar"))
        if not files:
            raise Refused(f"{self._folder}: expected at least one file *.yar")
        sources = {str(path): path for path in files}
        try:
            texts = {name: path.read_text() for name, path in sources.items()} | {
                f"added:{name}": text for name, text in added.items()
            }
        except (OSError, UnicodeDecodeError) as error:
            raise Refused(f"{self._folder}: {error}") from None
        for name, text in texts.items():  # one by one, since the engine names a line, and no source
            try:
                yara.compile(source=text, includes=False)
            except yara.Error as error:
                line, _, reason = str(error).removeprefix("line ").partition(": ")
                raise Refused(f"{name}:{line}: {reason}") from None
        try:
            return yara.compile(sources=texts, includes=False)
        except yara.Error as error:
            raise Refused(f"{self._folder}: {error}") from None
