"""The controller's heart: events come in, desired state changes, and one loop brings the switches there.

In: what `app` hears from switches, what `operations` changes for users, what probes find. Out: reconciled switches,
events, counters. Green threads only: nothing here may block the process, and only `Sync` writes entries.
"""

import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address

import eventlet
from eventlet.event import Event

from sdn_app.balancing.dealer import LeastLoaded, Sticky, Turn
from sdn_app.chains.model import Balancing, DesiredState, Instance, InstanceState
from sdn_app.control.counters import Counters
from sdn_app.control.dealer import Deal, Dealer, client_of
from sdn_app.control.events import EventLog
from sdn_app.control.inventory import Inventory, asked_address, source_of
from sdn_app.control.planner import DealTable, Planned, View, make_plan
from sdn_app.network.discovery import SELF_PORT, Discovery
from sdn_app.network.graph import Host, NetworkGraph, published_ms
from sdn_app.openflow import codec
from sdn_app.openflow.codec import PortDesc
from sdn_app.paths.registry import PathRegistry, Status
from sdn_app.paths.render import PathKey, key_from_text, key_to_text
from sdn_app.paths.turns import rotate_to_continue
from sdn_app.rules import pipeline as p
from sdn_app.rules.compile import PathCache, compile_rules
from sdn_app.rules.entries import Flow, Output, SetField, SwitchRules, match
from sdn_app.settings import Settings
from sdn_app.store.interface import Store
from sdn_app.switches.sync import Channel, Sync

LOG = logging.getLogger(__name__)
TO_TABLE = (Output(0xFFFFFFF9),)
LOCAL_PORT = 0xFFFFFFFE
PROBE_GAP_S = 0.005
WAITING_FRAMES = 100  # first packets of hosts that are being made known; more are dropped
TO_CONTROLLER = (Output(p.PORT_CONTROLLER, p.WHOLE_PACKET),)
FAST_PROBE_S = 0.3
SETTLE_S = 1.2
LOST_PROBES = 3  # a link is gone when this many probes in a row did not come; a port that goes down counts at once
FIND_AGAIN_S = 5.0
GRACE_S = 10.0  # how long a switch may be away before its links count as gone; it forwards on meanwhile
RETRY_S = 0.5
STATS_S = 2.0


class Controller:
    """State and loops. `start` begins them; every other method is an event."""

    def __init__(self, settings: Settings, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self.settings, self.store, self.clock = settings, store, clock
        self.events = EventLog()
        self.desired: DesiredState = store.load()
        gone_after_s = LOST_PROBES * settings.discovery_interval_s + 1.0
        self.inventory = Inventory(Discovery(os.urandom(32), gone_after_s), SETTLE_S)
        self.graph = NetworkGraph()
        self.dealer, self.counters = Dealer(), Counters()
        self.sync = Sync(on_error=lambda dpid, text: self.events.publish("switch-error", switch=dpid, detail=text))
        self.registry = PathRegistry.restored(
            {spi: key_from_text(text) for text, spi in store.allocated("spi").items()}, clock()
        )
        self.planned: Planned | None = None
        self.loads: dict[str, float] = {}
        self.drained: set[str] = set()  # instances that failed while they were drained, and will go on draining
        self.channels: dict[int, Channel] = {}
        self._away: dict[int, float] = {}
        self._turns: dict[int, tuple[tuple[tuple[str, ...], ...], Turn]] = {}
        self._published: dict[tuple[int, int, int, int], float] = {}
        self._wanted = self._applied = self._waiting_frames = 0
        self._dirty, self._settled_at = Event(), 0.0
        self._waiters: list[tuple[int, Event]] = []
        self.reconcile_ms = 0.0
        self._compiled = PathCache()
        self._trunks_before: set[tuple[int, int]] = set()
        self.standing: frozenset[str] = frozenset()  # chains that can be dealt, behind all barriers
        self._grouped: dict[tuple[int, int], int] = {}  # (switch, SPI) -> connections that a group dealt

    def start(self) -> None:
        """Begin the loops."""
        for loop in (self._reconcile_loop, self._probe_loop, self._stats_loop):
            eventlet.spawn(self._guarded, loop)

    def _guarded(self, loop: Callable[[], None]) -> None:
        """Run one round of a loop after another; an error in one is logged and does not end it."""
        while True:
            try:
                loop()
            except Exception:
                LOG.exception("error in %s", loop.__name__)
                self.events.publish("internal-error", where=loop.__name__)
                eventlet.sleep(RETRY_S)

    # desired state --------------------------------------------------------------------------------------------------
    def change(self, new: DesiredState) -> int:
        """Store a new desired state and ask for it; gives the version to wait for."""
        self.store.save(self.desired, new)
        self.desired = new
        return self.touch()

    def touch(self) -> int:
        """Something that rules depend on has changed."""
        self._wanted += 1
        if not self._dirty.ready():
            self._dirty.send(True)
        return self._wanted

    @property
    def pending_changes(self) -> int:
        """Changes that are not behind the switches' barriers yet."""
        return self._wanted - self._applied

    def dealt_by_path(self, spi: int) -> int:
        """New connections that a path was given, by the controller or by a select group."""
        return self.dealer.dealt[spi] + sum(n for (_, each), n in self._grouped.items() if each == spi)

    def wait_for(self, version: int, timeout_s: float) -> bool:
        """Wait until a version stands on the switches, behind their barriers."""
        if self._applied >= version:
            return True
        waiter = (version, Event())
        self._waiters.append(waiter)
        with eventlet.Timeout(timeout_s, False):
            waiter[1].wait()
        if waiter in self._waiters:  # nothing came in time
            self._waiters.remove(waiter)
        return self._applied >= version

    def set_instance(self, instance: Instance, why: str) -> None:
        """Replace one instance, for instance with a new state."""
        old = self.desired.instances.get(instance.instance_id)
        if instance.state is InstanceState.ACTIVE and instance.instance_id in self.drained:
            self.drained.discard(instance.instance_id)
            instance = replace(instance, state=InstanceState.DRAINING)
        if old == instance:
            return
        instances = {**self.desired.instances, instance.instance_id: instance}
        self.change(replace(self.desired, instances=instances))
        if old is None or old.state is not instance.state:
            self.events.publish(
                "instance-state",
                instance_id=instance.instance_id,
                vnf_type=instance.vnf_type,
                state=str(instance.state),
                reason=why,
            )

    # reconciling ----------------------------------------------------------------------------------------------------
    def _reconcile_loop(self) -> None:
        self._dirty.wait()
        pause = max(self._settled_at - self.clock(), FAST_PROBE_S if self._links_are_missing() else 0.0)
        if pause > 0:
            eventlet.sleep(min(pause, FAST_PROBE_S))
            return
        self._dirty = Event()
        try:
            self.reconcile()
        except Exception:
            self.touch()  # what could not be done is tried again
            raise

    def _links_are_missing(self) -> bool:
        """True while trunks that switches had entries for have not been found again, for a while after a restart."""
        self._trunks_before -= {(link.a, link.a_port) for link in self.graph.all_links()}
        return bool(self._trunks_before) and self.clock() < self._settled_at + FIND_AGAIN_S

    def reconcile(self) -> None:
        """Plan, compile, compare and apply, once."""
        version, began = self._wanted, self.clock()
        index = {dpid: self.store.allocate("switch", str(dpid)) for dpid in sorted(self.inventory.switches)}
        view = View(self.desired, self.inventory, self.graph, index, began)
        planned = make_plan(view, self.registry, self._allocate_spi, self._target_id, self.settings.packet_in_rate_pps)
        self.registry, self.planned = planned.registry, planned  # before others run: `_collect` changes it too
        rules = compile_rules(planned.plan, self._compiled, lambda: eventlet.sleep(0))
        failed = self.sync.apply(rules, on_ways=lambda: self.dealer.replace(self._deals(planned), index))
        self.reconcile_ms = (self.clock() - began) * 1e3
        if failed:
            self.events.publish("switches-behind", switches=sorted(failed))
            eventlet.spawn_after(RETRY_S, self._read_again, sorted(failed))
        else:
            self._applied = version
            self.standing = frozenset(
                table.chain.name
                for table in planned.deals.values()
                if any(key is not None for row in table.keys.values() for key in row)
            )
        for waiting in [each for each in self._waiters if each[0] <= self._applied]:
            self._waiters.remove(waiting)
            waiting[1].send(True)

    def _read_again(self, dpids: list[int]) -> None:
        for dpid in dpids:
            self.sync.read_back(dpid)
        self.touch()

    def _allocate_spi(self, key: PathKey) -> int:
        return self.store.allocate("spi", key_to_text(key))

    def _target_id(self, name: str) -> int:
        return self.store.allocate("target", name)

    def _deals(self, planned: Planned) -> dict[int, Deal]:
        """The dealer's tables for what was planned; turns go on where they were."""
        live = {e.path.key: spi for spi, e in planned.registry.entries.items() if e.status is Status.LIVE}
        deals: dict[int, Deal] = {}
        watched: set[int] = set()
        for target_id, table in planned.deals.items():
            if not table.options or table.chain.balancing is Balancing.HASH:
                continue
            options = tuple(tuple(candidate.id for candidate in option) for option in table.options)
            rows: dict[int, Sequence[int]] = {
                ingress: [live.get(key, 0) if key is not None else 0 for key in row]
                for ingress, row in table.keys.items()
            }
            if table.chain.balancing is Balancing.LEAST_LOADED:
                watched.add(target_id)
            deals[target_id] = Deal(self._chooser(target_id, table, options), options, rows)
        self._turns = {tid: turn for tid, turn in self._turns.items() if tid in deals}
        self.dealer.on_dealt(self._count_load if watched else None)
        return deals

    def _chooser(
        self, target_id: int, table: DealTable, options: tuple[tuple[str, ...], ...]
    ) -> Callable[[bytes], int]:
        balancing = table.chain.balancing
        if balancing is Balancing.STICKY:
            sticky = Sticky()
            return lambda frame: sticky.choose(options, client_of(frame))
        if balancing is Balancing.LEAST_LOADED:
            least = LeastLoaded()
            weights = {c.id: c.weight for option in table.options for c in option}
            return lambda frame: least.choose(options, self.loads, weights)
        known = self._turns.get(target_id)
        if known is None or known[0] != options:
            start = 0
            if known is not None:
                used = known[0][known[1].index - 1]
                start = rotate_to_continue(table.options, used)
            known = self._turns[target_id] = (options, Turn(len(options), start))
        turn = known[1]
        return lambda frame: turn.next()

    def _count_load(self, instances: tuple[str, ...]) -> None:
        for instance_id in instances:
            self.loads[instance_id] = self.loads.get(instance_id, 0.0) + 1.0

    # switches -------------------------------------------------------------------------------------------------------
    def switch_connected(self, dpid: int, channel: Channel) -> None:
        """A switch finished its handshake."""
        self.channels[dpid] = channel
        if dpid not in self.inventory.switches:  # entries stay as they are until links are found again
            self._settled_at = self.clock() + SETTLE_S
        self.sync.connected(dpid, channel)
        eventlet.spawn(self._welcome, dpid, channel)

    def _welcome(self, dpid: int, channel: Channel) -> None:
        """Read ports and entries, make sure that probes come up, then take the switch into the network."""
        ports = self.sync.dump(dpid, codec.encode_port_desc_request)
        if ports is None or not self.sync.read_back(dpid):
            LOG.warning("switch %d did not answer; it is left out until it connects again", dpid)
            return
        self._away.pop(dpid, None)
        now = self.clock()
        known = self.inventory.switches.get(dpid)
        for gone in set(known.ports) - {port.number for port in ports} if known else ():
            self.inventory.remove_port(dpid, gone)
        for port in ports:
            self.inventory.set_port(dpid, port, now)
        installed = self.sync.installed(dpid) or SwitchRules()
        self.inventory.recover(dpid, installed)
        probe = Flow(
            p.ADMISSION, p.ADMIT_PROBE, match(eth_type=p.ETH_PROBE), TO_CONTROLLER, cookie=p.cookie(p.Cookie.PROBE)
        )
        if probe not in installed.flows:
            self.sync.apply({dpid: replace(installed, flows=installed.flows | {probe})})
        if known is None:
            self._settled_at = self.clock() + SETTLE_S
            self._trunks_before |= {
                (dpid, value)
                for flow in installed.flows
                if (flow.table, flow.priority) == (p.ADMISSION, p.ADMIT_TRUNK)
                for name, value, _ in flow.match
                if name == "in_port"
            }
        self.events.publish("switch-connected", switch=dpid, ports=len(ports), flows=len(installed.flows))
        self._check_ports(dpid)
        self.touch()

    def switch_disconnected(self, dpid: int, channel: Channel) -> None:
        """A switch's connection ended; it goes on forwarding, and stays in the graph for a while."""
        if self.channels.get(dpid) is not channel:
            return
        del self.channels[dpid]
        self.sync.disconnected(dpid, channel)
        self._away[dpid] = self.clock()
        self.events.publish("switch-disconnected", switch=dpid)

    def port_status(self, dpid: int, removed: bool, port: PortDesc) -> None:
        """A port came, went, or changed its state. What hangs on it counts at once."""
        now = self.clock()
        changed = self.inventory.remove_port(dpid, port.number) if removed else self.inventory.set_port(dpid, port, now)
        if not changed:
            return
        up = not removed and port.state_up
        self.events.publish("port", switch=dpid, port=port.number, name=port.name, up=up)
        self._check_ports(dpid)
        self._update_graph()
        self.touch()

    def _check_ports(self, dpid: int) -> None:
        """Instances whose ports went are failed at once; those whose ports are back start again."""
        switch = self.inventory.switches.get(dpid)
        if switch is None:
            return
        for instance in list(self.desired.instances.values()):
            if instance.attachment.switch != dpid:
                continue
            there = all(switch.number_of(name) is not None for name in instance.attachment.ports)
            if not there and instance.state in (InstanceState.ACTIVE, InstanceState.DRAINING):
                if instance.state is InstanceState.DRAINING:
                    self.drained.add(instance.instance_id)
                self.set_instance(replace(instance, state=InstanceState.FAILED), "its port went down")
            elif there and instance.state is InstanceState.FAILED:
                self.set_instance(replace(instance, state=InstanceState.STARTING), "its ports are up")

    # packets --------------------------------------------------------------------------------------------------------
    def packet_in(self, dpid: int, channel: Channel, buf: bytes) -> bool:
        """A raw packet-in. Dealing comes first: it is what most of them are for."""
        packet = codec.decode_packet_in(buf)
        parts = p.cookie_parts(packet.cookie)
        if parts is None:
            return False
        kind, value = parts
        if kind == p.Cookie.DEAL:
            answer = self.dealer.packet_out(dpid, value, packet.in_port, packet.data, self.clock(), self.sync.xid())
            if answer is not None:
                channel.send_raw(answer)
        elif kind == p.Cookie.PROBE:
            if self.inventory.discovery.received(dpid, packet.in_port, packet.data, self.clock()):
                self._link_found(dpid)
        elif kind in (p.Cookie.UNKNOWN, p.Cookie.ARP_MISS):
            self._unknown(dpid, packet.in_port, packet.data)
        return True

    def _link_found(self, dpid: int) -> None:
        if self.clock() < self._settled_at:
            self._settled_at = max(self._settled_at, self.clock() + FAST_PROBE_S)
        self.inventory.forget_trunk_hosts()
        self._update_graph()

    def _unknown(self, dpid: int, port: int, frame: bytes) -> None:
        """A frame from a source that is not known on its port, or a question for an address that nobody has."""
        functions = self.planned.functions if self.planned else frozenset()
        source = source_of(frame)
        if source is None or not self.inventory.is_edge(dpid, port, functions, self.clock()):
            return
        mac, address = source
        taken = {i.address for i in self.desired.instances.values()} | {
            s.address for s in self.desired.services.values()
        }
        if address in taken:
            return
        new = self.inventory.hosts.get(address) != Host(mac, address, dpid, port)
        refused = self.inventory.learn(Host(mac, address, dpid, port))
        if refused is not None:
            self.events.publish("address-refused", switch=dpid, port=port, reason=refused)
            return
        if new:
            self.events.publish("host", address=str(address), mac=mac_text(mac), switch=dpid, port=port)
            self.touch()
        if frame[12:14] == b"\x08\x00" and self.pending_changes and self._waiting_frames < WAITING_FRAMES:
            eventlet.spawn(self._again, self._wanted, dpid, port, frame)
        self._arp(dpid, port, frame)

    def _again(self, version: int, dpid: int, port: int, frame: bytes) -> None:
        """Send a host's first packets through the tables once they know the host."""
        self._waiting_frames += 1
        try:
            if self.wait_for(version, 2.0):
                self._send(dpid, port, TO_TABLE, frame)
        finally:
            self._waiting_frames -= 1

    def _arp(self, dpid: int, port: int, frame: bytes) -> None:
        """Answer a question for a known address; ask on all edge ports for another; pass an answer on."""
        asked = asked_address(frame)
        if asked is not None:
            mac = self._mac_of(asked)
            if mac is not None:
                self._send(dpid, p.PORT_CONTROLLER, (Output(port),), arp_answer(frame, mac))
            else:
                self._flood(dpid, port, frame)
        elif frame[12:14] == b"\x08\x06" and len(frame) >= 42:
            host = self.inventory.hosts.get(IPv4Address(frame[38:42]))
            if host is not None:
                self._send(host.switch, p.PORT_CONTROLLER, (Output(host.port),), frame)

    def _mac_of(self, address: IPv4Address) -> int | None:
        if any(service.address == address for service in self.desired.services.values()):
            return p.SERVICE_MAC
        if address in self.inventory.hosts:
            return self.inventory.hosts[address].mac
        for instance in self.desired.instances.values():
            if instance.address == address and instance.mac:
                return int(instance.mac.replace(":", ""), 16)
        return None

    def _flood(self, dpid: int, port: int, frame: bytes) -> None:
        functions = self.planned.functions if self.planned else frozenset()
        now = self.clock()
        for switch in self.inventory.switches.values():
            for number in switch.ports:
                if (switch.dpid, number) != (dpid, port) and self.inventory.is_edge(
                    switch.dpid, number, functions, now
                ):
                    self._send(switch.dpid, p.PORT_CONTROLLER, (Output(number),), frame)

    def _send(self, dpid: int, in_port: int, actions: tuple[Output | SetField, ...], frame: bytes) -> None:
        channel = self.channels.get(dpid)
        if channel is not None:
            channel.send_raw(codec.encode_packet_out(in_port, actions, frame, self.sync.xid()))

    # loops ----------------------------------------------------------------------------------------------------------
    def _probe_loop(self) -> None:
        """Probe links; forget those that are gone."""
        now = self.clock()
        discovery = self.inventory.discovery
        functions = self.planned.functions if self.planned else frozenset()
        hosts = {(h.switch, h.port) for h in self.inventory.hosts.values()}
        for dpid, switch in list(self.inventory.switches.items()):
            if dpid in self._away:
                discovery.hold(dpid, now)
                if now - self._away[dpid] > GRACE_S:
                    del self._away[dpid]
                    self.inventory.remove_switch(dpid)
                    self.events.publish("switch-gone", switch=dpid)
                    self.touch()
                continue
            self._send(dpid, LOCAL_PORT, TO_TABLE, discovery.probe(dpid, SELF_PORT, self.clock()))
            for number, port in list(switch.ports.items()):
                if port.up and (dpid, number) not in functions and (dpid, number) not in hosts:
                    eventlet.sleep(PROBE_GAP_S)  # probes that leave together wait for each other
                    frame = discovery.probe(dpid, number, self.clock())
                    self._send(dpid, p.PORT_CONTROLLER, (Output(number),), frame)
        discovery.expire(now)
        self._update_graph()
        settling = self.clock() < self._settled_at + 3 * FAST_PROBE_S
        eventlet.sleep(FAST_PROBE_S if settling else self.settings.discovery_interval_s)

    def _update_graph(self) -> None:
        """Make the graph follow links and latencies; rules follow where it changed."""
        links = []
        for link in self.inventory.discovery.links():
            name = (link.a, link.a_port, link.b, link.b_port)
            latency = published_ms(self._published.get(name), link.latency_ms)
            self._published[name] = latency
            links.append(replace(link, latency_ms=latency))
        graph = NetworkGraph.of(self.inventory.switches, links)
        if graph != self.graph:
            before, self.graph = self.graph, graph
            for pair in before.links.keys() - graph.links.keys():
                self.events.publish("link-down", a=pair[0], b=pair[1])
            for pair in graph.links.keys() - before.links.keys():
                self.events.publish("link-up", a=pair[0], b=pair[1], latency_ms=graph.links[pair].latency_ms)
            self.touch()

    def _stats_loop(self) -> None:
        """Read counters; clear away paths that nothing uses any more."""
        began = self.clock()
        for dpid in list(self.channels):
            if self.sync.is_ready(dpid):
                stats = self.sync.dump(
                    dpid, lambda x: codec.encode_flow_stats_request(x, p.COOKIE_OWNER, p.COOKIE_OWNER_MASK)
                )
                if stats is not None:
                    self.counters.update(dpid, stats, self.clock())
                self._count_groups(dpid)
        self._collect()
        took = self.clock() - began
        eventlet.sleep(max(STATS_S, 5 * took))

    def _count_groups(self, dpid: int) -> None:
        """Connections that select groups dealt: every new one passes its bucket once."""
        installed = self.sync.installed(dpid)
        buckets = {group.group_id: group.buckets for group in installed.groups} if installed else {}
        if not buckets:
            return
        for stat in self.sync.dump(dpid, codec.encode_group_stats_request) or ():
            for bucket, (packets, _) in zip(buckets.get(stat.group_id, ()), stat.buckets, strict=False):
                begin = bucket.actions[0]
                if isinstance(begin, SetField):
                    self._grouped[dpid, begin.value] = packets

    def _collect(self) -> None:
        now = self.clock()
        kept, gone = self.registry.collect(self.counters.last_change, self.settings.path_idle_s, now)
        if gone:
            self.registry = kept
            for path in gone:
                self.store.release("spi", key_to_text(path.key))
                self.counters.last_change.pop(path.spi, None)
            self.touch()


def mac_text(mac: int) -> str:
    """A MAC address as text."""
    return ":".join(f"{byte:02x}" for byte in mac.to_bytes(6, "big"))


def arp_answer(request: bytes, mac: int) -> bytes:
    """The answer to an ARP request (an Ethernet frame), from the MAC address given."""
    own = mac.to_bytes(6, "big")
    asker, asker_ip, asked_ip = request[22:28], request[28:32], request[38:42]
    return asker + own + request[12:20] + b"\x00\x02" + own + asked_ip + asker + asker_ip
