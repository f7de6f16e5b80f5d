"""The process that seals and opens, without any privilege: it sees hostile packets, so it can do nothing but handle them.

In: the key file, sockets and news of the plumbing from process 1 (descriptor CONTROL_FD), MGMT_ADDRESS, PLAIN_SIDE.
Out: frames, /health, /metrics. It opens no file and no interface. Ends with 0 once process 1 says so and the rings are empty.
"""

from __future__ import annotations

import os
import socket
import sys
import time

from prometheus_client import REGISTRY
from vnf import management, settings
from vnf.log import log
from vnf.plumbing import host

from encryption.engine import PLAIN_SIDES, Engine
from encryption.keys import parse_keys
from encryption.messages import Message, hear
from encryption.metrics import EncryptionCollector

WAIT_S = 0.5
DRAIN_S = 1.0
MANY_TURNS = 64  # between two looks for messages, where frames never stop


def main() -> int:
    control = socket.socket(fileno=int(os.environ["CONTROL_FD"]))
    first = hear(control)
    assert first is not None and first.kind == "keys"
    engine = Engine(parse_keys(str(first.facts["text"]), "keys"), os.environ["PLAIN_SIDE"])
    REGISTRY.register(EncryptionCollector(engine.counts, tuple(PLAIN_SIDES)))
    control.setblocking(False)
    engine.watch(control)
    management.serve(host(settings.addresses("MGMT_ADDRESS")), engine.health)
    while attend(engine, control):
        for _ in range(MANY_TURNS):
            if not engine.turn(WAIT_S):
                break
    until_s = time.monotonic() + DRAIN_S
    while engine.turn(0) and time.monotonic() < until_s:
        pass
    log("ending", sent=dict(engine.counts.sent), drops=dict(engine.counts.drops))
    return 0


def attend(engine: Engine, control: socket.socket) -> bool:
    """Act on all messages that came; false at the end of the stream."""
    while True:
        try:
            message = hear(control)
        except BlockingIOError:
            return True
        if message is None:
            return False
        act(engine, message)


def act(engine: Engine, message: Message) -> None:
    """Do what one message says. Process 1 has checked the keys already."""
    facts = message.facts
    if message.kind == "watch":
        engine.told(str(facts["wrong"]))
    elif message.kind == "keys":
        engine.load(parse_keys(str(facts["text"]), "keys"))
        engine.counts.reloads["loaded"] += 1
    elif message.kind == "refused":
        engine.counts.reloads["refused"] += 1
    elif message.port is not None:
        engine.put(str(facts["name"]), message.port, int(str(facts["mtu"])))


if __name__ == "__main__":
    sys.exit(main())
