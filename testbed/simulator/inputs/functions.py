"""VNF types with costs that were measured: of this project's images, and of the published profile of chains.

In: `vnf_images/*/vnf.toml`, `data/vnf-sfc-profile.csv`. Out: VNF types and chains of them. Must not do: measure.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

from testbed.lab.images import image_names, image_spec
from testbed.simulator.inputs.networks import rows
from testbed.simulator.inputs.units import CORE, demand_of_packet_rate, packet_rate_of_throughput
from testbed.simulator.model.entities import Vnf

PROFILE_NAMES = {"nx": "nginx", "sc": "socat", "sq": "squid"}
PROFILE_MEM = 256.0  # MB; the profile does not say
IMAGE_CHAINS = (
    ("firewall",),
    ("firewall", "contentfilter", "antivirus"),
    ("firewall", "spamfilter", "antivirus"),
    ("encryption", "firewall"),
)
TIMEOUT_MS = 10_000.0
ROUNDS = 100


@dataclass(frozen=True, slots=True)
class Functions:
    """VNF types, and chains of their names."""

    vnfs: tuple[Vnf, ...]
    chains: tuple[tuple[str, ...], ...]


def of_images(max_share: int, min_bandwidth: float) -> Functions:
    """Every image whose capacity was measured: its packets a second per core, the CPU and memory that its container gets."""
    specs = [spec for spec in map(image_spec, image_names()) if spec.capacity is not None]
    vnfs = tuple(
        _vnf(
            spec.name,
            (spec.cpus * CORE, float(spec.memory_mib)),
            demand_of_packet_rate(spec.capacity.packets_pps, spec.capacity.cpus, max_share),
            max_share,
            min_bandwidth,
        )
        for spec in specs
        if spec.capacity is not None
    )
    names = {vnf.name for vnf in vnfs}
    return Functions(vnfs, tuple(chain for chain in IMAGE_CHAINS if names.issuperset(chain)))


def of_profile(topology: str, max_share: int, min_bandwidth: float) -> Functions:
    """The three functions of a measured chain, each with one core; the chain in the order in which it was measured."""
    rates = fitted_rates(topology)
    vnfs = tuple(
        _vnf(
            name,
            (CORE, PROFILE_MEM),
            demand_of_packet_rate(packet_rate_of_throughput(rate), 1.0, max_share),
            max_share,
            min_bandwidth,
        )
        for name, rate in rates.items()
    )
    return Functions(vnfs, (tuple(rates),))


def fitted_rates(topology: str) -> dict[str, float]:
    """kB/s of each function of a measured chain with one core, by its name, in the chain's order.

    A chain passes what its narrowest function does, and a function what its share of a core lets it: throughput is the least of
    rate * share. The rates are fitted by turns: a run counts for the function that is the narrowest by the rates so far, and a
    function's rate is the median of throughput / share over its runs. A function that is never the narrowest keeps its
    first rate, the greatest throughput / share that was seen: a lower bound of what it can do.

    Raises:
        ValueError: the profile has no such chain.
    """
    names, shares, throughput = _runs(topology)
    rates = (throughput[:, None] / shares).max(axis=0)
    for _ in range(ROUNDS):
        narrowest = (shares * rates).argmin(axis=1)
        before = rates.copy()
        for i in range(shares.shape[1]):
            chosen = narrowest == i
            if chosen.any():
                rates[i] = numpy.median(throughput[chosen] / shares[chosen, i])
        if numpy.array_equal(rates, before):
            break
    return dict(zip(names, rates.tolist(), strict=True))


def fit_error(topology: str, rates: Mapping[str, float]) -> float:
    """Median of |predicted - measured| / measured over the runs of a chain."""
    _, shares, throughput = _runs(topology)
    predicted = (shares * numpy.array(list(rates.values()))).min(axis=1)
    return float(numpy.median(numpy.abs(predicted - throughput) / throughput))


def profile_topologies() -> list[str]:
    """Names of the measured chains."""
    return sorted({row["topology"] for row in rows("vnf-sfc-profile.csv")})


def _runs(topology: str) -> tuple[list[str], NDArray[numpy.float64], NDArray[numpy.float64]]:
    """Names, shares (run, function) and throughput (run)."""
    runs = [row for row in rows("vnf-sfc-profile.csv") if row["topology"] == topology]
    if not runs:
        raise ValueError(f"profile: {topology!r}: expected one of {', '.join(profile_topologies())}")
    names = [PROFILE_NAMES[part] for part in topology.split("-")[:3]]
    shares = numpy.array([[float(row[column]) for column in ("vnf1cpu", "vnf2cpu", "vnf3cpu")] for row in runs])
    throughput = numpy.array([float(row["throughput_kbyte_per_second"]) for row in runs])
    measured = throughput > 0
    return names, shares[measured], throughput[measured]


def _vnf(name: str, cpu_mem: tuple[float, float], demand: float, max_share: int, min_bandwidth: float) -> Vnf:
    """What was not measured costs nothing: memory of a packet, start and stop."""
    cpu, mem = cpu_mem
    return Vnf(
        name=name,
        cpu=cpu,
        mem=mem,
        max_share=max_share,
        min_bandwidth=min_bandwidth,
        packet_cpu_demand=demand,
        packet_mem_demand=0.0,
        packet_network_demand=1.0,
        remote_data_access_cost=0.0,
        remote_data_access_prob=0.0,
        startup_ipt=0.0,
        shutdown_ipt=0.0,
        timeout=TIMEOUT_MS,
        max_packet_queue=-1,
    )
