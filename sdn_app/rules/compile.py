"""Compile a plan into the flow, group and meter entries that should exist on every switch. One pure function.

`docs/pipeline.md` explains the result on a real dump. A feature is one function below, from plan to entries of one
switch.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from sdn_app.rules import pipeline as p
from sdn_app.rules.entries import (
    Action,
    Bucket,
    Ct,
    Decap,
    DecNshTtl,
    EncapEthernet,
    EncapNsh,
    Flow,
    Group,
    Meter,
    Move,
    Output,
    Resubmit,
    SetField,
    SwitchRules,
    ToGroup,
    match,
)
from sdn_app.rules.plan import Plan, PlannedPath, SwitchFacts, Target

TO_CONTROLLER = Output(p.PORT_CONTROLLER, p.WHOLE_PACKET)
TRACKED = (p.CT_TRK, p.CT_TRK)
BREATH, SPARE = 100, 1000
REPLY = (p.CT_TRK | p.CT_RPL, p.CT_TRK | p.CT_RPL)


@dataclass(frozen=True, slots=True)
class _Compiled:
    """The entries of one path, and what they were compiled from."""

    planned: PlannedPath
    onward: PlannedPath | None
    flows: tuple[tuple[int, Flow], ...]


class PathCache:
    """Entries of paths that were compiled before, for the next time that a plan has the same path on the same ports."""

    def __init__(self) -> None:
        self._ground: object = None
        self._known: dict[int, _Compiled] = {}

    def flows(self, plan: Plan, planned: PlannedPath, by_spi: dict[int, PlannedPath]) -> tuple[tuple[int, Flow], ...]:
        """What `path_flows` gives, computed once for equal paths: a number can come back as another path's."""
        onward = None if planned.replacement is None else by_spi.get(planned.replacement)
        known = self._known.get(planned.path.spi)
        if known is None or (known.planned, known.onward) != (planned, onward):
            known = _Compiled(planned, onward, tuple(path_flows(plan, planned, by_spi)))
            self._known[planned.path.spi] = known
        return known.flows

    def stand_on(self, plan: Plan) -> None:
        """Forget everything where ports or conntrack zones are others than before, and what is no longer planned."""
        ground = (
            {pair: link.a_port for pair, link in plan.graph.links.items()},
            {dpid: facts.index for dpid, facts in plan.switches.items()},
        )
        if ground != self._ground:
            self._ground = ground
            self._known.clear()
        elif len(self._known) > 2 * len(plan.paths) + SPARE:
            wanted = {each.path.spi for each in plan.paths}
            self._known = {spi: known for spi, known in self._known.items() if spi in wanted}


def compile_rules(
    plan: Plan, cache: PathCache | None = None, breathe: Callable[[], None] = lambda: None
) -> dict[int, SwitchRules]:
    """Give, per datapath id, all entries that should exist there.

    `cache` keeps paths from one call to the next and does not change the result. `breathe` is called now and then, so
    that a large plan does not hold up whoever shares the thread.
    """
    cache = cache or PathCache()
    cache.stand_on(plan)
    flows: dict[int, list[Flow]] = {dpid: [] for dpid in plan.switches}
    groups: dict[int, list[Group]] = defaultdict(list)
    for facts in plan.switches.values():
        mine = flows[facts.dpid]
        mine.extend(_admission(facts))
        mine.extend(_fixed(facts))
        mine.extend(_arp(plan))
        mine.extend(_forwarding(plan, facts))
    for number, target in enumerate(plan.targets):
        if number % BREATH == 0:
            breathe()
        for dpid in sorted(target.ingresses & flows.keys()):
            flows[dpid].extend(_classify(target, plan.switches[dpid]))
            flow, group = _deal(target, dpid)
            flows[dpid].append(flow)
            if group is not None:
                groups[dpid].append(group)
    by_spi = {planned.path.spi: planned for planned in plan.paths}
    for number, planned in enumerate(plan.paths):
        if number % BREATH == 0:
            breathe()
        for dpid, flow in cache.flows(plan, planned, by_spi):
            if dpid in flows:
                flows[dpid].append(flow)
    meters = frozenset({Meter(p.METER_UNKNOWN, plan.unknown_rate_pps, plan.unknown_rate_pps)})
    rules = {}
    for dpid, entries in flows.items():
        breathe()
        rules[dpid] = SwitchRules(frozenset(entries), frozenset(groups[dpid]), meters)
    return rules


def _admission(facts: SwitchFacts) -> Iterator[Flow]:
    """The port's role decides where a frame may go at all."""
    table = p.ADMISSION
    admit, spoofed = p.cookie(p.Cookie.ADMIT), p.cookie(p.Cookie.SPOOFED)
    for port in sorted(facts.functions):
        yield Flow(table, p.ADMIT_FUNCTION, match(in_port=port), goto=p.PROXY, cookie=admit)
    for port in sorted(facts.trunks):
        yield Flow(table, p.ADMIT_TRUNK, match(in_port=port, eth_type=p.ETH_NSH), goto=p.NSH, cookie=admit)
        for kind in (p.ETH_IPV4, p.ETH_ARP):
            yield Flow(table, p.ADMIT_TRUNK, match(in_port=port, eth_type=kind), goto=p.FORWARD, cookie=admit)
    for bound in facts.bindings:
        source = {"in_port": bound.port, "eth_src": bound.mac}
        for address in bound.addresses:
            ip = match(**source, eth_type=p.ETH_IPV4, ipv4_src=address)
            if bound.terminal:
                lookup = (Ct(p.egress_zone(facts.index), table=p.CLASSIFY),)
                yield Flow(table, p.ADMIT_HOST, ip, lookup, cookie=admit)
            else:
                yield Flow(table, p.ADMIT_HOST, ip, goto=p.CLASSIFY, cookie=admit)
        own = match(**source, eth_type=p.ETH_ARP, arp_sha=bound.mac, arp_spa=bound.addresses[0])
        yield Flow(table, p.ADMIT_HOST, own, goto=p.ARP, cookie=admit)
    for port in sorted({bound.port for bound in facts.bindings}):
        for kind in (p.ETH_IPV4, p.ETH_PROBE):
            yield Flow(table, p.ADMIT_HOST - 1, match(in_port=port, eth_type=kind), cookie=spoofed)


def _fixed(facts: SwitchFacts) -> Iterator[Flow]:
    """Entries that every switch has, whatever it is connected to."""
    probe = match(eth_type=p.ETH_PROBE)
    yield Flow(p.ADMISSION, p.ADMIT_PROBE, probe, (TO_CONTROLLER,), cookie=p.cookie(p.Cookie.PROBE))
    for kind in (p.ETH_IPV4, p.ETH_ARP):
        unknown = match(eth_type=kind)
        yield Flow(
            p.ADMISSION,
            p.ADMIT_UNKNOWN,
            unknown,
            (TO_CONTROLLER,),
            meter=p.METER_UNKNOWN,
            cookie=p.cookie(p.Cookie.UNKNOWN),
        )
    orphan = match(eth_type=p.ETH_IPV4, ct_state=REPLY)
    yield Flow(p.CLASSIFY, p.CLASSIFY_ORPHAN, orphan, cookie=p.cookie(p.Cookie.ORPHAN))
    yield Flow(p.CLASSIFY, p.CLASSIFY_NONE, match(), goto=p.FORWARD, cookie=p.cookie(p.Cookie.CLASSIFY))
    invalid = match(ct_state=(p.CT_TRK | p.CT_INV, p.CT_TRK | p.CT_INV))
    yield Flow(p.CONNECTION, p.CONNECTION_INVALID, invalid, cookie=p.cookie(p.Cookie.INVALID))
    mark = Move(p.REG_SPI, "ct_mark", p.SPI_BITS)
    commit = Ct(p.ingress_zone(facts.index), commit=True, execute=(mark,))
    committed = match(eth_type=p.ETH_IPV4)
    yield Flow(p.COMMIT, p.EXACT, committed, (commit,), goto=p.STEER, cookie=p.cookie(p.Cookie.COMMIT))
    reply = match(eth_type=p.ETH_ARP, arp_op=p.ARP_REPLY)
    yield Flow(p.ARP, p.EXACT, reply, goto=p.FORWARD, cookie=p.cookie(p.Cookie.ARP))
    miss = match(eth_type=p.ETH_ARP, arp_op=p.ARP_REQUEST)
    yield Flow(p.ARP, p.MISS, miss, (TO_CONTROLLER,), meter=p.METER_UNKNOWN, cookie=p.cookie(p.Cookie.ARP_MISS))


def _arp(plan: Plan) -> Iterator[Flow]:
    """Requests for known addresses are answered where they are asked."""
    known = [(int(host.address), host.mac) for host in plan.hosts]
    known += [(address, p.SERVICE_MAC) for address in plan.service_addresses]
    for address, mac in known:
        answer: tuple[Action, ...] = (
            Move("eth_src", "eth_dst", 48),
            SetField("eth_src", mac),
            SetField("arp_op", p.ARP_REPLY),
            Move("arp_sha", "arp_tha", 48),
            SetField("arp_sha", mac),
            Move("arp_spa", "arp_tpa", 32),
            SetField("arp_spa", address),
            Output(p.PORT_IN),
        )
        asked = match(eth_type=p.ETH_ARP, arp_op=p.ARP_REQUEST, arp_tpa=address)
        yield Flow(p.ARP, p.EXACT, asked, answer, cookie=p.cookie(p.Cookie.ARP))


def _forwarding(plan: Plan, facts: SwitchFacts) -> Iterator[Flow]:
    """Plain shortest-path forwarding to every known host, by address and by MAC."""
    for host in plan.hosts:
        address = match(eth_type=p.ETH_IPV4, ipv4_dst=int(host.address))
        to_mac = (SetField("eth_dst", host.mac),)
        yield Flow(p.DELIVER, p.EXACT, address, to_mac, goto=p.FORWARD, cookie=p.cookie(p.Cookie.DELIVER))
        if host.switch == facts.dpid:
            port = host.port
        else:
            route = plan.graph.route(facts.dpid, host.switch, frozenset())
            if route is None:
                continue
            port = plan.graph.port_towards(facts.dpid, route[1])
        to_port = (Output(port),)
        yield Flow(p.FORWARD, p.EXACT, match(eth_dst=host.mac), to_port, cookie=p.cookie(p.Cookie.FORWARD))


def _classify(target: Target, facts: SwitchFacts) -> Iterator[Flow]:
    """Traffic of a target asks conntrack on the clients' side."""
    track = Ct(p.ingress_zone(facts.index), table=p.CONNECTION)
    actions = (SetField(p.REG_TARGET, target.target_id), track)
    for wanted in target.matches:
        yield Flow(p.CLASSIFY, target.priority, wanted, actions, cookie=p.cookie(p.Cookie.CLASSIFY, target.target_id))


def _deal(target: Target, dpid: int) -> tuple[Flow, Group | None]:
    """A connection without a path: to the controller, to a select group, or nowhere where no path is live."""
    new = match(reg0=target.target_id, ct_state=TRACKED)
    live = target.live.get(dpid, ())
    if not live:
        blocked = p.cookie(p.Cookie.BLOCKED, target.target_id)
        return Flow(p.CONNECTION, p.CONNECTION_DEAL, new, cookie=blocked), None
    deal = p.cookie(p.Cookie.DEAL, target.target_id)
    if not target.by_group:
        return Flow(p.CONNECTION, p.CONNECTION_DEAL, new, (TO_CONTROLLER,), cookie=deal), None
    buckets = tuple(Bucket(p.GROUP_WEIGHT * weight, (*_begin(spi), Resubmit(p.COMMIT))) for spi, weight in live)
    flow = Flow(p.CONNECTION, p.CONNECTION_DEAL, new, (ToGroup(target.target_id),), cookie=deal)
    return flow, Group(target.target_id, buckets)


def _begin(spi: int) -> tuple[Action, ...]:
    return SetField(p.REG_SPI, spi), SetField(p.REG_SI, p.FIRST_SI)


def deal_actions(spi: int, switch_index: int) -> tuple[Action, ...]:
    """What the packet-out of a dealt connection does: commit the path to conntrack, and go on along it."""
    commit = Ct(p.ingress_zone(switch_index), commit=True, execute=(SetField("ct_mark", spi),))
    return (commit, *_begin(spi), Resubmit(p.STEER))


def path_flows(plan: Plan, planned: PlannedPath, by_spi: dict[int, PlannedPath]) -> Iterator[tuple[int, Flow]]:
    """All entries of one path, with the datapath id of each."""
    path, key = planned.path, planned.path.key
    ingress, terminal = plan.switches.get(key.ingress), plan.switches.get(key.terminal.switch)
    if ingress is None or terminal is None:
        return
    onward = planned
    if planned.dead:
        if planned.replacement is None or planned.replacement not in by_spi:
            return
        onward = by_spi[planned.replacement]
    spi = onward.path.spi
    commit: tuple[Action, ...] = ()
    if planned.dead:
        commit = (Ct(p.ingress_zone(ingress.index), commit=True, execute=(SetField("ct_mark", spi),)),)
    known = match(eth_type=p.ETH_IPV4, ct_state=TRACKED, ct_mark=path.spi)
    steer_on = (*commit, *_begin(spi))
    mine = p.cookie(p.Cookie.PATH, path.spi)
    yield key.ingress, Flow(p.CONNECTION, p.CONNECTION_KNOWN, known, steer_on, goto=p.STEER, cookie=mine)
    answered = match(eth_type=p.ETH_IPV4, ct_state=REPLY, ct_mark=path.spi)
    back = p.cookie(p.Cookie.REPLY, path.spi)
    reverse = _begin(onward.path.reverse_spi)
    yield key.terminal.switch, Flow(p.CLASSIFY, p.CLASSIFY_REPLY, answered, reverse, goto=p.STEER, cookie=back)
    if planned.dead:
        return
    stops = [(stop.switch, stop.enter_port, stop.leave_port) for stop in key.stops]
    mark = SetField("ct_mark", path.spi)
    arrive = (
        Ct(p.egress_zone(terminal.index), commit=True, execute=(mark,)),
        SetField("eth_dst", key.terminal.mac),
        Output(key.terminal.port),
    )
    yield from _direction(plan, path.spi, stops, key.segments, (arrive, None))
    returning = [(switch, leave, enter) for switch, enter, leave in reversed(stops)] if key.symmetric else []
    leave_path = (Ct(p.ingress_zone(ingress.index), commit=True, execute=(mark,)),)
    yield from _direction(plan, path.reverse_spi, returning, planned.reverse_segments, (leave_path, p.DELIVER))


def _direction(
    plan: Plan,
    spi: int,
    stops: Iterable[tuple[int, int, int]],
    segments: tuple[tuple[int, ...], ...],
    end: tuple[tuple[Action, ...], int | None],
) -> Iterator[tuple[int, Flow]]:
    """Entries of one direction: along every segment, into every function and out of it again, and at the end."""
    ends = list(stops)
    for position, segment in enumerate(segments):
        si = p.FIRST_SI - position
        value = p.stop_value(spi, si)
        steer, nsh = p.cookie(p.Cookie.STEER, value), p.cookie(p.Cookie.NSH, value)
        here = match(eth_type=p.ETH_IPV4, reg1=spi, reg2=si)  # ct needs the prerequisite
        for before, switch, after in zip((None, *segment), segment, (*segment[1:], None), strict=False):
            if before is not None:
                yield switch, _from_trunk(plan, switch, after, (spi, si), nsh)
            if before is None and after is not None:
                encap = _encapsulate(plan, switch, after, (spi, si))
                yield switch, Flow(p.STEER, p.EXACT, here, encap, cookie=steer)
        last = segment[-1]
        if position < len(ends):
            _, enter, leave = ends[position]
            into = (SetField("eth_dst", p.tag_mac(spi, si)), Output(enter))
            yield last, Flow(p.STEER, p.EXACT, here, into, cookie=steer)
            back = match(in_port=leave, eth_type=p.ETH_IPV4, eth_dst=p.tag_mac(spi, si))
            onward = (SetField(p.REG_SPI, spi), SetField(p.REG_SI, si - 1))
            stop = p.cookie(p.Cookie.STOP, value)
            yield last, Flow(p.PROXY, p.EXACT, back, onward, goto=p.STEER, cookie=stop)
        else:
            actions, goto = end
            yield last, Flow(p.STEER, p.EXACT, here, actions, goto=goto, cookie=steer)


def _encapsulate(plan: Plan, switch: int, towards: int, where: tuple[int, int]) -> tuple[Action, ...]:
    """Put a frame into NSH and send it to a neighbour."""
    spi, si = where
    return (
        EncapNsh(),
        SetField("nsh_spi", spi),
        SetField("nsh_si", si),
        SetField("nsh_ttl", p.NSH_TTL),
        EncapEthernet(),
        SetField("eth_src", p.SWITCH_MAC + switch),
        SetField("eth_dst", p.SWITCH_MAC + towards),
        Output(plan.graph.port_towards(switch, towards)),
    )


def _from_trunk(plan: Plan, switch: int, after: int | None, where: tuple[int, int], cookie: int) -> Flow:
    """NSH from a trunk: on to the next switch, or, where the segment ends, out of NSH and to `steer`."""
    spi, si = where
    wanted = match(eth_type=p.ETH_NSH, nsh_spi=spi, nsh_si=si)
    if after is None:
        unpack: tuple[Action, ...] = (
            SetField(p.REG_SPI, spi),
            SetField(p.REG_SI, si),
            Decap(),
            Decap(),
            Resubmit(p.STEER),
        )
        return Flow(p.NSH, p.EXACT, wanted, unpack, cookie=cookie)
    onward = (
        DecNshTtl(),
        SetField("eth_src", p.SWITCH_MAC + switch),
        SetField("eth_dst", p.SWITCH_MAC + after),
        Output(plan.graph.port_towards(switch, after)),
    )
    return Flow(p.NSH, p.EXACT, wanted, onward, cookie=cookie)
