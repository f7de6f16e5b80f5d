"""A lab that stays up: `up`, `status`, `cli`, `down`.

Exit codes: 0: done; 1: it failed, and what it started was torn down; 2: wrong usage; 3: no lab is up.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from typing import Any

from testbed.lab import session
from testbed.lab.record import LabRecord

FAILED, NOT_RUNNING = 1, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command and do it."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.command in ("up", "hold"):
        try:
            session.topology(given.topology)
        except ValueError as error:
            parser.error(str(error))
    if os.geteuid() != 0:
        print("lab: needs root: network namespaces, Open vSwitch and Docker", file=sys.stderr)
        return FAILED
    if given.command == "hold":
        return session.hold(given.topology, not given.no_chain)
    if given.command == "up":
        return up(given.topology, not given.no_chain)
    if given.command == "down":
        return down()
    facts = session.session()
    if facts is None:
        left = LabRecord(session.NAME).entries()
        print("no lab is up" + (f", but {len(left)} things of one are left: ./scripts/lab down" if left else ""))
        return NOT_RUNNING
    return status(facts) if given.command == "status" else cli(given.words)


def up(topology: str, chain: bool) -> int:
    """Start the process that holds the lab; return when the lab is ready, or say why it is not."""
    if session.session(session.HOLDER) is not None or LabRecord(session.NAME).entries():
        print("lab: a lab is up or was not ended: ./scripts/lab down", file=sys.stderr)
        return FAILED
    session.LOG.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "testbed.lab", "hold", "--topology", topology]
    with session.LOG.open("wb") as log:
        holder = subprocess.Popen(
            [*command, *([] if chain else ["--no-chain"])],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        with session.LOG.open() as log:
            while True:
                ended = holder.poll() is not None
                sys.stdout.write(log.read())
                sys.stdout.flush()
                facts = session.session()
                if ended or (facts is not None and facts["pid"] == holder.pid):
                    break
                time.sleep(0.1)
    except KeyboardInterrupt:
        print("interrupted; tearing down", flush=True)
        holder.terminate()
        holder.wait()
        return FAILED
    if facts is None or ended:
        _undo()
        print(f"lab: it did not come up; its log is {session.LOG}", file=sys.stderr)
        return FAILED
    name, address, port = session.SERVICE.values()
    print(f"\nThe lab is up ({topology}). REST: {facts['rest']}; service {name}: {address}:{port}")
    print("  ./scripts/lab status | cli | down")
    return 0


def down() -> int:
    """End the lab, and what an earlier one left."""
    facts = session.session(session.HOLDER)
    left = LabRecord(session.NAME).entries()
    if facts is None and not left:
        print("no lab is up")
        return NOT_RUNNING
    if facts is not None:
        print("ending the lab", flush=True)
        if not session.stop_holder(facts["pid"], facts["started"]):
            print(f"lab: process {facts['pid']} does not end", file=sys.stderr)
            return FAILED
    good = _undo()
    print("torn down" if good else "lab: not everything could be ended; ./scripts/lab down tries again")
    return 0 if good else FAILED


def _undo() -> bool:
    record = LabRecord(session.NAME)
    problems = record.undo()
    for problem in problems:
        print(f"could not end {problem}", file=sys.stderr)
    if not problems:
        for path in (session.HOLDER, session.SESSION, session.SOCKET, *record.folder.glob("controller.sqlite*")):
            path.unlink(missing_ok=True)
    return not problems


def status(facts: dict[str, Any]) -> int:
    """What is up, by the holder, Docker and the controller."""
    print(f"topology: {facts['topology']}; held by process {facts['pid']}")
    print("\n".join(facts["machine"]))
    print(f"switches: {', '.join(facts['switches'])}")
    print("hosts: " + ", ".join(f"{name} {address}" for name, address in facts["hosts"].items()))
    states = _states(list(facts["containers"].values()))
    print("containers:")
    for name, number in facts["containers"].items():
        print(f"  {name:8} {states.get(number, 'gone')}")
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            facts["rest"] + "/topology", timeout=5
        ) as answer:
            told = json.loads(answer.read())["links"]
    except (OSError, ValueError) as error:
        print(f"controller: {facts['rest']} does not answer: {error}")
        return FAILED
    print(f"controller: {facts['rest']}")
    measured = {(link["a"], link["b"]): link["latency_ms"] for link in told}
    print("links:   configured   measured (one way)")
    for a, b, delay_ms in sorted(facts["links"]):
        ways = ", ".join(_way(measured, *ends) for ends in ((a, b), (b, a)))
        print(f"  {f's{a}-s{b}':9}{delay_ms:7.2f} ms   {ways}")
    return 0


def _way(measured: dict[tuple[int, int], float | None], a: int, b: int) -> str:
    if (a, b) not in measured:
        return f"s{a}>s{b} is down"
    latency_ms = measured[a, b]
    return "not yet" if latency_ms is None else f"{latency_ms:.2f} ms"


def _states(containers: list[str]) -> dict[str, str]:
    """Docker's word for each, by id."""
    shown = subprocess.run(
        ["docker", "inspect", "--format", "{{.Id}} {{.State.Status}}", *containers],
        capture_output=True,
        text=True,
        check=False,
    )
    return dict(line.split(" ", 1) for line in shown.stdout.splitlines() if " " in line)


def cli(words: list[str]) -> int:
    """Mininet's command line; with words, that one command."""
    try:
        client = session.CommandClient()
    except OSError as error:
        print(f"lab: no command line: {error}", file=sys.stderr)
        return FAILED
    if words:
        client.run(" ".join(words))
        client.close()
        return 0
    talks = sys.stdin.isatty()
    if talks:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - input() uses it
    while True:
        try:
            line = input("mininet> " if talks else "")
        except KeyboardInterrupt:
            print()
            continue
        except EOFError:
            break
        if not client.run(line):
            break
    client.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./scripts/lab", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="up|down|status|cli")
    for name, words in (("up", "bring a lab up and leave it up"), ("hold", None)):
        command = commands.add_parser(name, help=words) if words else commands.add_parser(name)
        command.add_argument("--topology", default="four_domain", help="four_domain, linear, tree or real:NAME")
        command.add_argument("--no-chain", action="store_true", help="do not create the chain `web`")
    commands.add_parser("down", help="end it, and what an earlier one left")
    commands.add_parser("status", help="what is up")
    command = commands.add_parser("cli", help="Mininet's command line")
    command.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND", help="run this one command")
    return parser


if __name__ == "__main__":
    sys.exit(main())
