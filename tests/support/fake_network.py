"""An interpreter of compiled entries: switches, conntrack, NSH and links as plain Python, to trace packets in tests.

It knows what the compiler uses and fails loudly on anything else. A function is a cable between its two ports.
"""

from dataclasses import dataclass, field, replace

from sdn_app.network.graph import NetworkGraph
from sdn_app.rules import entries as e
from sdn_app.rules import pipeline as p
from sdn_app.rules.entries import Flow, SwitchRules

MAX_STEPS = 500


@dataclass(frozen=True)
class Frame:
    """A frame: header fields by name; NSH as a stack of frames under it."""

    fields: tuple[tuple[str, int], ...]
    inner: "Frame | None" = None

    @classmethod
    def of(cls, **fields: int) -> "Frame":
        return cls(tuple(sorted(fields.items())))

    def get(self, name: str, default: int = 0) -> int:
        return dict(self.fields).get(name, default)

    def has(self, name: str) -> bool:
        return name in dict(self.fields)

    def with_(self, **fields: int) -> "Frame":
        return replace(self, fields=tuple(sorted({**dict(self.fields), **fields}.items())))


REGISTERS = {"reg0", "reg1", "reg2", "ct_state", "ct_mark"}
Tuple5 = tuple[int, int, int, int, int]


def connection_of(frame: Frame) -> Tuple5:
    ports = ("tcp_src", "tcp_dst") if frame.get("ip_proto") == 6 else ("udp_src", "udp_dst")
    return (
        frame.get("ip_proto"),
        frame.get("ipv4_src"),
        frame.get("ipv4_dst"),
        frame.get(ports[0]),
        frame.get(ports[1]),
    )


def reversed_tuple(t: Tuple5) -> Tuple5:
    return (t[0], t[2], t[1], t[4], t[3])


@dataclass
class Network:
    """All switches. `log` holds what a traced packet met: ("function", switch, in, out) and ("host", switch, port)."""

    rules: dict[int, SwitchRules]
    graph: NetworkGraph
    cables: dict[tuple[int, int], tuple[int, int]]  # function port -> the other port of the function
    tracked: dict[int, dict[Tuple5, int]] = field(default_factory=dict)  # zone -> connection -> mark
    log: list[tuple] = field(default_factory=list)
    to_controller: list[tuple[int, int, int, Frame]] = field(default_factory=list)
    steps: int = 0
    group_choice: int = 0

    def __post_init__(self) -> None:
        self.tables: dict[tuple[int, int], list[Flow]] = {}
        for dpid, rules in self.rules.items():
            for flow in sorted(rules.flows, key=lambda f: -f.priority):
                self.tables.setdefault((dpid, flow.table), []).append(flow)
        self.groups = {(d, g.group_id): g for d, r in self.rules.items() for g in r.groups}
        self.trunks = {(x.a, x.a_port): (x.b, x.b_port) for x in self.graph.all_links()}

    def send(self, switch: int, port: int, frame: Frame) -> list[tuple]:
        """Put a frame into a port, and give what happened to it."""
        self.log, self.steps = [], 0
        self._arrive(switch, port, frame)
        return self.log

    def packet_out(self, switch: int, port: int, actions, frame: Frame) -> list[tuple]:
        self.log, self.steps = [], 0
        self._run(switch, port, dict.fromkeys(REGISTERS, 0), frame, actions)
        return self.log

    def _arrive(self, switch: int, port: int, frame: Frame) -> None:
        self._table(switch, p.ADMISSION, port, dict.fromkeys(REGISTERS, 0), frame)

    def _table(self, switch: int, table: int, port: int, regs: dict[str, int], frame: Frame) -> None:
        self.steps += 1
        assert self.steps < MAX_STEPS, "the packet loops"
        for flow in self.tables.get((switch, table), ()):
            if self._matches(flow, port, regs, frame):
                if flow.actions:
                    frame, alive = self._run(switch, port, regs, frame, flow.actions, flow.cookie)
                    if not alive:
                        return
                if flow.goto is not None:
                    assert flow.goto > table
                    self._table(switch, flow.goto, port, regs, frame)
                return

    @staticmethod
    def _matches(flow: Flow, port: int, regs: dict[str, int], frame: Frame) -> bool:
        for name, value, mask in flow.match:
            if name == "in_port":
                have = port
            elif name in REGISTERS:
                have = regs[name]
            elif frame.has(name):
                have = frame.get(name)
            else:
                return False
            if have & (-1 if mask is None else mask) != value:
                return False
        return True

    def _run(self, switch, port, regs, frame, actions, cookie=0):
        for action in actions:
            match action:
                case e.Output(number) if number == p.PORT_CONTROLLER:
                    self.to_controller.append((switch, port, cookie, frame))
                case e.Output(number):
                    self._output(switch, port if number == p.PORT_IN else number, frame)
                case e.ToGroup(group_id):
                    buckets = self.groups[switch, group_id].buckets
                    bucket = buckets[self.group_choice % len(buckets)]
                    self.group_choice += 1
                    self._run(switch, port, dict(regs), frame, bucket.actions)
                case e.SetField(name, value) if name in REGISTERS:
                    regs[name] = value
                case e.SetField(name, value):
                    frame = frame.with_(**{name: value})
                case e.Move(src, dst, _):
                    value = regs[src] if src in REGISTERS else frame.get(src)
                    if dst in REGISTERS:
                        regs[dst] = value
                    else:
                        frame = frame.with_(**{dst: value})
                case e.Resubmit(table):
                    self._table(switch, table, port, dict(regs), frame)
                case e.Ct():
                    self._track(action, switch, port, regs, frame)
                case e.EncapNsh():
                    frame = Frame.of(nsh_spi=0, nsh_si=255, nsh_ttl=63)._under(frame)
                case e.EncapEthernet():
                    frame = Frame.of(eth_type=p.ETH_NSH, eth_src=0, eth_dst=0, **dict(frame.fields))._under(frame.inner)
                case e.Decap():
                    if frame.has("eth_type") and frame.get("eth_type") == p.ETH_NSH:
                        kept = {k: v for k, v in frame.fields if k.startswith("nsh")}
                        frame = Frame.of(**kept)._under(frame.inner)
                    else:
                        assert frame.has("nsh_spi") and frame.inner is not None
                        frame = frame.inner
                case e.DecNshTtl():
                    assert frame.get("nsh_ttl") > 0, "NSH TTL exhausted"
                    frame = frame.with_(nsh_ttl=frame.get("nsh_ttl") - 1)
                case _:
                    raise AssertionError(f"unknown action {action}")
        return frame, True

    def _track(self, action: e.Ct, switch: int, port: int, regs: dict[str, int], frame: Frame) -> None:
        zone = self.tracked.setdefault(action.zone, {})
        name = connection_of(frame)
        original = name if name in zone else reversed_tuple(name) if reversed_tuple(name) in zone else None
        if action.commit:
            mark = 0
            for inner in action.execute:
                mark = inner.value if isinstance(inner, e.SetField) else regs[inner.src]
            zone[original or name] = mark
        if action.table is not None:
            new = dict(regs)
            new["ct_mark"] = zone[original] if original else 0
            reply = original is not None and original != name
            new["ct_state"] = p.CT_TRK | (p.CT_EST if original else p.CT_NEW) | (p.CT_RPL if reply else 0)
            self._table(switch, action.table, port, new, frame)

    def _output(self, switch: int, port: int, frame: Frame) -> None:
        if (switch, port) in self.trunks:
            self.log.append(("trunk", switch, port))
            self._arrive(*self.trunks[switch, port], frame)
        elif (switch, port) in self.cables:
            there = self.cables[switch, port]
            self.log.append(("function", switch, port, there[1]))
            self._arrive(*there, frame)
        else:
            self.log.append(("host", switch, port, frame))


def _under(self: Frame, inner: Frame | None) -> Frame:
    return replace(self, inner=inner)


Frame._under = _under  # type: ignore[attr-defined]
