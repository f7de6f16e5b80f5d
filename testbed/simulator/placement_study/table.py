"""Attempts over several seeds, summed up as lines of a table.

In: attempts by algorithm, with what the optimal one proved. Out: rows, text and CSV. Must not do: run anything.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import numpy

from testbed.simulator.placement_study.measure import Attempt, gap_on_both


@dataclass(frozen=True, slots=True)
class Proof:
    """What the mixed-integer program showed of one scene: nothing that accepts as many scores less than `bound`."""

    bound: float
    gap: float
    accept_bound: int
    status: str


@dataclass(frozen=True, slots=True)
class Row:
    """An algorithm on a network, means over seeds. Gaps are parts, not per cent; NaN where there is nothing to compare.

    LPP begins with Smart's plans: where it proves nothing, a gap of 0 to it says only that it found nothing better in time, and
    `gap_bound` is what is certain.

    gap_both: to LPP's plans, on requests that both accept. gap_same: to LPP's whole, on seeds where both accept the same; gap_worst:
    the greatest of them. gap_bound: to the proven bound, on those seeds. proven: seeds in which LPP's plan is optimal.
    """

    network: str
    algorithm: str
    accepted: float
    latency_ms: float
    energy_w: float
    gap_both: float
    gap_same: float
    gap_worst: float
    gap_bound: float
    same: int
    proven: int
    seeds: int
    ms_a_request: float


def row(network: str, algorithm: str, ours: Sequence[Attempt], best: Sequence[Attempt], proofs: Sequence[Proof]) -> Row:
    """One line of the table."""
    requests = len(ours[0].state.entities.sfc_requests)
    same = [
        (each.score(each.accepted), other.score(other.accepted), proof.bound)
        for each, other, proof in zip(ours, best, proofs, strict=True)
        if each.accepted == other.accepted and each.accepted
    ]
    gaps = [score / optimum - 1 for score, optimum, _ in same]
    return Row(
        network,
        algorithm,
        _mean(len(each.accepted) / requests for each in ours),
        _mean(each.latency_ms for each in ours),
        _mean(each.energy_w for each in ours),
        _mean(gap_on_both(*pair) for pair in zip(ours, best, strict=True)),
        _mean(gaps),
        max(gaps, default=math.nan),
        _mean(score / bound - 1 for score, _, bound in same if bound > 0),
        len(same),
        sum(proof.status == "optimal" for proof in proofs),
        len(ours),
        _mean(each.seconds / requests * 1000 for each in ours),
    )


def _mean(values: Iterable[float]) -> float:
    known = [each for each in values if not math.isnan(each)]
    return float(numpy.mean(known)) if known else math.nan


HEADER = (
    f"{'network':10} {'algorithm':18} {'accepted':>8} {'latency':>9} {'energy':>9} "
    f"{'to LPP,':>9} {'to LPP,':>9} {'worst':>7} {'to':>7} {'same':>5} {'CPU ms a':>9}\n"
    f"{'':10} {'':18} {'':>8} {'mean ms':>9} {'W':>9} "
    f"{'both':>9} {'same':>9} {'same':>7} {'bound':>7} {'':>5} {'request':>9}"
)


def line(each: Row) -> str:
    """A row as text, under HEADER."""
    return (
        f"{each.network:10} {each.algorithm:18} {each.accepted:8.1%} {each.latency_ms:9.2f} {each.energy_w:9.1f} "
        f"{_percent(each.gap_both):>9} {_percent(each.gap_same):>9} {_percent(each.gap_worst):>7} "
        f"{_percent(each.gap_bound):>7} {f'{each.same}/{each.seeds}':>5} {each.ms_a_request:9.2f}"
    )


def proof_line(network: str, seeds: Sequence[int], proofs: Sequence[Proof]) -> str:
    """What was proven for a network, by seed."""
    parts = [
        f"seed {seed} {proof.status}" + ("" if proof.status == "optimal" else f", gap {proof.gap:.1%}")
        for seed, proof in zip(seeds, proofs, strict=True)
    ]
    return f"{network:10} LPP proved: {'; '.join(parts)}"


def csv(rows: Sequence[Row]) -> str:
    """All rows, separated by `;` as the simulator's files are."""
    names = [each.name for each in fields(Row)]
    lines = [";".join(str(getattr(each, name)) for name in names) for each in rows]
    return "\n".join([";".join(names), *lines, ""])


def _percent(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:+.1%}"
