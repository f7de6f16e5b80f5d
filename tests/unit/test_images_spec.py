"""What images need, how tags follow content, and the pure parts of what runs inside."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from testbed.lab import images

for part in ("base", "firewall", "servant"):
    sys.path.append(str(images.IMAGES_FOLDER / part))

from firewall.ruleset import parse_counts  # noqa: E402
from servant.http import BadRequest, parse  # noqa: E402  (found by the path above)
from vnf import plumbing  # noqa: E402
from vnf.plumbing import Bridge, Link, Port, Wiring, parse_links, plan, problems, split  # noqa: E402

INLINE = Wiring(
    (Port("in0", data=True), Port("out0", data=True), Port("mgmt0", ("10.254.0.2/24",))), Bridge("br0", ("in0", "out0"))
)


def table(**changes: object) -> dict[str, object]:
    given: dict[str, object] = {
        "kind": "inline",
        "summary": "s",
        "data_ports": ["in0", "out0"],
        "required_environment": ["MGMT_ADDRESS"],
        "privileges": {"user": "0:0", "capabilities": ["NET_ADMIN"], "read_only": True},
        "limits": {"memory_mib": 64, "cpus": 0.5, "pids": 32},
        "traffic": {"ports": [80], "fail": "closed"},
    }
    return {**given, **changes}


def test_every_image_has_a_spec_and_base_comes_first() -> None:
    assert images.image_names()[0] == "base"
    for name in images.image_names():
        assert images.image_spec(name).tag.startswith(f"sfc-lab/{name}:")


def test_run_options_drop_everything_but_what_is_named() -> None:
    options = images.parse_spec("firewall", table()).run_options({"MGMT_ADDRESS": "10.254.0.2/24"}, cpus=0.25)
    assert (options["cap_drop"], options["cap_add"]) == (["ALL"], ["NET_ADMIN"])
    assert options["nano_cpus"] == 250_000_000 and options["network_mode"] == "none" and options["read_only"] is True


def test_devices_are_handed_into_the_container() -> None:
    options = images.parse_spec("firewall", table(devices=["/dev/net/tun"])).run_options({"MGMT_ADDRESS": "10.0.0.1/8"})
    assert options["devices"] == ["/dev/net/tun:/dev/net/tun:rwm"]


def test_what_was_measured_is_told() -> None:
    spec = images.parse_spec("firewall", table(capacity={"packets_pps": 9000, "connections_cps": 500, "cpus": 1}))
    assert spec.capacity == images.Capacity(9000, 500, 1)
    assert spec.traffic == images.Traffic((80,), "closed")


def test_run_options_name_the_missing_variable() -> None:
    with pytest.raises(images.ImageProblem, match="MGMT_ADDRESS"):
        images.parse_spec("firewall", table()).run_options()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"colour": 1}, "unknown member colour"),
        ({"limits": {"memory_mib": 64, "cpus": 0, "pids": 32}}, "limits.cpus is 0; expected a number above 0"),
        ({"limits": {"memory_mib": 64, "cpus": 1, "pids": 32, "x": 1}}, "unknown member limits.x"),
        ({"data_ports": ["in0"]}, "kind 'inline' with 1 data_ports"),
        ({"traffic": {"ports": [0], "fail": "closed"}}, r"traffic.ports is \[0\]; expected a list of TCP ports"),
        ({"traffic": {"ports": [], "fail": "x"}}, "traffic.fail is 'x'; expected 'closed' or 'open'"),
        ({"capacity": {"packets_pps": 1, "cpus": 1}}, "capacity.connections_cps is missing"),
        ({"kind": "servant", "data_ports": ["in0"]}, "traffic is for kind 'inline'"),
        ({"sysctls": {"a": 1}}, "sysctls.a is 1; expected a string"),
        ({"privileges": {"user": "0", "capabilities": []}}, "privileges.read_only is missing"),
    ],
)
def test_a_wrong_spec_is_refused_with_the_member(changes: dict[str, object], said: str) -> None:
    with pytest.raises(images.ImageProblem, match=said):
        images.parse_spec("firewall", table(**changes))


def test_a_tag_follows_the_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("base", "one"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text("FROM x\n")
    monkeypatch.setattr(images, "IMAGES_FOLDER", tmp_path)
    before = images.image_tag("one")
    assert images.image_tag("one") == before
    (tmp_path / "base" / "Dockerfile").write_text("FROM y\n")
    assert images.image_tag("one") != before


def link(name: str, index: int, *, up: bool = True, master: str | None = None, addresses: tuple[str, ...] = ()) -> Link:
    return Link(name, index, up, up, master, frozenset(addresses))


def test_a_plan_is_empty_when_all_is_as_desired() -> None:
    ports = [
        link("in0", 2, master="br0"),
        link("out0", 3, master="br0"),
        link("mgmt0", 4, addresses=("10.254.0.2/24",)),
        link("br0", 5),
    ]
    found = {port.name: port for port in ports}
    assert plan(INLINE, found, frozenset({2, 3, 4, 5})) == []
    assert problems(INLINE, found) == []


def test_a_port_that_was_plugged_in_anew_is_bridged_again() -> None:
    found = {"br0": link("br0", 5), "out0": link("out0", 3, master="br0"), "in0": link("in0", 9, up=False)}
    commands = plan(INLINE, found, frozenset({3, 5}))
    assert ("ip", "link", "set", "in0", "addrgenmode", "none", "master", "br0") in commands
    assert commands[-1] == ("ip", "link", "set", "in0", "up")
    assert problems(INLINE, found) == ["in0 is down", "mgmt0 is not plugged in"]


def test_a_port_that_its_bridge_does_not_use_yet_is_a_problem() -> None:
    found = {
        "br0": link("br0", 5),
        "out0": link("out0", 3, master="br0"),
        "in0": replace(link("in0", 2, master="br0"), port_state="disabled"),
        "mgmt0": link("mgmt0", 4, addresses=("10.254.0.2/24",)),
    }
    assert problems(INLINE, found) == ["in0 does not forward: disabled"]
    found["in0"] = replace(found["in0"], port_state="forwarding")
    assert problems(INLINE, found) == []


def test_a_port_that_comes_while_commands_run_loses_its_offloads_too(monkeypatch: pytest.MonkeyPatch) -> None:
    ran: list[tuple[str, ...]] = []
    looks = [{}, {"in0": link("in0", 2, up=False)}, {"in0": link("in0", 2, up=False)}, {"in0": link("in0", 2)}]
    monkeypatch.setattr(plumbing, "look", lambda: looks.pop(0))
    plumber = plumbing.Plumber(Wiring((Port("in0", data=True),), Bridge("br0", ("in0", "out0"))))
    monkeypatch.setattr(plumber, "_run", ran.append)
    for _ in range(2):
        plumber.apply()
    assert ("ethtool", "-K", "in0", "tx", "off", "rx", "off") in ran


def test_links_are_read_from_what_ip_prints() -> None:
    shown = [
        {
            "ifname": "in0",
            "ifindex": 2,
            "flags": ["UP", "LOWER_UP"],
            "addr_info": [{"family": "inet", "local": "10.1.0.1", "prefixlen": 8}],
        }
    ]
    assert parse_links(shown)["in0"] == link("in0", 2, addresses=("10.1.0.1/8",))
    shown[0]["linkinfo"] = {"info_slave_data": {"state": "disabled"}}
    assert parse_links(shown)["in0"].port_state == "disabled"
    assert split("10.0.0.1/8, 10.0.0.2") == ("10.0.0.1/8", "10.0.0.2/32")


def test_counters_are_read_from_what_nft_prints() -> None:
    rule = {
        "chain": "forward",
        "comment": "telnet",
        "expr": [{"match": {}}, {"counter": {"packets": 2, "bytes": 120}}, {"drop": None}],
    }
    plain = {"chain": "forward", "expr": [{"counter": {"packets": 1, "bytes": 60}}]}
    telnet, second = parse_counts([{"chain": {"hook": "forward"}}, {"rule": rule}, {"rule": plain}])
    assert (telnet.rule, telnet.verdict, telnet.packets) == ("telnet", "drop", 2)
    assert (second.rule, second.verdict) == ("forward-2", "continue")


def test_requests_are_parsed_whole_or_not_at_all() -> None:
    text = b"POST /a HTTP/1.1\r\nContent-Length: 3\r\n\r\nabcGET"
    assert parse(text[:30]) is None and parse(text[:-5]) is None
    request = parse(text)
    assert request is not None and (request.path, request.keep_alive, text[request.size :]) == ("/a", True, b"GET")


@pytest.mark.parametrize(
    "text", [b"GET\r\n\r\n", b"GET / HTTP/2\r\n\r\n", b"x" * 9000, b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"]
)
def test_malformed_requests_are_refused(text: bytes) -> None:
    with pytest.raises(BadRequest):
        parse(text)
