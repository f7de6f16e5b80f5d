"""A tree of domains, clients at its leaves.

In: depth, fan-out, clients at a leaf, latency and bandwidth of every trunk. Out: a Mininet `Topo`; `mn --custom
topologies/tree.py --topo tree_domains,depth=3`. Data only: must not import anything but Mininet.
"""

from mininet.topo import Topo

TRUNK_MTU = 1600  # room for NSH


class TreeDomains(Topo):
    """s1 is the root; the children of sN follow breadth first. Client H of leaf N is hNH with 10.N.0.H/8."""

    def build(self, depth=2, fanout=2, clients=1, delay_ms=2.0, bw=100.0):
        """`depth` counts levels of trunks below the root; `delay_ms` one way and `bw` in Mbit/s of every trunk."""
        count = sum(fanout**level for level in range(depth + 1))
        leaves = fanout**depth
        if not 1 <= count <= 255 or not 0 <= clients <= 9:
            raise ValueError(f"{count} switches, {clients} clients; expected 1..255 and 0..9")
        for number in range(1, count + 1):
            self.addSwitch(f"s{number}", dpid=f"{number:016x}", protocols="OpenFlow13")
            for index in range(1, clients + 1 if number > count - leaves else 1):
                self.addLink(self.addHost(f"h{number}{index}", ip=f"10.{number}.0.{index}/8"), f"s{number}")
            if number > 1:
                self.addLink(f"s{(number - 2) // fanout + 1}", f"s{number}", delay=f"{delay_ms}ms", bw=bw, mtu=TRUNK_MTU)


topos = {"tree_domains": TreeDomains}
