"""All TCP connections that are looked into: what becomes of each segment, and what is sent in the function's own name.

In: segments, the link-layer header that a handshake's segment came with, and the time. Out: decisions. Pure but for the inspectors
that it asks. Bounded in connections and in bytes; what does not fit is refused, not passed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from ipaddress import ip_address

from vnf.decision import PASSED, RELEASED, Decision, Injection, Limits, LinkHeader, Route
from vnf.packet import ACK, FIN, PSH, RST, SYN, URG, Segment
from vnf.reassembly import Half, Refused
from vnf.strangers import Key, Strangers
from vnf.stream import REPLY_LIMIT, Connection, Direction, Inspector, Pass, Release, Stop, StreamFunction, Verdict

HALF_OPEN_LIMIT = 8192
HALF_OPEN_S = 30.0
CLOSING_S = 10.0
STOPPED_S = 60.0
ANSWERS_LIMIT = 8  # to segments of a connection that was ended, so that a lost reset is repeated
REPLY_PIECE = 1200  # payload of one segment of a reply: fits every path
_BARE = SYN | ACK | RST | FIN


@dataclass(slots=True)
class HalfOpen:
    """A SYN that awaits its answer."""

    isn: int
    link: LinkHeader | None
    expires_s: float


@dataclass(slots=True)
class Flow:
    """A connection. `reply_end` is the offset after the reply's FIN where one was sent."""

    connection: Connection
    key: Key
    inspector: Inspector
    halves: dict[Direction, Half]
    isns: tuple[int, int]
    links: dict[Direction, LinkHeader | None]
    expires_s: float
    stopped: bool = False
    reply: tuple[Segment, ...] = ()
    answers: int = 0
    held: int = field(default=0)


class FlowTable:
    """Invariants: `_flows` has two entries a connection, one a direction; `_over` has those of them that are over and kept for what
    still comes, oldest first: they make room for new ones; `held` is the sum of what their halves keep.
    """

    def __init__(self, function: StreamFunction, limits: Limits) -> None:
        self._function = function
        self._limits = limits
        self._flows: dict[Key, tuple[Flow, Direction]] = {}
        self._over: dict[Key, Flow] = {}
        self._half_open: dict[Key, HalfOpen] = {}
        self._strangers = Strangers()
        self.held = 0

    def __len__(self) -> int:
        return len(self._flows) // 2

    def handle(self, segment: Segment, route: Route, now_s: float) -> Decision:
        """Decide on a segment."""
        try:
            if segment.flags & SYN:
                return self._handshake(segment, route.link, now_s)
            entry = self._flows.get(segment[:4])
            if entry is None:
                return self._mid_stream(segment, now_s)
            flow, direction = entry
            link = flow.links[direction]
            if link is not None and link.addresses[2:6] != route.tag:
                flow.links[direction] = link.tagged(route.tag)
            if flow.stopped:
                return self._ended(flow, direction, segment)
            return self._established(flow, direction, segment, now_s)
        except Refused as refusal:
            return Decision(str(refusal))

    def expire(self, now_s: float) -> int:
        """Forget what was idle for too long; how many connections that were."""
        self._strangers.expire(now_s)
        for key in [key for key, half in self._half_open.items() if half.expires_s < now_s]:
            del self._half_open[key]
        gone = {id(flow): flow for flow, _ in self._flows.values() if flow.expires_s < now_s}
        for flow in gone.values():
            self._forget(flow)
        return len(gone)

    def _handshake(self, segment: Segment, link: LinkHeader | None, now_s: float) -> Decision:
        key: Key = segment[:4]
        back: Key = (segment.target, segment.target_port, segment.source, segment.source_port)
        if segment.flags & (RST | FIN):
            raise Refused("flags")
        if segment.payload:  # a server may take the data or leave it: there would be two versions of the stream
            raise Refused("syn-data")
        if not segment.flags & ACK:
            if back in self._half_open:
                raise Refused("simultaneous-open")
            self._strangers.begin(key)
            self._half_open.pop(key, None)
            if len(self._half_open) >= HALF_OPEN_LIMIT:
                del self._half_open[next(iter(self._half_open))]
            self._half_open[key] = HalfOpen(segment.seq, link, now_s + HALF_OPEN_S)
            return PASSED
        known = self._flows.get(key)
        if known is not None and known[0].isns == ((segment.ack - 1) & 0xFFFFFFFF, segment.seq):
            return Decision("stopped") if known[0].stopped else PASSED
        syn = self._half_open.get(back)
        if syn is None or (syn.isn + 1) & 0xFFFFFFFF != segment.ack:
            raise Refused("syn-ack-unasked")
        return self._open(back, syn, segment, link, now_s)

    def _open(self, key: Key, syn: HalfOpen, answer: Segment, link: LinkHeader | None, now_s: float) -> Decision:
        if key in self._flows:
            self._forget(self._flows[key][0])
        if len(self) >= self._limits.connections:
            if not self._over:
                raise Refused("connections")
            self._forget(next(iter(self._over.values())))
        connection = Connection(str(ip_address(key[0])), key[1], str(ip_address(key[2])), key[3])
        inspector = self._function.open(connection)
        del self._half_open[key]
        if inspector is None:
            return RELEASED
        self._remember(
            Flow(
                connection,
                key,
                inspector,
                {Direction.TO_SERVER: Half(answer.ack), Direction.TO_CLIENT: Half((answer.seq + 1) & 0xFFFFFFFF)},
                (syn.isn, answer.seq),
                {Direction.TO_SERVER: syn.link, Direction.TO_CLIENT: link},
                now_s + self._limits.idle_s,
            )
        )
        return PASSED

    def _mid_stream(self, segment: Segment, now_s: float) -> Decision:
        if not self._limits.fail_open:
            return self._strangers.handle(segment, now_s)
        if segment.flags & _BARE != ACK or len(self) >= self._limits.connections:
            return PASSED
        to_server = segment.target_port in self._limits.ports
        key: Key = segment[:4] if to_server else (segment.target, segment.target_port, *segment[:2])
        connection = Connection(str(ip_address(key[0])), key[1], str(ip_address(key[2])), key[3])
        inspector = self._function.open(connection)
        if inspector is None:
            return RELEASED
        direction = Direction.TO_SERVER if to_server else Direction.TO_CLIENT
        halves = {direction: Half(segment.seq), direction.reverse: Half(segment.ack)}
        flow = Flow(
            connection,
            key,
            inspector,
            halves,
            (-1, -1),
            dict.fromkeys(Direction),
            now_s + self._limits.idle_s,
        )
        self._remember(flow)
        return self._established(flow, direction, segment, now_s)

    def _established(self, flow: Flow, direction: Direction, segment: Segment, now_s: float) -> Decision:
        half, other = flow.halves[direction], flow.halves[direction.reverse]
        flags = segment.flags
        if flags & RST:
            return self._reset(flow, half, segment, now_s)
        if not flags & ACK:
            raise Refused("flags")
        if flags & URG:  # receivers differ in whether the urgent byte is part of the stream
            raise Refused("urgent")
        try:
            other.acknowledge(segment.ack)
        except Refused:
            if self._limits.fail_open:  # packets went past while the queue was full
                self._forget(flow)
                return RELEASED
            raise
        fin = bool(flags & FIN)
        if not segment.payload and not fin:
            if not half.in_window(segment.seq):
                raise Refused("window")
            self._keep_until(flow, now_s)
            self._account(flow)
            return PASSED
        if self.held + len(segment.payload) > self._limits.held_bytes:
            raise Refused("memory")
        reached = half.next
        try:
            fresh = half.take(segment.seq, segment.payload, fin)
        finally:
            self._account(flow)
        decision = self._judge(flow, direction, fresh, half.finish())
        if half.ended and other.ended:
            self._over[flow.key] = flow
        elif fresh:  # a reset that passed before was not heeded
            self._over.pop(flow.key, None)
        self._keep_until(flow, now_s)
        if decision.stop is not None:
            if not self._limits.fail_open:  # else what is forgotten could go on
                self._over[flow.key] = flow
                flow.expires_s = now_s + STOPPED_S
            return self._stop(flow, direction, decision, reached)
        if decision.release:
            self._forget(flow)
            self._strangers.release(flow.key, now_s)
        return decision

    def _judge(self, flow: Flow, direction: Direction, fresh: bytes, finished: bool) -> Decision:
        verdict: Verdict = Pass()
        try:
            if fresh:
                verdict = flow.inspector.data(direction, fresh)
            if finished and isinstance(verdict, Pass):
                verdict = flow.inspector.end(direction)
        except Exception as error:  # an inspector's mistake must neither end the process nor let anything by
            if self._limits.fail_open:
                return Decision(release=True, error=error)
            return Decision("error", stop=Stop("error", repr(error)), error=error)
        if isinstance(verdict, Stop):
            return Decision(verdict.reason, stop=verdict)
        return RELEASED if isinstance(verdict, Release) else PASSED

    def _reset(self, flow: Flow, half: Half, segment: Segment, now_s: float) -> Decision:
        """A reset passes where a receiver may heed it; the connection is watched on, in case that it does not."""
        if not half.in_window(segment.seq):
            raise Refused("rst-sequence")
        if segment.payload:
            raise Refused("rst-data")
        self._over[flow.key] = flow
        self._keep_until(flow, now_s)
        return PASSED

    def _stop(self, flow: Flow, direction: Direction, decision: Decision, reached: int) -> Decision:
        """End the connection on both sides. Of the direction that was stopped just now the receiver has the bytes up to `reached`."""
        assert decision.stop is not None
        to_server, to_client = flow.halves[Direction.TO_SERVER], flow.halves[Direction.TO_CLIENT]
        sent = {Direction.TO_SERVER: to_server.next, Direction.TO_CLIENT: to_client.next}
        received = dict(sent)
        sent[direction] = reached
        flow.stopped = True
        injections = [self._made(flow, Direction.TO_SERVER, sent[Direction.TO_SERVER], to_client.acked, RST | ACK)]
        reply = decision.stop.reply[:REPLY_LIMIT]
        at, ack = sent[Direction.TO_CLIENT], received[Direction.TO_SERVER]
        if reply:
            pieces = [reply[i : i + REPLY_PIECE] for i in range(0, len(reply), REPLY_PIECE)]
            flow.reply = (
                *(
                    self._made(flow, Direction.TO_CLIENT, at + i * REPLY_PIECE, ack, ACK | PSH, piece)
                    for i, piece in enumerate(pieces)
                ),
                self._made(flow, Direction.TO_CLIENT, at + len(reply), ack, ACK | FIN),
            )
            injections += flow.reply
        else:
            injections.append(self._made(flow, Direction.TO_CLIENT, at, ack, RST | ACK))
        flow.halves = {Direction.TO_SERVER: Half(to_server.next), Direction.TO_CLIENT: Half(at + len(reply))}
        self._account(flow)
        return Decision(
            decision.drop,
            injections=self._linked(flow, injections),
            stop=decision.stop,
            connection=flow.connection,
            error=decision.error,
        )

    def _ended(self, flow: Flow, direction: Direction, segment: Segment) -> Decision:
        """Whoever goes on with a connection that was ended is told again: the reply as long as it was not received, then a reset."""
        if segment.flags & RST or not segment.flags & ACK or flow.answers >= ANSWERS_LIMIT:
            return Decision("stopped")
        if flow.reply and direction is Direction.TO_SERVER:
            end = flow.reply[-1].seq + 1
            if (end - segment.ack) & 0xFFFFFFFF:
                if not segment.payload:
                    return Decision("stopped")  # it acknowledges part of the reply: the rest is on its way
                flow.answers += 1
                return Decision("stopped", injections=self._linked(flow, list(flow.reply)))
            if not segment.flags & FIN:
                return Decision("stopped")
        flow.answers += 1
        reset = self._made(flow, direction.reverse, segment.ack, 0, RST)
        return Decision("stopped", injections=self._linked(flow, [reset]))

    @staticmethod
    def _made(flow: Flow, direction: Direction, at: int, ack: int, flags: int, payload: bytes = b"") -> Segment:
        client, client_port, server, server_port = flow.key
        ends = (client, client_port, server, server_port)
        if direction is Direction.TO_CLIENT:
            ends = (server, server_port, client, client_port)
        return Segment(*ends, at & 0xFFFFFFFF, ack & 0xFFFFFFFF, flags, payload)

    @staticmethod
    def _linked(flow: Flow, segments: list[Segment]) -> tuple[Injection, ...]:
        """With the link-layer headers; a direction whose header was never seen gets nothing."""
        links = [
            flow.links[Direction.TO_SERVER if segment[:4] == flow.key else Direction.TO_CLIENT] for segment in segments
        ]
        return tuple(
            Injection(link, segment) for link, segment in zip(links, segments, strict=True) if link is not None
        )

    def _keep_until(self, flow: Flow, now_s: float) -> None:
        flow.expires_s = now_s + (CLOSING_S if flow.key in self._over else self._limits.idle_s)

    def _remember(self, flow: Flow) -> None:
        client, client_port, server, server_port = flow.key
        self._flows[flow.key] = (flow, Direction.TO_SERVER)
        self._flows[(server, server_port, client, client_port)] = (flow, Direction.TO_CLIENT)

    def _forget(self, flow: Flow) -> None:
        client, client_port, server, server_port = flow.key
        del self._flows[flow.key]
        self._over.pop(flow.key, None)
        del self._flows[(server, server_port, client, client_port)]
        self.held -= flow.held

    def _account(self, flow: Flow) -> None:
        held = sum(half.held for half in flow.halves.values())
        self.held += held - flow.held
        flow.held = held
