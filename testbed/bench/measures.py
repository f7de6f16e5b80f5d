"""The measures of the bench's lab. Each gives rows; ours and the rival take turns, and a row is the median of the repetitions.

In: a lab, how long and how often. Out: rows. Names are RFC 8456's where it has the metric.
"""

import json
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from testbed.bench import packet_in, static_flows
from testbed.bench.lab import CHAIN_LENGTH, HASH_PORT, SPARE, STRICT_PORT, BenchLab, register_functions
from testbed.bench.site import VIP, Site, result_of
from testbed.bench.table import Row, middle, percentile

AT_ONCE = 16
WARM_S = 0.3
STATS_SETTLE_S = 1.0  # the switch's counters follow traffic within about half a second
CRASH_AIM_MS = 200.0
HANG_AIM_MS = 5000.0
GENERATOR_AIM, LAB_AIM, HASH_AIM = 5.0, 3.0, 0.8
CHAINS = 1000


@dataclass(frozen=True)
class Effort:
    """How long one measurement takes and how often it is repeated."""

    seconds: float
    repeats: int
    requests: int
    hang_repeats: int


QUICK = Effort(0.8, 1, 5, 1)
FULL = Effort(2.0, 3, 20, 2)
Say = Callable[[str], None]


def generator(effort: Effort, say: Say) -> list[Row]:
    """Packet-ins from a switch that forwards nothing: the controllers alone."""
    ours, stock = [], []
    for n in range(effort.repeats):
        say(f"packet-in generator {n + 1}/{effort.repeats}")
        stock.append(packet_in.stock_rate(effort.seconds))
        ours.append(packet_in.our_rate(effort.seconds))
    rival = "stock simple_switch_13"
    rates = [rate.per_s for rate in ours]
    name = "Asynchronous Message Processing Rate, strict turn, packet-in generator"
    row = Row(name, "1/s", middle(rates), rival, middle([s.per_s for s in stock]), True, f">= {GENERATOR_AIM:g}x")
    rows = [_met(row, (row.ratio or 0) >= GENERATOR_AIM)]
    for part in ("p50", "p99"):
        mine, other = (middle([getattr(r, f"{part}_ms") for r in side]) for side in (ours, stock))
        rows.append(
            Row(f"Asynchronous Message Processing Time, {part}, one outstanding", "ms", mine, rival, other, False)
        )
    return rows


def new_connections(lab: BenchLab, effort: Effort, say: Say) -> list[Row]:
    """New HTTP connections a second through a real switch, and the time from a SYN to its answer."""
    ways = {
        "strict": (lab.ours, STRICT_PORT),
        "hash": (lab.ours, HASH_PORT),
        "static": (lab.static, STRICT_PORT),
        "naive": (lab.naive, STRICT_PORT),
        "tracked": (lab.tracked, STRICT_PORT),
        "stock": (lab.stock, STRICT_PORT),
    }
    rates, first, asked = defaultdict(list), defaultdict(list), defaultdict(float)
    failed: dict[str, int] = {}
    for site, port in ways.values():  # caches and interpreters warm, and the network settled
        site.measure("connections", address=VIP, port=port, seconds=WARM_S, at_once=AT_ONCE)
    for n in range(effort.repeats):
        for name, (site, port) in ways.items():
            say(f"new connections {n + 1}/{effort.repeats}: {name}")
            before = site.packet_ins()
            load = site.measure("connections", address=VIP, port=port, seconds=effort.seconds, at_once=AT_ONCE)
            alone = site.measure("connections", address=VIP, port=port, seconds=effort.seconds / 2, at_once=1)
            time.sleep(STATS_SETTLE_S)
            rates[name].append(load["per_s"])
            first[name].append(alone["waits_ms"])
            failed[name] = failed.get(name, 0) + load["failed"] + alone["failed"]
            asked[name] += (site.packet_ins() - before) / max(1, load["done"] + alone["done"])
    rivals = {
        "static": "static flows by hand",
        "naive": "Ryu, entries per connection",
        "tracked": "Ryu, conntrack by packet-out",
        "stock": "stock simple_switch_13 (no balancing)",
    }
    rows = []
    for mode in ("strict", "hash"):
        label = "strict turn" if mode == "strict" else "hash mode"
        for rival, text in rivals.items():
            name = f"Reactive Path Provisioning Rate, {label}, new connections"
            row = Row(name, "1/s", middle(rates[mode]), text, middle(rates[rival]), True, samples=rates[mode])
            if (mode, rival) == ("strict", "naive"):
                row = _met(row, (row.ratio or 0) >= LAB_AIM, f">= {LAB_AIM:g}x")
            if (mode, rival) == ("hash", "static"):
                row = _met(row, (row.ratio or 0) >= HASH_AIM, f">= {HASH_AIM:g}x")
            rows.append(row)
        for percent in (50, 99):
            name = f"Reactive Path Provisioning Time, {label}, first packet p{percent}"
            for rival, text in rivals.items():
                mine, other = (middle([percentile(w, percent) for w in first[each]]) for each in (mode, rival))
                rows.append(Row(name, "ms", mine, text, other, False))
    for name in ways:
        per = asked[name] / effort.repeats
        row = Row(f"Packet-ins per new connection, {name}", "", per, "", None, False)
        if name == "hash":
            row = _met(row, per < 0.001, "0")
        rows.append(row)
    for name, broken in failed.items():
        row = Row(f"Failed connections, {name}", "", broken, "", None, False)
        rows.append(_met(row, broken == 0, "0") if name in ("strict", "hash") else row)
    return rows


def chain_throughput(lab: BenchLab, effort: Effort, say: Say) -> list[Row]:
    """Small datagrams through three functions, as many as arrive without loss."""
    rates: dict[Site, list[float]] = {lab.ours: [], lab.static: []}
    for n in range(effort.repeats):
        for site, values in rates.items():
            say(f"three-function chain {n + 1}/{effort.repeats}: {site.bridge}")
            values.append(site.measure("packets", address=VIP, seconds=effort.seconds, window=256, size=18)["per_s"])
    ours, static = rates.values()
    name = f"Packets through a chain of {CHAIN_LENGTH} functions"
    return [Row(name, "1/s", middle(ours), "static flows by hand", middle(static), True, samples=ours)]


def provisioning(lab: BenchLab, effort: Effort, say: Say) -> list[Row]:
    """From a request for a chain to the switch's barrier, one at a time and 1,000 as one change."""
    say(f"chain requests: {effort.requests}")
    took, rival = [], []
    for n in range(effort.requests):
        before = _plain(lab.ours)
        began = time.perf_counter()
        lab.api.call("POST", "/chains?wait=30", _chain(n))
        took.append((time.perf_counter() - began) * 1e3)
        flows = sorted(_plain(lab.ours) - before)
        rival.append(_bundle(lab.empty, flows))
        lab.api.call("DELETE", f"/chains/bench-{n}")
        _settled(lab)
    label = "the same entries by ovs-ofctl"
    rows = []
    for percent in (50, 99):
        mine, other = percentile(took, percent), percentile(rival, percent)
        rows.append(Row(f"Proactive Path Provisioning Time, one chain, p{percent}", "ms", mine, label, other, False))
    return rows


def many_chains(lab: BenchLab, effort: Effort, say: Say) -> list[Row]:
    """1,000 chains as one change."""
    say(f"{CHAINS} chains as one change")
    before = _plain(lab.ours)
    began = time.perf_counter()
    lab.api.call("POST", "/chains?wait=30", {"chains": [_chain(n) for n in range(CHAINS)]})
    all_ms = (time.perf_counter() - began) * 1e3
    pending = lab.api.call("GET", "/health")["pending_changes"]
    flows = sorted(_plain(lab.ours) - before)
    other_ms = _bundle(lab.empty, flows)
    if pending:
        say("the 1,000 chains were not behind the barrier within 30 s")
    name = f"Proactive Path Provisioning Time, {CHAINS:,} chains as one change ({len(flows):,} entries)"
    return [Row(name, "ms", all_ms, "the same entries by ovs-ofctl", other_ms, False)]


def resteering(lab: BenchLab, effort: Effort, say: Say) -> list[Row]:
    """The longest time without an echo, at 1 ms intervals, when the function under the connection crashes or hangs."""
    rows = []
    for kind, repeats, watch_s in (("crash", effort.repeats, 2.5), ("hang", effort.hang_repeats, 7.5)):
        gaps, rivals, back, rivals_back = [], [], [], []
        for n in range(repeats):
            say(f"re-steering after a {kind} {n + 1}/{repeats}")
            for found, (values, returned) in zip(
                _break(lab, kind, watch_s), ((gaps, back), (rivals, rivals_back)), strict=True
            ):
                values.append(found["gap_ms"])
                returned.append(found["came_back"])
            _restore(lab)
        aim = CRASH_AIM_MS if kind == "crash" else HANG_AIM_MS
        worst = max(gaps)
        row = Row(
            f"Network Re-Provisioning Time after a {kind}, worst of {repeats}", "ms", worst, "static flows by hand",
            max(rivals), False, rival_is_least=not any(rivals_back), samples=gaps,
        )  # fmt: skip
        rows.append(_met(row, all(back) and worst <= aim, f"<= {aim:g} ms"))
    return rows


def _break(lab: BenchLab, kind: str, seconds: float) -> list[dict[str, float]]:
    """Function 0 carries the connections (the spare one is drained meanwhile), then breaks on both sites."""
    _change(lab, SPARE, "draining")
    sites = (lab.ours, lab.static)
    processes = [site.begin("gap", address=VIP, seconds=seconds, interval_ms=1.0) for site in sites]
    for process in processes:
        assert process.stdout is not None
        if process.stdout.readline() != "runs\n":
            raise RuntimeError("no echo through function 0")
    _change(lab, SPARE, "active")
    time.sleep(0.5)
    for site in sites:
        (site.crash if kind == "crash" else site.hang)(0)
    return [result_of(process) for process in processes]


def _restore(lab: BenchLab) -> None:
    """Function 0 as it was, on both sites."""
    lab.static.add_function(0)
    lab.api.call("DELETE", "/vnf/firewall/instances/f0")
    lab.ours.add_function(0)
    register_functions(lab.ours, lab.api, (0,))
    _wait_for(lab, "f0")


def _change(lab: BenchLab, n: int, state: str) -> None:
    lab.api.call("PATCH", f"/instances/f{n}", {"state": state})
    _settled(lab)


def _wait_for(lab: BenchLab, instance: str) -> None:
    end = time.monotonic() + 20
    while lab.api.call("GET", f"/instances/{instance}")["status"] != "active":
        if time.monotonic() > end:
            raise RuntimeError(f"{instance} did not become active")
        time.sleep(0.05)
    _settled(lab)


def _settled(lab: BenchLab) -> None:
    end = time.monotonic() + 20
    while lab.api.call("GET", "/health")["pending_changes"]:
        if time.monotonic() > end:
            raise RuntimeError("changes stay pending")
        time.sleep(0.01)


def _chain(n: int) -> dict[str, object]:
    """Chain `n`: one function, and one client network of its own."""
    source = f"10.{100 + n // 250}.{n % 250}.0/24"
    return {
        "name": f"bench-{n}",
        "functions": ["antivirus"],
        "service": "strict",
        "classifier": {"source": source, "priority": 500},
    }


def _plain(site: Site) -> frozenset[str]:
    """Flow entries without counters, as `add-flows` takes them; entries with a meter are left out."""
    command = ["ovs-ofctl", "-O", "OpenFlow14", "--no-stats", "--no-names", "dump-flows", site.bridge]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    return frozenset(line.strip() for line in lines if "actions=" in line and "meter" not in line)


def _bundle(site: Site, flows: list[str]) -> float:
    """Write entries to a bridge as one bundle; ms. They are removed afterwards."""
    began = time.perf_counter()
    static_flows.add_flows(site, flows)
    took_ms = (time.perf_counter() - began) * 1e3
    subprocess.run(["ovs-ofctl", "-O", "OpenFlow13", "del-flows", site.bridge], check=True)
    return took_ms


def _met(row: Row, met: bool, aim: str | None = None) -> Row:
    document = {name: getattr(row, name) for name in row.__dataclass_fields__}
    return Row(**document | {"met": met, "aim": aim or row.aim})


MEASURES: dict[str, Callable[[BenchLab, Effort, Say], list[Row]]] = {
    "connections": new_connections,
    "chain": chain_throughput,
    "provisioning": provisioning,
    "resteering": resteering,
    "thousand": many_chains,
}
NAMES = ("generator", *MEASURES, "functions", "simulator")


def to_json(rows: list[Row], machine: str) -> str:
    """For other programs."""
    return json.dumps({"machine": machine, "rows": [row.document() for row in rows]}, indent=1)
