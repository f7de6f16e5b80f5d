"""Builds a network with instances, services and clients out of a few numbers, for tests of planning and rules."""

from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address

from sdn_app.chains.model import (
    Attachment,
    Balancing,
    Chain,
    Classifier,
    DesiredState,
    Instance,
    InstanceState,
    OnFailure,
    Service,
)
from sdn_app.control.inventory import Inventory
from sdn_app.control.planner import Planned, View, make_plan
from sdn_app.network.discovery import Discovery
from sdn_app.network.graph import Host, Link, NetworkGraph
from sdn_app.openflow.codec import PortDesc
from sdn_app.paths.registry import PathRegistry
from sdn_app.paths.render import PathKey
from sdn_app.rules.compile import PathCache, compile_rules
from sdn_app.rules.entries import SwitchRules
from tests.support.fake_network import Frame, Network

VIP = IPv4Address("10.0.0.100")
CLIENT_PORT, FIRST_FUNCTION_PORT, FIRST_SERVANT_PORT, FIRST_TRUNK_PORT = 1, 100, 200, 300


@dataclass
class Scenario:
    """Everything that a plan is made from; change it and plan again."""

    graph: NetworkGraph
    desired: DesiredState
    inventory: Inventory
    registry: PathRegistry = field(default_factory=PathRegistry)
    ids: dict[object, int] = field(default_factory=dict)
    cables: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    planned: Planned | None = None
    now: float = 0.0
    compiled: PathCache = field(default_factory=PathCache)

    def plan(self) -> dict[int, SwitchRules]:
        """Plan and compile from what is there now."""
        self.now += 1.0
        index = {dpid: dpid for dpid in self.inventory.switches}
        view = View(self.desired, self.inventory, self.graph, index, self.now)
        self.planned = make_plan(view, self.registry, self._spi, self._target, 100)
        self.registry = self.planned.registry
        return compile_rules(self.planned.plan, self.compiled)

    def _spi(self, key: PathKey) -> int:
        return self.ids.setdefault(key, 2 + 2 * len(self.ids))

    def _target(self, name: str) -> int:
        return self.ids.setdefault(name, 2 + 2 * len(self.ids))

    def network(self) -> Network:
        """The switches with what is compiled now; conntrack is empty."""
        return Network(self.plan(), self.graph, self.cables)

    def set_state(self, instance_id: str, state: InstanceState) -> None:
        instance = replace(self.desired.instances[instance_id], state=state)
        self.desired = replace(self.desired, instances={**self.desired.instances, instance_id: instance})

    def type_at(self, switch: int, port: int) -> str:
        """The type of the instance behind a function port."""
        return self.desired.instances[self.id_at(switch, port)].vnf_type

    def id_at(self, switch: int, port: int) -> str:
        name = self.inventory.switches[switch].ports[port].name
        return next(i.instance_id for i in self.desired.instances.values() if name in i.attachment.ports)

    def syn(self, client: Host, source_port: int) -> Frame:
        """The first packet of a connection of this client to the service."""
        return Frame.of(
            eth_type=0x0800,
            eth_src=client.mac,
            eth_dst=0x025FC0000001,
            ipv4_src=int(client.address),
            ipv4_dst=int(VIP),
            ip_proto=6,
            tcp_src=source_port,
            tcp_dst=80,
        )


def build(
    switches: int,
    edges: list[tuple[int, int, float]],
    functions: list[tuple[str, list[int]]],
    servants: list[int],
    clients: list[int],
    chain: Chain | None = None,
) -> Scenario:
    """Make a scenario: `functions` are (type, switch of each instance) in the chain's order."""
    links: list[Link] = []
    inventory = Inventory(Discovery(b"test"), 0.0)
    ports: dict[int, list[PortDesc]] = {n: [] for n in range(1, switches + 1)}
    for number, (a, b, latency) in enumerate(edges):
        port = FIRST_TRUNK_PORT + number
        links += [Link(a, port, b, port, latency), Link(b, port, a, port, latency)]
        ports[a].append(PortDesc(port, f"t{port}", 0, True))
        ports[b].append(PortDesc(port, f"t{port}", 0, True))
    instances: dict[str, Instance] = {}
    cables: dict[tuple[int, int], tuple[int, int]] = {}
    number = FIRST_FUNCTION_PORT
    for vnf_type, places in functions:
        for serial, switch in enumerate(places):
            name = f"{vnf_type}{serial}"
            if name in instances:
                continue
            attachment = Attachment(switch, (f"{name}-i", f"{name}-o"))
            instances[name] = Instance(name, vnf_type, attachment, state=InstanceState.ACTIVE)
            ports[switch] += [PortDesc(number, f"{name}-i", 0, True), PortDesc(number + 1, f"{name}-o", 0, True)]
            cables[switch, number] = (switch, number + 1)
            cables[switch, number + 1] = (switch, number)
            number += 2
    for serial, switch in enumerate(servants):
        name, port = f"servant{serial}", FIRST_SERVANT_PORT + serial
        mac = f"02:00:00:00:01:{serial:02x}"
        address = IPv4Address(f"10.{switch}.1.{serial + 1}")
        instances[name] = Instance(
            name, "servant", Attachment(switch, (f"{name}-d",)), None, address, mac, state=InstanceState.ACTIVE
        )
        ports[switch].append(PortDesc(port, f"{name}-d", 0, True))
    for switch in clients:
        ports[switch].append(PortDesc(CLIENT_PORT, f"c{switch}", 0, True))
    for switch, each in ports.items():
        inventory.set_port(switch, PortDesc(0xFFFFFFFE, "local", 0, True), 0.0)
        for port in each:
            inventory.set_port(switch, port, 0.0)
    for switch in clients:
        address = IPv4Address(f"10.{switch}.0.1")
        inventory.learn(Host(0x020000000000 + switch, address, switch, CLIENT_PORT))
    types = tuple(vnf_type for vnf_type, _ in functions)
    made = chain or Chain("chain", types, Classifier(), service="emergency", balancing=Balancing.ROUND_ROBIN)
    made = replace(made, functions=types)
    desired = DesiredState({made.name: made}, {"emergency": Service("emergency", VIP, 80)}, instances, {})
    return Scenario(NetworkGraph.of(ports, links), desired, inventory, cables=cables)


__all__ = ["OnFailure", "Scenario", "build"]
