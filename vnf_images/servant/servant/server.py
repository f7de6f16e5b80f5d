"""The service's connections. In: sockets that listen. Out: answers on `/`, `/cheap`, `/bytes/N` and `/slow/S`.

One request of a connection is answered at a time. Must not block the event loop: CPU is spent by `work` in slices.
"""

from __future__ import annotations

import asyncio
import re
import time
from http import HTTPStatus

from prometheus_client import Counter, Histogram

from servant.http import BadRequest, Request, answer, head, parse
from servant.work import QueueFull, Workshop

REQUESTS = Counter("servant_requests", "Requests answered", ("path", "status"))
SECONDS = Histogram("servant_request_seconds", "From a request's last byte to its answer's last", ("path",))
ACCEPTED = Counter("servant_connections_accepted", "Connections accepted")
BUFFER_LIMIT = 1 << 21
CHUNK = bytes(65536)
TICK_S = 0.1
_PARAMETER = re.compile(r"/(bytes|slow)/(\d{1,10}(?:\.\d{1,3})?)")
BYTES_LIMIT = 1 << 30
SLOW_LIMIT_S = 3600.0


class Service:
    """What all connections share."""

    def __init__(self, servant: str, cost_s: float, workshop: Workshop, connections: int) -> None:
        self.servant = servant
        self.cost_s = cost_s
        self.workshop = workshop
        self.connections_limit = connections
        self.connections: set[Connection] = set()
        self.draining = False

    def drain(self) -> None:
        """Close idle connections; the others close after the answer that they wait for."""
        self.draining = True
        for connection in list(self.connections):
            connection.close_when_idle()


class Connection(asyncio.Protocol):
    """One client's connection. Invariant: `_task` is set exactly while an answer is under way that takes time."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        ACCEPTED.inc()
        if len(self._service.connections) >= self._service.connections_limit:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections")
        self._service.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._service.connections.discard(self)
        self._writable.set()
        if self._task is not None:
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) > BUFFER_LIMIT:
            self._transport.pause_reading()
        if self._task is None:
            self._serve()

    def close_when_idle(self) -> None:
        if self._task is None:
            self._transport.close()

    def _serve(self) -> None:
        """Answer what the buffer holds, until it is empty or an answer takes time."""
        while self._task is None and not self._transport.is_closing():
            try:
                request = parse(self._buffer)
            except BadRequest as error:
                self._refuse(error.status, str(error))
                return
            if request is None:
                return
            del self._buffer[: request.size]
            self._answer(request)

    def _answer(self, request: Request) -> None:
        started_s = time.perf_counter()
        path = request.path.partition("?")[0]
        match = _PARAMETER.fullmatch(path)
        if request.method not in ("GET", "POST"):
            self._finish(request, "other", started_s, HTTPStatus.METHOD_NOT_ALLOWED, expected="GET or POST")
        elif path == "/cheap":
            self._finish(request, "/cheap", started_s, HTTPStatus.OK)
        elif path == "/" or match is not None:
            self._task = asyncio.get_running_loop().create_task(self._take_time(request, match, started_s))
        else:
            self._finish(
                request, "other", started_s, HTTPStatus.NOT_FOUND, expected="/, /cheap, /bytes/N or /slow/SECONDS"
            )

    async def _take_time(self, request: Request, match: re.Match[str] | None, started_s: float) -> None:
        try:
            if match is None:
                await self._work(request, started_s)
            elif match[1] == "bytes":
                await self._stream(request, min(int(float(match[2])), BYTES_LIMIT), started_s)
            else:
                await self._hold(request, min(float(match[2]), SLOW_LIMIT_S), started_s)
        finally:
            self._task = None
        self._transport.resume_reading()
        self._serve()

    async def _work(self, request: Request, started_s: float) -> None:
        try:
            await self._service.workshop.spend(self._service.cost_s)
        except QueueFull:
            self._finish(request, "/", started_s, HTTPStatus.SERVICE_UNAVAILABLE, reason="the queue is full")
            return
        self._finish(request, "/", started_s, HTTPStatus.OK, cost_ms=round(1000 * self._service.cost_s, 3))

    async def _stream(self, request: Request, length: int, started_s: float) -> None:
        keep = self._head(request, length)
        left = length
        while left > 0 and not self._transport.is_closing():
            await self._writable.wait()
            self._transport.write(CHUNK[: min(left, len(CHUNK))])
            left -= len(CHUNK)
        self._count("/bytes", HTTPStatus.OK, started_s, keep)

    async def _hold(self, request: Request, seconds: float, started_s: float) -> None:
        ticks = max(1, round(seconds / TICK_S))
        keep = self._head(request, ticks)
        for tick in range(ticks):
            await asyncio.sleep(seconds / ticks)
            self._transport.write(b"\n" if tick == ticks - 1 else b".")
        self._count("/slow", HTTPStatus.OK, started_s, keep)

    def _head(self, request: Request, length: int) -> bool:
        keep = request.keep_alive and not self._service.draining
        self._transport.write(head(HTTPStatus.OK, length, self._service.servant, keep, content_type="text/plain"))
        return keep

    def _finish(self, request: Request, label: str, started_s: float, status: HTTPStatus, **facts: object) -> None:
        keep = request.keep_alive and not self._service.draining
        self._transport.write(answer(status, self._service.servant, keep, path=request.path, **facts))
        self._count(label, status, started_s, keep)

    def _count(self, label: str, status: HTTPStatus, started_s: float, keep: bool) -> None:
        REQUESTS.labels(label, str(status.value)).inc()
        SECONDS.labels(label).observe(time.perf_counter() - started_s)
        if not keep:
            self._transport.close()

    def _refuse(self, status: HTTPStatus, reason: str) -> None:
        self._transport.write(answer(status, self._service.servant, False, reason=reason))
        REQUESTS.labels("other", str(status.value)).inc()
        self._transport.close()
