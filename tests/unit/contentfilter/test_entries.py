"""List lines in all forms, and what the tables made of them say."""

from __future__ import annotations

import pytest
from contentfilter.entries import Entry, NotUnderstood, entries_of
from contentfilter.names import BadName, host_of, listed_name, walk
from contentfilter.rules import NamedTable, Rules, add
from contentfilter.table import Kind, TableBuilder, hasher
from hypothesis import given
from hypothesis import strategies as st

labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
names = st.lists(labels, min_size=2, max_size=5).map(lambda parts: (".".join(parts) + ".example").encode())


def rules(block: str = "", allow: str = "", second: str = "") -> Rules:
    hashed = hasher(b"k" * 32)
    built = []
    allowed = TableBuilder()
    for text in (block, second):
        builder = TableBuilder()
        for line in text.splitlines():
            for entry in entries_of(line.encode()):
                add(allowed if entry.exception else builder, hashed, entry)
        built.append(builder.build())
    for line in allow.splitlines():
        for entry in entries_of(line.encode()):
            add(allowed, hashed, entry)
    return Rules(hashed, allowed.build(), (NamedTable("first", built[0]), NamedTable("second", built[1])))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("0.0.0.0 ads.example", [(Kind.NAME, b"ads.example")]),
        ("127.0.0.1\tAds.Example.  other.example # both", [(Kind.NAME, b"ads.example"), (Kind.NAME, b"other.example")]),
        ("::1 localhost", []),
        ("0.0.0.0 0.0.0.0", []),
        ("ads.example\r\n", [(Kind.DOMAIN, b"ads.example")]),
        ("ads.example # why", [(Kind.DOMAIN, b"ads.example")]),
        ("*.ads.example", [(Kind.DOMAIN, b"ads.example")]),
        (".ads.example", [(Kind.DOMAIN, b"ads.example")]),
        ("||ads.example^", [(Kind.DOMAIN, b"ads.example")]),
        ("||ads.example^$important", [(Kind.DOMAIN, b"ads.example")]),
        ("||ads.example/banner", [(Kind.PATH, b"ads.example/banner")]),
        ("ads.example/A/./b/", [(Kind.PATH, b"ads.example/a/b")]),
        ("http://192.0.2.1:8080/i.exe", [(Kind.PATH, b"192.0.2.1/i.exe")]),
        ("ads.example/", [(Kind.DOMAIN, b"ads.example")]),
        ("192.0.2.7", [(Kind.NAME, b"192.0.2.7")]),
        ("2001:DB8:0::1", [(Kind.NAME, b"2001:db8::1")]),
        ("bücher.example", [(Kind.DOMAIN, b"xn--bcher-kva.example")]),
        ("! comment", []),
        ("# comment", []),
        ("[Adblock Plus 2.0]", []),
        ("", []),
    ],
)
def test_the_forms_of_lines(line: str, expected: list[tuple[Kind, bytes]]) -> None:
    assert entries_of(line.encode()) == [Entry(*each) for each in expected]


def test_an_exception_is_one() -> None:
    assert entries_of(b"@@||good.example^") == [Entry(Kind.DOMAIN, b"good.example", True)]


@pytest.mark.parametrize(
    "line",
    [
        "10.0.0.5 nas",
        "||ads.example^$third-party",
        "||ads.example",
        "example.com##.banner",
        "a b c",
        "/banner/*/ads",
        "x" * 300,
        "ads.example/x?y=1",
        "ads..example",
        "a.example/" + "x/" * 17 + "x",
        "\0",
    ],
)
def test_what_is_no_entry(line: str) -> None:
    with pytest.raises(NotUnderstood):
        entries_of(line.encode())


@pytest.mark.parametrize(
    ("host", "stopped"),
    [
        (b"domain.example", True),
        (b"deep.sub.domain.example", True),
        (b"notdomain.example", False),
        (b"exact.example", True),
        (b"www.exact.example", False),
        (b"example", False),
        (b"good.domain.example", False),
        (b"x.good.domain.example", False),
    ],
)
def test_domains_take_subdomains_and_hosts_lines_do_not(host: bytes, stopped: bool) -> None:
    judged = rules("0.0.0.0 exact.example\ndomain.example\n", "good.domain.example")
    assert judged.blocked_by(host) == ("first" if stopped else None)


@pytest.mark.parametrize(
    ("path", "stopped"),
    [
        (b"/ads", True),
        (b"/ads/x?y", True),
        (b"/adsense", False),
        (b"/%61ds", True),
        (b"/ADS", True),
        (b"/x/../ads", True),
        (b"/x/%2e%2e/ads", True),
        (b"//ads", True),
        (b"/./ads;v=1/x", True),
        (b"/x%2f..%2fads", True),
        (b"\\ads", True),
        (b"/ads/../ok", True),  # a server that does not resolve it comes by /ads
        (b"/ok", False),
        (b"/?/ads", False),
        (b"/..", False),
        (b"", False),
        (b"/ads/good", False),
        (b"/ads/good/../bad", True),
    ],
)
def test_paths_are_judged_in_the_stricter_reading(path: bytes, stopped: bool) -> None:
    judged = rules("example.com/ads", "example.com/ads/good")
    assert judged.blocked_by(b"www.example.com", path) == ("first" if stopped else None)
    assert judged.blocked_by(b"example.org", path) is None


def test_the_first_list_that_has_it_is_named() -> None:
    judged = rules("a.example", second="b.example\na.example")
    assert [judged.blocked_by(host) for host in (b"a.example", b"b.example", b"c.example")] == ["first", "second", None]


@pytest.mark.parametrize(
    ("authority", "host"),
    [
        (b"Example.COM:8080", b"example.com"),
        (b"example.com.", b"example.com"),
        (b"[2001:DB8::0:1]:80", b"2001:db8::1"),
        (b"10.0.0.1", b"10.0.0.1"),
        (b"", b""),
        (b":80", b""),
        (b"a_b.example", b"a_b.example"),
    ],
)
def test_hosts_in_compared_form(authority: bytes, host: bytes) -> None:
    assert host_of(authority) == host


@pytest.mark.parametrize(
    "authority",
    [
        b"a b",
        b"user@host",
        b"a..b",
        b"a.b..",
        b"h:80:80",
        b"h:x",
        b"[::1",
        b"b\xc3\xbccher.example",
        b"h%61.example",
        b"a,b",
        b"x" * 64,
    ],
)
def test_hosts_without_a_single_reading(authority: bytes) -> None:
    with pytest.raises(BadName):
        host_of(authority)


def test_a_path_with_nul_or_without_end_is_refused() -> None:
    for path in (b"/ads%00.gif", b"/a" * 2000):
        with pytest.raises(BadName):
            walk(path)


@given(st.sets(names, min_size=1, max_size=40), st.sets(names, max_size=40))
def test_a_table_has_what_was_added_and_nothing_else(inside: set[bytes], outside: set[bytes]) -> None:
    hashed = hasher(b"k" * 32)
    builder = TableBuilder()
    for name in [*inside, *inside]:
        builder.add(hashed(name))
    table = builder.build()
    assert table.entries == len(inside) and table.bytes == 8 * len(inside)
    assert all(hashed(name) in table for name in inside)
    assert not any(hashed(name) in table for name in outside - inside)


@given(names, names)
def test_every_subdomain_of_a_domain_is_stopped(domain: bytes, below: bytes) -> None:
    judged = rules(domain.decode())
    assert judged.blocked_by(host_of(domain.upper() + b".:80")) == "first"
    assert (judged.blocked_by(below + b"." + domain) == "first") is (len(below + domain) < 253)
    assert judged.blocked_by(b"x" + domain) is None


@given(st.binary(max_size=200))
def test_any_line_is_an_entry_or_not(line: bytes) -> None:
    try:
        for entry in entries_of(line):
            assert entry.value == entry.value.lower()
    except NotUnderstood:
        pass


@given(st.lists(st.sampled_from(["", ".", "..", "a", "b", "ads", "%2e", "%2E%2e"]), max_size=12))
def test_a_path_passes_its_end(segments: list[str]) -> None:
    passed, end = walk(("/" + "/".join(segments)).encode())
    assert not end or end[-1] in passed


def test_an_international_name_is_listed_as_clients_send_it() -> None:
    assert listed_name("bücher.example".encode()) == b"xn--bcher-kva.example"
