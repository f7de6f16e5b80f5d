"""Whole sessions without a network: a client's script, a server's script, and a judge that finds the word `spam`."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import replace

import pytest
from spamfilter.config import Config, Limits, Policy
from spamfilter.judge import Judge
from spamfilter.session import Session
from spamfilter.spamd import ScoringFailed
from spamfilter.verdict import Score
from spamfilter.wire import CHUNK, Peer

ENVELOPE = b"EHLO c\r\nMAIL FROM:<a@a>\r\nRCPT TO:<b@b>\r\nDATA\r\n"
CONFIG = Config(limits=replace(Limits(), command_s=1, data_s=1, reply_s=2, message_bytes=1000))


class Scorer:
    """Stands for SpamAssassin."""

    async def score(self, message: bytes, limit_s: float) -> Score:
        if b"broken" in message:
            raise ScoringFailed("as told")
        points = 20 if b"very spam" in message else 6 if b"spam" in message else 0
        return Score(points, ("WORD",))


class FakeServer:
    """Answers 250 to commands, keeps what it hears; `dies_at` is a command at which it ends."""

    def __init__(self, dies_at: bytes = b"") -> None:
        self.commands: list[bytes] = []
        self.messages: list[bytes] = []
        self._dies_at = dies_at

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 s\r\n")
        while line := await reader.readline():
            self.commands.append(line)
            word = line.split()[0].upper() if line.split() else b""
            if word == self._dies_at:
                break
            if word == b"DATA":
                writer.write(b"354 go\r\n")
                message = b""
                while not (b"\r\n" + message).endswith(b"\r\n.\r\n"):
                    message += await reader.readexactly(1)
                self.messages.append(message.removesuffix(b".\r\n"))
            writer.write(
                {b"QUIT": b"221 bye\r\n", b"EHLO": b"250-s\r\n250-STARTTLS\r\n250 PIPELINING\r\n"}.get(
                    word, b"250 ok\r\n"
                )
            )
            if word == b"QUIT":
                break
        writer.close()


def talk(server: FakeServer, script: bytes, config: Config = CONFIG, ends: bool = True) -> bytes:
    """What a client hears that sends `script` in one go."""

    async def run() -> bytes:
        (client_end, client), (server_end, upstream) = socket.socketpair(), socket.socketpair()
        serving = asyncio.create_task(server.run(*await asyncio.open_connection(sock=server_end)))
        streams = [await asyncio.open_connection(sock=end, limit=CHUNK) for end in (client, upstream)]
        session = Session(
            Peer("client", *streams[0]), Peer("server", *streams[1]), Judge(config, Scorer()), asyncio.Event()
        )  # type: ignore[arg-type]
        running = asyncio.create_task(session.run())
        reader, writer = await asyncio.open_connection(sock=client_end)
        writer.write(script)
        if ends:
            writer.write_eof()
        heard = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        await running
        await serving
        return heard

    return asyncio.run(run())


def test_each_message_of_a_pipelined_session_has_its_own_fate() -> None:
    server = FakeServer()
    texts = (b"good\r\n..\r\n", b"very spam\r\n", b"some spam\r\n", b"")
    script = ENVELOPE + b"MAIL FROM:<a@a>\r\nRCPT TO:<b@b>\r\nDATA\r\n".join(text + b".\r\n" for text in texts)
    heard = talk(server, script + b"QUIT\r\n")
    assert heard.count(b"354 ") == 4 and heard.count(b"550 5.7.1") == 1 and heard.endswith(b"221 bye\r\n")
    assert b"STARTTLS" not in heard
    assert server.messages[0] == texts[0] and server.messages[2] == b"" and len(server.messages) == 3
    assert server.messages[1].startswith(b"X-Spam-Flag: YES\r\n") and server.messages[1].endswith(b"\r\nsome spam\r\n")
    assert server.commands.count(b"DATA\r\n") == 3 and b"RSET\r\n" in server.commands


@pytest.mark.parametrize("bare", [b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r", b"\r.\r\n"])
def test_smuggled_mail_is_refused_or_stays_text(bare: bytes) -> None:
    script = ENVELOPE + b"good" + bare + b"MAIL FROM:<x@x>\r\nRCPT TO:<y@y>\r\nDATA\r\nsmuggled\r\n.\r\nQUIT\r\n"
    server = FakeServer()
    assert b"550 5.6.0" in talk(server, script) and server.messages == []
    assert not any(b"x@x" in command for command in server.commands)
    server = FakeServer()
    talk(server, script, replace(CONFIG, policy=Policy(bare_newlines="normalise")))
    assert len(server.messages) == 1 and b"x@x" in server.messages[0]
    assert b"\n" not in server.messages[0].replace(b"\r\n", b"") and b"\r\n.\r\n" not in server.messages[0]


def without_score(policy: str) -> tuple[bytes, FakeServer]:
    server = FakeServer()
    return talk(
        server, ENVELOPE + b"broken\r\n.\r\nQUIT\r\n", replace(CONFIG, policy=Policy(spamd_down=policy))
    ), server


def test_without_a_score_mail_waits_or_passes_as_told() -> None:
    heard, server = without_score("closed")
    assert b"451 4.7.1" in heard and server.messages == [] and heard.endswith(b"221 bye\r\n")
    heard, server = without_score("open")
    assert server.messages == [b"broken\r\n"]


@pytest.mark.parametrize(
    ("dies_at", "farewell"), [(b"DATA", b"451 4.4.2"), (b"RCPT", b"421 4.4.2"), (b"EHLO", b"421 4.4.2")]
)
def test_a_server_that_dies_is_told(dies_at: bytes, farewell: bytes) -> None:
    heard = talk(FakeServer(dies_at), ENVELOPE + b"good\r\n.\r\n", ends=False)
    assert heard.splitlines()[-1].startswith(farewell)


@pytest.mark.parametrize(
    ("script", "farewell"),
    [
        (b"EHLO " + b"a" * 9000, b"500 5.5.6"),
        (b"EHLO c", b"421 4.4.2"),
        (ENVELOPE + b"no end", b"421 4.4.2"),
        (ENVELOPE + b"a" * 9000, b"421 4.3.4"),
        (b"NOOP\n" * 30, b"421 4.7.0"),
        (b"XCLIENT ADDR=1.2.3.4\r\n", b"421 4.4.2"),
        (b"BDAT 3 LAST\r\nabc", b"502 5.5.1"),
        (b"DATA\r\n", b"421 4.4.2"),
    ],
)
def test_hostile_clients_end(script: bytes, farewell: bytes) -> None:
    server = FakeServer()
    heard = talk(server, script, ends=False)
    assert heard.splitlines()[-1].startswith(farewell)
    assert server.messages == [] and all(
        command.split()[0] in (b"EHLO", b"MAIL", b"RCPT") for command in server.commands
    )


def test_a_message_too_large_is_refused_at_its_end_and_the_session_goes_on() -> None:
    server = FakeServer()
    heard = talk(server, ENVELOPE + b"a\r\n" * 500 + b".\r\nNOOP\r\nQUIT\r\n")
    assert b"552 5.3.4" in heard and heard.endswith(b"221 bye\r\n") and server.messages == []
    crowded = replace(CONFIG, limits=replace(CONFIG.limits, buffer_bytes=100))
    assert b"452 4.3.1" in talk(server, ENVELOPE + b"a\r\n" * 200 + b".\r\nQUIT\r\n", crowded)


def test_starttls_is_hidden_or_carried() -> None:
    passing = replace(CONFIG, policy=Policy(starttls="pass"))
    assert b"502 5.5.1" in talk(FakeServer(), b"STARTTLS\r\nQUIT\r\n")
    assert b"STARTTLS" in talk(FakeServer(), b"EHLO c\r\nQUIT\r\n", passing)
    injected = talk(FakeServer(), b"STARTTLS\r\nMAIL FROM:<injected@x>\r\n", passing)
    assert injected.splitlines()[-1].startswith(b"500 5.5.2")
