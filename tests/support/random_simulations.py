"""Random small settings of the simulator, with everything in them that an engine may meet."""

from itertools import product
from typing import Any

from hypothesis import strategies as st

from testbed.simulator.model.entities import DataSource, Move, User
from tests.support import simulated as sim
from tests.support.simulated import Anything, Restless, Setting

SIZES = st.sampled_from([0.0, 1.0, 2.0, 3.0, 5.0])
WHOLE_GAPS = st.sampled_from([0.0, 0.0, 1.0, 1.0, 2.0, 3.0, 7.0])
NAMES = ("v_0", "v_1", "v_2")


@st.composite
def vnfs(draw: Any) -> list[Any]:
    return [
        sim.vnf(
            name,
            cpu=draw(st.sampled_from([1000.0, 1000.0, 300.0, 2.0])),  # with the last one, packets are too much for it
            mem=draw(st.sampled_from([100.0, 4.0])),
            max_share=draw(st.integers(1, 3)),
            min_bandwidth=draw(st.sampled_from([0.0, 100.0, 300.0])),
            packet_cpu_demand=draw(st.sampled_from([1.0, 1.0, 0.7, 0.0])),
            packet_mem_demand=draw(st.sampled_from([0.0, 1.0, 2.0])),
            packet_network_demand=draw(st.sampled_from([1.0, 2.0, 0.5])),
            remote_data_access_cost=2.0,
            remote_data_access_prob=draw(st.sampled_from([0.0, 0.0, 0.5, 1.0])),
            startup_ipt=draw(st.sampled_from([0.0, 0.0, 5.0, 12.5])),
            shutdown_ipt=draw(st.sampled_from([0.0, 3.0])),
            timeout=draw(st.sampled_from([0.0, 4.0, 1000.0])),
            max_packet_queue=draw(st.sampled_from([-1, -1, 0, 1, 2])),
        )
        for name in NAMES
    ]


@st.composite
def links(draw: Any, nodes: list[str]) -> list[Any]:
    kinds = [
        {
            "bandwidth": draw(st.sampled_from([500.0, 1000.0, 3000.0])),
            "propagation": draw(st.sampled_from([0.0, 1.0, 0.3])),
            "loss_rate": draw(st.sampled_from([0.0, 0.0, 0.3])),
            "max_packet_queue": draw(st.sampled_from([-1, -1, 0, 1, 2])),
        }
        for _ in range(3)
    ]
    if draw(st.booleans()):  # of a line of nodes: routes of several links
        ends = [(a, b) for (i, a), (j, b) in product(enumerate(nodes), repeat=2) if abs(i - j) <= 1]
    else:
        ends = list(product(nodes, repeat=2))
    made = []
    for source, target in ends:
        kind = draw(st.sampled_from(kinds)) if source != target else {"bandwidth": 10000.0}
        made.append(sim.link(source, target, **kind))
    return made


@st.composite
def environments(draw: Any) -> Any:
    names = [f"n_{i}" for i in range(draw(st.integers(1, 3)))]
    hosted = [frozenset(draw(st.sets(st.sampled_from(NAMES), min_size=1))) for _ in names]
    hosted[0] = frozenset(NAMES)
    cpu = draw(st.sampled_from([4000.0, 20000.0]))
    nodes = [
        sim.node(name, cpu=cpu, mem=1000.0, disk_delay=draw(st.sampled_from([0.0, 1.5])), vnfs=vnf_names)
        for name, vnf_names in zip(names, hosted, strict=True)
    ]
    sfcs = [
        sim.sfc(
            f"s_{i}",
            *draw(st.permutations(NAMES))[: draw(st.integers(1, 3))],
            max_latency=draw(st.sampled_from([1.0, 3.0, 8.0, 100.0])),
            timeout=draw(st.sampled_from([1000.0, 1000.0, 0.0, 5.0, 20.0])),
            lifetime=draw(st.sampled_from([None, None, None, None, 10.0, 25.0])),
            slice=draw(st.sampled_from(sorted(sim.SLICES))),
        )
        for i in range(draw(st.integers(1, 2)))
    ]
    place = st.sampled_from(names)
    users = [User(f"u_{i}", draw(place), 0.0, 1000.0, 0.0, 1, {}) for i in range(2)]
    requests = [
        sim.request(
            f"r_{i}",
            user=draw(st.sampled_from(users)).name,
            sfc=draw(st.sampled_from(sfcs)).name,
            arrival_time=float(draw(st.integers(0, 30))),
            ingress=draw(place),
            egress=draw(place),
            duration=draw(st.sampled_from([1000.0, 0.0, 15.0, 40.0, 1000.0])),
        )
        for i in range(draw(st.integers(1, 5)))
    ]
    source = DataSource("src_0", draw(st.sampled_from([1.0, 2.5])), 1.5, draw(st.sampled_from([0.0, 6.0])), 3)
    return sim.entities(
        nodes,
        draw(vnfs()),
        sfcs,
        requests,
        draw(links(names)),
        users={each.name: each for each in users},
        data_sources={"src_0": source},
        slices=sim.SLICES,
    )


@st.composite
def settings_of_rounds(draw: Any) -> Setting:
    """Settings with whole and other times, equal times, and whatever else there is."""
    given = draw(environments())
    total_time = float(draw(st.integers(40, 120)))
    flows = None
    if draw(st.booleans()):
        packets = st.lists(st.tuples(WHOLE_GAPS, SIZES), min_size=10, max_size=80).map(lambda each: sim.flow(*each))
        flows = {(user, chain): draw(packets) for user in given.users for chain in given.sfcs}
    moves = draw(
        st.lists(
            st.builds(
                Move,
                st.floats(0, total_time).map(round).map(float),
                st.sampled_from(sorted(given.users)),
                st.sampled_from(sorted(given.nodes)),
            ),
            max_size=4,
        )
    )
    seed, interval = draw(st.integers(0, 2**32)), float(draw(st.integers(1, 15)))
    window = interval * draw(st.sampled_from([1.0, 2.5]))
    scales = draw(st.booleans())
    return sim.setting(
        given,
        flows,
        sorted(moves, key=lambda each: each.time),
        placement=Anything,
        scalings=lambda: [Restless(seed, interval, window)] if scales else [],
        restrict_bandwidth=draw(st.booleans()),
        total_time=total_time,
        time_window=draw(st.sampled_from([0.0, 5.0, 10.0])),
        random_seed=seed,
        share_sfc_instance=draw(st.booleans()),
        compute_loopback_time=draw(st.booleans()),
        sfc_instance_monitor_interval=float(draw(st.integers(1, 15))),
        max_sla_violation_sfc_instance_shared=draw(st.integers(0, 2)),
        order_sfc_request_by_similarity=draw(st.sampled_from(["none", "asc", "desc"])),
        integer_times=draw(st.booleans()),
        hold_link_while_propagating=draw(st.booleans()),
        link_size_by_network_demand=draw(st.booleans()),
    )
