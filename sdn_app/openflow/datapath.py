"""The connection of one switch: Ryu's `Datapath` with a receive loop and a send path that no peer can block or break.

In: bytes from the switch. Out: Ryu events as before, or, for message types that the application has a handler for, the
raw bytes. Broken messages, silence, a full buffer or a missed deadline end that one connection and are counted in
`guard_counters()`. Nothing here waits for a peer in the caller's turn, and nothing here knows about chains.
"""

import contextlib
import logging
import ssl
import struct
from collections import Counter
from collections.abc import Callable
from socket import IPPROTO_TCP, SHUT_RDWR, TCP_NODELAY
from time import monotonic
from typing import Any, ClassVar

import eventlet
from eventlet.event import Event
from ryu.controller import ofp_event
from ryu.controller.controller import Datapath
from ryu.controller.handler import CONFIG_DISPATCHER, DEAD_DISPATCHER, HANDSHAKE_DISPATCHER, MAIN_DISPATCHER
from ryu.ofproto import ofproto_v1_3_parser

from sdn_app.openflow import guards

LOG = logging.getLogger(__name__)

HANDSHAKE_DEADLINE_S = 10.0
SEND_DEADLINE_S = 5.0
CLOSE_DEADLINE_S = 5.0
SEND_LIMIT_BYTES = 64 << 20
HANDSHAKE_LIMIT_BYTES = 16 << 20
RECEIVE_BYTES = 1 << 18
SLICE_S = 0.005
MAX_PORTS = 65_536
MAX_UNPARSED = 64
"""Well-formed messages that Ryu cannot read are skipped; a connection that sends more than this many ends."""
_WRITE_BYTES = 1 << 18
_BEFORE_HELLO = (guards.HELLO, guards.ERROR, guards.ECHO_REQUEST, guards.ECHO_REPLY)
_HEADER = struct.Struct("!BBH").unpack_from

_counters: Counter[str] = Counter()

RawHandler = Callable[["GuardedDatapath", bytes], bool]


def guard_counters() -> dict[str, int]:
    """Number of events since the start, by reason.

    bad_message, unparsed, handler_error, handshake_timeout, handshake_limit, send_timeout, send_error, send_overflow,
    echo_timeout, refused_connection, port_limit.
    """
    return dict(_counters)


def count(reason: str) -> None:
    """Add one to a guard counter."""
    _counters[reason] += 1


class GuardedDatapath(Datapath):  # type: ignore[misc]  # ryu is untyped
    """A switch's connection. Installed in place of Ryu's class by the launcher.

    `packet_in_handler` and `raw_handlers` are shared by all connections and asked only after the handshake. They get
    one whole message (header included, its body not validated) and return True when they consumed it; False passes it
    on to the guards and to Ryu. When they raise, the message is checked: a malformed one ends the connection (as does
    `guards.BadMessage`); otherwise the exception is logged and counted and the message is consumed. They must not wait.
    """

    packet_in_handler: ClassVar[RawHandler | None] = None
    raw_handlers: ClassVar[dict[int, RawHandler]] = {}

    def __init__(self, sock: Any, address: Any) -> None:
        self._main = False
        self._out: list[bytes] = []
        self._queued_bytes = 0
        self._accepting = True
        self._flush_and_close = False
        self._wake: Event | None = None
        self._reading = False
        self._heard = False
        self._handshake_bytes = 0
        self._unparsed = 0
        self.end_reason = ""
        super().__init__(sock, address)
        self.send_q = None
        self.socket.setsockopt(IPPROTO_TCP, TCP_NODELAY, 1)
        self.socket.settimeout(SEND_DEADLINE_S)

    # life cycle
    def set_state(self, state: str) -> None:
        """Ryu's, and remembers whether the raw handlers may be asked."""
        self._main = state == MAIN_DISPATCHER
        super().set_state(state)

    def end(self, counter: str, reason: str) -> None:
        """End this connection at once, with what is logged and counted."""
        if self.end_reason:
            return
        self.end_reason = reason
        count(counter)
        LOG.warning("connection of datapath %s at %s ended: %s", self._name(), self.address, reason)
        self._abort()

    def _name(self) -> str:
        return "?" if self.id is None else f"{self.id:016x}"

    def _abort(self) -> None:
        self._accepting = False
        self.set_state(DEAD_DISPATCHER)
        self._wake_sender()
        with contextlib.suppress(OSError, ValueError):
            self.socket.shutdown(SHUT_RDWR)

    def close(self) -> None:
        """Stop sending what is not yet sent, and end the connection."""
        self._abort()

    def serve(self) -> None:
        """Run the connection until it ends; never raises for what the peer does."""
        sender = eventlet.spawn(self._send_loop)
        echo = eventlet.spawn(self._echo_request_loop)
        deadline = eventlet.spawn_after(HANDSHAKE_DEADLINE_S, self._handshake_deadline)
        try:
            self.send_msg(self.ofproto_parser.OFPHello(self))
            self._recv_loop()
        finally:
            self._abort()
            for thread in (deadline, echo, sender):
                thread.kill()
            self._out.clear()
            self._queued_bytes = 0
            self.is_active = False
            with contextlib.suppress(OSError):
                self.socket.close()

    def _handshake_deadline(self) -> None:
        if self.state in (HANDSHAKE_DISPATCHER, CONFIG_DISPATCHER):
            self.end("handshake_timeout", f"no handshake within {HANDSHAKE_DEADLINE_S:g} s")

    # receiving
    def _receive(self) -> bytes:
        """The next bytes; b"" at the end. Waits as long as the connection lives."""
        while self.state != DEAD_DISPATCHER:
            self._reading = True
            try:
                return bytes(self.socket.recv(RECEIVE_BYTES))
            except TimeoutError:
                continue
            except ssl.SSLError as error:
                if "timed out" not in str(error):
                    break
            except (OSError, ValueError, RuntimeError):
                break
            finally:
                self._reading = False
        return b""

    def _recv_loop(self) -> None:
        rest = b""
        try:
            while self.state != DEAD_DISPATCHER:
                chunk = self._receive()
                if not chunk:
                    break
                self._heard = True
                if not self._main:
                    self._limit_handshake(len(chunk))
                data = rest + chunk if rest else chunk
                rest = data[self._messages(data) :]
                eventlet.sleep(0)
        except guards.BadMessage as error:
            self.end("bad_message", f"malformed message: {error}")
        except Exception as error:
            LOG.exception("a handler failed on a message from %s", self.address)
            self.end("handler_error", f"a handler failed: {error!r}")

    def _limit_handshake(self, size: int) -> None:
        self._handshake_bytes += size
        if self._handshake_bytes > HANDSHAKE_LIMIT_BYTES:
            self.end("handshake_limit", "too much data before the end of the handshake")

    def _messages(self, data: bytes) -> int:
        """Handle every whole message in `data`; return how many bytes that were."""
        off, size = 0, len(data)
        until = monotonic() + SLICE_S
        raw = self.raw_handlers
        handled = 0
        while size - off >= 8 and self.state != DEAD_DISPATCHER:
            version, type_, length = _HEADER(data, off)
            if length < 8:
                raise guards.BadMessage(f"message length {length}")
            end = off + length
            if end > size:
                break
            message = data[off:end]
            off = end
            handler = None
            if self._main and version == guards.OFP13:
                handler = self.__class__.packet_in_handler if type_ == guards.PACKET_IN else raw.get(type_)
            if handler is None or not self._offer(handler, message):
                self._dispatch(version, type_, message)
            handled += 1
            if not handled & 31 and monotonic() > until:
                eventlet.sleep(0)
                until = monotonic() + SLICE_S
        return off

    def _offer(self, handler: RawHandler, message: bytes) -> bool:
        try:
            return handler(self, message)
        except guards.BadMessage:
            raise
        except Exception:
            guards.check(message[0], message[1], message)
            count("handler_error")
            LOG.exception("the raw handler failed on a message of type %d from %s", message[1], self.address)
            return True

    def _dispatch(self, version: int, type_: int, message: bytes) -> None:
        """Check a message, let Ryu parse it, and run Ryu's handlers and observers."""
        if self.state == HANDSHAKE_DISPATCHER and type_ not in _BEFORE_HELLO:
            raise guards.BadMessage(f"message type {type_} before HELLO")
        guards.check(version, type_, message)
        if type_ == guards.HELLO:
            message = guards.plain_hello(message)
        msg = self._parse(version, type_, message)
        if msg is None:
            return
        event = ofp_event.ofp_msg_to_ev(msg)
        self.ofp_brick.send_event_to_observers(event, self.state)
        handlers = [
            h for h in self.ofp_brick.get_handlers(event) if self.state in h.callers[event.__class__].dispatchers
        ]
        for handler in handlers:
            handler(event)
        if type_ == guards.PORT_STATUS and self._ports is not None and len(self._ports) > MAX_PORTS:
            self.end("port_limit", f"more than {MAX_PORTS} ports")

    def _parse(self, version: int, type_: int, message: bytes) -> Any:
        (xid,) = struct.unpack_from("!I", message, 4)
        try:
            return ofproto_v1_3_parser.msg_parser(self, version, type_, len(message), xid, message)
        except Exception as error:
            count("unparsed")
            self._unparsed += 1
            LOG.warning("skipped a message of type %d from %s: %r: %s", type_, self.address, error, message[:64].hex())
            if self._unparsed > MAX_UNPARSED:
                raise guards.BadMessage("too many messages that cannot be parsed") from error
            return None

    # sending
    def send_raw(self, buf: bytes) -> bool:
        """Queue one or more whole messages; never waits. False: closed, or `SEND_LIMIT_BYTES` are waiting already."""
        if not self._accepting:
            return False
        if self._queued_bytes + len(buf) > SEND_LIMIT_BYTES:
            count("send_overflow")
            return False
        self._out.append(buf)
        self._queued_bytes += len(buf)
        if self._wake is not None:
            self._wake_sender()
        return True

    def send(self, buf: Any, close_socket: bool = False) -> bool:
        """Ryu's `send` by way of `send_raw`; with `close_socket` what is queued is sent, then the connection ends."""
        sent = self.send_raw(bytes(buf))
        if close_socket and self._accepting:
            self._accepting = False
            self._flush_and_close = True
            self._wake_sender()
        return sent

    def _wake_sender(self) -> None:
        wake, self._wake = self._wake, None
        if wake is not None:
            wake.send()

    def _send_loop(self) -> None:
        try:
            while self.state != DEAD_DISPATCHER:
                if self._out:
                    pending, self._out = self._out, []
                    self._write(pending)
                elif self._flush_and_close:
                    self._close_write()
                    eventlet.sleep(CLOSE_DEADLINE_S)
                    self._abort()
                else:
                    self._wake = Event()
                    self._wake.wait()
        except TimeoutError:
            self.end("send_timeout", f"took nothing for {SEND_DEADLINE_S:g} s")
        except ssl.SSLError as error:
            self.end("send_timeout" if "timed out" in str(error) else "send_error", f"cannot send: {error}")
        except (OSError, ValueError, RuntimeError) as error:
            LOG.debug("sending to %s failed: %s", self.address, error)
            self._abort()

    def _write(self, pending: list[bytes]) -> None:
        """Send all of `pending`. Each piece has the socket's deadline: a peer may read slowly, but not stop."""
        data = memoryview(pending[0] if len(pending) == 1 else b"".join(pending))
        pending.clear()
        off, size = 0, len(data)
        while off < size:
            sent = self.socket.send(data[off : off + _WRITE_BYTES])
            off += sent
            self._queued_bytes -= sent

    # liveness
    def _echo_request_loop(self) -> None:
        """Ask a silent switch, and end its connection when too many questions stay open. Any byte heard is an answer.

        While our own handlers keep the receive loop busy the peer is not judged: its answers wait in the socket.
        """
        while self.max_unreplied_echo_requests and self.state != DEAD_DISPATCHER:
            if self._heard or not self._reading:
                self._heard = False
                self.unreplied_echo_requests.clear()
            if len(self.unreplied_echo_requests) > self.max_unreplied_echo_requests:
                self.end("echo_timeout", f"{len(self.unreplied_echo_requests)} echo requests without an answer")
                return
            request = self.ofproto_parser.OFPEchoRequest(self)
            self.unreplied_echo_requests.append(self.set_xid(request))
            self.send_msg(request)
            eventlet.sleep(self.echo_request_interval)
