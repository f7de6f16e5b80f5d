"""A pair of encryption instances in real containers between two namespaces: what passes, what a listener sees, what is refused.

client -- in0 [first] out0 -- middle, a hub where the tests listen and inject -- in0 [second] out0 -- server. The ends' MAC
addresses are path tags, so a frame whose tag changed reaches nobody. Needs root and Docker; leaves nothing behind.
"""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import secrets
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.lab.dockerd import ensure_docker
from testbed.lab.images import ensure_image, image_spec
from tests.lab.test_images import eventually, run
from tests.support.recorded import new_container, new_namespace

pytestmark = pytest.mark.lab
SO_RCVBUFFORCE = 33  # linux/socket.h; Python has no name for it

CLIENT, MIDDLE, SERVER = "enct-cli", "enct-mid", "enct-srv"
MANAGEMENT = {"first": "10.254.0.21", "second": "10.254.0.22"}
PLAIN_SIDE = {"first": "in0", "second": "out0"}
TAGS = {CLIENT: "0a:5f:00:00:02:ff", SERVER: "0a:5f:00:00:01:ff"}
ADDRESSES = {(CLIENT, 4): "10.9.0.1", (SERVER, 4): "10.9.0.2", (CLIENT, 6): "fd09::1", (SERVER, 6): "fd09::2"}
PATTERN = b"never in clear on the way; "
KEYS = {number: secrets.token_hex(32) for number in (1, 2)}
IGNORE_OUTGOING = 23  # PACKET_IGNORE_OUTGOING of linux/if_packet.h
VERSIONS = pytest.mark.parametrize("version", [4, 6])


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """This thread's new sockets belong to the namespace; they stay there afterwards."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as before, open(f"/run/netns/{namespace}") as there:
        assert libc.setns(there.fileno(), 0) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert libc.setns(before.fileno(), 0) == 0


def made(namespace: str, version: int, kind: int) -> socket.socket:
    with inside(namespace):
        new = socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, kind)
    new.settimeout(5)
    return new


def raw(namespace: str, interface: str) -> socket.socket:
    """Hears what comes in by an interface, and sends frames out of it."""
    with inside(namespace):
        new = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        new.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)  # SO_RCVBUFFORCE
        new.setsockopt(263, IGNORE_OUTGOING, 1)
        new.bind((interface, 3))
    new.settimeout(0.3)
    return new


def heard(listening: socket.socket) -> list[bytes]:
    """All frames until it is quiet."""
    frames = []
    with contextlib.suppress(TimeoutError):
        while True:
            frames.append(listening.recv(65600))
    return frames


class Stretch:
    """Namespaces, cables and two containers; remembers what it made."""

    def __init__(self) -> None:
        self.client = ensure_docker()
        self.folder = tempfile.TemporaryDirectory(prefix="enct-")
        self.containers: dict[str, Any] = {}
        for name in (CLIENT, MIDDLE, SERVER):
            new_namespace(name)
        for part in ("all", "default"):  # the middle says nothing of its own
            run("ip", "netns", "exec", MIDDLE, "sysctl", "-qw", f"net.ipv6.conf.{part}.disable_ipv6=1")
        run("ip", "-n", MIDDLE, "link", "add", "hub", "type", "bridge", "mcast_snooping", "0")
        run("ip", "-n", MIDDLE, "link", "set", "hub", "addrgenmode", "none", "up")
        for name in MANAGEMENT:
            self.keys(name, 1)

    def keys(self, name: str, sending: int, *others: int) -> None:
        """Write an instance's key file."""
        lines = [f"{number} = {KEYS[number]}\n" for number in (sending, *others)]
        (Path(self.folder.name) / name).write_text(f"send = {sending}\n" + "".join(lines))

    def start(self, name: str, like: str = "", **environment: str) -> Any:
        """A container, with the settings of the first or second end."""
        like = like or name
        given = {"MGMT_ADDRESS": f"{MANAGEMENT[like]}/24", "PLAIN_SIDE": PLAIN_SIDE[like], "KEY_FILE": f"/keys/{name}"}
        container = new_container(
            self.client,
            ensure_image(self.client, "encryption"),
            f"enct-{name}",
            volumes={self.folder.name: {"bind": "/keys", "mode": "ro"}},
            **image_spec("encryption").run_options({**given, **environment}, cpus=1),
        )
        self.containers[name] = container
        container.start()
        return container

    def cable(self, name: str, port: str, namespace: str, peer: str) -> None:
        """A veth from a namespace into a container."""
        container = self.containers[name]
        container.reload()
        pid = str(container.attrs["State"]["Pid"])
        run("ip", "-n", namespace, "link", "add", peer, "type", "veth", "peer", "name", port, "netns", pid)
        run("ip", "netns", "exec", namespace, "ethtool", "-K", peer, "tx", "off", "rx", "off")

    def end(self, name: str, port: str, here: str, there: str) -> None:
        """Cable the plain side of an instance to a namespace that has addresses."""
        self.cable(name, port, here, "data")
        run("ip", "-n", here, "link", "set", "data", "address", TAGS[here])
        run("ip", "-n", here, "addr", "add", f"{ADDRESSES[here, 4]}/24", "dev", "data")
        run("ip", "-n", here, "addr", "add", f"{ADDRESSES[here, 6]}/64", "dev", "data", "nodad")
        run("ip", "-n", here, "link", "set", "data", "up")
        for version in (4, 6):
            run("ip", "-n", here, "neigh", "replace", ADDRESSES[there, version], "lladdr", TAGS[there], "dev", "data")

    def plug(self, name: str) -> None:
        """All cables of an instance."""
        here, there = (CLIENT, SERVER) if name == "first" else (SERVER, CLIENT)
        self.end(name, PLAIN_SIDE[name], here, there)
        self.cable(name, "out0" if name == "first" else "in0", MIDDLE, name)
        run("ip", "-n", MIDDLE, "link", "set", name, "master", "hub", "addrgenmode", "none", "up")
        run("ip", "netns", "exec", MIDDLE, "bridge", "link", "set", "dev", name, "learning", "off")
        self.cable(name, "mgmt0", here, "mgmt")
        run("ip", "-n", here, "addr", "add", "10.254.0.1/24", "dev", "mgmt")
        run("ip", "-n", here, "link", "set", "mgmt", "up")

    def get(self, name: str, path: str) -> str:
        url = f"http://{MANAGEMENT[name]}:8000/{path}"
        namespace = CLIENT if name == "first" else SERVER
        done = subprocess.run(
            ["ip", "netns", "exec", namespace, "curl", "-sS", "-m", "3", url], capture_output=True, text=True
        )
        return done.stdout

    def health(self, name: str) -> dict[str, Any]:
        text = self.get(name, "health")
        return dict(json.loads(text)) if text else {"status": "silent"}

    def ready(self) -> None:
        for name in MANAGEMENT:
            eventually(lambda name=name: self.health(name)["status"] == "ok")

    def metric(self, name: str, line: str) -> float:
        lines = self.get(name, "metrics").splitlines()
        return sum(float(text.split()[-1]) for text in lines if text.startswith(line))

    def drops(self, name: str) -> dict[str, float]:
        lines = [text for text in self.get(name, "metrics").splitlines() if text.startswith("vnf_drops_total{")]
        return {text.split('"')[1]: float(text.split()[-1]) for text in lines}

    def close(self) -> None:
        for container in self.containers.values():
            container.remove(force=True)
        for namespace in (CLIENT, MIDDLE, SERVER):
            run("ip", "netns", "del", namespace, check=False)
        self.folder.cleanup()


@contextlib.contextmanager
def stretched() -> Iterator[Stretch]:
    stretch = Stretch()
    try:
        for name in MANAGEMENT:
            stretch.start(name)
            stretch.plug(name)
        stretch.ready()
        yield stretch
    except BaseException:
        for name, container in stretch.containers.items():
            print(name, container.logs().decode()[-3000:])
        raise
    finally:
        stretch.close()


@pytest.fixture(scope="module")
def both() -> Iterator[Stretch]:
    """A pair that several tests share; none of them changes it for the others."""
    with stretched() as stretch:
        yield stretch


def ping(version: int, *options: str, here: str = CLIENT, there: str = SERVER) -> tuple[int, str]:
    command = ["ip", "netns", "exec", here, "ping", f"-{version}", "-W", "1", "-i", "0.05", *options]
    done = subprocess.run([*command, ADDRESSES[there, version]], capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def carried(version: int, here: str, there: str, octets: bytes) -> bytes:
    """What arrives of `octets` on a TCP connection from one end to the other."""
    with made(there, version, socket.SOCK_STREAM) as listening, made(here, version, socket.SOCK_STREAM) as sending:
        listening.bind((ADDRESSES[there, version], 0))
        listening.listen()
        sending.connect((ADDRESSES[there, version], listening.getsockname()[1]))
        taken, _ = listening.accept()
        thread = threading.Thread(target=lambda: (sending.sendall(octets), sending.shutdown(socket.SHUT_WR)))
        thread.start()
        taken.settimeout(10)
        with taken:
            arrived = b"".join(iter(lambda: taken.recv(1 << 20), b""))
        thread.join()
        return arrived


@VERSIONS
def test_everything_arrives_and_nothing_shows_on_the_way(both: Stretch, version: int) -> None:
    octets = PATTERN * 40000
    with raw(MIDDLE, "first") as towards_server, raw(MIDDLE, "second") as towards_client:
        assert ping(version, "-c", "5", "-p", PATTERN[:16].hex())[0] == 0
        for here, there in ((CLIENT, SERVER), (SERVER, CLIENT)):
            arrived = carried(version, here, there, octets)
            assert hashlib.sha256(arrived).digest() == hashlib.sha256(octets).digest()
        frames = heard(towards_server) + heard(towards_client)
    assert len(frames) > 1500
    for frame in frames:
        assert PATTERN[:8] not in frame
        assert frame[:6].hex(":") in TAGS.values() or frame[:2] == b"\x33\x33"  # multicast of the ends' own
        assert frame[12:14] == (b"\x08\x00" if frame[14] >> 4 == 4 else b"\x86\xdd")
        assert frame[23 if frame[14] >> 4 == 4 else 20] == 50
        assert len(frame) <= 1514


def datagram(both: Stretch) -> tuple[socket.socket, bytes]:
    """A server's socket, and the ESP frame of a datagram that was stopped on its way to it."""
    listening = made(SERVER, 4, socket.SOCK_DGRAM)
    listening.bind((ADDRESSES[SERVER, 4], 0))
    run("ip", "-n", MIDDLE, "link", "set", "second", "nomaster")
    try:
        with raw(MIDDLE, "first") as tap, made(CLIENT, 4, socket.SOCK_DGRAM) as sending:
            heard(tap)
            sending.sendto(PATTERN, listening.getsockname())
            (frame,) = (f for f in heard(tap) if f[23] == 50 and f[:6].hex(":") == TAGS[SERVER])
    finally:
        run("ip", "-n", MIDDLE, "link", "set", "second", "master", "hub")
        run("ip", "netns", "exec", MIDDLE, "bridge", "link", "set", "dev", "second", "learning", "off")
    listening.settimeout(0.5)
    return listening, frame


def test_replayed_altered_and_foreign_frames_are_dropped_and_counted(both: Stretch) -> None:
    listening, frame = datagram(both)
    altered = frame[:60] + bytes((frame[60] ^ 4,)) + frame[61:]
    foreign_key = frame[:34] + b"\x63" + frame[35:]
    clear = frame[:23] + b"\x11" + frame[24:]
    before = both.drops("second")
    with listening, raw(MIDDLE, "second") as injecting:
        for bad in (altered, foreign_key, clear, frame[:12] + b"\x08\x06" + bytes(46)):
            injecting.send(bad)
        with pytest.raises(TimeoutError):
            listening.recv(2000)
        injecting.send(frame)
        assert listening.recv(2000) == PATTERN
        for _ in range(3):
            injecting.send(frame)
        with pytest.raises(TimeoutError):
            listening.recv(2000)
    after = both.drops("second")
    changes = {reason: after[reason] - before.get(reason, 0) for reason in after if after[reason] != before.get(reason)}
    changes["altered"] = changes.pop("altered", 0) + changes.pop("not_authentic", 0)  # as its sender was known or not
    assert changes == {"altered": 1, "unknown_key": 1, "not_encrypted": 1, "not_ip": 1, "replayed": 3}


@VERSIONS
@pytest.mark.parametrize(("here", "there"), [(CLIENT, SERVER), (SERVER, CLIENT)])
def test_a_packet_without_room_is_cut_or_its_sender_is_told(both: Stretch, version: int, here: str, there: str) -> None:
    octets = 1500 - (28 if version == 4 else 48)
    run("ip", "-n", here, "route", "flush", "cache")
    run("ip", "-n", here, "-6", "route", "flush", "cache")
    assert ping(version, "-c", "1", here=here, there=there)[0] == 0
    _, said = ping(version, "-c", "3", "-M", "do", "-s", str(octets), here=here, there=there)
    assert f"mtu={1446 if version == 4 else 1426}" in said.replace(" = ", "=").replace("mtu ", "mtu="), said
    if version == 4:
        assert ping(version, "-c", "3", "-M", "dont", "-s", str(octets), here=here, there=there)[0] == 0
    else:
        assert (
            ping(version, "-c", "3", "-s", str(octets), here=here, there=there)[0] == 0
        )  # its kernel cuts from now on
    assert ping(version, "-c", "2", "-s", "20000", here=here, there=there)[0] == 0
    assert carried(version, here, there, PATTERN * 20000) == PATTERN * 20000


@VERSIONS
def test_what_a_sender_leaves_to_its_network_card_is_made_good(both: Stretch, version: int) -> None:
    octets = PATTERN * 100000
    run("ip", "netns", "exec", CLIENT, "ethtool", "-K", "data", "tx", "on", "tso", "on", "gso", "on")
    try:
        with raw(MIDDLE, "first") as towards_server:
            assert carried(version, CLIENT, SERVER, octets) == octets
            assert max(map(len, heard(towards_server))) <= 1514
    finally:
        run("ip", "netns", "exec", CLIENT, "ethtool", "-K", "data", "tx", "off", "rx", "off")


def test_rotation_under_load_loses_nothing(both: Stretch) -> None:
    count, arrived = 4000, {CLIENT: set[int](), SERVER: set[int]()}
    ends = {end: made(end, 4, socket.SOCK_DGRAM) for end in arrived}
    for end, opened in ends.items():
        opened.bind((ADDRESSES[end, 4], 7777))
        opened.settimeout(5)  # a busy machine may hold up a sender for longer than a second
        opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 23)  # what waits here is not lost under way

    def receive(end: str) -> None:
        with contextlib.suppress(TimeoutError):
            while len(arrived[end]) < count:
                arrived[end].add(int.from_bytes(ends[end].recv(2000)[:4], "big"))

    def send(end: str, to: str) -> None:
        for number in range(count):
            ends[end].sendto(number.to_bytes(4, "big") + bytes(400), (ADDRESSES[to, 4], 7777))
            time.sleep(0.0008)

    threads = [threading.Thread(target=receive, args=(end,)) for end in ends]
    threads += [threading.Thread(target=send, args=pair) for pair in ((CLIENT, SERVER), (SERVER, CLIENT))]
    for thread in threads:
        thread.start()
    steps = [(n, k) for k in ((1, 2), (2, 1), (2,), (2, 1), (1, 2), (1,)) for n in ("first", "second")]
    loaded = 'vnf_reloads_total{result="loaded"}'
    for name, keys in steps:  # a step begins when the one before it is in force: that is what makes a rotation safe
        before = both.metric(name, loaded)
        both.keys(name, *keys)
        both.containers[name].kill("SIGHUP")
        eventually(lambda name=name, before=before: both.metric(name, loaded) > before)
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    for opened in ends.values():
        opened.close()
    lost = {end: count - len(numbers) for end, numbers in arrived.items()}
    assert lost == {CLIENT: 0, SERVER: 0}, str([both.drops(name) for name in MANAGEMENT])
    for name in MANAGEMENT:
        assert both.metric(name, 'vnf_reloads_total{result="loaded"}') >= 6
        assert both.metric(name, "vnf_encryption_sending_key") == 1


def test_a_failed_reload_keeps_the_keys(both: Stretch) -> None:
    path = Path(both.folder.name) / "first"
    good = path.read_text()
    path.write_text("send = 1\n1 = 00ff\n")
    both.containers["first"].kill("SIGHUP")
    eventually(lambda: b"first:2: the key has 4 digits; expected 64" in both.containers["first"].logs())
    path.write_text(good)
    assert both.health("first")["status"] == "ok" and ping(4, "-c", "2")[0] == 0
    assert both.metric("first", 'vnf_reloads_total{result="refused"}') == 1


def test_packets_are_handled_without_privileges_and_keys_are_not_told(both: Stretch) -> None:
    container = both.containers["first"]
    pids = [row[1] for row in container.top()["Processes"] if "encryption.serve" in row[-1]]
    lines = Path(f"/proc/{pids[0]}/status").read_text().splitlines()
    status = dict(line.split(":\t", 1) for line in lines if ":\t" in line)
    assert status["Uid"].split()[0] == "10001" and status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapAmb"], 16) == 0
    told = container.logs().decode() + both.get("first", "metrics")
    assert KEYS[1] not in told and KEYS[2] not in told


def test_a_port_that_is_plugged_in_anew_and_a_restart_are_survived(both: Stretch) -> None:
    run("ip", "-n", CLIENT, "link", "del", "data")
    eventually(lambda: both.health("first").get("reason", "") == "in0 is not plugged in")
    both.end("first", "in0", CLIENT, SERVER)
    both.ready()
    eventually(lambda: ping(4, "-c", "1")[0] == 0)
    started = time.monotonic()
    both.containers["second"].stop(timeout=5)
    assert time.monotonic() - started < 3
    both.containers["second"].reload()
    assert both.containers["second"].attrs["State"]["ExitCode"] == 0
    eventually(lambda: "second" not in run("ip", "-n", MIDDLE, "-br", "link"))
    both.containers["second"].start()
    both.plug("second")
    both.ready()
    eventually(lambda: ping(6, "-c", "1")[0] == 0)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "wrong:2: the key has other signs than hex digits"),
        ({"PLAIN_SIDE": "mgmt0"}, "in0 or out0"),
        ({"KEY_FILE": "/keys/none"}, "/keys/none: [Errno 2]"),
    ],
)
def test_a_wrong_start_ends_with_the_reason(both: Stretch, environment: dict[str, str], said: str) -> None:
    (Path(both.folder.name) / "wrong").write_text("send = 1\n1 = xyz\n")
    container = both.start("wrong", "first", **environment)
    try:
        assert container.wait(timeout=10)["StatusCode"] == 2
        assert said.encode() in container.logs()
    finally:
        both.containers.pop("wrong").remove(force=True)
