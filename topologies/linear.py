"""A line of domains, clients in each.

In: the number of switches and clients, latency and bandwidth of every trunk. Out: a Mininet `Topo`; `mn --custom
topologies/linear.py --topo linear_domains,switches=5`. Data only: must not import anything but Mininet.
"""

from mininet.topo import Topo

TRUNK_MTU = 1600  # room for NSH


class LinearDomains(Topo):
    """s1 - s2 - ... - sK; client H of domain N is hNH with 10.N.0.H/8."""

    def build(self, switches=4, clients=1, delay_ms=5.0, bw=100.0):
        """`delay_ms` one way and `bw` in Mbit/s of every trunk."""
        if not 1 <= switches <= 255 or not 0 <= clients <= 9:
            raise ValueError(f"switches: {switches}, clients: {clients}; expected 1..255 and 0..9")
        for number in range(1, switches + 1):
            self.addSwitch(f"s{number}", dpid=f"{number:016x}", protocols="OpenFlow13")
            for index in range(1, clients + 1):
                self.addLink(self.addHost(f"h{number}{index}", ip=f"10.{number}.0.{index}/8"), f"s{number}")
            if number > 1:
                self.addLink(f"s{number - 1}", f"s{number}", delay=f"{delay_ms}ms", bw=bw, mtu=TRUNK_MTU)


topos = {"linear_domains": LinearDomains}
