"""What both worlds are told: the network, the chain's instances, what a request costs, and when each request is sent.

In: a TOML file, or nothing (`DEFAULT`: the four domains, two firewalls, three servants). Out: a frozen `Scenario`, and seeded arrivals.
Must not do: know of either world. A file states what differs from the default, for example

    duration_s = 20
    levels = [0.3, 0.7, 1.1]   # of the servants' capacity by their documents: servants * cpus / cost
    firewalls = { fw1 = 1, fw2 = 3 }    # instance = switch
    clients = { c2 = 1, c3 = 1, c4 = 2 }  # each client's weight in the requests
    delays_ms = { 1-2 = 5.0 }  # one way
    [servant]
    cost_ms = 10
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy
import tomllib

from testbed.simulator.specification.checks import AT_LEAST_ONE, COUNT, NOT_NEGATIVE, POSITIVE, Kind, Section, number
from testbed.simulator.specification.problems import Problem, Problems, SpecificationError
from topologies.four_domain import BANDWIDTH_MBPS, DELAYS_MS

LEAST_QUOTA_MS = 1.0  # the kernel takes no smaller one
SWITCHES = (1, 2, 3, 4)
CLIENTS = ("c2", "c3", "c4")


@dataclass(frozen=True, slots=True)
class Servant:
    """What every servant is given. `cost_ms`: CPU time a request; `queue`: requests that may wait; `cpus`: its quota in cores, which the
    kernel hands out in pieces of `cpus * period_ms` every `period_ms`.

    Docker's own period is 100 ms: a request then runs at full speed until the piece is used up. The simulator knows one constant speed,
    which is what many small pieces come to, so the default is as short as the kernel allows for this quota."""

    cost_ms: float = 10.0
    queue: int = 16
    cpus: float = 0.2
    period_ms: float = 5.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """Invariants: names are those of the four-domain topology; every level is above 0. `clients`: weight by name."""

    seed: int = 1
    duration_s: float = 20.0
    levels: tuple[float, ...] = (0.3, 0.7, 1.1)
    timeout_s: float = 5.0
    firewalls: Mapping[str, int] = field(default_factory=lambda: {"fw1": 1, "fw2": 3})
    servants: Mapping[str, int] = field(default_factory=lambda: {"srv1": 1, "srv2": 1, "srv3": 1})
    clients: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(CLIENTS, 1.0))
    delays_ms: Mapping[tuple[int, int], float] = field(default_factory=lambda: dict(DELAYS_MS))
    bandwidth_mbps: float = BANDWIDTH_MBPS
    servant: Servant = field(default_factory=Servant)

    @property
    def capacity_rps(self) -> float:
        """Requests a second that all servants together answer, by their documents."""
        return len(self.servants) * self.servant.cpus / self.servant.cost_ms * 1000

    def rate_rps(self, level: float, client: str) -> float:
        """A client's mean rate."""
        return level * self.capacity_rps * self.clients[client] / sum(self.clients.values())

    def arrivals(self, number: int) -> dict[str, tuple[float, ...]]:
        """When each client sends its requests at the level with this number: ms since its start, Poisson, open loop.

        A client's times depend on the seed, the level and its own number only.
        """
        return {
            client: _poisson(
                numpy.random.default_rng([self.seed, number, position]),
                self.rate_rps(self.levels[number], client),
                1000 * self.duration_s,
            )
            for position, client in enumerate(sorted(self.clients))
        }


DEFAULT = Scenario()


def domain_of(client: str) -> int:
    """The switch that a client is at."""
    return int(client[1])


def _poisson(random: numpy.random.Generator, rate_rps: float, until_ms: float) -> tuple[float, ...]:
    times: list[float] = []
    while not times or times[-1] < until_ms:
        gaps = random.exponential(1000 / rate_rps, 64)
        times.extend(((times[-1] if times else 0.0) + numpy.cumsum(gaps)).tolist())
    return tuple(round(time, 3) for time in times if time < until_ms)


# from a file --------------------------------------------------------------------------------------------------------
def load(path: Path) -> Scenario:
    """Raises:
    SpecificationError: the file cannot be read, or something in it is wrong; names all of it.
    """
    try:
        value = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SpecificationError(str(path), [Problem("", f"{error.strerror}", "a file that can be read")]) from error
    except ValueError as error:
        raise SpecificationError(str(path), [Problem("", str(error), "TOML in UTF-8")]) from error
    return parse(value, str(path))


def parse(value: Mapping[str, Any], file: str = "") -> Scenario:
    """Raises:
    SpecificationError: something is wrong; names all of it.
    """
    problems = Problems(file)
    root = Section(value, "", problems)
    one = DEFAULT.servant
    servant = Section(value.get("servant", {}), "servant", problems)
    root.declare("servant", "firewalls", "servants", "clients", "delays_ms")
    scenario = Scenario(
        seed=root.get("seed", COUNT, DEFAULT.seed),
        duration_s=root.get("duration_s", POSITIVE, DEFAULT.duration_s),
        levels=root.choices("levels", POSITIVE, DEFAULT.levels),
        timeout_s=root.get("timeout_s", POSITIVE, DEFAULT.timeout_s),
        firewalls=_table(value, "firewalls", _switch, DEFAULT.firewalls, problems),
        servants=_table(value, "servants", _switch, DEFAULT.servants, problems),
        clients=_table(value, "clients", POSITIVE, DEFAULT.clients, problems),
        delays_ms=_delays(value, problems),
        bandwidth_mbps=root.get("bandwidth_mbps", POSITIVE, DEFAULT.bandwidth_mbps),
        servant=Servant(
            cost_ms=servant.get("cost_ms", POSITIVE, one.cost_ms),
            queue=servant.get("queue", COUNT, one.queue),
            cpus=servant.get("cpus", number(more_than=0, at_most=1), one.cpus),
            period_ms=servant.get("period_ms", number(at_least=1, at_most=1000), one.period_ms),
        ),
    )
    root.close()
    servant.close()
    if not problems.found:
        _check(scenario, problems)
    problems.close()
    return scenario


def _read_switch(value: object) -> int:
    read = AT_LEAST_ONE.read(value)
    if read not in SWITCHES:
        raise ValueError
    return read


_switch = Kind("a switch from 1 to 4", _read_switch)


def _table(value: Mapping[str, Any], name: str, kind: Kind[Any], default: Mapping[str, Any], problems: Problems) -> Any:
    if name not in value:
        return default
    section = Section(value[name], name, problems)
    given = value[name] if isinstance(value[name], dict) else {}
    if not given and section.usable:
        problems.add(name, given, "at least one")
    return {each: section.get(each, kind) for each in given}


def _delays(value: Mapping[str, Any], problems: Problems) -> dict[tuple[int, int], float]:
    links = {f"{a}-{b}": (a, b) for a, b in DELAYS_MS}
    section = Section(value.get("delays_ms", {}), "delays_ms", problems)
    delays = {link: section.get(name, NOT_NEGATIVE, DEFAULT.delays_ms[link]) for name, link in links.items()}
    section.close()
    return delays


def _check(scenario: Scenario, problems: Problems) -> None:
    for name in scenario.clients:
        if name not in CLIENTS:
            problems.add(f"clients.{name}", name, f"one of {', '.join(CLIENTS)}")
    servant = scenario.servant
    if servant.cpus * servant.period_ms < LEAST_QUOTA_MS - 1e-9:
        expected = (
            f"at least {LEAST_QUOTA_MS / servant.cpus:g}: the kernel's least quota is {LEAST_QUOTA_MS:g} ms a period"
        )
        problems.add("servant.period_ms", servant.period_ms, expected)
    longest_s = (servant.queue + 1) * servant.cost_ms / servant.cpus / 1000
    if scenario.timeout_s < 1.5 * longest_s:
        expected = (
            f"at least {1.5 * longest_s:g}: a full queue takes {longest_s:g} s, and no request is to time out in it"
        )
        problems.add("timeout_s", scenario.timeout_s, expected)
