"""Reads a specs file: JSON in both of the spellings that the document and the original program have.

In: JSON. Out: Specs, checked in itself, or one error with all that is wrong. Must not do: draw.
"""

from pathlib import Path

from testbed.simulator.model.entities import Location
from testbed.simulator.specification.checks import (
    AT_LEAST_ONE,
    COUNT,
    FRACTION,
    LATITUDE,
    LONGITUDE,
    NOT_NEGATIVE,
    POSITIVE,
    QUEUE,
    REQUIRED,
    TEXT,
    Section,
    one_of,
    whole,
)
from testbed.simulator.specification.consistency import PRIORITIES_ORDER, RESOURCE, WITHOUT_BURSTS
from testbed.simulator.specification.problems import Problems, read_json
from testbed.simulator.specification.slices import read_slices
from testbed.simulator.specification.specs import (
    Counts,
    DataSourceSpecs,
    LinkSpecs,
    NodeSpecs,
    RequestSpecs,
    SfcSpecs,
    Specs,
    UserSpecs,
    VnfSpecs,
)


def load_specs(path: Path | str) -> Specs:
    """Raises:
    SpecificationError: the file cannot be read, or something in it is wrong.
    """
    return parse_specs(read_json(path), str(path))


def parse_specs(value: object, file: str = "") -> Specs:
    """Raises:
    SpecificationError: something in it is wrong; names all of it.
    """
    problems = Problems(file)
    root = Section(value, "", problems)
    sfc = root.section("sfc")
    source = _data_source(root.section("data_source"), sfc)
    counts = _counts(root.section("entities_number"), source.one_per_sfc)
    slices, slice_of = read_slices(root.sections("slices"), counts.sfcs)
    specs = Specs(
        counts=counts,
        node=_node(root.section("node")),
        vnf=_vnf(root.section("vnf")),
        sfc=_sfc(sfc),
        user=_user(root.section("user")),
        link=_link(root.section("link")),
        data_source=source,
        sfc_requests=_requests(root.section("sfc_requests")),
        slices=slices,
        slice_of=slice_of,
    )
    root.close()
    _compare(specs, problems)
    problems.close()
    return specs


def _counts(section: Section, one_per_sfc: bool) -> Counts:
    sfcs = section.get("sfcs", AT_LEAST_ONE)
    result = Counts(
        nodes=section.get("nodes", AT_LEAST_ONE),
        vnfs=section.get("vnfs", AT_LEAST_ONE),
        sfcs=sfcs,
        users=section.get("users", COUNT),
        data_sources=section.get("data_sources", AT_LEAST_ONE, sfcs if one_per_sfc else 1),
    )
    section.close()
    if one_per_sfc and sfcs and result.data_sources and result.data_sources != sfcs:
        expected = f"{sfcs} as there are SFCs, as the packet pattern is in the sfc block"
        section.problems.add(section.at("data_sources"), result.data_sources, expected)
    return result


def _node(section: Section) -> NodeSpecs:
    places = section.sections("location")
    result = NodeSpecs(
        cpu=section.choices("cpu", POSITIVE, also=("CPU",)),
        mem=section.choices("mem", POSITIVE, also=("MEM",)),
        vnf_num=section.choices("vnf_num", AT_LEAST_ONE),
        group=section.choices("group", whole(), (1,)),
        energy_max=section.choices("energy_max", NOT_NEGATIVE),
        energy_idle=() if section.blank("energy_idle") else section.choices("energy_idle", NOT_NEGATIVE),
        disk_delay=section.choices("disk_delay", NOT_NEGATIVE),
        ran_node_prob=section.get("ran_node_prob", FRACTION),
        core_node_prob=section.get("core_node_prob", FRACTION),
        locations=tuple(_location(place) for place in places),
    )
    if places and all(weight == 0 for _, weight in result.locations):
        section.problems.add(places[0].at("node_prob"), 0, "a location with a node_prob greater than 0")
    section.close()
    return result


def _location(section: Section) -> tuple[Location, float]:
    name = section.get("name", TEXT)
    place = Location(
        name=name,
        key=section.get("key", TEXT, name),
        latitude=section.get("latitude", LATITUDE),
        longitude=section.get("longitude", LONGITUDE),
    )
    weight = section.get("node_prob", FRACTION, 1.0)
    section.close()
    return place, weight


def _vnf(section: Section) -> VnfSpecs:
    result = VnfSpecs(
        cpu=section.choices("cpu", POSITIVE),
        mem=section.choices("mem", POSITIVE),
        max_share=section.choices("max_share", AT_LEAST_ONE),
        min_bandwidth=section.choices("min_bandwidth", NOT_NEGATIVE),
        packet_cpu_demand=section.choices("packet_cpu_demand", NOT_NEGATIVE),
        packet_mem_demand=section.choices("packet_mem_demand", NOT_NEGATIVE),
        packet_network_demand=section.choices("packet_network_demand", NOT_NEGATIVE),
        remote_data_access_cost=section.choices("remote_data_access_cost", NOT_NEGATIVE, (0.0,)),
        remote_data_access_prob=section.choices("remote_data_access_prob", FRACTION, (0.0,)),
        startup_ipt=section.choices("startup_ipt", NOT_NEGATIVE),
        shutdown_ipt=section.choices("shutdown_ipt", NOT_NEGATIVE),
        timeout=section.choices("timeout", NOT_NEGATIVE),
        max_packet_queue=section.choices("max_packet_queue", QUEUE, (-1,)),
        resource_intensive=section.choices("resource_intensive", RESOURCE, ("CPU",)),
    )
    section.close()
    return result


def _sfc(section: Section) -> SfcSpecs:
    result = SfcSpecs(
        vnf_num=section.choices("vnf_num", AT_LEAST_ONE, also=("vnfs",)),
        max_latency=section.choices("max_latency", POSITIVE),
        priority=section.choices("priority", whole()),
        timeout=section.choices("timeout", NOT_NEGATIVE),
        priorities_order=section.choices("priorities_order", PRIORITIES_ORDER, (1,)),
        lifetime=section.choices("lifetime", POSITIVE, ()),
    )
    section.close()
    return result


def _user(section: Section) -> UserSpecs:
    result = UserSpecs(
        sfc_request_num=section.choices("sfc_request_num", COUNT),
        latency=section.choices("latency", NOT_NEGATIVE),
        bandwidth=section.choices("bandwidth", POSITIVE),
        loss_rate=section.choices("loss_rate", FRACTION, (0.0,)),
        priority=section.choices("priority", COUNT),
    )
    section.close()
    return result


def _link(section: Section) -> LinkSpecs:
    result = LinkSpecs(
        bandwidth=section.choices("bandwidth", POSITIVE),
        loss_rate=section.choices("loss_rate", FRACTION, (0.0,)),
        propagation=section.choices("propagation", NOT_NEGATIVE),
        energy_consumption=section.choices("energy_consumption", NOT_NEGATIVE),
        num_links_between_nodes=section.choices("num_links_between_nodes", AT_LEAST_ONE, (1,)),
        loopback_bandwidth=section.choices("loopback_bandwidth", POSITIVE),
        max_packet_queue=section.choices("max_packet_queue", QUEUE, (-1,)),
    )
    section.close()
    return result


def _data_source(section: Section, sfc: Section) -> DataSourceSpecs:
    """What the document's SFC table has is taken from there, where it is given."""
    intervals = sfc.choices("mean_packet_creation", NOT_NEGATIVE, (), ("packet_interval",))
    burst_sizes = sfc.choices("packets_burst_size", AT_LEAST_ONE, ())
    burst_intervals = sfc.choices("packets_burst_interval", NOT_NEGATIVE, ())
    result = DataSourceSpecs(
        packet_size=section.choices("packet_size", POSITIVE),
        packet_interval=intervals or section.choices("packet_interval", NOT_NEGATIVE, also=("mean_packet_creation",)),
        packets_burst_size=burst_sizes or section.choices("packets_burst_size", AT_LEAST_ONE),
        packets_burst_interval=burst_intervals or section.choices("packets_burst_interval", NOT_NEGATIVE),
        one_per_sfc=bool(intervals or burst_sizes or burst_intervals),
    )
    section.declare("packet_interval", "packets_burst_size", "packets_burst_interval")
    section.close()
    return result


def _requests(section: Section) -> RequestSpecs:
    arrival = section.get("arrival", one_of("poisson", "linear"))
    result = RequestSpecs(
        arrival=arrival,
        increase_requests_per_window=section.get(
            "increase_requests_per_window", AT_LEAST_ONE, REQUIRED if arrival == "linear" else 0
        ),
        duration=section.choices("duration", POSITIVE, also=("request_duration",)),
    )
    section.close()
    return result


def _compare(specs: Specs, problems: Problems) -> None:
    """What holds between members: chains have distinct VNFs, probabilities sum to 1 at most, the strongest node can run any VNF."""
    node, vnf, counts = specs.node, specs.vnf, specs.counts
    if (
        problems.none_under("node.ran_node_prob", "node.core_node_prob")
        and node.ran_node_prob + node.core_node_prob > 1
    ):
        problems.add(
            "node.core_node_prob", node.core_node_prob, f"at most 1 - ran_node_prob, {1 - node.ran_node_prob:g}"
        )
    for path, numbers in (("node.vnf_num", node.vnf_num), ("sfc.vnf_num", specs.sfc.vnf_num)):
        if problems.none_under("entities_number.vnfs", path, path.replace("vnf_num", "vnfs")):
            for i, each in enumerate(numbers):
                if each > counts.vnfs:
                    problems.add(f"{path}[{i}]", each, f"at most {counts.vnfs}, the number of VNF types")
    for name, needed, there in (("cpu", vnf.cpu, node.cpu), ("mem", vnf.mem, node.mem)):
        if problems.none_under(f"vnf.{name}", f"node.{name}", f"node.{name.upper()}"):
            for i, amount in enumerate(needed):
                if amount > max(there):
                    problems.add(f"vnf.{name}[{i}]", amount, f"at most {max(there):g}, the greatest node.{name}")
    sources = specs.data_source
    if problems.none_under("data_source", "sfc") and 0 in sources.packet_interval:
        bursts = min(sources.packets_burst_size) > 1 and min(sources.packets_burst_interval) > 0
        if not bursts:
            problems.add("data_source.packet_interval", 0, WITHOUT_BURSTS)
