"""Checks of netem and of Open vSwitch's kernel datapath, with the shapes of flow that the controller writes.

Two hosts on two bridges, NSH between them, the path kept in conntrack on the first:

    alice -- stock1 ==trunk== stock2 -- bob

Everything made here is removed by `remove_net`; each name begins with `stock`.
"""

import re
from contextlib import suppress

from testbed.stock_kernel.shell import CheckFailed, expect, run

DELAY_MS = 5
SPI, REVERSE_SPI, MARK = 5, 6, 5
BOB = "10.9.0.2"

ENCAP = "encap(nsh(md_type=1)),set_field:{spi}->nsh_spi,set_field:255->nsh_si,encap(ethernet),output:2"
# Ports: 1 the host, 2 the trunk. Tables: 0 admission, 1 connection, 3 commit, 4 steer or deliver, 5 and 6 the way back.
STOCK1_FLOWS = f"""
table=0,priority=10,in_port=1,arp,actions=output:2
table=0,priority=10,in_port=2,arp,actions=output:1
table=0,priority=10,in_port=1,ip,actions=ct(zone=1,table=1)
table=0,priority=10,in_port=2,dl_type=0x894f,nsh_spi={REVERSE_SPI},nsh_si=255,actions=decap(),decap(),resubmit(,5)
table=1,priority=10,ct_state=+trk+new,ip,actions=group:1
table=1,priority=10,ct_state=+trk+est-new,ct_mark={MARK},ip,actions=set_field:{MARK}->reg1,resubmit(,4)
table=3,priority=10,ip,actions=ct(commit,zone=1,exec(set_field:{MARK}->ct_mark)),resubmit(,4)
table=4,priority=10,reg1={MARK},ip,actions={ENCAP.format(spi=SPI)}
table=5,priority=10,ip,actions=ct(zone=1,table=6)
table=6,priority=10,ct_state=+trk+est+rpl,ct_mark={MARK},ip,actions=output:1
"""
STOCK1_GROUP = (
    "group_id=1,type=select,selection_method=dp_hash,"
    f"bucket=bucket_id:1,weight:100,actions=set_field:{MARK}->reg1,resubmit(,3),"
    f"bucket=bucket_id:2,weight:100,actions=set_field:{MARK}->reg1,resubmit(,3)"
)
STOCK2_FLOWS = f"""
table=0,priority=10,in_port=1,arp,actions=output:2
table=0,priority=10,in_port=2,arp,actions=output:1
table=0,priority=10,in_port=2,dl_type=0x894f,nsh_spi={SPI},nsh_si=255,actions=decap(),decap(),resubmit(,4)
table=0,priority=10,in_port=1,ip,actions={ENCAP.format(spi=REVERSE_SPI)}
table=4,priority=10,ip,actions=output:1
"""


def make_net() -> str:
    """Make the two hosts and the two bridges on the kernel datapath, with the flows of the controller's shapes."""
    remove_net()
    run("systemctl start openvswitch-switch")
    run("ip link add stocktrunk1 mtu 1600 type veth peer name stocktrunk2 mtu 1600")
    for number, host in ((1, "alice"), (2, "bob")):
        bridge, port = f"stock{number}", f"stockhost{number}"
        run(f"ovs-vsctl add-br {bridge} -- set bridge {bridge} datapath_type=system fail_mode=secure")
        run(f"ip netns add stock-{host} && ip link add {port} type veth peer name eth0 netns stock-{host}")
        run(f"ip -n stock-{host} address add 10.9.0.{number}/24 dev eth0")
        run(f"ip -n stock-{host} link set lo up && ip -n stock-{host} link set eth0 up")
        run(f"ip link set {port} up && ip link set stocktrunk{number} up")
        run(
            f"ovs-vsctl add-port {bridge} {port} -- set interface {port} ofport_request=1 "
            f"-- add-port {bridge} stocktrunk{number} -- set interface stocktrunk{number} ofport_request=2"
        )
    run(f"ovs-ofctl -O OpenFlow15 add-group stock1 '{STOCK1_GROUP}'")
    run(f"ovs-ofctl -O OpenFlow15 add-flows stock1 - <<'FLOWS'{STOCK1_FLOWS}FLOWS")
    run(f"ovs-ofctl -O OpenFlow15 add-flows stock2 - <<'FLOWS'{STOCK2_FLOWS}FLOWS")
    expect("system@ovs-system" in run("ovs-appctl dpif/show"), run("ovs-appctl dpif/show"))
    features = run("ovs-appctl dpif/show-dp-features stock1")
    seen = re.findall(
        r"^(CT zone|CT mark|CT state|Max dp_hash algorithm|Masked set action|Recirc|NSH): *(.+)$", features, re.M
    )
    return f"system@ovs-system, flows and group accepted; {', '.join(f'{name} {value}' for name, value in seen)}"


def remove_net() -> None:
    """Remove what `make_net` made, as far as it is there."""
    for command in (
        "ovs-vsctl --if-exists del-br stock1 -- --if-exists del-br stock2",
        "ip netns delete stock-alice",
        "ip netns delete stock-bob",
        "ip link delete stocktrunk1",
    ):
        with suppress(CheckFailed):
            run(command)


def ping(count: int = 20) -> tuple[float, float, str]:
    """Ping bob from alice; return the least and mean round trip in ms, and ping's summary."""
    answer = run(f"ip netns exec stock-alice ping -c {count} -i 0.2 -W 5 {BOB}")
    least, mean = re.search(r"= ([\d.]+)/([\d.]+)/", answer).groups()  # type: ignore[union-attr]  # run() saw ping succeed
    return float(least), float(mean), answer


def nsh_ping() -> str:
    """Pings pass both ways through NSH and conntrack in the kernel: seen on the wire and in the kernel's flows."""
    ping(2)
    capture = "timeout 20 tcpdump -nn -c 4 -i stocktrunk1 ether proto 0x894f 2>/dev/null"
    wire = run(f"{capture} & sleep 3; ip netns exec stock-alice ping -c 5 -i 0.2 {BOB} >/dev/null; wait $!")
    flows = run("ovs-appctl dpctl/dump-flows")
    for action in ("push_nsh", "pop_nsh", "push_eth", "pop_eth", "hash(", "ct(commit"):
        expect(action in flows, f"no {action} in the kernel's flows: {flows}")
    tracked = run("ovs-appctl dpctl/dump-conntrack zone=1 | grep mark=5 | head -1")
    expect(f"mark={MARK}" in tracked, tracked)
    return f"{len(wire.splitlines())} NSH frames captured on the trunk; conntrack: {tracked}"


def tcp(offload: str) -> str:
    """One HTTP download of 20 MB through NSH with the hosts' checksum offload on or off."""
    for host in ("alice", "bob"):
        run(f"ip netns exec stock-{host} ethtool -K eth0 tx {offload} rx {offload}")
    run("mkdir -p /tmp/stock && truncate -s 20M /tmp/stock/file")
    server = f"ip netns exec stock-bob timeout 120 python3 -m http.server -d /tmp/stock --bind {BOB} 80 >/dev/null 2>&1"
    client = (
        "ip netns exec stock-alice timeout 60 python3 -c 'import time, urllib.request; time.sleep(4); started = time.time(); "
        f'size = len(urllib.request.urlopen("http://{BOB}/file", timeout=30).read()); '
        "print(size, round(size * 8e-6 / (time.time() - started)))'"
    )
    answer = run(f"{server} & {client}; code=$?; kill %1; wait; exit $code", timeout_s=130).splitlines()[-1]
    size, rate_mbit_s = answer.split()
    expect(int(size) == 20 * 2**20, answer)
    return f"{size} bytes at {rate_mbit_s} Mbit/s"


def tcp_offload_on() -> str:
    """Whether `tx off rx off` is needed here too: a fact to report, not a requirement."""
    try:
        return tcp("on")
    except CheckFailed as problem:
        return f"does not pass (the lab turns offload off): {str(problem)[-60:]}"


def netem() -> str:
    """5 ms each way by netem on the trunk add 10 ms to the round trip, within 10 % or 0.5 ms."""
    before, _, _ = ping()
    for port in ("stocktrunk1", "stocktrunk2"):
        run(f"tc qdisc replace dev {port} root netem delay {DELAY_MS}ms limit 10000")
    after, mean, _ = ping()
    for port in ("stocktrunk1", "stocktrunk2"):
        run(f"tc qdisc delete dev {port} root")
    added = after - before
    seen = f"least round trip {before:.2f} ms, with netem {after:.2f} ms (mean {mean:.2f} ms): {added:.2f} of {2 * DELAY_MS} ms added"
    expect(abs(added - 2 * DELAY_MS) <= max(0.5, 0.1 * 2 * DELAY_MS), seen)
    return seen


def leave_nothing() -> str:
    """What the checks made is gone."""
    remove_net()
    left = run("ip -o link | grep -o 'stock[a-z0-9]*' || true") + run("ip netns list | grep stock- || true")
    expect(not left, f"left: {left}")
    return "bridges, namespaces and links removed"


CHECKS = [
    ("OVS kernel datapath takes the flows", make_net),
    ("ping through NSH and conntrack", nsh_ping),
    ("TCP through NSH, offload off", lambda: tcp("off")),
    ("TCP through NSH, offload on (fact)", tcp_offload_on),
    ("netem delays", netem),
    ("data plane checks clean up", leave_nothing),
]
