"""The engine's queues are those of queueing theory: mean waits and losses lie in confidence intervals around known formulas.

Every interval has level 99 %, from independent replications with fixed seeds; the mean gap and the mean size of each replication
are control variates, as their expectations are known (Law, Simulation Modeling and Analysis, 5th ed., 9.4 and 11.4). Systems
without memory start with as many packets as they hold in equilibrium, drawn, so that they need no warm-up. Service times are sizes:
`size * packet_cpu_demand / cpu * 1000` ms, 1 ms in the mean, with sizes so far below `cpu` that no packet is ever too much.
Formulas: Kleinrock, Queueing Systems I, 3.2 (M/M/1), 3.5 (M/M/c), 3.6 (M/M/1/K), 5.6 (M/G/1).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import factorial
from typing import Any

import numpy
import pytest
from numpy.typing import NDArray
from scipy.stats import t as student

from testbed.simulator.engine.core import Core
from testbed.simulator.engine.parts import Flow, PlacedSfc, Rules
from testbed.simulator.engine.streams import WIDTHS, PacketEvent, Stream
from testbed.simulator.engine.traffic import recorded
from testbed.simulator.model.entities import Vnf
from testbed.simulator.model.state import State
from tests.support import simulated as sim

LEVEL = 0.99
REPLICATIONS = 20
CPU = 1e7
SIZE = CPU / 1000  # 1 ms
Floats = NDArray[Any]


# what the engine does -------------------------------------------------------------------------------------------------
def run(gaps: Floats, sizes: Floats, vnfs: Sequence[Vnf], wanted: str, link: Any = None) -> Floats:
    """The records of one stream. The chain is on one node without loopback, or its first VNF behind a link."""
    first, second = sim.node("n_0", cpu=1e9, mem=1e9), sim.node("n_1", cpu=1e9, mem=1e9)
    request = sim.request(egress="n_1" if link else "n_0")
    chain = sim.sfc("s_0", *(each.name for each in vnfs))
    given = sim.entities([first, second], vnfs, [chain], [request], [link] if link else [])
    state = State(given, loopback=False)
    plan = sim.First("n_1" if link else "n_0").plan(request, state)
    instance, _ = state.place(request, plan)
    memory = sim.Memory(["links", "vnf_arrivals", "vnf_starts", "vnf_ends", "packets", "ended"])
    setattr(memory, wanted, Stream(WIDTHS[wanted]))
    core = Core(given, Rules(), memory, lambda kind, number: numpy.random.default_rng())  # type: ignore[arg-type]
    core.begin(Flow(0, "r_0", PlacedSfc(instance), recorded(gaps, sizes), float("inf"), core.watches["s_0"]))
    core.run(float("inf"))
    return numpy.array(memory.records(wanted))


def station(servers: int = 1, limit: int = -1, name: str = "v_0", **changes: Any) -> Vnf:
    return sim.vnf(name, cpu=CPU, mem=1.0, max_share=servers, max_packet_queue=limit, **changes)


def waits(records: Floats) -> Floats:
    """Waits (ms) in a single station, in order of the packets; NaN of those that were dropped."""
    delays = numpy.where(records[:, 8] == PacketEvent.PROCESSED, records[:, 5] - records[:, 3] / SIZE, numpy.nan)
    return delays[numpy.argsort(records[:, 1])]


# what theory says -----------------------------------------------------------------------------------------------------
def states(offered: float, servers: int, room: float) -> Floats:
    """Probabilities of 0, 1, ... packets in M/M/c/K; as many as matter where the room has no end."""
    last = int(room) if room < 1e9 else servers + int(numpy.ceil(numpy.log(1e-14) / numpy.log(offered / servers)))
    weights = [
        offered**n / factorial(n)
        if n <= servers
        else offered**servers / factorial(servers) * (offered / servers) ** (n - servers)
        for n in range(last + 1)
    ]
    return numpy.array(weights) / sum(weights)


def wait_of(offered: float, servers: int, room: float = 1e9) -> float:
    """Mean wait in services, of packets that are taken: Little's law on the queue."""
    chances = states(offered, servers, room)
    queue = sum(max(0, n - servers) * chance for n, chance in enumerate(chances))
    taken = offered * (1 - (chances[-1] if room < 1e9 else 0.0))
    return float(queue / taken)


def constant_wait(load: float) -> float:
    """Mean wait in M/D/1, in services (Pollaczek and Khinchine)."""
    return load / (2 * (1 - load))


# how the two are compared ---------------------------------------------------------------------------------------------
@dataclass
class Replication:
    """A value for each packet, and by how much gaps and sizes, in the mean, are off what they are expected to be."""

    values: Floats
    controls: tuple[float, float]


def lost(values: Floats) -> float:
    """The part of the packets that have no wait."""
    return float(numpy.isnan(values).mean())


def interval(replications: Sequence[Replication], of: Callable[[Floats], Any]) -> tuple[float, float]:
    """Middle and half width."""
    values = numpy.array([of(each.values) for each in replications])
    controls = numpy.array([(1.0, *each.controls) for each in replications])
    controls = controls[:, [True, *(controls[:, 1:].std(axis=0) > 1e-12)]]  # constant sizes control nothing
    solved, *_ = numpy.linalg.lstsq(controls, values, rcond=None)
    free = len(values) - controls.shape[1]
    variance = ((values - controls @ solved) ** 2).sum() / free * numpy.linalg.inv(controls.T @ controls)[0, 0]
    return float(solved[0]), float(student.ppf((1 + LEVEL) / 2, free) * numpy.sqrt(variance))


def agrees(
    replications: Sequence[Replication],
    expected: float,
    within: float,
    of: Callable[[Floats], Any] = numpy.nanmean,
) -> None:
    """The expected value lies in the interval, and that is not wider than `within` of it."""
    middle, half = interval(replications, of)
    assert abs(middle - expected) <= half, f"{middle:.4f} +- {half:.4f}: expected {expected:.4f}"
    assert half <= within * expected, f"{middle:.4f} +- {half:.4f}: too wide"


def replicated(
    load: float,
    packets: int,
    measure: Callable[[Floats, Floats], Floats],
    *,
    skip: int = 0,
    constant: bool = False,
    start: Callable[[Any], int] = lambda random: 0,
) -> list[Replication]:
    """`load`: packets that come in the mean during one service. `start`: draws how many are there at the beginning. `measure`:
    a value for each packet, of which the first ones are left out: those that were there, and `skip` more."""
    done = []
    for number in range(REPLICATIONS):
        random = numpy.random.default_rng([2024, number])
        there = start(random)
        gaps = numpy.concatenate([numpy.zeros(there), random.exponential(1 / load, packets)])
        services = numpy.ones(len(gaps)) if constant else random.exponential(1.0, len(gaps))
        off = (float(gaps[there:].mean() * load - 1), float(services.mean() - 1))
        done.append(Replication(measure(gaps, services * SIZE)[there + skip :], off))
    return done


def in_equilibrium(offered: float, servers: int, room: float = 1e9) -> Callable[[Any], int]:
    chances = states(offered, servers, room)
    return lambda random: int(random.choice(len(chances), p=chances))


@pytest.mark.parametrize(
    ("load", "servers", "packets", "within"),
    [
        (0.3, 1, 2000, 0.06),
        (0.7, 1, 5000, 0.08),
        (0.95, 1, 10_000, 0.25),
        (0.5, 4, 4000, 0.10),
        (0.95, 4, 10_000, 0.25),
    ],
)
def test_mean_wait_in_m_m_c(load: float, servers: int, packets: int, within: float) -> None:
    offered = load * servers
    replications = replicated(
        offered,
        packets,
        lambda gaps, sizes: waits(run(gaps, sizes, [station(servers)], "ended")),
        start=in_equilibrium(offered, servers),
    )
    agrees(replications, wait_of(offered, servers), within)


@pytest.mark.parametrize(("load", "packets", "skip", "within"), [(0.5, 4000, 200, 0.05), (0.95, 12_000, 3000, 0.2)])
def test_mean_wait_in_m_d_1(load: float, packets: int, skip: int, within: float) -> None:
    replications = replicated(
        load, packets, lambda gaps, sizes: waits(run(gaps, sizes, [station()], "ended")), skip=skip, constant=True
    )
    agrees(replications, constant_wait(load), within)


@pytest.mark.parametrize(("load", "servers", "room"), [(0.8, 1, 5), (1.5, 1, 3), (0.9, 3, 6), (2.0, 2, 2)])
def test_loss_and_wait_where_the_queue_has_a_limit(load: float, servers: int, room: int) -> None:
    offered = load * servers
    replications = replicated(
        offered,
        3000,
        lambda gaps, sizes: waits(run(gaps, sizes, [station(servers, room - servers)], "ended")),
        start=in_equilibrium(offered, servers, room),
    )
    agrees(replications, states(offered, servers, room)[-1], 0.15, lost)
    if room > servers:
        agrees(replications, wait_of(offered, servers, room), 0.10)
    else:
        assert all(numpy.nanmax(abs(each.values)) < 1e-9 for each in replications)


def link_waits(records: Floats) -> Floats:
    """Waits (ms) at a link, in order of the packets; NaN of those that were dropped."""
    return (records[:, 7] - records[:, 6])[numpy.argsort(records[:, 1])]


def wire(limit: int = -1, propagation: float = 3.0) -> Any:
    """A link that sends a packet of the mean size in 1 ms."""
    return sim.link("n_0", "n_1", bandwidth=1000 * SIZE, propagation=propagation, max_packet_queue=limit)


def test_mean_wait_for_a_link_that_is_m_d_1() -> None:
    vnfs = [station(packet_cpu_demand=0.0)]
    replications = replicated(
        0.7, 4000, lambda gaps, sizes: link_waits(run(gaps, sizes, vnfs, "links", wire())), skip=400, constant=True
    )
    agrees(replications, constant_wait(0.7), 0.08)


def test_loss_and_wait_at_a_link_that_is_m_m_1_k() -> None:
    load, room, vnfs = 0.9, 4, [station(packet_cpu_demand=0.0)]
    replications = replicated(
        load,
        3000,
        lambda gaps, sizes: link_waits(run(gaps, sizes, vnfs, "links", wire(room - 1))),
        start=in_equilibrium(load, 1, room),
    )
    agrees(replications, wait_of(load, 1, room), 0.10)
    agrees(replications, states(load, 1, room)[-1], 0.15, lost)


@pytest.mark.parametrize("servers", [1, 4])
def test_what_leaves_m_m_c_is_poisson(servers: int) -> None:
    """Burke's theorem: the departures are Poisson, so that a second station with constant service is M/D/1.

    It cannot be a second M/M/1: a packet has one size, so that its services at two stations are not independent.
    """
    load = 0.7
    vnfs = [station(servers), station(1, -1, "v_1", packet_cpu_demand=0.0, remote_data_access_cost=1.0 / servers)]
    vnfs[1] = sim.replace(vnfs[1], remote_data_access_prob=1.0)
    departures: list[Floats] = []

    def measure(gaps: Floats, sizes: Floats) -> Floats:
        ended = run(gaps, sizes, vnfs, "vnf_ends")
        second = ended[ended[:, 2] == 1]
        departures.append(numpy.diff(second[:, 4]))  # it arrives at the second as it leaves the first
        return second[:, 9] - second[:, 4] - 1.0 / servers

    start = in_equilibrium(load * servers, servers)
    replications = replicated(load * servers, 4000, measure, skip=500, start=start)
    agrees(replications, constant_wait(load) / servers, 0.10)
    left = [Replication(gaps[500:], each.controls) for gaps, each in zip(departures, replications, strict=True)]
    agrees(left, 1 / (load * servers), 0.03)
    agrees(left, 2.0, 0.05, lambda gaps: (gaps**2).mean() * (load * servers) ** 2)  # as of exponential gaps
    assert abs(numpy.mean([numpy.corrcoef(gaps[:-1], gaps[1:])[0, 1] for gaps in departures])) < 0.01


@pytest.mark.parametrize("servers", [1, 4])
def test_every_wait_is_that_of_the_recursion(servers: int) -> None:
    """Lindley (one server) and Kiefer and Wolfowitz (several): not in the mean, but packet by packet."""
    random = numpy.random.default_rng(7)
    gaps, services = random.exponential(1 / (0.95 * servers), 4000), random.exponential(1.0, 4000)
    left, expected = numpy.zeros(servers), []
    for gap, service in zip(gaps, services, strict=True):
        left = numpy.sort(numpy.maximum(left - gap, 0.0))
        expected.append(left[0])
        left[0] += service
    assert waits(run(gaps, services * SIZE, [station(servers)], "ended")) == pytest.approx(expected, abs=1e-6)
