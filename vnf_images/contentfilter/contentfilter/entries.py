"""The lines of block lists. In: one line of a hosts file, a domain list, an AdBlock list or our own path rules. Out: its entries.

The forms are told apart line by line, so that a list may mix them:

    0.0.0.0 name other      hosts file: these names alone, as a resolver would take it
    name                    domain list: the name and all below it; `*.name` and `.name` mean the same
    ||name^                 AdBlock: the name and all below it; `||name/path` as the next
    name/path               the path and all below it, on the name and all below it; also with http:// before it
    @@||name^               an exception: joins the allow list, whatever list it stands in

`#` and `!` begin comments. No I/O.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from contentfilter.names import LONGEST_NAME, MAX_DEPTH, BadName, is_address, listed_name, walk
from contentfilter.table import Kind

_NULL_ADDRESSES = frozenset((b"0.0.0.0", b"127.0.0.1", b"::", b"::1", b"0"))
_OWN_NAMES = frozenset(
    b"localhost localhost.localdomain local broadcasthost ip6-localhost ip6-loopback ip6-localnet ip6-mcastprefix ip6-allnodes "
    b"ip6-allrouters ip6-allhosts 0.0.0.0".split()
)
_COMMON = re.compile(
    rb"(0\.0\.0\.0[ \t]+|127\.0\.0\.1[ \t]+|)((?:[a-z0-9_-]{1,63}\.)+[a-z][a-z0-9-]{0,62})\s*"
)  # what nearly all lines of long lists are, read in one step
_COMMENTS = (b"#", b"!", b"[Adblock")
_COMMENT = re.compile(rb"(?:^|\s)#.*")
_SCHEME = re.compile(rb"(?i)https?://")
_PORT = re.compile(rb":[0-9]{1,5}$")


class Entry(NamedTuple):
    """What a list says of one name; `value` is a host, or host and path."""

    kind: Kind
    value: bytes
    exception: bool = False


class NotUnderstood(ValueError):
    """A line that is no entry of any form."""


def entries_of(line: bytes) -> list[Entry]:
    """The entries of a line, none for a comment. Raises NotUnderstood."""
    common = _COMMON.fullmatch(line)
    if common is not None and len(common[2]) <= LONGEST_NAME and common[2] not in _OWN_NAMES:
        return [Entry(Kind.NAME if common[1] else Kind.DOMAIN, common[2])]
    text = line.strip()
    if not text or text.startswith(_COMMENTS):
        return []
    try:
        return _entries(text)
    except BadName as error:
        raise NotUnderstood(str(error)) from None


def _entries(text: bytes) -> list[Entry]:
    if text.startswith((b"||", b"@@||")):
        return [_adblock(text)]
    words = _COMMENT.sub(b"", text).split()
    if len(words) == 1:
        return [_domain_or_path(words[0], exception=False)]
    if words[0] not in _NULL_ADDRESSES:
        raise NotUnderstood(f"{text[:80]!r} is no entry; a hosts file's line begins with 0.0.0.0 or a loopback address")
    return [Entry(Kind.NAME, listed_name(name)) for name in words[1:] if name.lower() not in _OWN_NAMES]


def _adblock(text: bytes) -> Entry:
    exception = text.startswith(b"@@")
    name, mark, options = text.removeprefix(b"@@").removeprefix(b"||").partition(b"^")
    if options.removeprefix(b"|") not in (b"", b"$important", b"$all", b"$document"):
        raise NotUnderstood(f"{text[:80]!r} holds under conditions; expected ||name^")
    if not mark and b"/" not in name:
        raise NotUnderstood(f"{text[:80]!r} has no ^ behind the name")
    return _domain_or_path(name, exception)


def _domain_or_path(text: bytes, exception: bool) -> Entry:
    without = _SCHEME.sub(b"", text, count=1)
    host, slash, path = without.partition(b"/")
    if slash:
        host = _PORT.sub(b"", host)
    name = listed_name(host.removeprefix(b"*.").removeprefix(b"."))
    if not path:
        return Entry(Kind.NAME if is_address(name) else Kind.DOMAIN, name, exception)
    if b"?" in path or b"*" in path:
        raise NotUnderstood(f"{text[:80]!r} names a query or a pattern; expected host/path")
    _, places = walk(path)
    if not places or path.count(b"/") >= MAX_DEPTH:
        raise NotUnderstood(f"{text[:80]!r} names no path of 1 to {MAX_DEPTH} segments")
    return Entry(Kind.PATH, name + places[-1], exception)
