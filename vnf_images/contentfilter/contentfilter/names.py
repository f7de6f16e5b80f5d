"""Host names and paths in the one form in which they are compared.

In: what clients send and what lists hold. Out: lower-case bytes without port, trailing dot, brackets; paths as the places that a
server may come by while it resolves them. Whatever has no single reading raises BadName. No I/O.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import unquote_to_bytes

LONGEST_NAME = 253
MAX_DEPTH = 16  # segments of a path rule; a request's path is compared to this depth
MAX_SEGMENTS = 1024  # of a request's path

_NAME = re.compile(rb"[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")
_AUTHORITY = re.compile(rb"(\[[0-9a-fA-F:.]+\]|[^:\[\]]*)(?::[0-9]{0,5})?")
_IPV4 = re.compile(rb"[0-9]{1,3}(?:\.[0-9]{1,3}){3}")


class BadName(ValueError):
    """A host or a path that cannot be compared."""


def host_of(authority: bytes) -> bytes:
    """The host of `host`, `host:port` or `[address]:port`, as a client names it; b"" where it is empty. Raises BadName."""
    match = _AUTHORITY.fullmatch(authority)
    if match is None:
        raise BadName(f"host {authority[:80]!r} is neither a name nor an address")
    host = match[1]
    if host.startswith(b"["):
        return _ipv6(host[1:-1])
    return name_of(host) if host else b""


def name_of(name: bytes) -> bytes:
    """An ASCII name or IPv4 address in lower case, without the root's dot. Raises BadName."""
    plain = name.lower().removesuffix(b".")
    if len(plain) > LONGEST_NAME or _NAME.fullmatch(plain) is None:
        raise BadName(f"host {name[:80]!r} is neither a name nor an address")
    return plain


def listed_name(name: bytes) -> bytes:
    """A name as lists hold it: ASCII, or Unicode in UTF-8, which becomes punycode. Raises BadName."""
    if name.isascii():
        return _ipv6(name.strip(b"[]")) if b":" in name else name_of(name)
    try:
        return name_of(name.decode().encode("idna"))
    except UnicodeError:
        raise BadName(f"{name[:80]!r} is no international name") from None


def is_address(host: bytes) -> bool:
    """Whether a host in compared form is an address, which has no subdomains."""
    return b":" in host or _IPV4.fullmatch(host) is not None


def suffixes(host: bytes) -> Iterator[bytes]:
    """The host and, for a name, each domain above it."""
    yield host
    if is_address(host):
        return
    while dot := host.find(b".") + 1:
        host = host[dot:]
        yield host


def walk(path: bytes) -> tuple[list[bytes], list[bytes]]:
    """Where a path leads: each place passed on the way, and the places above and at its end, none deeper than MAX_DEPTH.

    Query and fragment are cut off, percent-encoding is undone once, case is folded, `\\` counts as `/`, `;parameters` and empty
    segments are dropped. A server that resolves `..` differently still comes by a place of the first list. Raises BadName.
    """
    plain = path.partition(b"?")[0].partition(b"#")[0]
    segments = unquote_to_bytes(plain).lower().replace(b"\\", b"/").split(b"/")
    if len(segments) > MAX_SEGMENTS:
        raise BadName(f"the path has more than {MAX_SEGMENTS} segments")
    passed: list[bytes] = []
    stack: list[bytes] = []
    for segment in segments:
        if b"\0" in segment:
            raise BadName("the path has a NUL")
        segment = segment.partition(b";")[0].strip()
        if segment == b"..":
            del stack[-1:]
        elif segment not in (b"", b"."):
            stack.append(segment)
            if len(stack) <= MAX_DEPTH:
                passed.append(b"/" + b"/".join(stack))
    return passed, [b"/" + b"/".join(stack[:depth]) for depth in range(1, min(len(stack), MAX_DEPTH) + 1)]


def _ipv6(text: bytes) -> bytes:
    try:
        return ipaddress.IPv6Address(text.decode()).compressed.encode()
    except ValueError:
        raise BadName(f"{text[:80]!r} is no IPv6 address") from None
