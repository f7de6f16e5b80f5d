"""A chain of switches: `mn --custom topologies/linear.py --topo sfc_linear,3`. Clients everywhere but in domain 1."""

from mininet.topo import Topo


class Linear(Topo):
    """Switches s1 to sN in a row, a client on each but the first. `delay_ms` is one way, of every link."""

    def build(self, switches: int = 3, delay_ms: float = 2.0, bandwidth_mbps: float = 100.0) -> None:
        for number in range(1, int(switches) + 1):
            self.addSwitch(f"s{number}", dpid=f"{number:016x}", protocols="OpenFlow13")
            if number > 1:
                self.addLink(self.addHost(f"c{number}", ip=f"10.{number}.0.1/8"), f"s{number}")
                self.addLink(f"s{number - 1}", f"s{number}", delay=f"{delay_ms}ms", bw=bandwidth_mbps)


topos = {"sfc_linear": Linear}
