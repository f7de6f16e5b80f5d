"""Structured logs: one JSON object a line on standard output. In: an event and its facts. Out: a line."""

from __future__ import annotations

import json
import os
import sys
import time

INSTANCE = os.environ.get("INSTANCE_ID") or os.uname().nodename


def log(event: str, **facts: object) -> None:
    """Print `event` with its facts, the wall-clock time in seconds and the instance's id."""
    line = {"time": round(time.time(), 3), "instance": INSTANCE, "event": event, **facts}
    print(json.dumps(line, default=str), file=sys.stdout, flush=True)
