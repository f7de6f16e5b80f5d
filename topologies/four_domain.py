"""The four-domain emergency network: headquarters (domain 1) and three buildings (domains 2, 3, 4) with clients.

`mn --custom topologies/four_domain.py --topo four_domain` runs it on plain Mininet; add `--link tc` for the latencies. Data, no
behaviour. Virtual links 1-2, 1-3, 1-4, 2-3, 3-4 as the ARCA draft has them (draft-pedro-anticipated-adaptation-00, section
6.2); it states no latencies. The defaults here make the direct, two-hop and three-hop ways from each building differ:

    from domain 2: 5 ms direct, 11 ms by 3, 13 ms by 3 and 4;  3: 8, 8 + .. by 2 or 4;  4: 6 ms direct
"""

from mininet.topo import Topo

DELAYS_MS = {(1, 2): 5.0, (1, 3): 7.0, (1, 4): 6.0, (2, 3): 4.0, (3, 4): 3.0}
BANDWIDTH_MBPS = 100.0
TRUNK_MTU = 1600


class FourDomain(Topo):
    """Switches s1 to s4, one a domain; clients `cN` (and `cN_2`, ...) in domains 2, 3 and 4.

    Parameters: `clients` in each building; `delays_ms` one way, by link; `bandwidth_mbps`, `jitter_ms`, `loss_percent` for all.
    """

    def build(
        self,
        clients: int = 1,
        delays_ms: dict[tuple[int, int], float] | None = None,
        bandwidth_mbps: float = BANDWIDTH_MBPS,
        jitter_ms: float = 0.0,
        loss_percent: float = 0.0,
    ) -> None:
        for number in range(1, 5):
            self.addSwitch(f"s{number}", dpid=f"{number:016x}", protocols="OpenFlow13")
        for building in (2, 3, 4):
            for serial in range(1, int(clients) + 1):
                name = f"c{building}" if serial == 1 else f"c{building}_{serial}"
                host = self.addHost(name, ip=f"10.{building}.0.{serial}/8")
                self.addLink(host, f"s{building}")
        for (a, b), delay_ms in {**DELAYS_MS, **(delays_ms or {})}.items():
            self.addLink(
                f"s{a}",
                f"s{b}",
                delay=f"{delay_ms}ms",
                bw=bandwidth_mbps,
                jitter=f"{jitter_ms}ms" if jitter_ms else None,
                loss=loss_percent or None,
            )


topos = {"four_domain": FourDomain}
