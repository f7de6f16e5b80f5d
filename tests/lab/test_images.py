"""The servant's image in a real container: plumbing, load, restarts. Needs root and Docker; leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from testbed.lab.dockerd import ensure_docker
from testbed.lab.images import ensure_image, image_spec
from testbed.lab.record import LabRecord
from tests.support.recorded import new_container, new_namespace

pytestmark = pytest.mark.lab

CLIENT = "imgt-cli"
SERVICE = "10.0.0.100"


def run(*command: str, check: bool = True) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"{' '.join(command)}: {done.stderr}{done.stdout}"
    return done.stdout


def eventually(what: Callable[[], Any], within_s: float = 20.0) -> Any:
    """What `what` gives once it is true."""
    deadline = time.monotonic() + within_s
    while not (value := what()):
        assert time.monotonic() < deadline, f"not within {within_s} s"
        time.sleep(0.02)
    return value


class Bench:
    """A client's namespace, containers, and cables between them; remembers what it made."""

    def __init__(self) -> None:
        self.client = ensure_docker()
        self.made: list[Any] = []
        self.folder = tempfile.TemporaryDirectory(prefix="imgt-")
        os.chmod(self.folder.name, 0o755)  # functions that left root read it again at a reload
        new_namespace(CLIENT)

    def start(self, image: str, name: str, volumes: dict[str, Any] | None = None, **environment: str) -> Any:
        tag = ensure_image(self.client, image)
        options = image_spec(image).run_options(environment)
        container = new_container(self.client, tag, f"imgt-{name}", hostname=name, volumes=volumes or {}, **options)
        self.made.append(container)
        container.start()
        container.reload()
        return container

    def cable(self, container: Any, port: str, peer: str, *addresses: str) -> None:
        """A veth from the client's namespace into the container."""
        container.reload()
        pid = str(container.attrs["State"]["Pid"])
        run("ip", "-n", CLIENT, "link", "add", peer, "type", "veth", "peer", "name", port, "netns", pid)
        run("ip", "netns", "exec", CLIENT, "ethtool", "-K", peer, "tx", "off", "rx", "off")
        for address in addresses:
            run("ip", "-n", CLIENT, "addr", "add", address, "dev", peer)
        run("ip", "-n", CLIENT, "link", "set", peer, "up")

    def curl(self, *arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            ["ip", "netns", "exec", CLIENT, "curl", "-sS", "-m", "3", *arguments], capture_output=True, text=True
        )
        return done.returncode, done.stdout

    def health(self, address: str) -> dict[str, Any] | None:
        code, body = self.curl(f"http://{address}:8000/health")
        return json.loads(body) if code == 0 and body else None

    def ok(self, address: str) -> dict[str, Any] | None:
        health = self.health(address)
        return health if health and health["status"] == "ok" else None

    def metric(self, address: str, line: str) -> float:
        _, body = self.curl(f"http://{address}:8000/metrics")
        return sum(float(text.split()[-1]) for text in body.splitlines() if text.startswith(line))

    def close(self) -> None:
        for container in self.made:
            container.remove(force=True)
        run("ip", "netns", "del", CLIENT)
        self.folder.cleanup()


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    try:
        yield made
    finally:
        made.close()


def servant(bench: Bench, **environment: str) -> Any:
    given = {"MGMT_ADDRESS": "10.254.0.11/24", "DATA_ADDRESS": "10.1.0.11/8", "SERVICE_ADDRESS": SERVICE, **environment}
    return bench.start("servant", "s1", **given)


def plug_servant(bench: Bench, container: Any) -> None:
    bench.cable(container, "mgmt0", "m0", "10.254.0.1/24")
    bench.cable(container, "in0", "d0", "10.2.0.1/8")
    run("ip", "-n", CLIENT, "route", "replace", SERVICE, "via", "10.1.0.11", "dev", "d0")
    eventually(lambda: bench.ok("10.254.0.11"))


def test_a_servant_answers_on_the_service_address_and_costs_cpu(bench: Bench) -> None:
    container = servant(bench, COST_MS="20")
    plug_servant(bench, container)
    code, body = bench.curl(f"http://{SERVICE}/")
    assert code == 0 and json.loads(body)["servant"] == "s1"
    for _ in range(9):
        bench.curl(f"http://{SERVICE}/")
    eventually(lambda: bench.metric("10.254.0.11", "servant_work_cpu_seconds_total") >= 0.2)
    assert bench.metric("10.254.0.11", 'servant_requests_total{path="/",status="200"}') == 10
    assert bench.curl("-o", "/dev/null", "-w", "%{size_download}", f"http://{SERVICE}/bytes/3000000") == (0, "3000000")
    assert bench.curl(f"http://{SERVICE}/slow/0.5") == (0, "....\n")
    assert bench.curl("-o", "/dev/null", "-w", "%{http_code}", f"http://{SERVICE}/none")[1] == "404"


def test_a_servant_does_not_answer_arp_for_the_service(bench: Bench) -> None:
    plug_servant(bench, servant(bench))
    run("ip", "-n", CLIENT, "route", "del", SERVICE)
    assert bench.curl("--connect-timeout", "1", f"http://{SERVICE}/cheap")[0] != 0


def test_the_server_of_a_servant_has_no_privileges(bench: Bench) -> None:
    container = servant(bench)
    plug_servant(bench, container)
    pids = [row[1] for row in container.top()["Processes"] if "servant.serve" in row[-1]]
    status = dict(
        line.split(":\t", 1) for line in Path(f"/proc/{pids[0]}/status").read_text().splitlines() if ":\t" in line
    )
    assert status["Uid"].split()[0] == "10001"
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == int(status["CapAmb"], 16) == 0
    assert status["NoNewPrivs"] == "1"


def test_a_servant_finds_its_interfaces_again_after_a_restart(bench: Bench) -> None:
    container = servant(bench)
    plug_servant(bench, container)
    run("ip", "-n", CLIENT, "link", "del", "d0")
    eventually(lambda: (bench.health("10.254.0.11") or {}).get("status") == "failing")
    bench.cable(container, "in0", "d0", "10.2.0.1/8")
    eventually(lambda: bench.ok("10.254.0.11"))
    container.restart(timeout=5)
    eventually(lambda: "m0" not in run("ip", "-n", CLIENT, "-br", "link"))
    plug_servant(bench, container)
    assert bench.curl("http://10.1.0.11/cheap")[0] == 0


def test_a_servant_lets_a_request_end_before_it_stops(bench: Bench) -> None:
    container = servant(bench)
    plug_servant(bench, container)
    command = ["ip", "netns", "exec", CLIENT, "curl", "-sS", f"http://{SERVICE}/slow/1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as slow:
        time.sleep(0.3)
        container.stop(timeout=5)
        assert slow.communicate()[0] == "." * 9 + "\n"
    container.reload()
    assert container.attrs["State"]["ExitCode"] == 0


def test_a_recorded_namespace_goes_and_may_be_gone() -> None:
    record = LabRecord("tests-one")
    record.add("namespace", name="imgt-left")
    run("ip", "netns", "add", "imgt-left")
    assert record.undo() == [] and "imgt-left" not in run("ip", "netns")
    record.add("namespace", name="imgt-left")
    assert record.undo() == [] and record.entries() == []
