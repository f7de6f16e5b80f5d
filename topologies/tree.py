"""A tree of switches: `mn --custom topologies/tree.py --topo sfc_tree,2,2`. Clients at the leaves, domain 1 is the root."""

from mininet.topo import Topo


class Tree(Topo):
    """A tree of `depth` levels of links with `fanout` children each. `delay_ms` is one way, of every link."""

    def build(self, depth: int = 2, fanout: int = 2, delay_ms: float = 2.0, bandwidth_mbps: float = 100.0) -> None:
        level = [1]
        self.addSwitch("s1", dpid=f"{1:016x}", protocols="OpenFlow13")
        number = 1
        for _ in range(int(depth)):
            below = []
            for parent in level:
                for _ in range(int(fanout)):
                    number += 1
                    self.addSwitch(f"s{number}", dpid=f"{number:016x}", protocols="OpenFlow13")
                    self.addLink(f"s{parent}", f"s{number}", delay=f"{delay_ms}ms", bw=bandwidth_mbps)
                    below.append(number)
            level = below
        for leaf in level:
            self.addLink(self.addHost(f"c{leaf}", ip=f"10.{leaf}.0.1/8"), f"s{leaf}")


topos = {"sfc_tree": Tree}
