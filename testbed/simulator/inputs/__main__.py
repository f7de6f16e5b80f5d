"""Writes an environment of real data: `python -m testbed.simulator.inputs --help`.

In: options. Out: a file of entities for `python -m testbed.simulator --load`, and with `--packet-flow` a file of arrivals for
PATH_PACKET_FLOW_FILE. Exit code 0; 2: an option is wrong, said in one line.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields

import numpy

from testbed.simulator.inputs import arrivals, functions, networks
from testbed.simulator.inputs.build import Capacities, build
from testbed.simulator.specification.checks import AT_LEAST_ONE, COUNT, NOT_NEGATIVE, POSITIVE
from testbed.simulator.specification.packet_flow import write_packet_flow
from testbed.simulator.specification.saved import save

EPILOG = """Units: packet sizes in Mbit (1,500 octets are 0.012), CPU in thousandths of a core, bandwidths in Mbit/s, times in ms.
Sources and licences of the data: testbed/simulator/inputs/data/README.md. What the data does not say is an option."""


MAY_BE_ZERO = ("energy_max", "energy_idle", "link_energy", "access_latency")


def positive(text: str) -> float:
    """A number greater than 0, of an option."""
    return POSITIVE.read(float(text))


def not_negative(text: str) -> float:
    """A number of at least 0, of an option."""
    return NOT_NEGATIVE.read(float(text))


def whole(text: str) -> int:
    """A whole number of at least 1, of an option."""
    return AT_LEAST_ONE.read(int(text))


def seed(text: str) -> int:
    """A whole number of at least 0, of an option."""
    return COUNT.read(int(text))


def parser() -> argparse.ArgumentParser:
    """The options; those of Capacities by their names."""
    result = argparse.ArgumentParser(
        "python -m testbed.simulator.inputs", description=__doc__.split("\n")[0], epilog=EPILOG
    )
    result.add_argument(
        "--network", default="melbourne", help="melbourne, four-domain, or a graph of topohub: abilene, sndlib/geant"
    )
    result.add_argument("--sites", type=whole, default=20, help="of melbourne, at random (most: 125)")
    result.add_argument(
        "--users", type=whole, default=50, help="of melbourne, at random (most: 816); elsewhere any number"
    )
    result.add_argument(
        "--functions", default="images", help="images (of this project), or a chain of the profile: nx-sc-sq"
    )
    result.add_argument(
        "--max-share", type=whole, default=1, help="requests an instance serves; its capacity stays what was measured"
    )
    result.add_argument(
        "--min-bandwidth", type=not_negative, default=1.0, help="Mbit/s that a chain holds after each function"
    )
    result.add_argument(
        "--total-time", type=positive, default=60_000.0, help="ms that requests last, and the end of arrivals"
    )
    result.add_argument(
        "--speed", type=positive, default=1.0, help="how many times as fast as they came the arrivals come"
    )
    result.add_argument(
        "--seed", type=seed, default=1, help="of what is drawn: sites, users, their chains and arrivals"
    )
    result.add_argument("--save", required=True, metavar="FILE", help="where the entities go (JSON)")
    result.add_argument("--packet-flow", metavar="FILE", help="where the arrivals go (CSV)")
    for each in fields(Capacities):
        result.add_argument(
            f"--{each.name.replace('_', '-')}",
            type=not_negative if each.name in MAY_BE_ZERO else positive,
            default=each.default,
            help=f"default: {each.default:g}",
        )
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the files that the options ask for."""
    options = parser().parse_args(arguments)
    try:
        _write(options)
    except (ValueError, OSError) as error:
        print(f"{parser().prog}: {error}", file=sys.stderr)
        return 2
    return 0


def _write(options: argparse.Namespace) -> None:
    places, wishes, packets = (
        numpy.random.default_rng(each) for each in numpy.random.SeedSequence(options.seed).spawn(3)
    )
    network = _network(options, places)
    costs = (options.max_share, options.min_bandwidth)
    given = (
        functions.of_images(*costs)
        if options.functions == "images"
        else functions.of_profile(options.functions, *costs)
    )
    came = arrivals.trace(options.speed, options.total_time)
    capacities = Capacities(**{each.name: getattr(options, each.name) for each in fields(Capacities)})
    source = arrivals.plain_source(came, options.users)
    entities = build(network, given, source, options.total_time, wishes, capacities)
    save(entities, options.save)
    if options.packet_flow:
        keys = [(request.user, request.sfc) for request in entities.sfc_requests.values()]
        write_packet_flow(
            options.packet_flow, dict(zip(keys, arrivals.by_user(came, options.users, packets), strict=True))
        )


def _network(options: argparse.Namespace, random: numpy.random.Generator) -> networks.Network:
    if options.network == "melbourne":
        return networks.melbourne(options.sites, options.users, random)
    if options.network == "four-domain":
        return networks.four_domain(options.users, random)
    return networks.of_topohub(options.network, options.users, random)


if __name__ == "__main__":
    sys.exit(main())
