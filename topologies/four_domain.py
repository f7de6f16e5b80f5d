"""The four-domain network: headquarters in domain 1, clients in domains 2, 3 and 4.

In: latencies, bandwidth, jitter, loss and the number of clients. Out: a Mininet `Topo`; `mn --custom topologies/four_domain.py
--topo four_domain,clients=2`. Links 1-2, 1-3, 1-4, 2-3, 3-4. With the defaults a direct, a two-hop and a three-hop path to the
headquarters differ: from domain 2 they take 5, 11 and 18 ms one way. Data only: must not import anything but Mininet, so that
`mn` can load this file alone.
"""

from mininet.topo import Topo

TRUNK_MTU = 1600  # room for NSH
MAX_CLIENTS = 9  # a host is h<domain><index>, one digit


class FourDomain(Topo):
    """Switch sN is domain N; client H of domain N is hNH with 10.N.0.H/8. `msAB` is the one-way latency of link A-B."""

    def build(
        self, clients=1, ms12=5.0, ms13=7.0, ms14=8.0, ms23=4.0, ms34=6.0, bw=100.0, jitter_ms=0.0, loss=0.0, hq_clients=0
    ):
        """`clients` per domain 2-4, `hq_clients` in domain 1; `bw` in Mbit/s, `loss` in percent, of every trunk."""
        if not 0 <= clients <= MAX_CLIENTS or not 0 <= hq_clients <= MAX_CLIENTS:
            raise ValueError(f"clients: {clients}, hq_clients: {hq_clients}; expected 0..{MAX_CLIENTS}")
        for number in range(1, 5):
            self.addSwitch(f"s{number}", dpid=f"{number:016x}", protocols="OpenFlow13")
            for index in range(1, (hq_clients if number == 1 else clients) + 1):
                name = self.addHost(f"h{number}{index}", ip=f"10.{number}.0.{index}/8")
                self.addLink(name, f"s{number}")
        for (a, b), delay_ms in {(1, 2): ms12, (1, 3): ms13, (1, 4): ms14, (2, 3): ms23, (3, 4): ms34}.items():
            shape = {"delay": f"{delay_ms}ms", "bw": bw, "mtu": TRUNK_MTU}
            if jitter_ms:
                shape["jitter"] = f"{jitter_ms}ms"
            if loss:
                shape["loss"] = loss
            self.addLink(f"s{a}", f"s{b}", **shape)


topos = {"four_domain": FourDomain}
