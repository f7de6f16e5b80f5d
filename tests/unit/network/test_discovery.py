"""Links and latencies from timed probes."""

import pytest

from sdn_app.network.discovery import SELF_PORT, Discovery

KEY = b"key"


def pass_over(discovery: Discovery, a: tuple[int, int], b: tuple[int, int], sent: float, took_s: float) -> bool:
    return discovery.received(*b, discovery.probe(*a, sent), sent + took_s)


@pytest.fixture
def joined() -> Discovery:
    """Switch 1 port 2 and switch 2 port 3, 5 ms apart, control channels of 1 ms."""
    discovery = Discovery(KEY, timeout_s=3.0)
    for n in range(4):
        pass_over(discovery, (1, 2), (2, 3), float(n), 0.006)
        pass_over(discovery, (2, 3), (1, 2), float(n), 0.006)
        for switch in (1, 2):
            pass_over(discovery, (switch, SELF_PORT), (switch, 0xFFFFFFFD), float(n), 0.001)
    return discovery


def test_both_directions_make_links_with_the_latency_between(joined: Discovery) -> None:
    there, back = joined.links()
    assert (there.a, there.a_port, there.b, there.b_port) == (1, 2, 2, 3)
    assert (back.a, back.a_port, back.b, back.b_port) == (2, 3, 1, 2)
    assert there.latency_ms == back.latency_ms == pytest.approx(5.0, abs=0.01)
    assert joined.is_trunk(1, 2) and joined.is_trunk(2, 3) and not joined.is_trunk(1, 3)


def test_one_direction_is_a_trunk_but_no_link() -> None:
    discovery = Discovery(KEY)
    assert pass_over(discovery, (1, 2), (2, 3), 0.0, 0.001)
    assert not pass_over(discovery, (1, 2), (2, 3), 1.0, 0.001)  # nothing new
    assert discovery.links() == []
    assert discovery.is_trunk(2, 3)


def test_what_delays_a_probe_by_chance_does_not_count(joined: Discovery) -> None:
    pass_over(joined, (1, 2), (2, 3), 10.0, 0.5)
    assert joined.links()[0].latency_ms == pytest.approx(5.0, abs=0.01)


def test_a_latency_is_never_under_a_hundredth_of_a_millisecond() -> None:
    discovery = Discovery(KEY)
    for a, b in 3 * (((1, 2), (2, 3)), ((2, 3), (1, 2))):
        pass_over(discovery, a, b, 0.0, 0.001)
    for switch in (1, 2):
        pass_over(discovery, (switch, SELF_PORT), (switch, 0), 0.0, 0.002)
    assert discovery.links()[0].latency_ms == 0.01


@pytest.mark.parametrize("spoil", [0, 14, 20, 25, 34, 45])
def test_a_probe_that_was_changed_is_not_believed(spoil: int) -> None:
    discovery = Discovery(KEY)
    frame = bytearray(discovery.probe(1, 2, 0.0))
    frame[spoil] ^= 1
    assert discovery.received(2, 3, bytes(frame), 0.001) is (spoil < 14)  # the Ethernet header is nobody's secret


def test_other_frames_are_not_believed() -> None:
    discovery = Discovery(KEY)
    frame = discovery.probe(1, 2, 0.0)
    for cut in range(len(frame)):
        assert not discovery.received(2, 3, frame[:cut], 0.001)
    assert not Discovery(b"another").received(2, 3, frame, 0.001)
    assert not discovery.received(1, 5, frame, 0.001)  # back to where it came from
    assert not discovery.received(2, 3, frame, 3600.0)  # replayed
    assert not discovery.received(2, 3, discovery.probe(1, 2, 5.0), 4.0)  # from the future
    assert discovery.links() == [] and not discovery.is_trunk(2, 3)


def test_padding_does_not_matter() -> None:
    discovery = Discovery(KEY)
    assert discovery.received(2, 3, discovery.probe(1, 2, 0.0) + bytes(20), 0.001)


def test_a_link_that_leads_elsewhere_is_new(joined: Discovery) -> None:
    assert pass_over(joined, (1, 2), (3, 9), 5.0, 0.006)
    assert joined.links() == []


def test_links_go_with_their_port_switch_or_time(joined: Discovery) -> None:
    assert not joined.port_down(1, 9)
    assert joined.port_down(2, 3)
    assert joined.links() == [] and not joined.is_trunk(1, 2)


def test_links_go_with_their_switch(joined: Discovery) -> None:
    assert joined.switch_down(2)
    assert not joined.switch_down(2)
    assert joined.links() == []


def test_links_go_when_no_probe_comes(joined: Discovery) -> None:
    assert not joined.expire(5.0)
    joined.hold(1, 6.0)
    assert not joined.expire(8.5)
    assert joined.expire(9.5)
    assert joined.links() == []
