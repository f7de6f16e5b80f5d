"""Messages: where they end, what is wrong with them, what becomes of them."""

from __future__ import annotations

import random

import pytest
from spamfilter.config import ConfigRefused, Limits, Thresholds, parse
from spamfilter.message import (
    BARE_NEWLINE,
    LONG_HEADER,
    LONG_LINE,
    TOO_LARGE,
    Collector,
    fault_of,
    normalised,
    stuffed,
    unstuffed,
)
from spamfilter.smtp import BadReply, Reply, filtered_ehlo, malformed, reply_line
from spamfilter.spamd import ScoringFailed, parse_answer
from spamfilter.verdict import Action, Score, decide, tag

SMALL = Limits(header_bytes=40, line_bytes=60)


@pytest.mark.parametrize("content", [b"", b"a\r\n", b"..\r\n", b"a\n.\nb\r\n", b"\r\n", b"a\r\n..b\r\n.c\r\n"])
def test_a_message_ends_at_its_end_however_it_is_cut(content: bytes) -> None:
    whole = content + b".\r\nQUIT\r\n"
    for seed in range(30):
        chance, collector, rest, at = random.Random(seed), Collector(1000), None, 0
        while rest is None:
            size = chance.randint(1, 4)
            rest, at = collector.feed(whole[at : at + size]), at + size
        assert collector.content == content
        assert rest + whole[at:] == b"QUIT\r\n"


def test_of_a_message_too_large_little_is_kept_until_its_end() -> None:
    collector = Collector(100)
    for _ in range(20):
        assert collector.feed(b"x" * 18 + b"\r\n") is None
        assert collector.size < 130
    assert collector.feed(b".\r\nNOOP\r\n") == b"NOOP\r\n"
    assert collector.fault is TOO_LARGE and not collector.hopeless
    for _ in range(20):
        collector.feed(b"x" * 100)
    assert collector.hopeless


def test_faults() -> None:
    assert fault_of(b"A: b\r\n\r\ntext\r\n", SMALL, "reject") is None
    assert fault_of(b"A: b\r\n\r\n" + b"x" * 50 + b"\r\n" + b"y" * 50 + b"\r\n", SMALL, "reject") is None
    assert fault_of(b"A: b\r\n\r\n" + b"x" * 61 + b"\r\n", SMALL, "reject") is LONG_LINE
    assert fault_of(b"A: " + b"b" * 40 + b"\r\n\r\n", SMALL, "reject") is LONG_HEADER
    assert fault_of(b"\r\n" + b"text\r\n" * 20, SMALL, "reject") is None
    for bare in (b"a\nb\r\n", b"a\rb\r\n", b"\n.\n\r\n", b"a\r\n.\nb\r\n", b"a\r\r\n"):
        assert fault_of(bare, SMALL, "reject") is BARE_NEWLINE


def test_smuggled_ends_are_text_once_normalised() -> None:
    assert normalised(b"a\n.\nMAIL\r\n") == b"a\r\n..\r\nMAIL\r\n"
    assert normalised(b"a\r.\rb\r\n..c\r\n") == b"a\r\n..\r\nb\r\n..c\r\n"
    assert normalised(b"a\r\n.\nb\r\n") == b"a\r\n\r\nb\r\n"  # its dot was a stuffed one: the line is empty
    whole = b".a\r\n..b\r\nc\r\n"
    assert unstuffed(stuffed(whole)) == whole and stuffed(whole) == b"..a\r\n...b\r\nc\r\n"


def test_verdicts_have_their_reason_and_tags_change_nothing_else() -> None:
    thresholds = Thresholds(5, 10)
    assert decide(Score(10, ()), thresholds).action is Action.REJECTED
    assert decide(Score(9.99, ()), thresholds).action is Action.TAGGED
    passed = decide(Score(4.9, ()), thresholds)
    assert (passed.action, passed.reason) == (Action.PASSED, "spam score 4.9 is below 5.0")
    header = tag(Score(6.5, (*(f"RULE_{n}" for n in range(40)), "BAD\r\nSubject: x")), thresholds)
    assert b"Subject" not in header and b"X-Spam-Level: ******\r\n" in header
    assert all(len(line) <= 76 and (line.startswith((b"X-Spam-", b"\t"))) for line in header.splitlines())


def test_spamd_answers() -> None:
    answer = b"SPAMD/1.1 0 EX_OK\r\nContent-length: 11\r\nSpam: True ; 1000.4 / 5.0\r\n\r\nGTUBE,OTHER"
    assert parse_answer(answer) == Score(1000.4, ("GTUBE", "OTHER"))
    for wrong in (b"", b"SPAMD/1.1 76 Bad header line\r\n\r\n", b"nonsense", b"SPAMD/1.1 0 EX_OK\r\n\r\n"):
        with pytest.raises(ScoringFailed):
            parse_answer(wrong)


def test_replies_and_what_is_left_of_ehlo() -> None:
    lines = (b"250-host hi\r\n", b"250-SIZE 9\r\n", b"250-starttls\r\n", b"250-CHUNKING\r\n", b"250 8BITMIME\r\n")
    assert filtered_ehlo(Reply(250, lines), False, 5) == b"250-host hi\r\n250-SIZE 5\r\n250 8BITMIME\r\n"
    assert b"250-starttls\r\n" in filtered_ehlo(Reply(250, lines), True, 50)
    assert filtered_ehlo(Reply(250, (b"250-h\r\n", b"250 XCLIENT\r\n")), False, 5) == b"250 h\r\n"
    assert reply_line(b"250-a\r\n") == (250, False) and reply_line(b"250\r\n") == (250, True)
    for wrong in (b"HELLO\r\n", b"25 a\r\n", b"250a\r\n", b"250 a\rb\r\n"):
        with pytest.raises(BadReply):
            reply_line(wrong)
    assert not malformed(b"NOOP\r\n") and all(map(malformed, (b"NOOP\n", b"A\rB\r\n", b"A\0\r\n")))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[limits]\n\nconections = 3\n", "3: limits.conections unknown member; expected one of scan_bytes"),
        ("[polcy]\n", "1: polcy unknown member; expected one of thresholds, policy, limits"),
        ("\n[policy]\nstarttls = 'yes'\n", "3: policy.starttls is 'yes'; expected one of strip, pass"),
        ("[limits]\nscans = true\n", "2: limits.scans is True; expected a whole number above 0"),
        ("[thresholds]\ntag = '5'\n", "2: thresholds.tag is '5'; expected a number from -1000 to 1000"),
        ("[thresholds]\ntag = 11\n", "2: thresholds.tag is above thresholds.reject"),
        ("[thresholds\n", "1: "),
        ("policy = 1\n", "1: policy expected a table"),
    ],
)
def test_a_wrong_configuration_is_refused_with_the_line(text: str, complaint: str) -> None:
    with pytest.raises(ConfigRefused) as refused:
        parse(text)
    assert str(refused.value).startswith(complaint)
