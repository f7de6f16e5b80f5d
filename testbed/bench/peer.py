"""What runs inside a namespace of the bench: a servant, a function's health page, and the clients that measure.

`python -m testbed.bench.peer ROLE JSON`. Servants serve until they are ended; clients print one JSON document. Everything is one
thread over non-blocking sockets, so that the peers are not what limits the rates. Nothing here knows of a controller.
"""

import json
import select
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

HEAD = b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
ANSWER = HEAD % 3 + b"ok\n"
REQUEST = b"GET / HTTP/1.0\r\n\r\n"
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: end by RST, which leaves no TIME_WAIT behind
ECHO_PORT, SINK_PORT = 7, 9
CREDIT_EVERY = 32
SEGMENTS_OFFSET, TCP_INFO_SIZE = 136, 144  # tcpi_segs_out and tcpi_segs_in in linux/tcp.h's struct tcp_info
PIECE = bytes(range(256)) * 256
MAIL = b"From: a@lab.example\r\nSubject: beds\r\n\r\n" + b"Four free beds in the ward.\r\n" * 40 + b".\r\n"
STUCK_S = 0.05
REPLY_WITHIN_S = 3.0


def servant(address: str, ports: list[int]) -> None:
    """HTTP on some ports; UDP echo, and a UDP sink that returns one datagram for every `CREDIT_EVERY`."""
    poll = select.epoll()
    listeners: dict[int, socket.socket] = {}
    for port in ports:
        listener = socket.create_server(("0.0.0.0", port), backlog=4096)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 3)  # accepted once the request is there
        listeners[listener.fileno()] = listener
    echo, sink = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
    echo.bind((address, ECHO_PORT))
    sink.bind((address, SINK_PORT))
    sink.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    for each in (*listeners.values(), echo, sink):
        each.setblocking(False)
        poll.register(each, select.EPOLLIN)
    got = 0
    while True:
        for number, _ in poll.poll():
            try:
                if number in listeners:
                    while True:
                        _answer(listeners[number])
                elif number == echo.fileno():
                    while True:
                        echo.sendto(*echo.recvfrom(2048))
                else:
                    while True:
                        data, peer = sink.recvfrom(2048)
                        got = 1 if data[:1] == b"S" else got + 1
                        if got % CREDIT_EVERY == 0:
                            sink.sendto(got.to_bytes(8, "big"), peer)
            except BlockingIOError:
                continue


def _answer(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        try:
            connection.settimeout(0.2)
            connection.recv(4096)
            connection.send(ANSWER)
        except OSError:
            return


def files(port: int) -> None:
    """HTTP for `download`, a thread a connection: as many bytes as the path says."""
    with socket.create_server(("0.0.0.0", port)) as listener:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_send_file, args=(connection,), daemon=True).start()


def _send_file(connection: socket.socket) -> None:
    with connection, suppress(OSError):
        size = int(connection.recv(4096).split()[1][1:])
        connection.sendall(HEAD % size)
        while size > 0:
            size -= connection.send(PIECE[:size])


def health(address: str) -> None:
    """A health page, always good."""
    with socket.create_server((address, 8000)) as listener:
        while True:
            _answer(listener)


def connections(address: str, port: int, seconds: float, at_once: int) -> dict[str, Any]:
    """Open connections as fast as they are answered, `at_once` under way; one request each.

    `waits_ms` are of the first packet: from the SYN to its answer.
    """
    poll, waits = select.epoll(), []
    open_now: dict[int, list[Any]] = {}  # fileno -> [socket, began, is connected]
    done = failed = 0
    began = time.perf_counter()
    end, swept = began + seconds, began

    def start() -> None:
        each = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        open_now[each.fileno()] = [each, time.perf_counter(), False]
        each.connect_ex((address, port))
        poll.register(each, select.EPOLLOUT)

    def finish(number: int) -> None:
        each = open_now.pop(number)[0]
        poll.unregister(each)
        each.close()
        if time.perf_counter() < end:
            start()

    for _ in range(at_once):
        start()
    while open_now:
        now = time.perf_counter()
        if now - swept > 0.5:
            swept = now
            for number in [n for n, entry in open_now.items() if now - entry[1] > REPLY_WITHIN_S]:
                failed += 1
                finish(number)
        for number, event in poll.poll(0.2):
            entry = open_now[number]
            if not entry[2] and event & select.EPOLLOUT and not event & (select.EPOLLERR | select.EPOLLHUP):
                waits.append((time.perf_counter() - entry[1]) * 1e3)
                entry[2] = True
                entry[0].send(REQUEST)
                poll.modify(number, select.EPOLLIN)
                continue
            try:
                ok = bool(entry[0].recv(4096))
            except OSError:
                ok = False
            done, failed = done + ok, failed + (not ok)
            finish(number)
    took = max(time.perf_counter() - began, seconds)
    return {"per_s": done / took, "done": done, "failed": failed, "waits_ms": waits}


def packets(address: str, seconds: float, window: int, size: int) -> dict[str, Any]:
    """Small datagrams, never more than `window` unconfirmed: the rate that arrives without loss."""
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.connect((address, SINK_PORT))
    sender.settimeout(STUCK_S)
    body = b"." * size
    confirmed = lost = 0
    first = began = time.perf_counter()
    sent = base = 0
    sender.send(b"S" + body[1:])
    sent = 1
    while (now := time.perf_counter()) - began < seconds:
        while sent - confirmed < window:
            sender.send(body)
            sent += 1
        try:
            confirmed = int.from_bytes(sender.recv(64), "big")
        except TimeoutError:  # something was lost: begin to count anew
            if confirmed:
                base += confirmed
            else:
                first = now
            lost += sent - confirmed
            sender.send(b"S" + body[1:])
            sent, confirmed = 1, 0
    return {"per_s": (base + confirmed) / (time.perf_counter() - first), "lost": lost}


def download(address: str, port: int, seconds: float, octets: int) -> dict[str, Any]:
    """Bodies of `octets` one after another: TCP segments (both ways) and octets a second."""
    segments = got = 0
    began = time.perf_counter()
    while time.perf_counter() - began < seconds:
        with socket.create_connection((address, port), timeout=REPLY_WITHIN_S) as connection:
            connection.send(b"GET /%d HTTP/1.0\r\nHost: bench.example\r\n\r\n" % octets)
            while data := connection.recv(1 << 18):
                got += len(data)
            told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, TCP_INFO_SIZE)
            segments += sum(struct.unpack_from("II", told, SEGMENTS_OFFSET))
    took = time.perf_counter() - began
    return {"per_s": segments / took, "mbps": got * 8e-6 / took}


def mail(address: str, port: int, seconds: float) -> dict[str, Any]:
    """Letters of about a kilobyte over one SMTP session, one after another: letters a second, and the time of each."""
    waits: list[float] = []
    with socket.create_connection((address, port), timeout=20) as connection, connection.makefile("rb") as replies:
        replies.readline()

        def say(line: bytes) -> bytes:
            connection.sendall(line)
            while (reply := replies.readline())[3:4] == b"-":
                pass
            return reply

        say(b"EHLO client.example\r\n")
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            for line in (b"MAIL FROM:<a@lab.example>\r\n", b"RCPT TO:<b@lab.example>\r\n", b"DATA\r\n"):
                say(line)
            before = time.perf_counter()
            if not say(MAIL).startswith(b"250"):
                raise RuntimeError("a letter was refused")
            waits.append((time.perf_counter() - before) * 1e3)
        return {"per_s": len(waits) / (time.perf_counter() - began), "waits_ms": waits}


def gap(address: str, seconds: float, interval_ms: float) -> dict[str, Any]:
    """An echo every `interval_ms`; the longest time without an answer, up to the end (ms)."""
    probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    probe.connect((address, ECHO_PORT))
    probe.setblocking(False)
    began = due = time.perf_counter()
    last, longest, sent, answered = None, 0.0, 0, 0
    announced = False
    while (now := time.perf_counter()) - began < seconds:
        if now >= due:
            due = max(due + interval_ms / 1e3, now - 0.01)
            sent += 1
            with suppress(OSError):
                probe.send(sent.to_bytes(8, "big"))
        ready, _, _ = select.select([probe], [], [], max(0.0, due - time.perf_counter()))
        if ready:
            try:
                probe.recv(64)
            except OSError:
                continue
            now = time.perf_counter()
            answered += 1
            if last is not None:
                longest = max(longest, now - last)
            last = now
            if not announced and answered > 100:
                announced = True
                longest = 0.0
                print("runs", flush=True)
    end = time.perf_counter()
    came_back = last is not None and end - last < 0.25
    if last is not None:
        longest = max(longest, end - last)
    return {"gap_ms": longest * 1e3, "came_back": came_back, "sent": sent, "answered": answered}


ROLES: dict[str, Callable[..., Any]] = {
    "servant": servant,
    "files": files,
    "health": health,
    "connections": connections,
    "packets": packets,
    "download": download,
    "mail": mail,
    "gap": gap,
}

if __name__ == "__main__":
    said = ROLES[sys.argv[1]](**json.loads(sys.argv[2]))
    if said is not None:
        print(json.dumps(said), flush=True)
