"""Runs the content filter. In: CONFIG_FILE, and what the shared runtime reads. Ends with 2 where the configuration is wrong."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from prometheus_client import REGISTRY
from vnf.inline import Refused, run
from vnf.management import Routes, no_routes
from vnf.stream import Connection, Direction, Inspector, Stop

from contentfilter.inspector import BLOCKED, Filter
from contentfilter.loading import SAMPLE, Loaded, load
from contentfilter.metrics import Counts
from contentfilter.settings import Misconfigured

BREATH_S = 0.0005  # in a reload, every few lines: packets must not wait for it
SAMPLE_REQUEST = b"GET / HTTP/1.1\r\nHost: " + SAMPLE + b"\r\n\r\n"
NOBODY = Connection("0.0.0.0", 0, "0.0.0.0", 80)


class ContentFilter:
    """The function that the shared runtime runs."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._filter: Filter | None = None
        self._counts = Counts()
        REGISTRY.register(self._counts)

    @property
    def routes(self) -> Routes:
        """None beyond the shared ones."""
        return no_routes

    def load(self) -> dict[str, object]:
        """Read configuration and lists; what was in use stays so where they are refused."""
        try:
            loaded = load(self._path, BREATH_S if self._filter else 0.0)
        except Misconfigured as error:
            raise Refused(str(error)) from None
        if self._filter is None:
            self._filter = Filter(loaded.book, self._counts.tally)
        else:
            self._filter.book = loaded.book
        self._counts.loaded(loaded)
        return _facts(loaded)

    def check(self) -> str:
        """Send a request for a host that every configuration stops through a judge of its own."""
        assert self._filter is not None, "loaded before it is checked"
        judge = Filter(self._filter.book, _uncounted).open(NOBODY)
        verdict = judge.data(Direction.TO_SERVER, SAMPLE_REQUEST)
        stopped = isinstance(verdict, Stop) and verdict.reason == BLOCKED
        return "" if stopped else f"a request that must be stopped was not: {verdict}"

    def open(self, connection: Connection) -> Inspector:
        """The judge of a new connection."""
        assert self._filter is not None, "loaded before packets come"
        return self._filter.open(connection)


def _facts(loaded: Loaded) -> dict[str, object]:
    facts: dict[str, object] = {
        "entries": {each.name: each.entries for each in loaded.counts},
        "seconds": round(loaded.seconds, 3),
    }
    if skipped := {each.name: (each.skipped, each.first_skipped) for each in loaded.counts if each.skipped}:
        facts["skipped"] = skipped
    return facts


def _uncounted(protocol: str, verdict: str, why: str) -> None:
    """What /health asks is no traffic."""


if __name__ == "__main__":
    sys.exit(run(ContentFilter(Path(os.environ.get("CONFIG_FILE") or "/etc/vnf/contentfilter/contentfilter.toml"))))
