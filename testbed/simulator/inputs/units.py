"""The units in which real data enters the simulator, so that its formulas hold as they are.

- A packet's size is in Mbit: `size / bandwidth * 1000` is the time in ms on a link of `bandwidth` Mbit/s. A full packet of 1,500
  octets has size 0.012.
- CPU is in thousandths of a processor core: `size * packet_cpu_demand / cpu * 1000` is the time in ms on `cpu / 1000` cores where
  `packet_cpu_demand` is in ms of one core for a Mbit.

In: measured rates. Out: demands. Must not do: read files.
"""

PACKET_OCTETS = 1500
PACKET_MBIT = PACKET_OCTETS * 8 / 1e6
CORE = 1000.0


def demand_of_packet_rate(packets_pps: float, cpus: float, max_share: int) -> float:
    """ms of one core for a Mbit of full packets, of a function that passed `packets_pps` of them with `cpus` cores.

    An instance serves `max_share` packets at once, each with all of its CPU; so that it carries what was measured, and no
    more, each takes `max_share` times as long.
    """
    return cpus * 1000.0 / (packets_pps * PACKET_MBIT) * max_share


def packet_rate_of_throughput(kilobytes_per_s: float) -> float:
    """Full packets a second of a throughput in kB/s (1 kB is 1,000 octets)."""
    return kilobytes_per_s * 1000.0 / PACKET_OCTETS
