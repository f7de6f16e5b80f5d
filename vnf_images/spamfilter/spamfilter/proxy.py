"""Both TCP connections of each session, with the addresses and ports of the real ends.

In: connections that clients ask for (their SYN is held meanwhile). Out: sessions over two connections: first the one to the server, from
the client's own address and port; only when that is there is the client answered, so it finds a server refused or silent as it
would without the filter.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from vnf.log import log

from spamfilter import kernel
from spamfilter.flows import Key
from spamfilter.metrics import ACCEPTED, CONNECTIONS, DROPS, ERRORS
from spamfilter.wire import CHUNK, Peer

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
SHAKE_HANDS_S = 15.0
_IP_TRANSPARENT, _IPV6_TRANSPARENT, _SO_MARK = 19, 75, 36


class Gate(Protocol):
    """What the proxy tells the packets' relay."""

    live: set[Key]

    def admit(self, key: Key) -> None: ...
    def refuse(self, key: Key) -> None: ...
    def ignore(self, key: Key) -> None: ...


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many connections there may be, and how long a server may take to answer."""

    connections: int
    connect_s: float


@dataclass(slots=True)
class Proxy:
    """The connections. `session` runs one, from both sides' streams to its end."""

    gate: Gate
    bounds: Callable[[], Bounds]
    session: Callable[[Peer, Peer], Awaitable[str]]
    stopping: asyncio.Event
    _tasks: dict[Key, asyncio.Task[None]] = field(default_factory=dict)
    _expected: dict[Key, asyncio.Future[Streams]] = field(default_factory=dict)
    _servers: list[asyncio.Server] = field(default_factory=list)

    @property
    def connections(self) -> int:
        """Those that are open or being opened."""
        return len(self._tasks)

    async def listen(self, ports: tuple[int, ...]) -> None:
        """Accept what the relay admits, whatever address it is for."""
        families = [socket.AF_INET, socket.AF_INET6][: len(kernel.families())]
        for family in families:
            for port in ports:
                listener = transparent(family)
                listener.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
                self._servers.append(
                    await asyncio.start_server(self._accepted, sock=listener, limit=CHUNK, backlog=1024)
                )

    def asked(self, key: Key) -> bool:
        """A client wants to connect; False when that is not possible now, which it takes for a lost SYN."""
        if self.stopping.is_set() or len(self._tasks) >= self.bounds().connections:
            DROPS.labels("stopping" if self.stopping.is_set() else "too many connections").inc()
            return False
        if key.client[:1] == b"\xfe" and len(key.client) == 16 and key.client[1] & 0xC0 == 0x80:
            DROPS.labels("link-local address").inc()
            return False
        self.gate.live.add(key)
        self._tasks[key] = asyncio.get_running_loop().create_task(self._serve(key))
        CONNECTIONS.set(len(self._tasks))
        return True

    async def drain(self, limit_s: float) -> None:
        """Wait for the sessions under way; those that take longer end with a reset."""
        if self._tasks:
            await asyncio.wait(self._tasks.values(), timeout=limit_s)
        for task in list(self._tasks.values()):
            task.cancel()

    async def _serve(self, key: Key) -> None:
        try:
            opened = await self._to_server(key)
            if opened is not None:
                await self._with_server(key, opened)
        except Exception as error:  # one session's trouble must not end another's
            ERRORS.labels("session").inc()
            log("session failed", error=repr(error))
        finally:
            self.gate.ignore(key)
            self.gate.live.discard(key)
            del self._tasks[key]
            CONNECTIONS.set(len(self._tasks))

    async def _to_server(self, key: Key) -> socket.socket | None:
        family = socket.AF_INET6 if len(key.client) == 16 else socket.AF_INET
        connecting = transparent(family)
        try:
            connecting.bind((socket.inet_ntop(family, key.client), key.client_port))
            async with asyncio.timeout(self.bounds().connect_s):
                server = (socket.inet_ntop(family, key.server), key.server_port)
                await asyncio.get_running_loop().sock_connect(connecting, server)
            return connecting
        except ConnectionRefusedError:
            self.gate.refuse(key)
        except (OSError, TimeoutError) as error:
            ERRORS.labels("connect").inc()
            log("server not reached", reason=str(error) or "silent")
        connecting.close()
        return None

    async def _with_server(self, key: Key, opened: socket.socket) -> None:
        upstream = await asyncio.open_connection(sock=opened, limit=CHUNK)
        expected = asyncio.get_running_loop().create_future()
        self._expected[key] = expected
        downstream: Streams | None = None
        try:
            self.gate.admit(key)
            async with asyncio.timeout(SHAKE_HANDS_S):
                downstream = await expected
            ACCEPTED.inc()
            client, server = Peer("client", *downstream), Peer("server", *upstream)
            reason = await self.session(client, server)
            log("session ended", reason=reason, client=socket.inet_ntop(opened.family, key.client))
        except TimeoutError:
            DROPS.labels("handshake not finished").inc()
        finally:
            del self._expected[key]
            for streams in (upstream, downstream):
                if streams is not None:
                    streams[1].transport.abort()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client, server = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
        family = writer.get_extra_info("socket").family
        key = Key(socket.inet_pton(family, client[0]), client[1], socket.inet_pton(family, server[0]), server[1])
        expected = self._expected.get(key)
        if expected is None or expected.done():
            DROPS.labels("unexpected connection").inc()
            writer.transport.abort()
        else:
            expected.set_result((reader, writer))


def transparent(family: int) -> socket.socket:
    """A socket that may have anybody's address, and whose packets go into the TUN device."""
    made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, _SO_MARK, kernel.MARK)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.setsockopt(socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
    else:
        made.setsockopt(socket.SOL_IP, _IP_TRANSPARENT, 1)
    return made
