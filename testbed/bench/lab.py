"""The bench's lab: a site for each way to steer, and the controllers of those that have one.

In: a machine. Out: sites with equal hosts: `ours`, `static` (entries by hand), `stock` (simple_switch_13 as shipped), `naive` and
`tracked` (`per_connection_app`, two ways), and `empty`, a bridge to write entries to. The end of the block ends everything.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from testbed.bench import static_flows
from testbed.bench.controllers import Running, controller
from testbed.bench.site import CLIENT_PORT, HTTP_PORTS, SERVANT_PORT, SERVICE_MAC, VIP, Site
from testbed.lab.machine import examine
from testbed.lab.record import LabRecord

SERVANTS, CHAIN_LENGTH = 2, 3
TYPES = ("firewall", "antivirus", "spamfilter", "firewall")  # of functions 0, 1, 2, 3
SPARE = 3
STRICT_PORT, HASH_PORT = HTTP_PORTS
NAIVE = str(Path(__file__).with_name("per_connection_app.py"))


@dataclass(frozen=True)
class BenchLab:
    """What is up. `api` is our controller."""

    ours: Site
    static: Site
    stock: Site
    naive: Site
    tracked: Site
    empty: Site
    api: Running


@contextmanager
def bench_lab(say: Callable[[str], None]) -> Iterator[BenchLab]:
    """Bring it up."""
    record = LabRecord("bench")
    if record.entries():
        say("ending what an earlier run left")
        record.undo()
    try:
        with ExitStack() as stack:
            datapath = examine(record).datapath
            sites = [Site(record, number, datapath) for number in range(1, 7)]
            ours, static, stock, naive, tracked, _ = sites
            for site in sites[:5]:
                site.add_client(None if site is ours else site.servant_mac(0) if site is stock else SERVICE_MAC)
                for _ in range(SERVANTS if site is not stock else 1):
                    site.add_servant(static_neighbours=site is not ours)
            for site, functions in ((ours, CHAIN_LENGTH + 1), (static, CHAIN_LENGTH)):
                for n in range(functions):
                    site.add_function(n)
            say(f"{len(sites)} bridges with {sum(len(s.servants) for s in sites)} servants")
            flows, groups = static_flows.connection_flows(static)
            static_flows.install(static, flows + static_flows.chain_flows(static, CHAIN_LENGTH), groups)
            api = stack.enter_context(controller("sdn_app.app"))
            for site, app, zone in ((stock, "ryu.app.simple_switch_13", 0), (naive, NAIVE, 0), (tracked, NAIVE, 1)):
                settings = {
                    "BENCH_SERVANTS": ",".join(f"{SERVANT_PORT + n}/{mac}" for n, (_, mac) in enumerate(site.servants)),
                    "BENCH_CLIENT_PORT": str(CLIENT_PORT),
                    "BENCH_ZONE": str(zone and static_flows.ZONE + site.number),
                }
                running = stack.enter_context(controller(app, stock=True, **settings))
                site.connect(running.openflow_port)
            # Open vSwitch clears a bridge's entries when it gets its first controller.
            flows, _ = static_flows.connection_flows(tracked, new="controller")
            static_flows.install(tracked, flows, [])
            ours.connect(api.openflow_port)
            _fill(ours, api)
            answering = [(ours, STRICT_PORT), (ours, HASH_PORT), *((site, STRICT_PORT) for site in sites[1:5])]
            for site, port in answering:
                _until_it_answers(site, port)
            yield BenchLab(*sites, api)
    finally:
        for problem in record.undo():
            say(f"could not end {problem}")


def _fill(site: Site, api: Running) -> None:
    wanted = (("strict", STRICT_PORT, "tcp"), ("hashed", HASH_PORT, "tcp"), ("sink", 9, "udp"), ("echo", 7, "udp"))
    for name, port, protocol in wanted:
        body = {"name": name, "address": VIP, "port": port, "protocol": protocol, "servant_type": "servant"}
        api.call("POST", "/services", body)
    for n in range(len(site.servants)):
        api.call("POST", "/vnf/servant/instances", site.servant_body(n))
    register_functions(site, api, range(len(TYPES)))
    for name, functions, balancing in (
        ("strict", (), "round-robin"),
        ("hashed", (), "hash"),
        ("sink", TYPES[:CHAIN_LENGTH], "round-robin"),
        ("echo", TYPES[:1], "round-robin"),
    ):
        body = {"name": name, "functions": list(functions), "service": name, "balancing": balancing}
        api.call("POST", "/chains?wait=5", body)


def register_functions(site: Site, api: Running, numbers: "range | tuple[int, ...]") -> None:
    """The two firewalls are probed, the others count as healthy while their ports are up."""
    for n in numbers:
        body = site.function_body(n, health=TYPES[n] == "firewall")
        api.call("POST", f"/vnf/{TYPES[n]}/instances", body)


def _until_it_answers(site: Site, port: int) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if site.measure("connections", address=VIP, port=port, seconds=0.05, at_once=1)["done"]:
            return
        time.sleep(0.3)
    raise RuntimeError(f"nothing answers on {site.bridge}, port {port}")
