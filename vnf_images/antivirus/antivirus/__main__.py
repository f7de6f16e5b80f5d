"""Runs the antivirus in the shared runtime.

In: SIGNATURES_FOLDER and CONFIG_FILE besides the runtime's settings. Ends with 2 when either is wrong.
"""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import REGISTRY
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from vnf import inline, management
from vnf.stream import Connection, Inspector

from antivirus.content import Desk, Office, Policy
from antivirus.inspector import StreamInspector
from antivirus.rest import SignatureRoutes
from antivirus.settings import read_policy
from antivirus.signatures import Signatures


class Antivirus(Collector):
    """The function that the runtime runs, and its metrics."""

    def __init__(self, signatures: Signatures, config: Path) -> None:
        self._signatures = signatures
        self._config = config
        self._policy: Policy | None = None
        self._desk = Desk()
        self._declined: Counter[str] = Counter()
        self.routes: management.Routes = SignatureRoutes(signatures)

    def load(self) -> dict[str, object]:
        """Read policy and signatures anew. Raises Refused."""
        policy = read_policy(self._config)
        self._signatures.load()
        self._policy = policy
        return {"signatures": self._signatures.names}

    def check(self) -> str:
        """Try the engine on its sample."""
        return self._signatures.check()

    def open(self, connection: Connection) -> Inspector:
        """Every connection is looked into."""
        return StreamInspector(self._office, self._hit)

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client at each request of /metrics."""
        hits = CounterMetricFamily("vnf_antivirus_hits", "Connections stopped, by signature", labels=("signature",))
        for name, count in sorted(self._signatures.hits.copy().items()):
            hits.add_metric((name,), count)
        yield hits
        declined = CounterMetricFamily(
            "vnf_antivirus_passed_unseen", "Contents that were not looked into and passed", labels=("reason",)
        )
        for reason, count in sorted(self._declined.copy().items()):
            declined.add_metric((reason,), count)
        yield declined
        yield GaugeMetricFamily("vnf_antivirus_signatures", "Rules in use", value=len(self._signatures.names))

    def _office(self) -> Office:
        assert self._policy is not None
        return Office(self._signatures.match, self._policy, self._passed, self._desk)

    def _passed(self, reason: str) -> None:
        self._declined[reason] += 1

    def _hit(self, name: str) -> None:
        self._signatures.hits[name] += 1


def main() -> int:
    signatures = Signatures(Path(os.environ.get("SIGNATURES_FOLDER") or "/etc/vnf/signatures"))
    antivirus = Antivirus(signatures, Path(os.environ.get("CONFIG_FILE") or "/etc/vnf/antivirus.toml"))
    REGISTRY.register(antivirus)
    return inline.run(antivirus)


if __name__ == "__main__":
    sys.exit(main())
