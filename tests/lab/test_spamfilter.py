"""The spam filter's image between mail clients (swaks) and a recording server: what arrives, what is refused, what evil reaches."""

from __future__ import annotations

import concurrent.futures
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.lab.dockerd import ensure_docker
from testbed.lab.images import ensure_image, image_spec
from tests.lab.test_images import eventually, run
from tests.support.frames import SYN, frame, mac, tcp
from tests.support.recorded import new_container, new_namespace

pytestmark = pytest.mark.lab

CLIENT, SERVER = "spam-cli", "spam-srv"
SERVERS = ("10.7.0.2", "fd07::2")
MANAGEMENT = "10.254.7.2"
GTUBE = "XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
HEADER = (
    "From: Ada <ada@example.org>\r\nTo: bob@example.org\r\nDate: Mon, 02 Jun 2025 10:00:00 +0000\r\n"
    "Message-ID: <1@example.org>\r\nSubject: minutes of the meeting\r\nMIME-Version: 1.0\r\n"
    "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
)
TEXT = "Hello Bob,\r\n\r\n.a line that begins with a dot\r\n..and two\r\n\ttab, trailing blanks   \r\numlaut: ü\r\n\r\nAda\r\n"
CLEAN = (HEADER + TEXT).encode()
SHORT = HEADER.replace("minutes", "no minutes").encode() + b".\r\n"
SPAM = CLEAN + GTUBE.encode() + b"\r\n"


class Post:
    """Client and server with the filter between them; remembers what it made."""

    def __init__(self, configuration: str = "", dies_after: str = "") -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="spam-")
        os.chmod(self.folder.name, 0o755)  # the filter reads its configuration again as a user without privileges
        self.mail = Path(self.folder.name, "mail")
        self.mail.mkdir()
        self.recorder: subprocess.Popen[bytes] | None = None
        self.container: Any = None
        for name in (CLIENT, SERVER):
            new_namespace(name)
        self.configure(configuration)
        self.container = self._started()
        self.serve(dies_after)

    def configure(self, text: str) -> None:
        Path(self.folder.name, "spamfilter.toml").write_text(text)

    def _started(self) -> Any:
        docker = ensure_docker()
        options = image_spec("spamfilter").run_options(
            {"MGMT_ADDRESS": f"{MANAGEMENT}/24", "CONFIG_FILE": "/config/spamfilter.toml"}
        )
        volumes = {self.folder.name: {"bind": "/config", "mode": "ro"}}
        tag = ensure_image(docker, "spamfilter")
        container = new_container(docker, tag, "spam-filter", hostname="sf1", volumes=volumes, **options)
        container.start()
        return container

    def plug(self) -> None:
        self.cable(CLIENT, "mgmt0", "m0", "10.254.7.1/24")
        self.cable(CLIENT, "in0", "c0", "10.7.0.1/24", "fd07::1/64")
        self.cable(SERVER, "out0", "s0", *(f"{SERVERS[0]}/24", f"{SERVERS[1]}/64"))

    def cable(self, namespace: str, port: str, peer: str, *addresses: str) -> None:
        self.container.reload()
        pid = str(self.container.attrs["State"]["Pid"])
        run("ip", "-n", namespace, "link", "add", peer, "type", "veth", "peer", "name", port, "netns", pid)
        run("ip", "netns", "exec", namespace, "ethtool", "-K", peer, "tx", "off", "rx", "off")
        for address in addresses:
            run("ip", "-n", namespace, "addr", "add", address, "dev", peer, *(["nodad"] if ":" in address else []))
        run("ip", "-n", namespace, "link", "set", peer, "up")

    def serve(self, dies_after: str = "") -> None:
        command = ["ip", "netns", "exec", SERVER, sys.executable, "-m", "tests.support.smtp_server", str(self.mail)]
        self.recorder = subprocess.Popen([*command, f"--dies-after={dies_after}"])
        eventually(lambda: run("ip", "netns", "exec", SERVER, "ss", "-Hltn", "sport = 25"))

    def unserve(self) -> None:
        if self.recorder is not None:
            self.recorder.terminate()
            self.recorder.wait()
            self.recorder = None

    def ready(self) -> Post:
        self.plug()
        eventually(lambda: self.health().get("status") == "ok", 30)
        return self

    def health(self) -> dict[str, Any]:
        return dict(json.loads(self.fetch("health") or "{}"))

    def fetch(self, what: str) -> str:
        address = f"http://{MANAGEMENT}:8000/{what}"
        return run("ip", "netns", "exec", CLIENT, "curl", "-sS", "-m", "4", address, check=False)

    def metric(self, start: str) -> float:
        lines = self.fetch("metrics").splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(start))

    def said(self, text: str) -> bool:
        return text.encode() in self.container.logs()

    def kept(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in self.mail.glob("*.eml")}

    def fresh(self, work: Callable[[], Any]) -> tuple[Any, list[bytes]]:
        """What `work` gives, and the messages that arrived meanwhile."""
        before = self.kept()
        result = work()
        return result, [message for name, message in self.kept().items() if name not in before]

    def swaks(self, message: bytes, *options: str, server: str = SERVERS[0]) -> tuple[int, str]:
        path = Path(self.folder.name, f"message-{threading.get_ident()}")
        path.write_bytes(message.removesuffix(b"\r\n").replace(b"\r\n", b"\n"))  # swaks makes it CRLF and ends it
        command = ["swaks", "--from", "ada@example.org", "--to", "bob@example.org", "--data", f"@{path}"]
        command += ["--server", server, "--timeout", "60", *options]
        done = subprocess.run(["ip", "netns", "exec", CLIENT, *command], capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    def talk(self, *parts: bytes, server: str = SERVERS[0], wait_s: float = 30.0) -> bytes:
        """Send each part when the previous one was answered; what the other side said until it ended, or was silent."""
        script = (
            "import socket,sys,ast\n"
            f"s=socket.create_connection(({server!r},25),10); s.settimeout({wait_s}); said=s.recv(65536)\n"
            "try:\n"
            "  for part in ast.literal_eval(sys.stdin.read()):\n"
            "    s.sendall(part); got=s.recv(65536); said+=got\n"
            "    if not got: break\n"
            "except OSError as e: said+=repr(e).encode()\n"
            "sys.stdout.buffer.write(said)\n"
        )
        command = ["ip", "netns", "exec", CLIENT, sys.executable, "-c", script]
        return subprocess.run(command, input=repr(parts).encode(), capture_output=True, check=False).stdout

    def close(self) -> None:
        self.unserve()
        if self.container is not None:
            print(self.container.logs().decode())  # shown where a test fails
            self.container.remove(force=True)
        for namespace in (CLIENT, SERVER):
            run("ip", "netns", "del", namespace)
        self.folder.cleanup()


@pytest.fixture
def made() -> Iterator[Callable[..., Post]]:
    """Makes a Post that is gone after the test."""
    posts: list[Post] = []

    def make(configuration: str = "", dies_after: str = "") -> Post:
        posts.append(Post.__new__(Post))
        posts[-1].__init__(configuration, dies_after)  # type: ignore[misc]
        return posts[-1]

    yield make
    for post in posts:
        post.close()


ENVELOPE = (b"EHLO me\r\n", b"MAIL FROM:<a@example.org>\r\n", b"RCPT TO:<b@example.org>\r\n", b"DATA\r\n")
END = b".\r\n"


def wired(message: bytes) -> bytes:
    """As it is after DATA: dots stuffed."""
    return (b"\r\n" + message).replace(b"\r\n.", b"\r\n..")[2:]


def test_mail_passes_untouched_and_spam_is_refused(made: Callable[..., Post]) -> None:
    post = made().ready()
    for server, client in zip(SERVERS, ("10.7.0.1", "fd07::1"), strict=True):
        (status, said), arrived = post.fresh(lambda server=server: post.swaks(CLEAN, server=server))
        assert status == 0, said
        assert arrived == [wired(CLEAN)]
        assert "STARTTLS" not in said and "CHUNKING" not in said and "XCLIENT" not in said and "PIPELINING" in said
        assert re.search(rf"kept as \d+ for \S*{client}", said)
        (status, said), arrived = post.fresh(lambda server=server: post.swaks(SPAM, server=server))
        assert "550 5.7.1 Message refused: spam score" in said and status == 26 and arrived == []
    assert post.metric('vnf_spamfilter_messages_total{verdict="rejected"}') == 2
    assert post.metric("vnf_spamfilter_score_count") == 4
    assert post.metric("vnf_processing_seconds_count") == 4
    assert post.metric('vnf_drops_total{reason="spam"}') == 2


def test_a_session_goes_on_after_each_message(made: Callable[..., Post]) -> None:
    post = made().ready()
    messages = (wired(SPAM) + END, *ENVELOPE[1:], wired(CLEAN) + END, *ENVELOPE[1:], wired(SHORT) + END)
    said, arrived = post.fresh(lambda: post.talk(*ENVELOPE, *messages, b"QUIT\r\n"))
    assert b"550 5.7.1" in said and said.count(b"kept as") == 2 and said.endswith(b"221 bye\r\n")
    assert sorted(arrived) == [wired(CLEAN), wired(SHORT)]
    everything = b"".join((*ENVELOPE, *messages, b"QUIT\r\n"))  # in one segment, as nobody may after DATA
    said, arrived = post.fresh(lambda: post.talk(everything, *[b""] * 40))
    assert (
        said.count(b"kept as") == 2
        and said.count(b"550 5.7.1") == 1
        and sorted(arrived) == [wired(CLEAN), wired(SHORT)]
    )
    said = post.talk(
        *ENVELOPE[:2], b"RCPT TO:<nobody@example.org>\r\n", b"DATA\r\n", b"STARTTLS\r\n", b"BDAT 5 LAST\r\nhello"
    )
    assert b"550 5.1.1" in said and b"554 5.5.1" in said and said.endswith(b"502 5.5.1 Not offered\r\n" * 2)


def test_mail_between_the_thresholds_is_tagged(made: Callable[..., Post]) -> None:
    post = made("[thresholds]\ntag = -5.0\n").ready()
    (status, said), arrived = post.fresh(lambda: post.swaks(CLEAN))
    assert status == 0, said
    header, _, rest = arrived[0].partition(b"From: Ada")
    assert b"From: Ada" + rest == wired(CLEAN)
    lines = header.decode().split("\r\n")
    assert lines[0] == "X-Spam-Flag: YES" and lines[3].startswith("X-Spam-Status: Yes, score=-0.0 required=-5.0 tests=")
    post.configure("[thresholds]\ntag = 3\nreject = 2\n")
    post.container.kill("SIGHUP")
    eventually(lambda: post.said("spamfilter.toml:2: thresholds.tag is above thresholds.reject"))
    assert post.fresh(lambda: post.swaks(CLEAN))[1][0].startswith(b"X-Spam-Flag: YES")
    post.configure("[thresholds]\ntag = -6\nreject = -5\n")
    post.container.kill("SIGHUP")
    eventually(lambda: post.metric('vnf_reloads_total{result="loaded"}'))
    (_, said), arrived = post.fresh(lambda: post.swaks(CLEAN))
    assert "550 5.7.1" in said and arrived == []


def test_large_mail_and_many_connections_at_once(made: Callable[..., Post]) -> None:
    post = made().ready()
    large = CLEAN + b"".join(b"%070d\r\n" % number for number in range(150_000))
    said, arrived = post.fresh(lambda: post.talk(*ENVELOPE, wired(large) + END, b"QUIT\r\n", server=SERVERS[1]))
    assert b"kept as" in said and arrived == [wired(large)]
    with concurrent.futures.ThreadPoolExecutor(24) as crowd:
        started_s = time.monotonic()
        work = [
            crowd.submit(post.talk, *ENVELOPE, wired(SPAM if n % 4 == 0 else CLEAN) + END, b"QUIT\r\n")
            for n in range(48)
        ]
        said_to_all, arrived = post.fresh(lambda: [each.result() for each in work])
        print(f"{48 / (time.monotonic() - started_s):.1f} messages/s")
    assert sum(b"550 5.7.1" in said for said in said_to_all) == 12
    assert sum(b"kept as" in said for said in said_to_all) == 36
    assert arrived.count(wired(CLEAN)) == len(arrived)
    assert post.health()["active"] == 0
    assert post.metric('vnf_drops_total{reason="no path known"}') == 0


END_SPAMD = """
import glob, os
for path in glob.glob("/proc/[0-9]*"):
    if int(path[6:]) != os.getpid() and b"spamd" in open(path + "/cmdline", "rb").read():
        os.kill(int(path[6:]), 9)
"""


def test_mail_waits_while_spamassassin_is_away(made: Callable[..., Post]) -> None:
    post = made("[limits]\nscan_s = 3\n").ready()
    post.container.exec_run(["python3", "-c", END_SPAMD], user="10001")
    (_, said), arrived = post.fresh(lambda: post.swaks(CLEAN))
    assert "451 4.7.1" in said and arrived == []
    eventually(lambda: "spamd" in post.health().get("reason", ""))
    eventually(lambda: post.health().get("status") == "ok", 20)
    (_, said), arrived = post.fresh(lambda: post.swaks(CLEAN))
    assert arrived == [wired(CLEAN)]
    post.configure("[policy]\nspamd_down = 'open'\n")
    post.container.kill("SIGHUP")
    eventually(lambda: post.said("configuration loaded"))
    post.container.exec_run(["python3", "-c", END_SPAMD], user="10001")
    assert post.fresh(lambda: post.swaks(SPAM))[1] == [wired(SPAM)]
    assert post.metric('vnf_spamfilter_messages_total{verdict="unscored"}') == 2


def test_servers_that_refuse_are_silent_or_die_look_as_without_a_filter(made: Callable[..., Post]) -> None:
    post = made(dies_after="DATA").ready()
    assert post.talk(*ENVELOPE, wired(CLEAN) + END).endswith(
        b"451 4.4.2 The mail server did not take the message, try again\r\n"
    )
    post.unserve()
    for server in SERVERS:
        status, said = post.swaks(CLEAN, server=server)
        assert status == 2 and "Connection refused" in said
    run("ip", "-n", SERVER, "addr", "del", f"{SERVERS[0]}/24", "dev", "s0")
    status, said = post.swaks(CLEAN, "--timeout", "2")
    assert status == 2 and "Connection refused" not in said


def test_hostile_clients_neither_pass_nor_stay(made: Callable[..., Post]) -> None:
    post = made(
        "[limits]\nmessage_bytes = 100000\ncommand_s = 3\ndata_s = 3\nheader_bytes = 2000\nline_bytes = 5000\n"
    ).ready()
    smuggled = CLEAN + b"\n.\nMAIL FROM:<x@example.org>\r\nRCPT TO:<y@example.org>\r\nDATA\r\nsmuggled\r\n"
    for message, reply in (
        (smuggled, b"550 5.6.0 Lines must"),
        (smuggled.replace(b"\n.\n", b"\r\n.\n"), b"550 5.6.0 Lines must"),
        (smuggled.replace(b"\n.\n", b"\r.\r"), b"550 5.6.0 Lines must"),
        (b"X-A: " + b"a" * 3000 + b"\r\n\r\ntext\r\n", b"552 5.3.4 The message's header"),
        (HEADER.encode() + b"a" * 6000 + b"\r\n", b"550 5.6.0 A line"),
        (HEADER.encode() + b"a\r\n" * 50000, b"552 5.3.4 Message is larger"),
    ):
        said, arrived = post.fresh(lambda message=message: post.talk(*ENVELOPE, message + END, b"QUIT\r\n"))
        assert reply in said and said.endswith(b"221 bye\r\n") and arrived == []
    assert b"smuggled" not in Path(post.mail, "commands").read_bytes()
    assert b"500 5.5.6 Line too long" in post.talk(b"EHLO " + b"a" * 10_000_000)
    assert b"421 4.3.4" in post.talk(*ENVELOPE, b"a" * 10_000_000)
    assert post.talk(*ENVELOPE, b"no end", b"", b"").endswith(b"421 4.4.2 Nothing came for too long\r\n")
    assert post.talk(b"RSET\nNOOP\r\n").endswith(b"other control characters\r\n")
    post.talk(*ENVELOPE, b"hang up", wait_s=0.2)
    eventually(lambda: post.health().get("active") == 0, 10)
    memory = post.container.stats(stream=False)["memory_stats"]
    assert memory["usage"] < 700 << 20
    assert post.fresh(lambda: post.swaks(CLEAN))[1] == [wired(CLEAN)]


def test_what_is_not_mail_stays_in_the_kernel_and_nothing_else_gets_out(made: Callable[..., Post]) -> None:
    post = made().ready()
    for server in SERVERS:
        assert run("ip", "netns", "exec", CLIENT, "ping", "-c", "2", "-i", "0.1", "-s", "4000", server)
    assert post.metric("vnf_inspected_packets_total") == 0 and post.metric("vnf_packets_total") > 0
    assert post.metric("vnf_drops_total") == 0


VLAN, SERVICE_VLAN, PRIORITY = b"\x81\0\0\5", b"\x88\xa8\0\5", b"\x81\0\xe0\0"  # the last: of no VLAN
STRANGERS_TAG, STRANGERS_MAC = "0a:5f:00:00:01:02", "0a:5f:00:00:02:02"
STRANGERS = {SERVERS[0]: "10.7.0.77", SERVERS[1]: "fd07::77"}  # nobody's addresses: no kernel answers for them
IN_FRAGMENTS = """
import json, sys, time
from tests.support.raw_tcp import ACK, ISN, PSH, RST, SYN, Client

given = json.loads(sys.argv[1])
client, at, said = Client(given), ISN + 1, b""
client.send(ISN, SYN)
client.receive(time.monotonic() + 10, stop_at_handshake=True)
for part in given["parts"]:
    client.send(at & 0xFFFFFFFF, ACK | PSH, part.encode())
    at += len(part.encode())
until_s = time.monotonic() + 20
while b"221 bye" not in said and time.monotonic() < until_s:
    client.receive(time.monotonic() + 0.1)
    client.send(at & 0xFFFFFFFF, ACK)
    for start in sorted(client.stream):
        said += client.stream[start][max(0, len(said) - start):]
print(json.dumps({"said": said.decode(), "macs": sorted(client.macs)}))
client.send(at & 0xFFFFFFFF, RST | ACK)
"""


@pytest.mark.parametrize("server", SERVERS)
def test_mail_in_fragments_is_filtered_as_any(made: Callable[..., Post], server: str) -> None:
    post = made().ready()
    own, tag = STRANGERS[server], STRANGERS_MAC
    run("ip", "-n", SERVER, "neigh", "replace", own, "lladdr", tag, "dev", "s0", "nud", "permanent")
    target_mac = run("ip", "netns", "exec", SERVER, "cat", "/sys/class/net/s0/address").strip()
    session = b"".join((*ENVELOPE, wired(SPAM) + END, *ENVELOPE[1:], wired(CLEAN) + END, b"QUIT\r\n")).decode()
    given: dict[str, Any] = {"interface": "c0", "source": own, "target": server, "port": 25, "fragment": 64}
    given |= {"source_mac": tag, "target_mac": target_mac}
    given["parts"] = [session[at : at + 500] for at in range(0, len(session), 500)]
    command = ("ip", "netns", "exec", CLIENT, sys.executable, "-c", IN_FRAGMENTS, json.dumps(given))
    answer, arrived = post.fresh(lambda: json.loads(run(*command)))
    said = answer["said"]
    assert "550 5.7.1 Message refused" in said and said.count("kept as") == 1 and said.endswith("221 bye\r\n"), said
    assert arrived == [wired(CLEAN)] and answer["macs"] == [tag]
    assert post.metric('vnf_drops_total{reason="fragment"}') == 0


FRAMES = """
import ast, socket, sys
ours = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
ours.bind((sys.argv[1], 3))
ours.settimeout(10)
if sys.argv[2] == "send":
    for each in ast.literal_eval(sys.stdin.read()):
        ours.send(each)
else:
    print("up", flush=True)
    sender = bytes.fromhex(sys.argv[2])
    while (frame := ours.recv(65536))[6:12] != sender:
        pass
    print(frame.hex())
"""


def test_frames_with_a_vlan_tag_do_not_pass(made: Callable[..., Post]) -> None:
    """The first frame that arrives of those sent is the last, the only one without a tag."""
    post = made().ready()
    at_client, at_server = (["ip", "netns", "exec", each, sys.executable, "-c", FRAMES] for each in (CLIENT, SERVER))
    syn = frame(STRANGERS_TAG, STRANGERS_MAC, tcp(STRANGERS[SERVERS[0]], SERVERS[0], 999, 25, SYN))
    other = frame(STRANGERS_TAG, STRANGERS_MAC, tcp(STRANGERS[SERVERS[0]], SERVERS[0], 999, 80, SYN))
    sent = [each[:12] + tag + each[12:] for each in (syn, other) for tag in (VLAN, SERVICE_VLAN + VLAN, PRIORITY)]
    with subprocess.Popen([*at_server, "s0", mac(STRANGERS_MAC).hex()], stdout=subprocess.PIPE, text=True) as sniffer:
        assert sniffer.stdout is not None and sniffer.stdout.readline() == "up\n"
        subprocess.run([*at_client, "c0", "send"], input=repr([*sent, other]), text=True, check=True)
        assert bytes.fromhex(sniffer.stdout.readline()) == other
    assert post.metric("vnf_inspected_packets_total") == 0 and post.health()["active"] == 0
    assert post.fresh(lambda: post.swaks(CLEAN))[1] == [wired(CLEAN)]


TLS_SERVER = """
import ssl, sys
from pathlib import Path
from tests.support import smtp_server

context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1])

class Session(smtp_server.Session):
    def _answer(self, word, line):
        if word == b"STARTTLS":
            self._say(b"220 2.0.0 go ahead")
            self.request = context.wrap_socket(self.request, server_side=True)
            self.setup()
        else:
            super()._answer(word, line)

smtp_server.Session = Session
smtp_server.Server(587, Path(sys.argv[2]), b"").serve_forever()
"""


def test_mail_in_tls_is_prevented_or_passes_unseen(made: Callable[..., Post]) -> None:
    post = made().ready()
    both = Path(post.folder.name, "both.pem")
    certificate = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=mail -days 1 -keyout -"
    both.write_text(run(*certificate.split()))
    command = ["ip", "netns", "exec", SERVER, sys.executable, "-c", TLS_SERVER, str(both), str(post.mail)]
    with subprocess.Popen(command) as server:
        try:
            eventually(lambda: run("ip", "netns", "exec", SERVER, "ss", "-Hltn", "sport = 587"))
            (status, said), arrived = post.fresh(lambda: post.swaks(CLEAN, "--port", "587", "--tls"))
            assert status == 29 and "250-STARTTLS" not in said and arrived == []
            post.configure("[policy]\nstarttls = 'pass'\n")
            post.container.kill("SIGHUP")
            eventually(lambda: post.said("configuration loaded"))
            for address in SERVERS:
                (status, said), arrived = post.fresh(
                    lambda address=address: post.swaks(SPAM, "--port", "587", "--tls", server=address)
                )
                assert status == 0 and "TLS started" in said and arrived == [wired(SPAM)]
            (_, said), arrived = post.fresh(lambda: post.swaks(SPAM, "--port", "587"))
            assert "550 5.7.1" in said and arrived == []  # in clear text still
        finally:
            server.terminate()
    assert post.metric('vnf_spamfilter_messages_total{verdict="unseen in TLS"}') == 2
    assert post.metric("vnf_spamfilter_score_count") == 1


def tagged(namespace: str, port: str, bridge_mac: str, addresses: dict[str, str]) -> None:
    """Put the port into a bridge that has the addresses, takes frames of a tag for one address each, and drops all else."""
    exec_in = ("ip", "netns", "exec", namespace)
    rules = "".join(
        f"ether daddr {tag} {'ip6' if ':' in address else 'ip'} daddr {address} meta pkttype set host ether daddr set {bridge_mac} accept\n"
        for address, tag in addresses.items()
    )
    chain = f"type filter hook prerouting priority -300; policy drop; ether type arp drop\n{rules}"
    run("ip", "-n", namespace, "link", "add", "lan", "address", bridge_mac, "type", "bridge")
    into_bridge(namespace, port)
    run("ip", "-n", namespace, "link", "set", "lan", "up")
    run(*exec_in, "ethtool", "-K", "lan", "tx", "off")
    for address in addresses:
        prefix = ["64", "nodad"] if ":" in address else ["24"]
        run("ip", "-n", namespace, "addr", "add", f"{address}/{prefix[0]}", "dev", "lan", *prefix[1:])
    run(*exec_in, "nft", f"table bridge tags {{\nchain arriving {{\n{chain}}}\n}}")


def into_bridge(namespace: str, port: str) -> None:
    run("ip", "-n", namespace, "addr", "flush", "dev", port)
    run("ip", "-n", namespace, "link", "set", port, "master", "lan")


def with_tags(to_client: dict[str, str], to_server: dict[str, str]) -> None:
    """Give both sides addresses, each reached by its own tag."""
    tagged(CLIENT, "c0", "02:00:00:00:00:0c", to_client)
    tagged(SERVER, "s0", "02:00:00:00:00:0e", to_server)
    for namespace, tags in ((CLIENT, to_server), (SERVER, to_client)):
        for address, tag in tags.items():
            run("ip", "-n", namespace, "neigh", "replace", address, "lladdr", tag, "dev", "lan", "nud", "permanent")


def test_each_connection_keeps_the_tags_of_its_path(made: Callable[..., Post]) -> None:
    post = made().ready()
    to_server = {"10.7.0.2": "0a:5f:00:00:01:02", "10.7.0.3": "0a:5f:00:00:05:01"}
    to_client = {"10.7.0.1": "0a:5f:00:00:02:02", "10.7.0.4": "0a:5f:00:00:06:01"}
    with_tags(to_client, to_server)
    with concurrent.futures.ThreadPoolExecutor(4) as crowd:
        options = [("--local-interface", client, "--server", server) for client in to_client for server in to_server]
        said = list(crowd.map(lambda option: post.swaks(CLEAN, *option), options))
    assert [status for status, _ in said] == [0] * 4, said
    assert all(f"::ffff:{option[1]}" in text for option, (_, text) in zip(options, said, strict=True))


OLD_CONNECTIONS = """
import socket, sys

def fate(connection):
    try:
        return connection.recv(99).decode() or "closed"
    except OSError as error:
        return type(error).__name__

speaking, idle = [[socket.create_connection((server, 25), 10) for server in sys.argv[1:]] for _ in range(2)]
for connection in speaking + idle:
    connection.recv(999)
print("up", flush=True)
sys.stdin.readline()
for connection in speaking:
    connection.sendall(b"NOOP\\r\\n")
print(*map(fate, speaking), flush=True)
print(*map(fate, idle), flush=True)
"""


def test_connections_from_before_a_restart_end_at_both_ends(made: Callable[..., Post]) -> None:
    """Whichever speaks first; and what the filter sends meanwhile bears the path's tags, or it would not arrive here."""
    post = made().ready()
    to_client = {"10.7.0.1": "0a:5f:00:00:02:02", "fd07::1": "0a:5f:00:00:02:04"}
    with_tags(to_client, dict(zip(SERVERS, ("0a:5f:00:00:01:02", "0a:5f:00:00:05:01"), strict=True)))
    command = ["ip", "netns", "exec", CLIENT, sys.executable, "-c", OLD_CONNECTIONS, *SERVERS]
    held = ("ip", "netns", "exec", SERVER, "ss", "-Htan", "state", "connected", "sport = 25")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as old:
        assert old.stdout is not None and old.stdin is not None and old.stdout.readline() == "up\n"
        post.container.kill("SIGKILL")
        # Sockets that wait for an answer keep the old namespace alive, and its cables: the lab takes those away, too.
        for namespace, peer in ((CLIENT, "m0"), (CLIENT, "c0"), (SERVER, "s0")):
            run("ip", "-n", namespace, "link", "del", peer)
        post.container.start()
        post.ready()
        into_bridge(CLIENT, "c0")
        into_bridge(SERVER, "s0")
        assert len(run(*held).splitlines()) == 4
        old.stdin.write("\n")
        old.stdin.flush()
        assert old.stdout.readline() == "ConnectionResetError ConnectionResetError\n"
        eventually(lambda: len(run(*held).splitlines()) == 2, 5)
        post.unserve()
        assert old.stdout.readline() == "ConnectionResetError ConnectionResetError\n"
        eventually(lambda: run(*held) == "", 5)
    post.serve()
    for server in SERVERS:
        assert post.fresh(lambda server=server: post.swaks(CLEAN, server=server))[1] == [wired(CLEAN)]


def test_an_end_waits_for_a_message_under_way(made: Callable[..., Post]) -> None:
    post = made().ready()
    with concurrent.futures.ThreadPoolExecutor(1) as other:
        slow = other.submit(post.talk, *ENVELOPE, wired(CLEAN) + END, b"NOOP\r\n")
        eventually(lambda: post.health().get("active") == 1, 5)
        post.container.stop(timeout=20)
        assert b"kept as" in slow.result() and b"421 4.3.2" in slow.result()
    post.container.reload()
    assert post.container.attrs["State"]["ExitCode"] == 0


def test_nothing_runs_as_root_and_spamassassin_has_no_capability(made: Callable[..., Post]) -> None:
    post = made().ready()
    seen: dict[str, set[tuple[str, ...]]] = {}
    for row in post.container.top()["Processes"]:
        status = Path(f"/proc/{row[1]}/status").read_text()
        fields = re.findall(r"^(?:[UG]id|Cap(?:Prm|Eff|Inh|Amb)):\t(\S+)", status, re.M)
        seen.setdefault("spamd" if "spamd" in row[-1] else row[-1].split()[0], set()).add(tuple(fields))
    two = f"{1 << 12 | 1 << 13:016x}"  # NET_ADMIN and NET_RAW
    filters = {("10001", "10001", two, two, two, two)}
    for path in ("/proc/1/mem", "/proc/1/fd/0", "/proc/1/environ"):
        done = post.container.exec_run(["python3", "-c", f"open({path!r}).read(1)"], user="10001")
        assert b"PermissionError" in done.output, path
    assert seen == {"tini": filters, "/usr/bin/python3": filters, "spamd": {("10001", "10001", *[f"{0:016x}"] * 4)}}


def test_bad_configuration_stops_the_start(made: Callable[..., Post]) -> None:
    post = made("[policy]\n\nspamd_dwon = 'open'\n")
    assert post.container.wait(timeout=15)["StatusCode"] == 2
    assert post.said("/config/spamfilter.toml:3: policy.spamd_dwon unknown member; expected one of spamd_down")
