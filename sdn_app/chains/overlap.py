"""Whether two classifiers can match the same packet, and port ranges as masks. Pure.

A packet has a domain, a source, a destination and a protocol; TCP and UDP packets also have ports. A classifier that
names ports without a protocol matches TCP and UDP.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from ipaddress import IPv4Network

from sdn_app.chains.model import Chain, Classifier, PortRange, Protocol, Service

PORT_BITS = 16
WITH_PORTS = frozenset({Protocol.TCP, Protocol.UDP})


def effective_classifier(chain: Chain, services: Mapping[str, Service]) -> Classifier:
    """Give what a chain really matches: with a service, what goes to the service's address, port and protocol.

    A service that is not in `services` leaves the classifier as it is stated.
    """
    service = services.get(chain.service) if chain.service is not None else None
    if service is None:
        return chain.classifier
    return replace(
        chain.classifier,
        destination=IPv4Network(service.address),
        protocol=service.protocol,
        destination_ports=PortRange(service.port, service.port),
    )


def overlaps(a: Classifier, b: Classifier) -> bool:
    """Tell whether a packet exists that both match. Priorities do not count."""
    return _senders(a, b) and _receivers(a, b)


def conflict(chain: Chain, others: Iterable[Chain], services: Mapping[str, Service]) -> str | None:
    """Give the name of the first other chain of equal priority whose classifier overlaps with this one's."""
    mine = effective_classifier(chain, services)
    for other in others:
        theirs = other.classifier
        if theirs.priority != mine.priority or other.name == chain.name or not _senders(mine, theirs):
            continue  # what is cheap comes first: this runs for every pair of chains
        if _receivers(mine, effective_classifier(other, services)):
            return other.name
    return None


def _senders(a: Classifier, b: Classifier) -> bool:
    """Whether they overlap in what a service leaves as it is."""
    if a.domain is not None and b.domain is not None and a.domain != b.domain:
        return False
    return _ranges(a.source_ports, b.source_ports) and _prefixes(a.source, b.source)


def _receivers(a: Classifier, b: Classifier) -> bool:
    return (
        _ranges(a.destination_ports, b.destination_ports)
        and _protocols(a, b)
        and _prefixes(a.destination, b.destination)
    )


def _prefixes(a: IPv4Network | None, b: IPv4Network | None) -> bool:
    if a is None or b is None:
        return True
    mask = int(a.netmask) & int(b.netmask)
    return int(a.network_address) & mask == int(b.network_address) & mask


def _ranges(a: PortRange | None, b: PortRange | None) -> bool:
    return a is None or b is None or (a.first <= b.last and b.first <= a.last)


def _protocols(a: Classifier, b: Classifier) -> bool:
    if a.protocol is not None and b.protocol is not None and a.protocol is not b.protocol:
        return False
    ports = (a.source_ports, a.destination_ports, b.source_ports, b.destination_ports)
    named = a.protocol or b.protocol
    return named is None or named in WITH_PORTS or ports == (None, None, None, None)


def port_masks(ports: PortRange) -> tuple[tuple[int, int], ...]:
    """Give the fewest (value, mask) pairs that together match exactly the ports of a range, in ascending order."""
    masks: list[tuple[int, int]] = []
    first = ports.first
    while first <= ports.last:
        size = first & -first or 1 << PORT_BITS
        while first + size - 1 > ports.last:
            size >>= 1
        masks.append((first, (1 << PORT_BITS) - size))
        first += size
    return tuple(masks)
