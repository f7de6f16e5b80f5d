"""A round in numbers: packets by what became of them, delays, violations, acceptance, energy; by SFC and by VNF.

In: a `Measured` round. Out: frozen data. A rate or a quantile of nothing is None. Pure but for the files that `Measured` reads.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy
import pandas

from testbed.simulator.analysis.measured import QUANTILES, Measured, rounds

MS_IN_HOUR = 3_600_000


@dataclass(frozen=True, slots=True)
class Packets:
    """Packets by what became of them, and the delays (ms) of those that were processed. `violated` ones count there too."""

    created: int
    processed: int
    dropped: int
    orphan: int
    active: int
    violated: int
    mean_ms: float | None
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None

    @property
    def violation_rate(self) -> float | None:
        """Violated of created."""
        return self.violated / self.created if self.created else None


@dataclass(frozen=True, slots=True)
class Vnf:
    """Instances of one VNF type. `utilisation`: servers busy, of those there were while they were there (0..1)."""

    name: str
    instances: int
    utilisation: float
    greatest: float


@dataclass(frozen=True, slots=True)
class Round:
    """A round. Acceptance counts every decision of a window. `mean_watts`: power after each window, by how long it held."""

    name: str
    seconds: float | None
    packets: Packets
    placed: int
    not_placed: int
    mean_watts: float | None
    energy_wh: float | None
    sfcs: dict[str, Packets]
    vnfs: tuple[Vnf, ...]

    @property
    def acceptance(self) -> float | None:
        """Requests placed, of those decided."""
        decided = self.placed + self.not_placed
        return self.placed / decided if decided else None


def summaries(results: Path) -> list[Round]:
    """All rounds of a run.

    Raises:
        FileNotFoundError: there are none.
    """
    return [summary(each) for each in rounds(results)]


def summary(measured: Measured) -> Round:
    """One round."""
    windows, packets = measured.windows, measured.packets
    energy = energy_wh(windows, measured.end_ms)
    hours = 0.0 if not len(windows) else (measured.end_ms - windows["Time"].iloc[0]) / MS_IN_HOUR
    names = sorted({str(each) for each in packets["SFC"].dropna()})
    return Round(
        measured.name,
        _seconds(measured.folder / "process_time.txt"),
        of_packets(packets),
        int(windows["SFC_Requests_Placed"].sum()),
        int(windows["SFC_Requests_Not_Placed"].sum()),
        energy / hours if energy is not None and hours > 0 else None,
        energy,
        {name: of_packets(packets[packets["SFC"] == name]) for name in names},
        tuple(_vnfs(measured)),
    )


def of_packets(packets: pandas.DataFrame) -> Packets:
    """Some packets' numbers."""
    delays = packets.loc[packets["Processed"].astype(bool), "Delay"].dropna().to_numpy()
    known = [float(delays.mean()), *map(float, numpy.quantile(delays, QUANTILES))] if len(delays) else [None] * 4
    return Packets(
        created=len(packets),
        processed=int(packets["Processed"].sum()),
        dropped=int(packets["Dropped"].sum()),
        orphan=int(packets["Orphan"].sum()),
        active=int(packets["Active"].sum()),
        violated=int(packets["SLA_Violated"].sum()),
        mean_ms=known[0],
        p50_ms=known[1],
        p95_ms=known[2],
        p99_ms=known[3],
    )


def energy_wh(windows: pandas.DataFrame, end_ms: float) -> float | None:
    """Watt-hours from the first window on: each window's power holds until the next."""
    if not len(windows):
        return None
    held_ms = numpy.diff([*windows["Time"], max(end_ms, windows["Time"].iloc[-1])])
    return float((windows["Total_Energy_Consumption"].to_numpy(dtype=float) * held_ms).sum() / MS_IN_HOUR)


def _vnfs(measured: Measured) -> list[Vnf]:
    by_vnf = measured.utilisation.groupby(measured.instances["VNF"])
    return [Vnf(str(name), len(each), float(each.mean()), float(each.max())) for name, each in by_vnf]


def _seconds(path: Path) -> float | None:
    return float(path.read_text()) if path.exists() else None
