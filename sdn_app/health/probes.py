"""HTTP health probes of instances on their management addresses.

In: a URL and a timeout. Out: whether it answered 200 in time, and the load and open connections that it reported. It
decides nothing (`machine` does).
"""

import json
from dataclasses import dataclass
from typing import Any

import eventlet
from eventlet.green import socket
from eventlet.green.urllib import parse

MAX_ANSWER = 65536


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What a probe found. `active`: open connections that the instance reported, None where it did not."""

    ok: bool
    detail: str
    load: float | None = None
    active: int | None = None


def probe(url: str, timeout_s: float) -> ProbeResult:
    """Fetch a health page. Never raises: whatever goes wrong is a failed probe with its reason."""
    try:
        with eventlet.Timeout(timeout_s):
            return _judge(_fetch(url, timeout_s))
    except eventlet.Timeout:
        return ProbeResult(False, f"no answer within {timeout_s:g} s")
    except (OSError, ValueError) as error:
        return ProbeResult(False, str(error) or type(error).__name__)


def _fetch(url: str, timeout_s: float) -> bytes:
    parts = parse.urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ValueError(f"{url}: expected http://HOST[:PORT]/PATH")
    address = (parts.hostname, parts.port or 80)
    request = f"GET {parts.path or '/'} HTTP/1.0\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    with socket.create_connection(address, timeout_s) as connection:
        connection.sendall(request.encode())
        answer = b""
        while len(answer) < MAX_ANSWER:
            part = connection.recv(MAX_ANSWER)
            if not part:
                break
            answer += part
    return answer


def _judge(answer: bytes) -> ProbeResult:
    head, _, body = answer.partition(b"\r\n\r\n")
    words = head.split(b"\r\n", 1)[0].split(b" ", 2)
    if len(words) < 2 or words[1] != b"200":
        return ProbeResult(False, f"answered {b' '.join(words)[:80].decode(errors='replace')!r}")
    try:
        said: Any = json.loads(body)
    except ValueError:
        return ProbeResult(True, "ok")
    if not isinstance(said, dict):
        return ProbeResult(True, "ok")
    load, active = said.get("load"), said.get("active")
    return ProbeResult(
        True,
        str(said.get("status", "ok")),
        float(load) if isinstance(load, (int, float)) else None,
        active if isinstance(active, int) else None,
    )
