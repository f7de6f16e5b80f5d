"""An open-loop HTTP client: every request is a connection of its own and leaves at its planned time, whatever became of those before.

In: a URL, the time of the start on the machine's monotonic clock, and a JSON list of planned times on standard input (ms after the
start, ascending). Out: one JSON list on standard output, an object a request in the order of the plan. It ends by itself, when the last
answer is there or given up; SIGTERM and SIGINT end it at once. A closed loop (`http_load.py`) sends less where a service is slow, and so
does not see how long the requests would have waited that it did not send.
"""

from __future__ import annotations

import argparse
import json
import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from testbed.traffic.http_load import Outcome, Target, connect_once


def run(target: Target, start_s: float, planned_ms: Sequence[float], timeout_s: float) -> list[dict[str, Any]]:
    """Send every request at `start_s` on the monotonic clock plus its planned time, a thread each; what came of them."""
    seen: list[tuple[float, Outcome] | None] = [None] * len(planned_ms)

    def send(number: int, due_s: float) -> None:
        late_ms = (time.monotonic() - due_s) * 1000
        seen[number] = late_ms, connect_once(target, timeout_s)

    threads = []
    for number, offset_ms in enumerate(planned_ms):
        due_s = start_s + offset_ms / 1000
        time.sleep(max(0.0, due_s - time.monotonic()))
        thread = threading.Thread(target=send, args=(number, due_s), daemon=True)
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    return [_told(offset_ms, each) for offset_ms, each in zip(planned_ms, seen, strict=True) if each is not None]


def _told(planned_ms: float, seen: tuple[float, Outcome]) -> dict[str, Any]:
    late_ms, outcome = seen
    return {
        "planned_ms": planned_ms,
        "late_ms": round(late_ms, 3),
        "connect_ms": None if outcome.connect_ms is None else round(outcome.connect_ms, 3),
        "latency_ms": round(outcome.latency_ms, 3),
        "rtt_ms": outcome.rtt_ms,
        "status": outcome.status,
        "servant": outcome.servant,
        "error": outcome.error,
        "source_port": outcome.source_port,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Send requests at planned times and tell what came of each."""
    parser = argparse.ArgumentParser(prog="python -m testbed.traffic.open_loop", description=main.__doc__)
    parser.add_argument("url", help="http://ADDRESS[:PORT]/PATH; the address in numbers")
    parser.add_argument("--start", type=float, help="seconds on the monotonic clock (default: now)")
    parser.add_argument("--timeout", type=float, default=5.0, help="seconds that one request may take (default: 5)")
    given = parser.parse_args(arguments)
    try:
        target = Target.parse(given.url)
    except (ValueError, OSError):
        parser.error(f"url: {given.url!r}: expected http://ADDRESS[:PORT]/PATH with an IPv4 address")
    try:
        planned_ms = [float(each) for each in json.load(sys.stdin)]
    except (ValueError, TypeError):
        parser.error("standard input: expected a JSON list of numbers")
    start_s = time.monotonic() if given.start is None else given.start
    print(json.dumps(run(target, start_s, planned_ms, given.timeout)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
