"""Every file that a run leaves: its name, its header, what its columns hold; and what events are called in it.

In: nothing. Out: declarations. The headers are the original simulator's, so that its users' scripts keep working. Must not do: I/O.
"""

from collections.abc import Mapping
from enum import StrEnum


class Kind(StrEnum):
    """What a column holds. TIME: ms with two decimals. BOOL: `True` or `False`, as Python writes them."""

    TEXT = "text"
    INT = "int"
    FLOAT = "float"
    TIME = "time"
    BOOL = "bool"


def _header(text: str) -> tuple[str, ...]:
    return tuple(text.split(";"))


ENTITY_TABLES: Mapping[str, tuple[str, ...]] = {
    "data_source": _header("Name;Packet_Size;Packet_Interval;Burst_Interval;Burst_Num_Packets"),
    "links": _header("Name;Node_1;Node_2;Counter;Bandwidth;Loss Rate;Propagation;Power_Consumed;Max_Packet_Queue"),
    "nodes": _header("Name;Group;Type;CPU;Mem;Energy_Max;Energy_Idle;Disk_Delay;Location;VNFs"),
    "sfc_requests": _header(
        "Name;User;SFC;Priority;Arrival_Time;Data_Source;Ingress_Node;Egress_Node;Duration;Placed;Replacements;"
        "Associated_SFC_Instance"
    ),
    "sfcs": _header("Name;Max_Latency;Priority;Timeout;VNFs"),
    "users": _header("Name;Node;Initial_Node;Latency;Bandwidth;Loss_Rate;SFCs_Requested;SFC_Ingress_Egress;Priority"),
    "vnfs": _header(
        "Name;Min_CPU;Min_Mem;Max_Share;Min_Bandwidth;Pck_Mem_Demand;Data_Acc_Cost;Data_Acc_Prob;Pck_CPU_Demand;"
        "Pck_Network_Demand;Startup_CPU_Demand;Shutdown_CPU_Demand;Timeout;Max_Packets_Queue;Resource_Intensive"
    ),
}
"""Files of the folder Entities."""

STREAM_TABLES: Mapping[str, tuple[str, ...]] = {
    "links": _header(
        "Event;Time;Packet_ID;Link;SFC_Request;SFC_Instance;User;SFC;Data_Source;VNF_Instance;Packet_Size"
    ),
    "packets": _header("Event;Time;Packet_ID;SFC_Request;SFC_Instance;User;SFC;Data_Source"),
    "packets_entities": _header(
        "Packet_ID;Created_At;Size;SFC_Request;Total_SFC_Requests_Active;User;Max_Delay;Delay;Mobility_Penalty;"
        "SLA_Violated;SLA_Violation_Percentage;Active;Dropped;Orphan;Processed"
    ),
    "vnf_instance_packets": _header(
        "Event;Time;Packet_ID;VNF_Instance;SFC_Request;SFC_Instance;User;SFC;Data_Source;Size;Elapsed_Time"
    ),
    "vnf_instance_resources": _header(
        "Event;Time;VNF_Instance;CPU;CPU_Usage;Mem;Mem_Usage;User;SFC_Request;SFC_Instance;Packet_ID"
    ),
}
"""Files of a round whose rows come from the engine's streams."""

EVENT_TABLES: Mapping[str, tuple[str, ...]] = {
    "migration": _header("Event;Time;SFC_Request;User"),
    "monitor": _header("Event;Time;SFC_Instance;Window_Size;Monitor_Interval"),
    "placement": _header("Event;Time"),
    "resource_usage": _header("Event;Time;Value"),
    "sfc_instance": _header("Event;Time;SFC_Instance"),
    "sfc_instance_resources": _header("Event;Time;SFC_Instance;old_CPU;new_CPU;old_Mem;new_Mem"),
    "sfc_instance_vnf_mapping": _header("Event;Time;SFC_Instance;VNF_Instance"),
    "sfc_request": _header("Event;Time;SFC_Request;SFC_Instance;Placement_Order"),
    "time_window": _header(
        "Event;Time;Window Init;Window_End;SFC_Requests_Placed;SFC_Requests_Not_Placed;CPU_Allocated;Mem_Allocated;"
        "VNF_Instances_Count;SFC_Instances_Count;Total_Alg_Time;Count_SFC_Requests;SFC_Requests;"
        "Total_Energy_Consumption"
    ),
    "user_mobility": _header("Event;Time;User;Origin_Node;Destiny_Node"),
    "vnf_instance": _header("Event;Time;VNF_Instance;Node;VNF;VNF_CPU;VNF_Mem"),
    "vnf_instance_scaling": _header("Event;Time;VNF_Instance;Old;New"),
}
"""Files of a round whose rows are given one by one."""

FINAL_TABLES: Mapping[str, tuple[str, ...]] = {
    "sfc_instance_entities": _header(
        "Name;SFC;Timeout;Net_Slice;Accept_New_Requests;Active;SFC_Req;Ingress;Egress;Links;VNF_Instances"
    ),
    "vnf_instances_entities": _header(
        "Name;VNF;CPU;Mem;CPU_Load;Mem_Load;Node;SFC_Inst_Attached;Startup;Shutdown;Timeout;Active;Acpt_SFC_Inst"
    ),
}
"""Files of a round that tell of its end."""

ROUND_TABLES: Mapping[str, tuple[str, ...]] = {**STREAM_TABLES, **EVENT_TABLES, **FINAL_TABLES}

_COLUMNS = {
    Kind.TIME: "Time;Created_At;Delay;Mobility_Penalty;Elapsed_Time;Arrival_Time;Window Init;Window_End",
    Kind.INT: (
        "Packet_ID;Placement_Order;SFC_Requests_Placed;SFC_Requests_Not_Placed;VNF_Instances_Count;"
        "SFC_Instances_Count;Count_SFC_Requests;Total_SFC_Requests_Active;Burst_Num_Packets;Counter;"
        "Max_Packet_Queue;Group;Priority;Replacements;Max_Share;Max_Packets_Queue"
    ),
    Kind.BOOL: ("SLA_Violated;Active;Dropped;Orphan;Processed;Placed;Accept_New_Requests;Acpt_SFC_Inst"),
    Kind.FLOAT: (
        "Packet_Size;Packet_Interval;Burst_Interval;Bandwidth;Loss Rate;Propagation;Power_Consumed;CPU;Mem;"
        "Energy_Max;Energy_Idle;Disk_Delay;Duration;Max_Latency;Timeout;Latency;Loss_Rate;Min_CPU;Min_Mem;"
        "Min_Bandwidth;Pck_Mem_Demand;Data_Acc_Cost;Data_Acc_Prob;Pck_CPU_Demand;Pck_Network_Demand;"
        "Startup_CPU_Demand;Shutdown_CPU_Demand;Size;Max_Delay;SLA_Violation_Percentage;CPU_Usage;Mem_Usage;"
        "Window_Size;Monitor_Interval;Value;old_CPU;new_CPU;old_Mem;new_Mem;CPU_Allocated;Mem_Allocated;"
        "Total_Alg_Time;Total_Energy_Consumption;VNF_CPU;VNF_Mem;Old;New;CPU_Load;Mem_Load;Startup;Shutdown"
    ),
}
KINDS: Mapping[str, Kind] = {name: kind for kind, names in _COLUMNS.items() for name in names.split(";")}
"""What a column holds, by its name, which means the same in every file; columns that are not here hold text."""


def kind_of(column: str) -> Kind:
    """What a column holds."""
    return KINDS.get(column, Kind.TEXT)


DOCUMENT_NAMES: Mapping[str, str | None] = {
    # of the run
    "EVENT_USER_MOVED": "EVENT_USER_MOVED",
    "TIME_WINDOW_STARTED": "EVENT_TIME_WINDOW_STARTED",
    "TIME_WINDOW_PROCESSED": "EVENT_TIME_WINDOW_PROCESSED",
    "EVENT_PLACEMENT_STARTED": "EVENT_PLACEMENT_STARTED",
    "PLACEMENT_PROCESSED": "PLACEMENT_PROCESSED",
    # of packets
    "PACKET_CREATED": "PACKET_CREATED",
    "PACKET_PROCESSED": "PACKET_PROCESSED",
    "EVENT_PACKET_ORPHAN": "EVENT_PACKET_ORPHAN",
    "PACKET_DROPPED_VNF_INSTANCE_QUEUE": "EVENT_PACKET_DROPPED_VNF_INSTANCE_QUEUE",
    "EVENT_PACKET_SLA_VIOLATED": None,
    "PACKET_DROPPED_LINK_QUEUE": None,
    "PACKET_LOST": None,
    # of packets in VNF instances
    "VNF_INSTANCE_PACKET_ARRIVED": "VNF_PACKET_ARRIVED",
    "VNF_INSTANCE_PACKET_DROPPED": None,
    "VNF_INSTANCE_PACKET_STARTED": "VNF_PACKET_PROCESS_STARTED",
    "VNF_INSTANCE_PACKET_PROCESSED": "VNF_PACKET_PROCESSED",
    "VNF_REMOTE_DATA_RECEIVED": "VNF_REMOTE_DATA_RECEIVED",
    "DISK_ACCESS": "DISK_ACCESS",
    "CPU_INCREASE_USAGE": "CPU_INCREASE_USAGE",
    "CPU_DECREASE_USAGE": "CPU_DECREASE_USAGE",
    "MEM_INCREASE_USAGE": "MEM_INCREASE_USAGE",
    "MEM_DECREASE_USAGE": "MEM_DECREASE_USAGE",
    # of packets on links
    "EVENT_LINK_ARRIVED": "EVENT_LINK_ARRIVED",
    "LINK_PACKET_STARTED": "LINK_PACKET_STARTED",
    "LINK_PACKET_SENT": "LINK_PACKET_SENT",
    "LINK_PACKET_DROPPED": None,
    "LINK_PACKET_LOST": None,
    # of instances
    "INSTANCE_CREATED": "INSTANCE_CREATED",
    "CPU_INCREASE_AVAILABILITY": "CPU_INCREASE_AVAILABILITY",
    "CPU_DECREASE_AVAILABILITY": "CPU_DECREASE_AVAILABILITY",
    "MEM_INCREASE_AVAILABILITY": "MEM_INCREASE_AVAILABILITY",
    "MEM_DECREASE_AVAILABILITY": "MEM_DECREASE_AVAILABILITY",
    **{
        f"SCALING_{way}_{what}{end}": f"SCALING_{way}" if not end else None
        for way in ("UP", "DOWN")
        for what in ("CPU", "MEM")
        for end in ("", "_FAIL")
    },
}
"""By an event's name in the files, its name in the simulator's document; None where that has none."""


FILE_NAMES: Mapping[str, str] = {
    document: name
    for name, document in DOCUMENT_NAMES.items()
    if document is not None and list(DOCUMENT_NAMES.values()).count(document) == 1
}
"""By an event's name in the document, its name in the files, where one name of the document is one of the files."""
