"""Overlap of classifiers against packets that they match, and ranges as masks."""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise, product

from hypothesis import given
from hypothesis import strategies as st

from sdn_app.chains.model import Chain, Classifier, PortRange, Protocol, Service
from sdn_app.chains.overlap import conflict, effective_classifier, overlaps, port_masks

PREFIXES = [None, *map(IPv4Network, ("10.0.0.0/30", "10.0.0.0/31", "10.0.0.2/31", "10.0.0.1/32", "10.0.0.2/32"))]
ADDRESSES = [IPv4Address("10.0.0.0") + number for number in range(4)]
PORTS = range(4)
WEB = Service("web", IPv4Address("10.0.0.100"), 80)


@dataclass(frozen=True)
class Packet:
    domain: int
    source: IPv4Address
    destination: IPv4Address
    protocol: Protocol | str
    source_port: int | None
    destination_port: int | None


@st.composite
def ranges(draw: st.DrawFn) -> PortRange:
    first = draw(st.sampled_from(PORTS))
    return PortRange(first, draw(st.integers(first, 3)))


@st.composite
def classifiers(draw: st.DrawFn) -> Classifier:
    protocol = draw(st.sampled_from([None, *Protocol]))
    ported = protocol is not Protocol.ICMP
    return Classifier(
        draw(st.sampled_from([None, 1, 2])),
        draw(st.sampled_from(PREFIXES)),
        draw(st.sampled_from(PREFIXES)),
        protocol,
        draw(st.none() | ranges()) if ported else None,
        draw(st.none() | ranges()) if ported else None,
    )


def matches(wanted: Classifier, packet: Packet) -> bool:
    def within(ports: PortRange | None, port: int | None) -> bool:
        return ports is None or (port is not None and ports.first <= port <= ports.last)

    return (
        wanted.domain in (None, packet.domain)
        and (wanted.source is None or packet.source in wanted.source)
        and (wanted.destination is None or packet.destination in wanted.destination)
        and wanted.protocol in (None, packet.protocol)
        and within(wanted.source_ports, packet.source_port)
        and within(wanted.destination_ports, packet.destination_port)
    )


LAYERS: list[tuple[Protocol | str, int | None, int | None]] = [("other", None, None), (Protocol.ICMP, None, None)]
LAYERS += list(product((Protocol.TCP, Protocol.UDP), PORTS, PORTS))
PACKETS = [Packet(*ends, *layer) for *ends, layer in product((1, 2), ADDRESSES, ADDRESSES, LAYERS)]


@given(classifiers(), classifiers())
def test_they_overlap_where_a_packet_matches_both(a: Classifier, b: Classifier) -> None:
    exists = any(matches(a, packet) and matches(b, packet) for packet in PACKETS)
    assert overlaps(a, b) == exists == overlaps(b, a)


@given(classifiers())
def test_a_classifier_overlaps_with_itself(a: Classifier) -> None:
    assert overlaps(a, a)


def test_ports_without_a_protocol_do_not_meet_icmp() -> None:
    assert not overlaps(Classifier(destination_ports=PortRange(80, 80)), Classifier(protocol=Protocol.ICMP))
    assert overlaps(Classifier(), Classifier(protocol=Protocol.ICMP))


def test_a_chain_with_a_service_matches_what_goes_there() -> None:
    chain = Chain("a", (), Classifier(domain=2), service="web")
    wanted = effective_classifier(chain, {"web": WEB})
    assert wanted == Classifier(2, None, IPv4Network("10.0.0.100/32"), Protocol.TCP, None, PortRange(80, 80))
    assert effective_classifier(chain, {}) == chain.classifier


def test_conflict_names_the_other_chain_of_equal_priority() -> None:
    services = {"web": WEB}
    chain = Chain("a", (), Classifier(), service="web")
    assert conflict(chain, [chain], services) is None
    assert conflict(chain, [Chain("b", (), Classifier(priority=7), service="web")], services) is None
    assert conflict(chain, [Chain("b", (), Classifier(protocol=Protocol.UDP))], services) is None
    others = [Chain("b", (), Classifier(protocol=Protocol.UDP)), Chain("c", (), Classifier(domain=3), service="web")]
    assert conflict(chain, others, services) == "c"
    to_host = Chain("d", (), Classifier(destination=IPv4Network("10.1.0.0/16")))
    assert conflict(chain, [to_host], services) is None


@given(st.integers(0, 65535), st.integers(0, 65535))
def test_masks_match_exactly_the_range(one: int, two: int) -> None:
    ports = PortRange(min(one, two), max(one, two))
    masks = port_masks(ports)
    spans = [(value, value + 0xFFFF - mask) for value, mask in masks]
    assert all(value & mask == value for value, mask in masks)
    assert spans[0][0] == ports.first and spans[-1][1] == ports.last
    assert all(after[0] == before[1] + 1 for before, after in pairwise(spans))
    assert len(masks) <= 30


def test_known_ranges() -> None:
    assert port_masks(PortRange(80, 80)) == ((80, 0xFFFF),)
    assert port_masks(PortRange(0, 65535)) == ((0, 0),)
    assert port_masks(PortRange(1000, 1003)) == ((1000, 0xFFFC),)
    assert len(port_masks(PortRange(1, 65534))) == 30
