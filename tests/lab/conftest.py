"""Open vSwitch and Docker for all lab tests, and one running four-domain lab for those that ask for it: controller, service
`emergency`, chain `web`, all active.

A test puts back what it changes; `lab` waits until that is so before the next one. Anything that is missing fails. The
tests that end the lab run last, whatever the order of the others. Daemons that were started for the tests end with them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from testbed.lab.dockerd import ensure_docker
from testbed.lab.machine import examine
from testbed.lab.net import SERVICE_ADDRESS, Lab
from testbed.lab.record import LabRecord
from tests.support import recorded
from tests.support.firewall_bench import Wire
from tests.support.lab_traffic import once, run

ENDS_THE_LAB = "test_nothing_is_left_after_stop"


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The end of the lab comes last; stable for everything else."""
    items.sort(key=lambda item: item.name == ENDS_THE_LAB)


@pytest.fixture(scope="session", autouse=True)
def daemons() -> Iterator[None]:
    """Open vSwitch and Docker, as found or started for the tests."""
    if os.geteuid() != 0:
        pytest.fail("the lab needs root: network namespaces, Open vSwitch and Docker", pytrace=False)
    record = LabRecord("tests")  # what an aborted session left in it is ended with this one
    try:
        examine(record)
        ensure_docker(record)
        problems = recorded.RECORD.undo()
        assert not problems, problems
        yield
    finally:
        problems = [*recorded.RECORD.undo(), *record.undo()]
        assert not problems, problems


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A firewall between a client and a server."""
    new = Wire()
    try:
        yield new
    finally:
        new.close()


@pytest.fixture(scope="session")
def running_lab(daemons: None) -> Iterator[Lab]:
    """The lab, started once. Its logs are shown where it does not come up."""
    lab = Lab()
    if lab.record.entries():  # it may be somebody's who works with it: it is not ours to end
        pytest.fail(f"a lab named {lab.name!r} is up: ./scripts/lab down", pytrace=False)
    try:
        lab.start()
        lab.start_controller()
        lab.call("POST", "/services", {"name": "emergency", "address": SERVICE_ADDRESS, "port": 80})
        for name in lab.instances:
            lab.register(name)
        lab.call("POST", "/chains", {"name": "web", "functions": ["firewall"], "service": "emergency"})
        lab.ready()
        for client in lab.clients():  # from now on the controller knows every client
            once(lab, client)
    except BaseException:
        print((lab.log_folder / "controller.log").read_text()[-4000:])
        for switch in lab.topo.switches():
            print(switch, run("ovs-ofctl", "-O", "OpenFlow13", "dump-flows", switch))
        lab.stop(failed=True)
        raise
    try:
        yield lab
    finally:
        problems = lab.stop()
        assert not problems, problems


@pytest.fixture
def lab(running_lab: Lab) -> Iterator[Lab]:
    """The lab, with everything active before and after the test."""
    running_lab.ready()
    yield running_lab
    if running_lab.net is not None:
        running_lab.ready(30)
