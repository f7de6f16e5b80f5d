"""The antivirus in a real container between two namespaces: what must be stopped is stopped, and all else passes unharmed."""

from __future__ import annotations

import gzip
import hashlib
import io
import random
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.test_images import Bench, eventually, run

pytestmark = pytest.mark.lab

SERVER = "imgt-srv"
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
        run("ip", "netns", "add", SERVER)
        self.server: subprocess.Popen[str] | None = None
        self.container: Any = None

    def start(self, **environment: str) -> None:
        from testbed.lab.images import image_spec

        for path in (image_spec("antivirus").folder / "signatures").glob("*.yar"):
            (self.rules / path.name).write_bytes(path.read_bytes())
        volumes = {str(self.rules): {"bind": "/rules", "mode": "ro"}}
        given = {"MGMT_ADDRESS": f"{MANAGEMENT}/24", "SIGNATURES_FOLDER": "/rules", **environment}
        self.container = self.bench.start("antivirus", "av1", volumes, **given)
        self.bench.cable(self.container, "mgmt0", "avm0", "10.254.0.1/24")
        self.bench.cable(self.container, "in0", "av-in", "10.9.0.1/24", "fd00:9::1/64")
        pid = str(self.container.attrs["State"]["Pid"])
        run("ip", "-n", SERVER, "link", "add", "eth0", "type", "veth", "peer", "name", "out0", "netns", pid)
        run("ip", "netns", "exec", SERVER, "ethtool", "-K", "eth0", "tx", "off", "rx", "off")
        for address in (f"{SERVER_V4}/24", f"{SERVER_V6}/64"):
            run("ip", "-n", SERVER, "addr", "add", address, "dev", "eth0")
        for link in ("lo", "eth0"):
            run("ip", "-n", SERVER, "link", "set", link, "up")
        command = ["ip", "netns", "exec", SERVER, sys.executable, str(STREAM_SERVER), str(self.served)]
        self.server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.server.stdout is not None and self.server.stdout.readline() == "ready\n"
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
    if host != SERVER_V4 and kind != "zip":
        host = f"[{SERVER_V6}]"
    name = site.serve(kind, INFECTED[kind])
    hits = site.bench.metric(MANAGEMENT, 'vnf_antivirus_hits_total{signature="EICAR_Test_File"}')
    status, received = site.fetch(name + way, host=host)
    assert status in (18, 52, 56), received[:100]
    content = INFECTED[kind]
    assert len(received) < len(content) and EICAR not in received
    assert site.bench.metric(MANAGEMENT, 'vnf_antivirus_hits_total{signature="EICAR_Test_File"}') == hits + 1
