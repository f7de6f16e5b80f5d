"""The rival without a controller: flow entries written by hand for `Site`, as short as the task allows.

New connections: one conntrack zone, the servant in ct_mark, chosen by a select group. Chain: input port to output port.
"""

import subprocess

from testbed.bench.site import CLIENT_PORT, FUNCTION_PORT, SERVANT_PORT, VIP, Site

ZONE = 900


def connection_flows(site: Site, new: str = "group:1") -> tuple[list[str], list[str]]:
    """(flows, groups): every connection to the service stays with the servant that was chosen, by the group's hash or by
    what else `new` says."""
    zone = ZONE + site.number
    flows = [f"table=0,priority=100,tcp,in_port={CLIENT_PORT},nw_dst={VIP},actions=ct(zone={zone},table=1)"]
    flows += [f"table=1,priority=100,ct_state=+trk+new,tcp,actions={new}"]
    flows += [f"table=2,priority=100,ct_state=+trk+est,tcp,actions=output:{CLIENT_PORT}"]
    buckets = []
    for n, (_, mac) in enumerate(site.servants):
        port, mark = SERVANT_PORT + n, n + 1
        send = f"mod_dl_dst:{mac},output:{port}"
        flows += [
            f"table=0,priority=100,tcp,in_port={port},actions=ct(zone={zone},table=2)",
            f"table=1,priority=200,ct_state=+trk+est,ct_mark={mark},tcp,actions={send}",
            f"table=3,priority=100,tcp,reg1={mark},actions=ct(commit,zone={zone},exec(set_field:{mark}->ct_mark)),{send}",
        ]
        buckets.append(f"bucket=weight:100,actions=set_field:{mark}->reg1,resubmit(,3)")
    return flows, [f"group_id=1,type=select,selection_method=dp_hash,{','.join(buckets)}"]


def chain_flows(site: Site, functions: int) -> list[str]:
    """UDP from the client through functions 0, 1, .. to the first servant, and back."""
    ends = [FUNCTION_PORT + n for n in range(2 * functions)]
    ports = [CLIENT_PORT, *ends, SERVANT_PORT]
    mac = site.servants[0][1]
    flows = []
    for here, there in zip(ports[::2], ports[1::2], strict=True):
        rewrite = f"mod_dl_dst:{mac}," if there == SERVANT_PORT else ""
        flows += [
            f"table=0,priority=100,udp,in_port={here},actions={rewrite}output:{there}",
            f"table=0,priority=100,udp,in_port={there},actions=output:{here}",
        ]
    return flows


def install(site: Site, flows: list[str], groups: list[str]) -> None:
    """Write them."""
    for group in groups:
        subprocess.run(["ovs-ofctl", "-O", "OpenFlow15", "add-group", site.bridge, group], check=True)
    add_flows(site, flows)


def add_flows(site: Site, flows: list[str]) -> None:
    """Write flow entries as one bundle."""
    command = ["ovs-ofctl", "-O", "OpenFlow14", "--bundle", "add-flows", site.bridge, "-"]
    subprocess.run(command, input="\n".join(flows), text=True, check=True)
