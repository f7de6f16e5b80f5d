"""Find links and measure their latency by timed probes. I/O only through the `send` that it is given.

A probe leaves every port that could be a trunk and carries (switch, port, time sent, signature); where it comes in on
another switch there is a link. Its one-way latency is the probe's time under way minus what the way through the control
channels costs, which is measured by probes that a switch sends straight back to the controller. Both are the least of
the last few samples: whatever else the machine does can only make a sample longer.

Must not: write flow entries, or believe a probe whose signature is not its own.
"""

import hashlib
import hmac
import struct
from collections import deque
from dataclasses import dataclass, field

from sdn_app.network.graph import Link
from sdn_app.rules.pipeline import ETH_PROBE

_BODY = struct.Struct("!QId")
_MAC = bytes.fromhex("012320000001")
_SIGNATURE = 16
SAMPLES = 8
CONTROL_SAMPLES = 64  # the way through the control channel changes less than links do
LEAST_SAMPLES = 3  # the first one is often late, and a wrong latency would make paths that are soon wrong
SELF_PORT = 0  # a probe "from port 0" goes straight back to the controller


@dataclass(slots=True)
class _Seen:
    to: tuple[int, int]
    last: float
    samples: deque[float] = field(default_factory=lambda: deque(maxlen=SAMPLES))


class Discovery:
    """Links seen by probes. Times are seconds of one monotonic clock, which callers pass in; latencies are ms."""

    def __init__(self, key: bytes, timeout_s: float = 3.5) -> None:
        self._key, self._timeout_s = key, timeout_s
        self._seen: dict[tuple[int, int], _Seen] = {}
        self._control: dict[int, deque[float]] = {}

    def probe(self, switch: int, port: int, now: float) -> bytes:
        """The frame to be sent out of a port (or straight back, for SELF_PORT)."""
        body = _BODY.pack(switch, port, now)
        source = (0x025FC2000000 + (switch & 0xFFFFFF)).to_bytes(6, "big")
        return _MAC + source + struct.pack("!H", ETH_PROBE) + body + self._sign(body)

    def _sign(self, body: bytes) -> bytes:
        return hmac.new(self._key, body, hashlib.sha256).digest()[:_SIGNATURE]

    def received(self, switch: int, port: int, frame: bytes, now: float) -> bool:
        """Take in a probe. True where it makes known a link that was not known, or was known to lead elsewhere."""
        body, signature = frame[14 : 14 + _BODY.size], frame[14 + _BODY.size : 14 + _BODY.size + _SIGNATURE]
        if len(body) < _BODY.size or not hmac.compare_digest(self._sign(body), signature):
            return False
        origin, out, sent = _BODY.unpack(body)
        took_ms = (now - sent) * 1e3
        if out == SELF_PORT:
            if origin == switch:
                self._control.setdefault(switch, deque(maxlen=CONTROL_SAMPLES)).append(took_ms)
            return False
        if origin == switch or not 0 <= took_ms < self._timeout_s * 1e3:
            return False
        seen = self._seen.get((origin, out))
        new = seen is None or seen.to != (switch, port)
        if seen is None or new:
            seen = self._seen[origin, out] = _Seen((switch, port), now)
        seen.last = now
        seen.samples.append(took_ms)
        return new

    def port_down(self, switch: int, port: int) -> bool:
        """A port is gone: so are the links over it, at once."""
        gone = [k for k, seen in self._seen.items() if k == (switch, port) or seen.to == (switch, port)]
        for key in gone:
            del self._seen[key]
        return bool(gone)

    def switch_down(self, switch: int) -> bool:
        """A switch is gone, with all links at it."""
        self._control.pop(switch, None)
        gone = [k for k, seen in self._seen.items() if switch in (k[0], seen.to[0])]
        for key in gone:
            del self._seen[key]
        return bool(gone)

    def expire(self, now: float) -> bool:
        """Forget links that no probe came over for the timeout."""
        gone = [k for k, seen in self._seen.items() if now - seen.last > self._timeout_s]
        for key in gone:
            del self._seen[key]
        return bool(gone)

    def hold(self, switch: int, now: float) -> None:
        """Keep the links of a switch that cannot be probed at present."""
        for key, seen in self._seen.items():
            if switch in (key[0], seen.to[0]):
                seen.last = now

    def is_trunk(self, switch: int, port: int) -> bool:
        """True where a link starts or ends at this port."""
        return (switch, port) in self._seen or any(s.to == (switch, port) for s in self._seen.values())

    def links(self) -> list[Link]:
        """All links with both directions known, latencies as measured, sorted."""
        found = []
        for (a, a_port), seen in sorted(self._seen.items()):
            b, b_port = seen.to
            back = self._seen.get((b, b_port))
            if back is None or back.to != (a, a_port):
                continue
            if min(len(seen.samples), len(back.samples)) < LEAST_SAMPLES:
                continue
            control = (self._control_ms(a) + self._control_ms(b)) / 2
            one_way = (min(seen.samples) + min(back.samples)) / 2 - control
            found.append(Link(a, a_port, b, b_port, max(0.01, round(one_way, 3))))
        return found

    def _control_ms(self, switch: int) -> float:
        samples = self._control.get(switch)
        return min(samples) if samples else 0.0
