"""What is sent to a real Open vSwitch is what is read back from it, and `ovs-ofctl` takes the text form."""

import socket
import struct
import subprocess
from collections.abc import Iterator

import pytest

from sdn_app.openflow import codec
from sdn_app.rules import text
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
    ToGroup,
    match,
)

BRIDGE = "codec0"
PORT = 16653
pytestmark = pytest.mark.lab
CONTROLLER = 0xFFFFFFFD
IP, ARP, NSH = 0x0800, 0x0806, 0x894F


def run(*command: str, given: str | None = None) -> str:
    return subprocess.run(command, input=given, check=True, capture_output=True, text=True, timeout=20).stdout


class Client:
    """The least that a controller must say."""

    def __init__(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", PORT), timeout=10)
        self.send(struct.pack(">BBHI", 4, 0, 8, 1))
        while self.receive()[1] != 0:
            pass
        # A passive connection gets no packet-ins before a miss_send_len is set (SET_CONFIG).
        self.send(struct.pack(">BBHIHH", 4, 9, 12, 2, 0, 0xFFFF))

    def send(self, message: bytes) -> None:
        self.socket.sendall(message)

    def receive(self) -> bytes:
        head = self._exactly(8)
        message = head + self._exactly(struct.unpack_from(">H", head, 2)[0] - 8)
        if message[1] == 2:
            self.send(message[:1] + b"\x03" + message[2:])
        return message

    def _exactly(self, size: int) -> bytes:
        got = b""
        while len(got) < size:
            part = self.socket.recv(size - len(got))
            assert part, "the switch closed the connection"
            got += part
        return got

    def next_of(self, kind: int) -> bytes:
        for _ in range(4):
            message = self.receive()
            if message[1] == kind:
                return message
        pytest.fail(f"no message of type {kind} came")

    def settle(self) -> None:
        """A barrier; any error before its answer fails the test."""
        self.send(codec.encode_barrier_request(77))
        while True:
            message = self.receive()
            if message[1] == 1:
                kind, code, data, xid = codec.decode_error(message)
                pytest.fail(f"switch error {kind}/{code} to xid {xid}: {data.hex()}")
            if message[1] == 21:
                assert codec.decode_barrier_reply(message) == 77
                return

    def ask(self, request: bytes) -> list[codec.MultipartItem]:
        self.send(request)
        items: list[codec.MultipartItem] = []
        while True:
            message = self.receive()
            if message[1] == 19:
                _, _, more, part = codec.decode_multipart(message)
                items += part
                if not more:
                    return items

    def flows(self) -> list[codec.FlowStat]:
        return [item for item in self.ask(codec.encode_flow_stats_request(5)) if isinstance(item, codec.FlowStat)]


@pytest.fixture()
def client() -> Iterator[Client]:
    run("ovs-vsctl", "--timeout=5", "--if-exists", "del-br", BRIDGE)
    run("ovs-vsctl", "--timeout=10", "add-br", BRIDGE, "--", "set", "bridge", BRIDGE, "datapath_type=netdev",
        "protocols=OpenFlow13", "fail_mode=secure", "--", "set-controller", BRIDGE, f"ptcp:{PORT}:127.0.0.1",
        "--", "set", "controller", BRIDGE, "connection_mode=out-of-band")  # fmt: skip
    connected = None
    try:
        for _ in range(50):
            try:
                connected = Client()
                break
            except ConnectionRefusedError:
                subprocess.run(["sleep", "0.1"], check=True)
        assert connected is not None
        yield connected
    finally:
        if connected is not None:
            connected.socket.close()
        run("ovs-vsctl", "--timeout=10", "--if-exists", "del-br", BRIDGE)


METERS = (Meter(1, 1000, 100), Meter(2, 5, 1))
GROUPS = (
    Group(1, (Bucket(100, (SetField("reg1", 1), Resubmit(4))), Bucket(50, (SetField("reg1", 2), Resubmit(4))))),
    Group(2, ()),
    Group(0xFFFFFF00, (Bucket(1, (Output(3),)),)),
)
TCP = {"eth_type": IP, "ip_proto": 6}
ACTIONS: tuple[tuple[Action, ...], ...] = (
    (),
    (Output(1),),
    (Output(0xFFFFFFF8), Output(CONTROLLER, 128), Output(CONTROLLER, 0xFFFF), Output(CONTROLLER, 0)),
    (ToGroup(1),),
    (Resubmit(9), Resubmit(10)),
    tuple(SetField(f"reg{number}", 0xDEADBEEF + number) for number in range(8)),
    (SetField("eth_src", 0x020000000001), SetField("eth_dst", 0xFFFFFFFFFFFF), Output(2)),
    (SetField("reg0", 0), Move("reg0", "reg1", 32), Move("reg0", "reg7", 8, 4, 16), Move("eth_src", "eth_dst", 48)),
    (Move("ct_mark", "reg3", 32), Move("in_port", "reg2", 16)),
    (EncapNsh(), SetField("nsh_spi", 0x123456), SetField("nsh_si", 255), SetField("nsh_ttl", 63), EncapEthernet(),
     SetField("eth_dst", 0x020000000002), Output(4)),
    (Decap(), Decap(), Resubmit(5)),
)  # fmt: skip
FLOWS: tuple[Flow, ...] = (
    *(Flow(0, 100 + number, (), actions, cookie=number) for number, actions in enumerate(ACTIONS)),
    Flow(0, 0, (), goto=1),
    Flow(0, 65535, match(in_port=7), goto=253, meter=1),
    Flow(0, 7, match(in_port=CONTROLLER), (Output(1),), cookie=0xFFFFFFFFFFFFFFFE),
    Flow(1, 1, match(eth_type=IP), (Ct(7, table=2), Ct(65535), Ct(0, commit=True)), goto=9, meter=2),
    Flow(1, 2, match(**TCP, ct_state=(0x21, 0x23), tcp_dst=80, ipv4_dst=0x0A000064),
         (Ct(3, True, 4, (SetField("ct_mark", 9), Move("reg1", "ct_mark", 32), Move("reg0", "ct_mark", 8, 0, 8))),)),
    Flow(1, 3, match(**TCP, ct_mark=5, tcp_src=(0x1000, 0xF000)), (SetField("ipv4_src", 1), SetField("tcp_dst", 8080))),
    Flow(1, 4, match(**TCP, ct_mark=(0x100, 0xFF00), ipv4_src=(0x0A000000, 0xFF000000)),
         (SetField("ipv4_dst", 2), SetField("tcp_src", 1))),
    Flow(1, 5, match(eth_type=IP, ip_proto=17, udp_src=53, udp_dst=54),
         (SetField("udp_src", 1), SetField("udp_dst", 2))),
    Flow(1, 6, match(eth_type=IP, ip_proto=1, icmp_type=8), (SetField("icmp_type", 0),)),
    Flow(1, 7, match(eth_type=ARP, arp_op=1, arp_tpa=0x0A000064, arp_spa=(0x0A000000, 0xFF000000),
                   arp_sha=1, arp_tha=0),
         (Move("eth_src", "eth_dst", 48), SetField("eth_src", 5), SetField("arp_op", 2), Move("arp_sha", "arp_tha", 48),
          SetField("arp_sha", 5), Move("arp_spa", "arp_tpa", 32), SetField("arp_spa", 0x0A000064), Output(0xFFFFFFF8))),
    Flow(2, 1, match(eth_type=NSH, nsh_spi=0x123456, nsh_si=254),
         (DecNshTtl(), SetField("nsh_si", 253), Move("nsh_spi", "reg1", 24), Move("reg1", "nsh_spi", 24, 8),
          Output(1))),
    Flow(2, 2, match(eth_type=NSH, nsh_ttl=1)),
    Flow(2, 4, match(eth_type=NSH, nsh_spi=0)),
    Flow(2, 5, match(eth_src=1, eth_dst=(0x010000000000, 0x010000000000))),
    Flow(2, 6, match(eth_type=IP, ct_state=0x21)),
    *(Flow(3, 9, match(**{f"reg{number}": number}), (Output(1),)) for number in range(8)),
    Flow(3, 10, match(reg0=(0x10, 0xF0), reg1=(0x80000000, 0x80000000), reg2=0), (Output(1),)),
)  # fmt: skip


def install(client: Client) -> None:
    for meter in METERS:
        client.send(codec.encode_meter_mod(meter, "add", 100 + meter.meter_id))
    for group in GROUPS:
        client.send(codec.encode_group_mod(group, "add", 200))
    for number, flow in enumerate(FLOWS):
        client.send(codec.encode_flow_mod(flow, "add", 1000 + number))
    client.settle()


def check(client: Client) -> None:
    installed = {stat.flow.key: stat.flow for stat in client.flows()}
    for flow in FLOWS:
        assert installed.pop(flow.key) == flow
    assert not installed
    assert sorted(client.ask(codec.encode_group_desc_request(6)), key=str) == sorted(GROUPS, key=str)
    assert sorted(client.ask(codec.encode_meter_config_request(7)), key=str) == sorted(METERS, key=str)


def test_reads_back_what_was_sent(client: Client) -> None:
    install(client)
    check(client)


def test_ofctl_takes_the_text(client: Client) -> None:
    def ofctl(command: str, *lines: str) -> None:
        for line in lines:
            run("ovs-ofctl", "-O", "OpenFlow13", command, BRIDGE, line)

    ofctl("add-meter", *map(text.meter_text, METERS))
    ofctl("add-group", *map(text.group_text, GROUPS))
    run("ovs-ofctl", "-O", "OpenFlow13", "add-flows", BRIDGE, "-", given="\n".join(map(text.flow_text, FLOWS)))
    check(client)


def test_ofctl_takes_port_names(client: Client) -> None:
    flow = Flow(0, 1, match(in_port=0xFFFFFFFE), (Output(0xFFFFFFFE),))
    line = text.flow_text(flow, {0xFFFFFFFE: BRIDGE})
    assert line == 'table=0,priority=1,in_port="codec0" actions=output:"codec0"'
    run("ovs-ofctl", "-O", "OpenFlow13", "add-flow", BRIDGE, line)
    assert [stat.flow for stat in client.flows()] == [flow]


def test_delete_and_modify(client: Client) -> None:
    install(client)
    client.send(codec.encode_flow_mod(Flow(0, 0, (), goto=2), "modify", 1))
    client.send(codec.encode_group_mod(Group(2, GROUPS[0].buckets), "modify", 1))
    client.send(codec.encode_meter_mod(Meter(2, 9, 9), "modify", 1))
    client.settle()
    assert Flow(0, 0, (), goto=2) in {stat.flow for stat in client.flows()}
    assert Group(2, GROUPS[0].buckets) in client.ask(codec.encode_group_desc_request(1))
    assert Meter(2, 9, 9) in client.ask(codec.encode_meter_config_request(1))
    for flow in FLOWS:
        client.send(codec.encode_flow_mod(flow, "delete", 1))
    for group in GROUPS:
        client.send(codec.encode_group_mod(group, "delete", 1))
    for meter in METERS:
        client.send(codec.encode_meter_mod(meter, "delete", 1))
    client.settle()
    assert client.flows() == []
    assert client.ask(codec.encode_group_desc_request(1)) == []
    assert client.ask(codec.encode_meter_config_request(1)) == []


FOREIGN = (
    "table=0,priority=1,ipv6,ipv6_src=::1,actions=drop",
    "table=0,priority=2,vlan_vid=0x1005/0x1fff,actions=pop_vlan,output:1",
    "table=0,priority=3,tun_id=5,metadata=7,reg9=1,actions=write_actions(output:1),goto_table:2",
    "table=0,priority=4,tcp,tcp_flags=+syn-ack,actions=ct(commit,nat(src=1.2.3.4)),clear_actions",
    "table=0,priority=5,ip,actions=learn(table=3,NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[])",
    "table=0,priority=6,eth_type=0x894f,nsh_c1=0x4/0xf,actions=set_field:0x1/0x3->reg0,load:5->reg1[0..3]",
    "table=0,priority=7,idle_timeout=9,ip,nw_tos=4,actions=resubmit(1,2),dec_ttl,note:01.02",
)


def test_foreign_entries_are_read_and_deleted(client: Client) -> None:
    for line in FOREIGN:
        run("ovs-ofctl", "-O", "OpenFlow13", "add-flow", BRIDGE, line)
    run("ovs-ofctl", "-O", "OpenFlow13", "add-group", BRIDGE, "group_id=9,type=all,bucket=output:1")
    run("ovs-ofctl", "-O", "OpenFlow13", "add-meter", BRIDGE, "meter=9,kbps,band=type=drop,rate=5")
    found = [stat.flow for stat in client.flows()]
    assert len(found) == len(FOREIGN)
    assert not any(flow in FLOWS for flow in found)
    for flow in found:
        client.send(codec.encode_flow_mod(flow, "delete", 1))
    for group in client.ask(codec.encode_group_desc_request(1)):
        assert isinstance(group, Group) and isinstance(group.buckets[0].actions[0], codec.Foreign)
        client.send(codec.encode_group_mod(group, "delete", 1))
    assert client.ask(codec.encode_meter_config_request(1)) == [Meter(9, -1, -1)]
    client.send(codec.encode_meter_mod(Meter(9, -1, -1), "delete", 1))
    client.settle()
    assert client.flows() == []
    assert client.ask(codec.encode_group_desc_request(1)) == []


def test_packets_ports_and_counters(client: Client) -> None:
    frame = bytes.fromhex("ffffffffffff 020000000001 0800") + bytes.fromhex(
        "4500002800010000400600000a0101010a000064 04d20050 00000001 00000000 50020000 00000000"
    )
    up = (SetField("reg1", 7), Output(CONTROLLER, 64))
    client.send(codec.encode_group_mod(Group(1, (Bucket(100, (Resubmit(1),)),)), "add", 1))
    client.send(codec.encode_flow_mod(Flow(0, 1, (), (ToGroup(1),), cookie=3), "add", 1))
    client.send(codec.encode_flow_mod(Flow(1, 1, (), up, cookie=4), "add", 1))
    client.settle()
    client.send(codec.encode_packet_out(0xFFFFFFFE, (Output(0xFFFFFFF9),), frame, 1))
    message = client.next_of(10)
    assert codec.decode_packet_in(message) == codec.PacketIn(1, 1, 4, 0xFFFFFFFE, len(frame), frame[:64])
    assert ("reg1", 7, None) in codec.decode_packet_in_match(message)
    counted = [codec.GroupStat(1, 1, len(frame), ((1, len(frame)),))]
    assert any(client.ask(codec.encode_group_stats_request(1)) == counted for _ in range(1000))
    ports = client.ask(codec.encode_port_desc_request(1))
    assert [(p.number, p.name) for p in ports if isinstance(p, codec.PortDesc)] == [(0xFFFFFFFE, BRIDGE)]
    run("ovs-vsctl", "--timeout=10", "add-port", BRIDGE, "codec1", "--", "set", "interface", "codec1", "type=internal")
    message = client.next_of(12)
    reason, port = codec.decode_port_status(message)
    assert (reason, port.name) == (0, "codec1")
