"""What the antivirus makes of streams, however they are cut into pieces; with a plain search in YARA's place."""

from __future__ import annotations

import base64
import gzip
import io
import sys
import zipfile
import zlib
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from testbed.lab import images

for part in ("base", "antivirus"):
    sys.path.append(str(images.IMAGES_FOLDER / part))

from antivirus.content import DECODERS_LIMIT, Desk, Office, Policy  # noqa: E402  (found by the path above)
from antivirus.inspector import StreamInspector  # noqa: E402
from vnf.stream import Direction, Stop, Verdict  # noqa: E402

BAD = b"<this is what must never pass>"
STRICT = Policy(frozenset({"encrypted", "unreadable", "excessive"}), 5, 200, 8 << 20, 64)
LENIENT = Policy(frozenset(), 5, 200, 8 << 20, 64)
UP, DOWN = Direction.TO_SERVER, Direction.TO_CLIENT
passed: Counter[str] = Counter()
desk = Desk()


def inspector(policy: Policy = STRICT) -> StreamInspector:
    def match(data: bytes) -> str:
        return "Bad" if BAD in data else ""

    def declined(reason: str) -> None:
        passed[reason] += 1

    return StreamInspector(lambda: Office(match, policy, declined, desk), lambda name: None)


def say(talk: list[tuple[Direction, bytes]], size: int = 1 << 20, policy: Policy = STRICT) -> tuple[Verdict, int]:
    """The last verdict and how many bytes passed, where all is sent in pieces of this size."""
    judge, count = inspector(policy), 0
    verdict: Verdict
    for direction, data in talk:
        for at in range(0, len(data), size):
            verdict = judge.data(direction, data[at : at + size])
            if isinstance(verdict, Stop):
                return verdict, count
            count += len(data[at : at + size])
    return verdict, count


def stopped(verdict: Verdict) -> str:
    return verdict.reason if isinstance(verdict, Stop) else ""


def zipped(content: bytes, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr("one.txt", b"hello" * 10)
        archive.writestr("two.txt", content)
    return buffer.getvalue()


def streamed_zip(content: bytes) -> bytes:
    """As a tool writes it that cannot seek: sizes come after the data."""

    class Pipe(io.RawIOBase):
        def __init__(self) -> None:
            self.written = b""

        def writable(self) -> bool:
            return True

        def write(self, data: object) -> int:
            self.written += bytes(data)  # type: ignore[call-overload]
            return len(bytes(data))  # type: ignore[call-overload]

    pipe = Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:  # type: ignore[arg-type]
        archive.writestr("two.txt", content)
    return pipe.written


def counted(body: bytes, *headers: bytes) -> bytes:
    lines = [b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *headers, b"", body]
    return b"\r\n".join(lines)


def chunked(body: bytes, *headers: bytes, size: int = 7) -> bytes:
    chunks = [b"%x\r\n%b\r\n" % (len(body[at : at + size]), body[at : at + size]) for at in range(0, len(body), size)]
    lines = [b"HTTP/1.1 200 OK", b"Transfer-Encoding: chunked", *headers, b"", b"".join(chunks) + b"0\r\n\r\n"]
    return b"\r\n".join(lines)


GET = b"GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
WRAPPINGS = {
    "plain": lambda body: counted(body),
    "chunked": lambda body: chunked(body),
    "gzip-coding": lambda body: counted(gzip.compress(body), b"Content-Encoding: gzip"),
    "deflate-coding": lambda body: counted(zlib.compress(body), b"Content-Encoding: deflate"),
    "raw-deflate-coding": lambda body: counted(zlib.compress(body, wbits=-15), b"Content-Encoding: deflate"),
    "two-codings": lambda body: chunked(gzip.compress(zlib.compress(body)), b"Content-Encoding: deflate, gzip"),
    "gzip-file": lambda body: chunked(gzip.compress(body)),
    "second-gzip-member": lambda body: counted(gzip.compress(b"first") + gzip.compress(body)),
    "zip": lambda body: counted(zipped(body)),
    "zip-stored-gzip": lambda body: counted(zipped(gzip.compress(body), zipfile.ZIP_STORED)),
    "zip-in-zip": lambda body: chunked(zipped(zipped(body))),
    "zip-streamed": lambda body: counted(streamed_zip(body)),
    "zip-after-junk": lambda body: counted(b"junk" * 100 + zipped(body)),
    "http-1.0": lambda body: b"HTTP/1.0 200 OK\r\n\r\n" + gzip.compress(body),
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
@settings(deadline=None, max_examples=12)
@given(size=st.integers(1, 60), before=st.integers(0, 100))
def test_no_wrapping_and_no_cut_lets_it_pass(wrapping: str, size: int, before: int) -> None:
    for bad in (True, False):
        body = b"a" * before + (BAD if bad else BAD[:-1]) + b"z" * 10
        answer = WRAPPINGS[wrapping](body)
        verdict, count = say([(UP, GET), (DOWN, answer)], size)
        assert stopped(verdict) == ("signature" if bad else "")
        assert bad is (count < len(GET) + len(answer))


def test_answers_after_others_are_looked_into() -> None:
    first, head = counted(b"hello"), b"HTTP/1.1 200 OK\r\nContent-Length: 700\r\n\r\n"
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    requests = GET + b"HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n" + GET
    verdict, _ = say([(UP, requests), (DOWN, first + head + interim + chunked(gzip.compress(BAD)))])
    assert stopped(verdict) == "signature"


def test_a_form_is_looked_into() -> None:
    part = (
        b'--B\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n' + gzip.compress(BAD) + b"\r\n--B--\r\n"
    )
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Type: multipart/form-data; boundary=B\r\n"
    verdict, _ = say([(UP, head + b"Content-Length: %d\r\n\r\n" % len(part) + part)])
    assert stopped(verdict) == "signature"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: y\r\n folded\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000,
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000,
        b"nonsense\r\n",
    ],
)
def test_what_can_be_read_in_two_ways_or_never_ends_is_blocked(answer: bytes) -> None:
    assert stopped(say([(UP, GET), (DOWN, answer)])[0]) == "protocol"


def mail(body: bytes, encoding: bytes) -> bytes:
    head = b'Content-Type: multipart/mixed;\r\n boundary="b 1"\r\n\r\n--b 1\r\n\r\nhello\r\n..dot\r\n'
    inner = b"--b 1\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n--in\r\n\r\nx\r\n--in--\r\n"
    part = b"--b 1\r\nContent-Type: application/zip\r\nContent-Transfer-Encoding: " + encoding + b"\r\n\r\n"
    return head + inner + part + body + b"\r\n--b 1--\r\n"


def session(text: bytes) -> list[tuple[Direction, bytes]]:
    return [
        (DOWN, b"220-hello\r\n220 there\r\n"),
        (UP, b"EHLO me\r\n"),
        (DOWN, b"250-x\r\n250 y\r\n"),
        (UP, b"MAIL FROM:<a>\r\nRCPT TO:<b>\r\nDATA\r\n"),
        (DOWN, b"250 a\r\n250 b\r\n354 c\r\n"),
        (UP, text + b".\r\n"),
        (DOWN, b"250 taken\r\n"),
        (UP, b"QUIT\r\n"),
    ]


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 80), st.sampled_from(("base64", "zip", "quoted")), st.booleans())
def test_mail_is_decoded_however_it_is_cut(size: int, kind: str, bad: bool) -> None:
    content = b"x" * 40 + (BAD if bad else BAD[1:])
    if kind == "quoted":
        body, encoding = content.replace(b"must", b"=6Dus=\r\nt"), b"Quoted-Printable"
    else:
        content = zipped(content) if kind == "zip" else content
        body, encoding = base64.encodebytes(content).replace(b"\n", b"\r\n"), b"base64"
    first, second = session(mail(b"aGVsbG8=", b"base64")), session(mail(body, encoding))
    verdict, _ = say([*first[:-1], *second[3:]], size)
    assert stopped(verdict) == ("signature" if bad else "")


def test_a_message_that_the_server_did_not_want_is_commands_again() -> None:
    refused = [*session(b"")[:4], (DOWN, b"250 a\r\n550 b\r\n503 c\r\n"), (UP, b"STARTTLS\r\n")]
    assert stopped(say(refused)[0]) == "encrypted"
    assert stopped(say(refused, policy=LENIENT)[0]) == "" and passed["encrypted"]


@pytest.mark.parametrize("end", [b"\n.\r\n", b"\r\n.\n", b"\n.\n"])
def test_ends_that_only_some_servers_see_are_blocked(end: bytes) -> None:
    assert (
        stopped(say([*session(b"")[:5], (UP, b"Subject: x\r\n\r\nhello" + end + b"MAIL FROM:<x>\r\n")])[0])
        == "protocol"
    )


def test_bdat_is_looked_into() -> None:
    text = mail(base64.encodebytes(BAD).replace(b"\n", b"\r\n"), b"base64")
    talk = [
        *session(b"")[:3],
        (UP, b"BDAT %d\r\n" % 50 + text[:50] + b"BDAT %d LAST\r\n" % (len(text) - 50) + text[50:]),
    ]
    assert stopped(say(talk)[0]) == "signature"


def test_bombs_and_depth_have_limits() -> None:
    bomb = counted(zipped(bytes(30_000_000)))
    assert stopped(say([(UP, GET), (DOWN, bomb)])[0]) == "excessive"
    deep = BAD
    for _ in range(7):
        deep = gzip.compress(deep)
    assert stopped(say([(UP, GET), (DOWN, counted(deep))])[0]) == "excessive"
    before = passed["excessive"]
    assert stopped(say([(UP, GET), (DOWN, bomb)], policy=LENIENT)[0]) == ""
    assert passed["excessive"] > before


def test_what_cannot_be_read_is_blocked_by_policy_only() -> None:
    broken = bytearray(zipped(b"hello world" * 100))
    at = broken.index(b"two.txt") + 7
    broken[at : at + 10] = b"\xff" * 10
    encrypted = bytearray(zipped(b"hello", zipfile.ZIP_STORED))
    encrypted[6] |= 1
    for answer, reason in (
        (counted(bytes(broken)), "unreadable"),
        (counted(bytes(encrypted)), "encrypted"),
        (counted(b"x" * 100, b"Content-Encoding: br"), "unreadable"),
        (counted(b"no gzip", b"Content-Encoding: gzip"), "unreadable"),
    ):
        assert stopped(say([(UP, GET), (DOWN, answer)])[0]) == reason
        assert stopped(say([(UP, GET), (DOWN, answer)], policy=LENIENT)[0]) == ""


@settings(deadline=None, max_examples=100)
@given(st.lists(st.tuples(st.sampled_from(Direction), st.binary(max_size=200)), max_size=20))
def test_garbage_raises_nothing(talk: list[tuple[Direction, bytes]]) -> None:
    for start in ([], [(UP, GET)], session(b"")[:5], [(UP, GET), (DOWN, b"HTTP/1.1 200 OK\r\n\r\nPK\x03\x04")]):
        if start or talk:
            judge = inspector()
            for direction, data in [*start, *talk]:
                if data and isinstance(judge.data(direction, data), Stop):
                    break


def test_decoders_are_bounded_however_an_archive_is_nested() -> None:
    header = b"PK\x03\x04" + bytes(22) + b"\1\0\0\0x"
    archive = (header + b"\x00\xff\xff\x00\x00") * 100  # each holds all that follow, as deflated and not compressed
    for policy in (STRICT, LENIENT):
        judge = inspector(policy)
        judge.data(UP, GET)
        verdict = judge.data(DOWN, counted(archive))
        assert isinstance(verdict, Stop) is (policy is STRICT)
        assert desk.decoders <= DECODERS_LIMIT
    del judge, verdict
    assert desk.decoders == 0


def test_no_decoder_outlives_its_connection() -> None:
    packed = gzip.compress(bytes(range(256)))
    message = base64.encodebytes(packed[:60]).replace(b"\n", b"\r\n")
    for talk in (
        [(UP, GET), (DOWN, chunked(packed)[:-40])],
        [*session(b"")[:5], (UP, mail(message, b"base64")[:-14])],
    ):
        judge = inspector()
        for direction, data in talk:
            judge.data(direction, data)
        assert desk.decoders > 0
        del judge
        assert desk.decoders == 0
