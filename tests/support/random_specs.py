"""Random small specs and parameters, as their files have them, for whole simulations with the real algorithms."""

from typing import Any

from hypothesis import strategies as st

SCALINGS = (
    "BasicCPUScaling",
    "SmartVerticalScalingUp",
    "SmartVerticalScalingDown",
    "SmartScaling",
    "HorizontalScaling",
)


def some(*values: Any) -> Any:
    """A list of one to three of these choices."""
    return st.lists(st.sampled_from(values), min_size=1, max_size=3)


SPECS = st.fixed_dictionaries(
    {
        "entities_number": st.fixed_dictionaries(
            {
                "nodes": st.integers(1, 4),
                "vnfs": st.just(3),
                "sfcs": st.integers(1, 3),
                "users": st.integers(1, 4),
                "data_sources": st.integers(1, 2),
            }
        ),
        "node": st.fixed_dictionaries(
            {
                "cpu": some(1000, 2000),
                "mem": some(1000, 3000),
                "vnf_num": some(1, 2, 3),
                "energy_max": some(200),
                "energy_idle": some(50, 70),
                "disk_delay": some(0, 1.5),
                "ran_node_prob": st.sampled_from([0.3, 0.5]),
                "core_node_prob": st.sampled_from([0.0, 0.5]),
            }
        ),
        "vnf": st.fixed_dictionaries(
            {
                "cpu": some(200, 400, 800),
                "mem": some(100, 300),
                "max_share": some(1, 2, 5),
                "min_bandwidth": some(0, 100, 400),
                "packet_cpu_demand": some(0.5, 1, 4),
                "packet_mem_demand": some(0, 1, 100),
                "packet_network_demand": some(0.5, 1, 2),
                "remote_data_access_cost": some(0, 3),
                "remote_data_access_prob": some(0, 0.5),
                "startup_ipt": some(0, 30),
                "shutdown_ipt": some(0, 10),
                "timeout": some(0, 20, 500),
                "max_packet_queue": some(-1, 0, 3),
            }
        ),
        "sfc": st.fixed_dictionaries(
            {
                "vnf_num": some(1, 2, 3),
                "max_latency": some(5, 30, 200),
                "priority": some(1),
                "timeout": some(20, 500),
                "priorities_order": some(1, 2, 3),
            },
            optional={"lifetime": some(50, 1000)},
        ),
        "sfc_requests": st.fixed_dictionaries({"arrival": st.just("poisson"), "duration": some(30, 100, 1000)}),
        "user": st.fixed_dictionaries(
            {
                "sfc_request_num": some(1, 2),
                "latency": some(1),
                "bandwidth": some(1000),
                "loss_rate": some(0),
                "priority": some(1, 2),
            }
        ),
        "link": st.fixed_dictionaries(
            {
                "bandwidth": some(500, 1000, 5000),
                "loss_rate": some(0, 0.1),
                "propagation": some(0, 1),
                "energy_consumption": some(10),
                "num_links_between_nodes": some(1, 2),
                "loopback_bandwidth": some(10000),
                "max_packet_queue": some(-1, 1),
            }
        ),
        "data_source": st.fixed_dictionaries(
            {
                "packet_size": some(1, 3),
                "packet_interval": some(2, 5),
                "packets_burst_size": some(1, 4),
                "packets_burst_interval": some(0, 10),
            }
        ),
    }
)
"""Of `specs_file.parse_specs`."""

FLAG = st.booleans().map(int)
SIMULATIONS = st.fixed_dictionaries(
    {
        "total_time": st.just(200),
        "time_window": st.sampled_from([0, 20, 50]),
        "random_seed": st.integers(0, 2**32),
        "share_sfc_instance": FLAG,
        "compute_loopback_time": FLAG,
        "sfc_instance_monitor_interval": st.sampled_from([7, 50]),
        "order_sfc_request_by_similarity": st.sampled_from(["none", "asc", "desc"]),
        "integer_times": FLAG,
        "hold_link_while_propagating": FLAG,
        "link_size_by_network_demand": FLAG,
    }
)
SCALED = st.lists(st.sampled_from(SCALINGS), max_size=2, unique=True).map(
    lambda names: {
        path: {"heuristic": name, "parameters": {"monitor_interval": 10}}
        for path, name in zip(("scaling_up", "scaling_down"), names, strict=False)
    }
)


def parameters(placement: str) -> Any:
    """Of `parse_parameters`, with this placement."""
    return st.builds(
        lambda simulation, scaled: {"simulation": simulation, "placement": {"heuristic": placement}, **scaled},
        SIMULATIONS,
        SCALED,
    )
