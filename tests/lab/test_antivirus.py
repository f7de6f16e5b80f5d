"""The antivirus in a real container between two namespaces: what must be stopped is stopped, and all else passes unharmed."""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import io
import json
import random
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.test_images import CLIENT, Bench, eventually, run
from tests.support.firewall_bench import SERVER, STREAM, TO_CLIENT, TO_SERVER, made
from tests.support.firewall_bench import raw as whole_frames
from tests.support.frames import ACK, frame, mac, tcp
from tests.support.recorded import new_namespace

pytestmark = pytest.mark.lab

MANAGEMENT = "10.254.0.21"
SERVER_V4, SERVER_V6 = "10.9.0.2", "fd00:9::2"
STREAM_SERVER = Path(__file__).resolve().parents[1] / "support" / "stream_server.py"
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR" + b"-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
CLEAN = random.Random(1).randbytes(3_000_000)


class Site:
    """client -- in0 antivirus out0 -- server, IPv4 and IPv6."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.folder = Path(bench.folder.name)
        self.served = self.folder / "served"
        self.rules = self.folder / "signatures"
        self.served.mkdir()
        self.rules.mkdir()
        new_namespace(SERVER)
        self.server: subprocess.Popen[str] | None = None
        self.container: Any = None

    def start(self, **environment: str) -> None:
        from testbed.lab.images import image_spec

        for path in (image_spec("antivirus").folder / "signatures").glob("*.yar"):
            (self.rules / path.name).write_bytes(path.read_bytes())
        volumes = {str(self.rules): {"bind": "/rules", "mode": "ro"}}
        given = {"MGMT_ADDRESS": f"{MANAGEMENT}/24", "SIGNATURES_FOLDER": "/rules", **environment}
        self.container = self.bench.start("antivirus", "av1", volumes, **given)
        self.plug()
        command = ["ip", "netns", "exec", SERVER, sys.executable, str(STREAM_SERVER), str(self.served)]
        self.server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.server.stdout is not None and self.server.stdout.readline() == "ready\n"
        self.wait()

    def plug(self) -> None:
        self.bench.cable(self.container, "mgmt0", "avm0", "10.254.0.1/24")
        self.bench.cable(self.container, "in0", "av-in", "10.9.0.1/24", "fd00:9::1/64")
        run("ip", "-n", CLIENT, "link", "set", "av-in", "address", TO_CLIENT)
        pid = str(self.container.attrs["State"]["Pid"])
        run("ip", "-n", SERVER, "link", "add", "eth0", "type", "veth", "peer", "name", "out0", "netns", pid)
        run("ip", "netns", "exec", SERVER, "ethtool", "-K", "eth0", "tx", "off", "rx", "off")
        for address in (f"{SERVER_V4}/24", f"{SERVER_V6}/64"):
            run("ip", "-n", SERVER, "addr", "add", address, "dev", "eth0")
        run("ip", "-n", SERVER, "link", "set", "eth0", "address", TO_SERVER, "up")

    def restart(self) -> None:
        """The container forgets everything; meanwhile nothing passes."""
        self.container.restart(timeout=8)
        for where, name in ((CLIENT, "avm0"), (CLIENT, "av-in"), (SERVER, "eth0")):
            run("ip", "-n", where, "link", "del", name, check=False)  # gone already where the kernel was quick
        self.plug()
        self.wait()

    def wait(self) -> None:
        try:
            eventually(lambda: self.bench.ok(MANAGEMENT) or self.ended(), 15)
            address = f"[{SERVER_V6}]:80"
            eventually(lambda: self.bench.curl("-o", "/dev/null", f"http://{address}/files/x")[0] in (0, 52), 10)
        except AssertionError:
            print(self.container.logs().decode())
            raise

    def ended(self) -> bool:
        self.container.reload()
        return bool(self.container.status == "exited")

    def fetch(self, name: str, *arguments: str, host: str = SERVER_V4) -> tuple[int, bytes]:
        """curl's status and what it had received."""
        path = self.folder / "received"
        path.unlink(missing_ok=True)
        status, _ = self.bench.curl(*arguments, "-o", str(path), f"http://{host}/files/{name}")
        return status, path.read_bytes() if path.exists() else b""

    def serve(self, name: str, content: bytes) -> str:
        (self.served / name).write_bytes(content)
        return name

    def logs(self) -> str:
        return str(self.container.logs().decode())

    def drops(self, reason: str) -> float:
        return self.bench.metric(MANAGEMENT, f'vnf_drops_total{{reason="{reason}"}}')

    def close(self) -> None:
        if self.server is not None:
            self.server.terminate()
            self.server.wait()
        run("ip", "netns", "del", SERVER)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    bench = Bench()
    made = Site(bench)
    try:
        made.start()
        yield made
    finally:
        if made.container is not None:
            print(made.logs()[-6000:])
            print(bench.curl(f"http://{MANAGEMENT}:8000/metrics")[1])
        made.close()
        bench.close()


def zipped(content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("readme.txt", b"hello")
        archive.writestr("file.com", content)
    return buffer.getvalue()


@pytest.mark.parametrize("host", [SERVER_V4, f"[{SERVER_V6}]"])
@pytest.mark.parametrize("way", ["", "?chunked", "?close", "?gzip=1"])
def test_a_clean_file_passes_byte_for_byte(site: Site, way: str, host: str) -> None:
    name = site.serve("clean", CLEAN[:200_000] if way == "?chunked" else CLEAN)
    status, received = site.fetch(name + way, *(["--compressed"] if way == "?gzip=1" else []), host=host)
    assert status == 0
    assert hashlib.sha256(received).digest() == hashlib.sha256((site.served / name).read_bytes()).digest()


INFECTED = {
    "plain": EICAR,
    "deep-inside": CLEAN[:100_000] + EICAR + CLEAN[:100_000],
    "zip": zipped(EICAR),
    "zip-stored": zipped(EICAR, zipfile.ZIP_STORED),
    "zip-in-zip": zipped(zipped(EICAR)),
    "gzip-file": gzip.compress(EICAR),
    "gzip-in-zip": zipped(gzip.compress(EICAR), zipfile.ZIP_STORED),
}


@pytest.mark.parametrize("host", [SERVER_V4, f"[{SERVER_V6}]"])
@pytest.mark.parametrize("way", ["", "?chunked", "?close", "?gzip=1"])
@pytest.mark.parametrize("kind", INFECTED)
def test_the_test_file_does_not_pass_to_the_client(site: Site, kind: str, way: str, host: str) -> None:
    name = site.serve(kind, INFECTED[kind])
    hits = site.bench.metric(MANAGEMENT, 'vnf_antivirus_hits_total{signature="EICAR_Test_File"}')
    status, received = site.fetch(name + way, host=host)
    assert status in (18, 52, 56), received[:100]
    content = INFECTED[kind]
    assert len(received) < len(content) and EICAR not in received
    assert site.bench.metric(MANAGEMENT, 'vnf_antivirus_hits_total{signature="EICAR_Test_File"}') == hits + 1


def test_an_upload_is_looked_into(site: Site) -> None:
    clean = site.folder / "up"
    clean.write_bytes(CLEAN[:500_000])
    url = f"http://{SERVER_V4}/"
    assert site.bench.curl("--data-binary", f"@{clean}", url) == (0, hashlib.sha256(CLEAN[:500_000]).hexdigest())
    for kind in ("plain", "zip", "gzip-file"):
        clean.write_bytes(INFECTED[kind])
        assert site.bench.curl("--data-binary", f"@{clean}", url)[0] in (52, 56)
        assert site.bench.curl("-H", "Transfer-Encoding: chunked", "--data-binary", f"@{clean}", url)[0] in (52, 55, 56)
        assert site.bench.curl("-F", f"file=@{clean}", url)[0] in (52, 55, 56)


def test_wget_gets_clean_files_and_no_others(site: Site) -> None:
    for name, content, expected in (("w-clean", CLEAN, 0), ("w-bad", CLEAN + EICAR, 4)):
        site.serve(name, content)
        path = site.folder / name
        command = ["ip", "netns", "exec", CLIENT, "wget", "-q", "-t", "1", "-T", "3", "-O", str(path)]
        assert subprocess.run([*command, f"http://{SERVER_V4}/files/{name}"]).returncode == expected
        assert (path.read_bytes() == content) is (expected == 0)


BYTE_BY_BYTE = """
import socket, sys
s = socket.create_connection((sys.argv[1], 8080), 3)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
data = bytes.fromhex(sys.argv[2])
try:
    for byte in b"%d\\n" % len(data) + data:
        s.send(bytes([byte]))
    print(s.recv(100).decode().strip())
except ConnectionResetError:
    print("reset")
"""


@pytest.mark.parametrize("host", [SERVER_V4, SERVER_V6])
def test_a_signature_sent_byte_by_byte_does_not_pass(site: Site, host: str) -> None:
    command = ("ip", "netns", "exec", CLIENT, sys.executable, "-c", BYTE_BY_BYTE, host)
    assert run(*command, (b"-" * 200).hex()).strip() == hashlib.sha256(b"-" * 200).hexdigest()
    assert run(*command, (b"-" * 50 + EICAR + b"-" * 50).hex()).strip() == "reset"


def message(body: bytes, encoding: str = "base64") -> bytes:
    encoded = base64.encodebytes(body).replace(b"\n", b"\r\n") if encoding == "base64" else body
    return (
        b'From: a@example.org\r\nSubject: x\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary="b1"\r\n\r\n'
        b"--b1\r\nContent-Type: text/plain\r\n\r\nhello\r\n.dot\r\n--b1\r\nContent-Type: application/octet-stream\r\n"
        b"Content-Transfer-Encoding: " + encoding.encode() + b"\r\n\r\n" + encoded + b"\r\n--b1--\r\n"
    )


MAIL = """
import smtplib, sys
with smtplib.SMTP(sys.argv[1], 25, timeout=3) as s:
    for path in sys.argv[2:]:
        try:
            s.sendmail("a@example.org", ["b@example.org"], open(path, "rb").read())
            print("sent")
        except (smtplib.SMTPServerDisconnected, ConnectionResetError):
            print("ended")
            break
"""


@pytest.mark.parametrize("host", [SERVER_V4, SERVER_V6])
def test_a_mail_with_the_test_file_does_not_pass(site: Site, host: str) -> None:
    quoted = EICAR.replace(b"=", b"=3D").replace(b"EICAR", b"=45ICA=\r\nR")
    bodies = {"clean": message(CLEAN[:50_000]), "bad": message(EICAR), "zip": message(zipped(EICAR))}
    bodies["quoted"] = message(quoted, "quoted-printable")
    for name, text in bodies.items():
        (site.folder / f"mail-{name}").write_bytes(text)
    command = ("ip", "netns", "exec", CLIENT, sys.executable, "-c", MAIL, host)
    clean = str(site.folder / "mail-clean")
    assert run(*command, clean, clean).split() == ["sent", "sent"]
    for name in ("bad", "zip", "quoted"):
        said = run(*command, clean, str(site.folder / f"mail-{name}"), check=False).split()
        assert said == ["sent", "ended"], name


STRANGER = {SERVER_V4: "10.9.0.77", SERVER_V6: "fd00:9::77"}
STRANGERS_MAC = "0a:5f:00:00:01:02"


def raw(site: Site, segments: list[tuple[int, bytes]], host: str = SERVER_V4, fragment: int = 0) -> dict[str, Any]:
    """What a client got that sends just these segments to the server that hashes."""
    run(
        "ip",
        "-n",
        SERVER,
        "neigh",
        "replace",
        STRANGER[host],
        "lladdr",
        STRANGERS_MAC,
        "dev",
        "eth0",
        "nud",
        "permanent",
    )
    target_mac = run("ip", "netns", "exec", SERVER, "cat", "/sys/class/net/eth0/address").strip()
    given = {"interface": "av-in", "source": STRANGER[host], "target": host, "port": 8080, "fragment": fragment}
    given |= {"source_mac": STRANGERS_MAC, "target_mac": target_mac}
    given["segments"] = [[offset, payload.hex()] for offset, payload in segments]
    script = STREAM_SERVER.with_name("raw_tcp.py")
    said = json.loads(run("ip", "netns", "exec", CLIENT, sys.executable, str(script), json.dumps(given)))
    assert said["macs"] == [STRANGERS_MAC]  # the function's own frames bear the path's tag, too
    return dict(said)


def request(body: bytes) -> tuple[bytes, str]:
    """What the server takes, and what it answers."""
    return b"%d\n" % len(body) + body, hashlib.sha256(body).hexdigest() + "\n"


@pytest.mark.parametrize("host", [SERVER_V4, SERVER_V6])
def test_segments_out_of_order_arrive_and_hide_nothing(site: Site, host: str) -> None:
    clean, answer = request(b"0123456789" * 20)
    pieces = [(at, clean[at : at + 16]) for at in range(0, len(clean), 16)]
    assert raw(site, pieces[::-1], host)["received"] == answer
    bad, _ = request(b"-" * 30 + EICAR + b"-" * 30)
    pieces = [(at, bad[at : at + 16]) for at in range(0, len(bad), 16)]
    said = raw(site, pieces[::-1], host)
    assert said["received"] == "" and said["reset"]


def test_overlapping_segments_cannot_have_two_versions(site: Site) -> None:
    bad, _ = request(b"-" * 30 + EICAR + b"-" * 30)
    harmless = bad.replace(b"EICAR", b"eicar")
    at = bad.index(b"EICAR")
    before = site.drops("overlap-differs"), site.drops("retransmission-differs")
    ahead = raw(site, [(at, harmless[at : at + 5]), (at, bad[at : at + 5]), (0, bad[:at]), (at + 5, bad[at + 5 :])])
    assert ahead["received"] == hashlib.sha256(harmless.partition(b"\n")[2]).hexdigest() + "\n"
    again = raw(site, [(1, bad[1:]), (1, harmless[1:]), (0, bad[:1])])
    assert again["received"] == "" and again["reset"]
    assert site.drops("overlap-differs") == before[0] + 2
    raw(site, [(0, harmless[: at + 5]), (at - 3, bad[at - 3 : at + 9]), (at + 5, harmless[at + 5 :])])
    assert site.drops("retransmission-differs") >= before[1]


@pytest.mark.parametrize("host", [SERVER_V4, SERVER_V6])
def test_fragments_are_put_together_before_they_are_looked_at(site: Site, host: str) -> None:
    clean, answer = request(b"0123456789" * 80)
    assert raw(site, [(0, clean)], host, fragment=160)["received"] == answer
    bad, _ = request(b"-" * 300 + EICAR + b"-" * 300)
    said = raw(site, [(0, bad)], host, fragment=40)
    assert said["received"] == "" and said["reset"]


def test_a_connection_in_its_middle_is_reset_on_both_sides_at_once(site: Site) -> None:
    """As after a move to another instance: this one has not seen the start. Either side may speak first."""
    pairs, listeners = [], []
    for version, address in ((4, SERVER_V4), (6, SERVER_V6)):
        listener = made(SERVER, version, STREAM)
        listeners.append(listener)
        listener.bind((address, 587))
        listener.listen()
        for _ in range(2):
            client = made(CLIENT, version, STREAM)
            client.connect((address, 587))
            pairs.append((client, listener.accept()[0]))
    for client, server in pairs:
        client.sendall(b"before")
        assert server.recv(100) == b"before"
    site.restart()
    before = site.drops("mid-stream-reset")
    for index, ends in enumerate(pairs):
        speaker, other = ends if index % 2 else ends[::-1]
        other.settimeout(1)  # a repetition would come a fifth of a second after the segment
        speaker.settimeout(1)
        speaker.sendall(b"after")
        for end in (other, speaker):
            with pytest.raises(ConnectionResetError):
                end.recv(100)
    assert before + 4 <= site.drops("mid-stream-reset") <= before + 12
    for socket_ in (*listeners, *(end for ends in pairs for end in ends)):
        socket_.close()


def test_in_place_of_an_unknown_segment_go_frames_of_its_path_that_carry_nothing(site: Site) -> None:
    with whole_frames(SERVER, "eth0") as server, whole_frames(CLIENT, "av-in") as client:
        client.send(frame(TO_SERVER, TO_CLIENT, tcp("10.9.0.1", SERVER_V4, 5000, 8080, ACK, EICAR)))
        came = [seen for seen in frames_of(server, 5000) if seen[:6] == mac(TO_SERVER)]
        back = [seen for seen in frames_of(client, 5000) if seen[:6] == mac(TO_CLIENT)]
    assert [seen[:12] for seen in came] == [mac(TO_SERVER) + mac(TO_CLIENT)] * 2
    assert [seen[46:48].hex() for seen in came] == ["5004", "5010"], "a reset, then an acknowledgement"
    assert [int.from_bytes(seen[38:42], "big") for seen in came] == [1000, 1000]
    assert all(len(seen) == 54 for seen in came)
    assert [(seen[47] & 0x04, int.from_bytes(seen[38:42], "big")) for seen in back] == [(0x04, 2000)]


def frames_of(wire: socket.socket, port: int) -> list[bytes]:
    """The frames of a client's TCP port that come within a while, both ways."""
    seen = []
    with contextlib.suppress(TimeoutError):
        while True:
            data = wire.recv(65536)
            if data[23:24] == b"\x06" and port in (int.from_bytes(data[at : at + 2], "big") for at in (34, 36)):
                seen.append(data)
    return seen


def test_many_connections_at_once(site: Site) -> None:
    content = CLEAN[:20_000]
    good, bad = site.serve("many", content), site.serve("many-bad", content + EICAR)
    urls = [f"http://{SERVER_V4}/files/{bad if index % 10 == 0 else good}" for index in range(300)]
    command = [
        "curl",
        "-sS",
        "-m",
        "20",
        "--parallel",
        "--parallel-immediate",
        "--parallel-max",
        "100",
        "--no-keepalive",
    ]
    command += ["-w", "%{exitcode} %{size_download}\\n"]
    for index, url in enumerate(urls):
        command += ["-o", str(site.folder / f"many-{index}"), url]
    done = subprocess.run(["ip", "netns", "exec", CLIENT, *command], capture_output=True, text=True)
    codes = [line.split()[0] for line in done.stdout.splitlines()]
    assert codes.count("0") == 270, done.stderr[-500:]
    for index in range(300):
        path = site.folder / f"many-{index}"
        received = path.read_bytes() if path.exists() else b""
        assert EICAR not in received and (index % 10 == 0 or received == content)


def test_a_bomb_is_blocked_and_exhausts_nothing(site: Site) -> None:
    bomb = zipped(zipped(bytes(300_000_000)))
    name = site.serve("bomb", bomb)
    started_s = time.monotonic()
    assert site.fetch(name)[0] in (18, 52, 56)
    assert site.drops("excessive") >= 1
    assert time.monotonic() - started_s < 3
    stats = site.container.stats(stream=False)["memory_stats"]
    assert stats["usage"] - stats.get("stats", {}).get("cache", 0) < 160 << 20


def test_what_cannot_be_read_is_blocked(site: Site) -> None:
    broken = bytearray(zipped(CLEAN[:5000]))
    at = broken.index(b"file.com") + 8
    broken[at : at + 200] = bytes(200)
    encrypted = bytearray(zipped(CLEAN[:5000], zipfile.ZIP_STORED))
    encrypted[6] |= 1
    assert site.fetch(site.serve("broken", bytes(broken)))[0] in (18, 52, 56)
    assert site.fetch(site.serve("encrypted", bytes(encrypted)))[0] in (18, 52, 56)
    assert site.drops("unreadable") >= 1 and site.drops("encrypted") >= 1


RULE = 'rule Of_The_Day { strings: $a = "pattern of the day" condition: $a }'


def test_signatures_are_added_while_it_runs(site: Site) -> None:
    name = site.serve("day", b"this is the pattern of the day, is it not")
    url = f"http://{MANAGEMENT}:8000/signatures"
    assert site.fetch(name)[0] == 0
    code, body = site.bench.curl("-d", "rule broken {", url)
    assert code == 0 and json.loads(body)["status"] == 422
    assert json.loads(site.bench.curl("-d", RULE, url)[1])["name"] == "Of_The_Day"
    assert site.fetch(name)[0] in (18, 52, 56)
    assert "Of_The_Day" in site.logs()
    site.bench.curl("-X", "DELETE", f"{url}/Of_The_Day")
    assert site.fetch(name)[0] == 0


def test_a_reload_under_load_loses_nothing_and_a_bad_one_changes_nothing(site: Site) -> None:
    name, day = site.serve("load", CLEAN), site.serve("day2", b"pattern of the day")
    (site.rules / "day.yar").write_text("rule x {\n  nonsense\n}\n")
    site.container.kill("SIGHUP")
    eventually(lambda: "day.yar:2:" in site.logs())
    assert site.bench.ok(MANAGEMENT) and site.fetch(day)[0] == 0
    for round_ in range(5):
        (site.rules / "day.yar").write_text(RULE)
        loading = subprocess.Popen(
            ["ip", "netns", "exec", CLIENT, "curl", "-sS", "-m", "10", f"http://{SERVER_V4}/files/{name}"],
            stdout=subprocess.PIPE,
        )
        site.container.kill("SIGHUP")
        assert loading.communicate()[0] == CLEAN, round_
    eventually(lambda: site.fetch(day)[0] in (18, 52, 56))
    (site.rules / "day.yar").unlink()
    site.container.kill("SIGHUP")
    eventually(lambda: site.fetch(day)[0] == 0)


def test_a_bad_signature_file_stops_the_start(site: Site) -> None:
    folder = site.folder / "bad"
    folder.mkdir()
    (folder / "one.yar").write_text("rule a {\n  condition:\n    nonsense\n}\n")
    volumes = {str(folder): {"bind": "/rules", "mode": "ro"}}
    container = site.bench.start("antivirus", "av2", volumes, MGMT_ADDRESS="10.0.0.9/24", SIGNATURES_FOLDER="/rules")
    assert container.wait(timeout=10)["StatusCode"] == 2
    assert b"/rules/one.yar:3:" in container.logs()


def test_it_ends_when_it_is_told_to(site: Site) -> None:
    container = site.bench.start("antivirus", "av3", MGMT_ADDRESS="10.0.0.10/24")
    eventually(lambda: b"packets diverted" in container.logs())
    container.stop(timeout=8)
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 0
    assert b'"draining"' in container.logs()


def test_packets_are_read_without_root(site: Site) -> None:
    for row in site.container.top()["Processes"]:
        status = Path(f"/proc/{row[1]}/status").read_text()
        facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert set(facts["Uid"].split()) == {"10001"}, row
        assert int(facts["CapEff"], 16) == int(facts["CapBnd"], 16) & (1 << 12 | 1 << 13) != 0, (
            "NET_ADMIN and NET_RAW alone"
        )
