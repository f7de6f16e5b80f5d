"""OpenFlow 1.3 to and from the bytes of a switch: the names that the rest of the program uses.

`requests` encodes what goes to a switch, `replies` decodes what comes from one, `actions` and `fields` hold what both
need. Decoding what was encoded gives it back, and so does reading it back from Open vSwitch. Bytes from a switch may be
hostile: a decoder raises `BadMessage` and nothing else, and its work is bounded by the message's length. Pure.
Why not Ryu's own: docs/decisions/0003-own-codec.md.
"""

from sdn_app.openflow.actions import Foreign, encode_actions
from sdn_app.openflow.guards import BadMessage
from sdn_app.openflow.replies import (
    FlowStat,
    GroupStat,
    MultipartItem,
    PacketIn,
    PortDesc,
    decode_barrier_reply,
    decode_error,
    decode_multipart,
    decode_packet_in,
    decode_packet_in_match,
    decode_port_status,
)
from sdn_app.openflow.requests import (
    Command,
    encode_barrier_request,
    encode_flow_mod,
    encode_flow_stats_request,
    encode_group_desc_request,
    encode_group_mod,
    encode_group_stats_request,
    encode_meter_config_request,
    encode_meter_mod,
    encode_packet_out,
    encode_port_desc_request,
    packet_out_template,
)

__all__ = [
    "BadMessage",
    "Command",
    "FlowStat",
    "Foreign",
    "GroupStat",
    "MultipartItem",
    "PacketIn",
    "PortDesc",
    "decode_barrier_reply",
    "decode_error",
    "decode_multipart",
    "decode_packet_in",
    "decode_packet_in_match",
    "decode_port_status",
    "encode_actions",
    "encode_barrier_request",
    "encode_flow_mod",
    "encode_flow_stats_request",
    "encode_group_desc_request",
    "encode_group_mod",
    "encode_group_stats_request",
    "encode_meter_config_request",
    "encode_meter_mod",
    "encode_packet_out",
    "encode_port_desc_request",
    "packet_out_template",
]
