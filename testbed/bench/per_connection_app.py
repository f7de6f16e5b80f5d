"""The rivals on stock Ryu: a balancer that deals servants in turn, one packet-in for every new connection.

As it is: the textbook's, two flow entries and a packet-out for each. With `BENCH_ZONE`: one packet-out that commits the servant to
conntrack, over entries that `static_flows` writes. `BENCH_SERVANTS` is "port/MAC,port/MAC", `BENCH_CLIENT_PORT` a number. It uses
Ryu as its own examples do (packet library, OFPMatch, OFPFlowMod) and nothing of ours.
"""

import os

from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import CONFIG_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from ryu.lib.packet import ethernet, ipv4, packet, tcp
from ryu.ofproto import ofproto_v1_3

IDLE_S = 5


class PerConnection(app_manager.RyuApp):
    """Servants in turn, per connection."""

    OFP_VERSIONS = (ofproto_v1_3.OFP_VERSION,)

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.servants = [
            (int(port), mac) for port, mac in (each.split("/") for each in os.environ["BENCH_SERVANTS"].split(","))
        ]
        self.client_port = int(os.environ["BENCH_CLIENT_PORT"])
        self.zone = int(os.environ.get("BENCH_ZONE", "0"))
        self.turn = 0
        self.dealt = {}  # what follows before the entries stand goes the same way

    @set_ev_cls(ofp_event.EventOFPSwitchFeatures, CONFIG_DISPATCHER)
    def features(self, ev):
        """A miss goes to the controller."""
        if self.zone:
            return
        datapath = ev.msg.datapath
        ofp, parser = datapath.ofproto, datapath.ofproto_parser
        actions = [parser.OFPActionOutput(ofp.OFPP_CONTROLLER, ofp.OFPCML_NO_BUFFER)]
        self.add(datapath, 0, parser.OFPMatch(), actions, 0)

    def add(self, datapath, priority, match, actions, idle_s):
        """Write one entry."""
        ofp, parser = datapath.ofproto, datapath.ofproto_parser
        apply = [parser.OFPInstructionActions(ofp.OFPIT_APPLY_ACTIONS, actions)]
        mod = parser.OFPFlowMod(
            datapath=datapath, priority=priority, match=match, instructions=apply, idle_timeout=idle_s
        )
        datapath.send_msg(mod)

    @set_ev_cls(ofp_event.EventOFPPacketIn, MAIN_DISPATCHER)
    def packet_in(self, ev):
        """The first packet of a connection."""
        msg = ev.msg
        datapath, in_port = msg.datapath, msg.match["in_port"]
        parser = datapath.ofproto_parser
        parsed = packet.Packet(msg.data)
        eth, ip, segment = (parsed.get_protocol(kind) for kind in (ethernet.ethernet, ipv4.ipv4, tcp.tcp))
        if eth is None or ip is None or segment is None or in_port != self.client_port:
            return
        key = (ip.src, segment.src_port, segment.seq) if segment.bits & tcp.TCP_SYN else (ip.src, segment.src_port)
        known = self.dealt.get(key)
        if known is None:
            known = self.dealt[key] = self.dealt[ip.src, segment.src_port] = self.turn % len(self.servants)
            self.turn += 1
        port, mac = self.servants[known]
        if self.zone:
            mark = [parser.OFPActionSetField(ct_mark=known + 1)]
            actions = [
                parser.NXActionCT(1, "", self.zone, 255, 0, mark),
                parser.OFPActionSetField(eth_dst=mac),
                parser.OFPActionOutput(port),
            ]
            self.out(msg, in_port, actions)
            return
        there = parser.OFPMatch(
            eth_type=0x0800, ip_proto=6, ipv4_src=ip.src, ipv4_dst=ip.dst, tcp_src=segment.src_port,
            tcp_dst=segment.dst_port,
        )  # fmt: skip
        back = parser.OFPMatch(
            eth_type=0x0800, ip_proto=6, ipv4_src=ip.dst, ipv4_dst=ip.src, tcp_src=segment.dst_port,
            tcp_dst=segment.src_port,
        )  # fmt: skip
        actions = [parser.OFPActionSetField(eth_dst=mac), parser.OFPActionOutput(port)]
        self.add(datapath, 10, back, [parser.OFPActionOutput(in_port)], IDLE_S)
        self.add(datapath, 10, there, actions, IDLE_S)
        self.out(msg, in_port, actions)

    def out(self, msg, in_port, actions):
        """Let the packet go on."""
        datapath = msg.datapath
        out = datapath.ofproto_parser.OFPPacketOut(
            datapath=datapath, buffer_id=datapath.ofproto.OFP_NO_BUFFER, in_port=in_port, actions=actions, data=msg.data
        )
        datapath.send_msg(out)
