"""Who may do what, and how often: API keys with roles, and a token bucket for each client.

In: the headers and address of a request, and the time. Out: a `Client`, or a `Problem` (401, 403, 429). Keys are kept
and compared as digests, in constant time; a key is never logged, only the first characters of its digest.
"""

import hmac
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from math import ceil
from pathlib import Path

from sdn_app.api.problems import Problem
from sdn_app.settings import SettingsError

SHORTEST_KEY = 16
MOST_CLIENTS = 4096  # buckets that are kept; the one unused for longest goes first
ROLES = ("read", "write")
READING_METHODS = ("GET", "HEAD")
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="sfc"'}


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks: a name for the audit log and the rate limit, and a role."""

    name: str
    role: str


class ApiKeys:
    """The keys that are known. Without any, everybody may write (loopback only; `Settings` sees to that)."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self._roles = {sha256(key.encode()).digest(): role for key, role in keys.items()}

    @property
    def required(self) -> bool:
        """True where there are keys."""
        return bool(self._roles)

    def identify(self, headers: Mapping[str, str], address: str) -> Client:
        """The client that sent `headers` from `address`.

        Raises:
            Problem: 401 where keys are required and none that is known was sent.
        """
        if not self._roles:
            return Client(address, "write")
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        key = token.strip() if scheme.lower() == "bearer" else headers.get("X-API-Key", "")
        digest, found = sha256(key.encode(errors="replace")).digest(), ""
        for known, role in self._roles.items():  # all of them, so that the time says nothing
            found = role if hmac.compare_digest(digest, known) else found
        if not found:
            raise Problem(401, "an API key is required: Authorization: Bearer KEY, or X-API-Key: KEY", (), _CHALLENGE)
        return Client(f"key:{digest.hex()[:8]}", found)


def authorise(client: Client, method: str) -> None:
    """Raises:
    Problem: 403 where the client's role does not allow the method.
    """
    if method not in READING_METHODS and client.role != "write":
        raise Problem(403, f"the role {client.role!r} may only read; {method} needs the role 'write'")


def read_keys(path: Path) -> dict[str, str]:
    """The keys and roles in a file of lines `key role`; empty lines and those that start with # are skipped.

    Raises:
        SettingsError: where the file cannot be read, is malformed or holds no key.
    """
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError("SFC_API_KEYS_FILE", str(path), f"a file that can be read ({error})") from None
    keys = dict(_parse_lines(path, lines))
    if not keys:
        raise SettingsError("SFC_API_KEYS_FILE", str(path), "at least one line `key role`")
    return keys


def _parse_lines(path: Path, lines: list[str]) -> Iterable[tuple[str, str]]:
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if len(words) != 2 or words[1] not in ROLES or len(words[0]) < SHORTEST_KEY:
            expected = f"`key role`, with a key of at least {SHORTEST_KEY} characters and a role of {ROLES}"
            raise SettingsError("SFC_API_KEYS_FILE", f"{path} line {number}", expected)
        yield words[0], words[1]


class RateLimit:
    """A token bucket for each client: `rate_rps` on average, `burst` at once."""

    def __init__(self, rate_rps: float, burst: int) -> None:
        self._rate_rps, self._burst = rate_rps, burst
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when they were counted

    def take(self, client: str, now: float) -> None:
        """Takes a token of the client's at `now` (seconds, monotonic).

        Raises:
            Problem: 429 where there is none, with the seconds until there is.
        """
        tokens, then = self._buckets.pop(client, (float(self._burst), now))
        tokens = min(float(self._burst), tokens + (now - then) * self._rate_rps)
        self._buckets[client] = (max(tokens - 1, 0.0) if tokens >= 1 else tokens, now)
        if len(self._buckets) > MOST_CLIENTS:
            self._buckets.popitem(last=False)
        if tokens < 1:
            wait_s = max(1, ceil((1 - tokens) / self._rate_rps))
            detail = f"more than {self._rate_rps:g} requests per second"
            raise Problem(429, detail, headers={"Retry-After": str(wait_s)})
