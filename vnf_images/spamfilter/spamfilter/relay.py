"""Carries packets between the ports and the filter's own TCP stack.

In: frames that were taken off the bridge, packets that the stack made. Out: the same on the other side, with the MAC addresses of
their connection. A client's SYN is held until `admit` or `refuse` says what the server did. Must not change a packet's content,
nor forward what belongs to the filtered ports.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from spamfilter import kernel
from spamfilter.flows import Flow, Flows, Key, key_to_client, key_to_server
from spamfilter.fragments import Fragments, Way
from spamfilter.metrics import BYTES, DROPS, ERRORS, PACKETS
from spamfilter.packets import ACK, IPV4, SYN, Fragment, Segment, keep_alive, parse, refusal, reset_back

OTHER = {kernel.IN_PORT: kernel.OUT_PORT, kernel.OUT_PORT: kernel.IN_PORT}
AT_ONCE = 64
LARGEST = 1 << 17
HEADER = kernel.VNET_HEADER.size
NO_OFFLOAD = bytes(HEADER)
MOST_STRAYS = 1024


@dataclass(slots=True)
class _Port:
    name: str
    index: int
    socket: socket.socket
    fragments: Fragments


@dataclass(slots=True)
class Relay:
    """The packets' ways. `live` are the connections that the proxy knows; a SYN of any other is told to `asked`.

    `strays` are connections whose beginning was not seen, apart from `flows` so that they displace none of these.
    """

    tun: int
    tcp_ports: tuple[int, ...]
    asked: Callable[[Key], bool]
    live: set[Key] = field(default_factory=set)
    flows: Flows = field(default_factory=Flows)
    strays: Flows = field(default_factory=lambda: Flows(MOST_STRAYS))
    _held: dict[Key, bytes] = field(default_factory=dict)
    _ports: dict[str, _Port] = field(default_factory=dict)

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self.tun, self._from_stack)

    def plug(self, name: str, index: int) -> None:
        """Read from the port, which is new if its index is."""
        port = self._ports.get(name)
        if port is not None and port.index == index:
            return
        self.unplug(name)
        with contextlib.suppress(OSError):  # it is gone again: the next look at the interfaces tells
            opened = kernel.open_port(name, self.tcp_ports)
            port = _Port(name, index, opened, Fragments(self._ours_at(name)))
            self._ports[name] = port
            asyncio.get_running_loop().add_reader(opened, self._from_port, port)

    def unplug(self, name: str) -> None:
        """Stop reading from the port."""
        port = self._ports.pop(name, None)
        if port is not None:
            asyncio.get_running_loop().remove_reader(port.socket)
            port.socket.close()

    def admit(self, key: Key) -> None:
        """The server accepted: the client's SYN goes into the stack, which answers it."""
        self._to_stack(self._held.pop(key))

    def refuse(self, key: Key) -> None:
        """The server refused, and so do we."""
        packet, flow = self._held.pop(key)[HEADER:], self.flows.find(key)
        segment = parse(ether_type_of(packet), packet)
        if isinstance(segment, Segment) and flow is not None and flow.to_client is not None:
            reset = refusal(segment, packet)
            if reset is not None:
                self._send(kernel.IN_PORT, flow.to_client + reset)

    def ignore(self, key: Key) -> None:
        """The server said nothing, and so do we."""
        self._held.pop(key, None)

    def count_lost(self) -> None:
        """Take over the kernel's counts of frames for which the sockets had no room."""
        for port in self._ports.values():
            with contextlib.suppress(OSError):
                DROPS.labels("no room in the socket").inc(kernel.lost(port.socket))

    def _ours_at(self, name: str) -> Callable[[int, int], bool]:
        if name == kernel.IN_PORT:
            return lambda source, destination: destination in self.tcp_ports
        return lambda source, destination: source in self.tcp_ports

    def _from_port(self, port: _Port) -> None:
        for _ in range(AT_ONCE):
            try:
                data = port.socket.recv(LARGEST)
            except BlockingIOError:
                return
            except OSError:  # the interface went away
                self.unplug(port.name)
                return
            self._take(port, data)

    def _take(self, port: _Port, data: bytes) -> None:
        frame = memoryview(data)[HEADER:]
        packet = frame[kernel.ETHERNET_LENGTH :]
        found = parse(int.from_bytes(frame[12:14], "big"), packet)
        if isinstance(found, Fragment):
            self._take_fragment(port, found, data)
        elif isinstance(found, Segment) and self._ours_at(port.name)(found.source_port, found.destination_port):
            self._take_segment(port, found, data)

    def _take_fragment(self, port: _Port, fragment: Fragment, data: bytes) -> None:
        count(data)
        way, before = port.fragments.take(fragment, data, time.monotonic())
        if way is Way.DROPPED:
            DROPS.labels("fragment").inc()
        elif way is not Way.KEPT:
            for each in (data, *before):
                if way is Way.OURS:
                    self._to_stack(for_stack(each))
                else:
                    self._send(OTHER[port.name], each[HEADER:])

    def _take_segment(self, port: _Port, segment: Segment, data: bytes) -> None:
        count(data)
        ethernet = data[HEADER : HEADER + kernel.ETHERNET_LENGTH]
        to_server = port.name == kernel.IN_PORT
        key = key_to_server(segment) if to_server else key_to_client(segment)
        if to_server and segment.flags & SYN and not segment.flags & ACK and key not in self.live:
            self._ask(key, ethernet, data)
            return
        flow = self.flows.begin(key) if key in self.live else self.flows.find(key)
        if flow is None:
            flow = self.strays.begin(key)
            flow.saw(to_server, ethernet)
            self._end_stray(port, flow, segment, data)
            return
        flow.saw(to_server, ethernet)
        if key not in self._held or not to_server:  # a SYN that is repeated while the server is asked has to wait
            self._to_stack(for_stack(data))

    def _end_stray(self, port: _Port, flow: Flow, segment: Segment, data: bytes) -> None:
        """End a connection that nobody here knows, at both ends: each one's segment is answered by a reset to that end.

        How to address a frame to an end shows only in a frame that the other end sent: that one is made to send one.
        """
        DROPS.labels("unknown connection").inc()
        ethernet, packet = data[HEADER : HEADER + kernel.ETHERNET_LENGTH], data[HEADER + kernel.ETHERNET_LENGTH :]
        back = flow.to_client if port.name == kernel.IN_PORT else flow.to_server
        question, reset = keep_alive(segment, packet), reset_back(segment, packet)
        if back is not None and flow.unanswered is not None:
            self._send(OTHER[port.name], ethernet + flow.unanswered)
            flow.unanswered = None
        if question is None or reset is None:
            return
        if back is None:
            flow.unanswered = reset
            self._send(OTHER[port.name], ethernet + question)
        else:
            self._send(port.name, back + reset)

    def _ask(self, key: Key, ethernet: bytes, data: bytes) -> None:
        self.flows.begin(key).to_server = ethernet
        self._held[key] = for_stack(data)
        if not self.asked(key):
            del self._held[key]

    def _to_stack(self, packet: bytes) -> None:
        try:
            os.write(self.tun, packet)
        except OSError as error:  # ENOBUFS and the like: TCP sends it again
            ERRORS.labels("tun write").inc()
            DROPS.labels(f"tun: {error.strerror}").inc()

    def _from_stack(self) -> None:
        for _ in range(AT_ONCE):
            try:
                packet = os.read(self.tun, LARGEST)[HEADER:]
            except BlockingIOError:
                return
            segment = parse(ether_type_of(packet), packet)
            way = self.flows.header(segment) if isinstance(segment, Segment) else None
            if way is None:
                DROPS.labels("no path known").inc()
            else:
                self._send(kernel.OUT_PORT if way[0] else kernel.IN_PORT, way[1] + packet)

    def _send(self, name: str, frame: bytes) -> None:
        port = self._ports.get(name)
        try:
            if port is None:
                DROPS.labels("port not there").inc()
            else:
                port.socket.send(NO_OFFLOAD + frame)
        except OSError as error:
            DROPS.labels(f"send: {error.strerror}").inc()


def count(data: bytes) -> None:
    PACKETS.inc()
    BYTES.inc(len(data) - HEADER)


def ether_type_of(packet: bytes) -> int:
    """That of an IP packet; what is not IP parses as nothing."""
    return IPV4 if packet[:1] and packet[0] >> 4 == 4 else 0x86DD


def for_stack(data: bytes) -> bytes:
    """What a packet socket gave, as the TUN device takes it: without the Ethernet header, which offload offsets count too."""
    flags, segmented, header, size, start, offset = kernel.VNET_HEADER.unpack_from(data)
    if flags & kernel.NEEDS_CHECKSUM:
        start -= kernel.ETHERNET_LENGTH
    header = max(0, header - kernel.ETHERNET_LENGTH)
    packed = kernel.VNET_HEADER.pack(flags, segmented, header, size, start, offset)
    return packed + data[HEADER + kernel.ETHERNET_LENGTH :]
