"""One SMTP session between a client and its server.

In: the two sides. Out: commands and replies relayed one at a time, whatever the client pipelined; messages held back until there is a
verdict. What the proxy does not know how to frame is refused here and never reaches the server.
"""

from __future__ import annotations

import asyncio

from vnf.log import log

from spamfilter import smtp
from spamfilter.config import Config
from spamfilter.judge import Judge, Outcome
from spamfilter.message import NO_ROOM, Collector
from spamfilter.metrics import DROPS, ERRORS, MESSAGES
from spamfilter.smtp import Reply
from spamfilter.wire import Gone, LineTooLong, Peer

MOST_LINE = 4096
MOST_AUTH_LINE = 16384  # RFC 4954, 4: 12288 for a line of an exchange
MOST_ERRORS = 20
BAD_LINE = b"500 5.5.2 Lines must end in CR LF and have no other control characters\r\n"
UNKNOWN = b"500 5.5.1 Command not recognised by the mail filter\r\n"
NOT_OFFERED = b"502 5.5.1 Not offered\r\n"
LONG_LINE = b"500 5.5.6 Line too long\r\n"
MANY_ERRORS = b"421 4.7.0 Too many errors\r\n"
STOPPING = b"421 4.3.2 The mail filter is stopping, try again\r\n"
SILENT = b"421 4.4.2 Nothing came for too long\r\n"
SERVER_GONE = b"421 4.4.2 The mail server closed the connection\r\n"
SERVER_BAD = b"421 4.3.0 The mail server's reply was not understood\r\n"
FAILED = b"451 4.4.2 The mail server did not take the message, try again\r\n"
GO_AHEAD = b"354 End data with <CR><LF>.<CR><LF>\r\n"


class Over(Exception):
    """The session ends here; `farewell` is the client's last reply."""

    def __init__(self, reason: str, farewell: bytes = b"") -> None:
        super().__init__(reason)
        self.farewell = farewell


class Session:
    """From the server's greeting to the end. `stopping` is set when the filter is to end."""

    def __init__(self, client: Peer, server: Peer, judge: Judge, stopping: asyncio.Event) -> None:
        self._client = client
        self._server = server
        self._judge = judge
        self._stopping = stopping
        self._sender = False
        self._recipients = 0
        self._errors = 0

    @property
    def _config(self) -> Config:
        return self._judge.config  # anew each time: a reload holds from the next command on

    async def run(self) -> str:
        """Relay until the end; gives its reason."""
        try:
            await self._relay_reply(await self._reply())
            while True:
                await self._command(await self._next_command())
        except Over as over:
            await self._say_farewell(over.farewell)
            return str(over)
        except Gone as gone:
            if gone.side == "server":
                await self._say_farewell(SERVER_GONE)
            return str(gone)
        except smtp.BadReply as bad:
            ERRORS.labels("bad reply").inc()
            await self._say_farewell(SERVER_BAD)
            return f"server: not a reply: {bad}"
        finally:
            await asyncio.gather(self._client.close(), self._server.close())

    async def _say_farewell(self, text: bytes) -> None:
        try:
            if text:
                await self._client.send(text)
        except Gone:
            pass

    async def _next_command(self) -> bytes:
        """The client's next line; raises Over when there will be none."""
        while True:
            try:
                line = self._client.line(MOST_LINE)
            except LineTooLong:
                DROPS.labels("line too long").inc()
                raise Over("line too long", LONG_LINE) from None
            if line is not None:
                return line
            if self._client.ended:
                raise Over("client: closed")
            if self._stopping.is_set() and not self._sender:
                raise Over("stopping", STOPPING)
            await self._wait_for_either()

    async def _wait_for_either(self) -> None:
        """Until the client sent something; what the server says meanwhile is its farewell."""
        tasks = [asyncio.ensure_future(self._client.fill()), asyncio.ensure_future(self._server.fill())]
        if not self._stopping.is_set():
            tasks.append(asyncio.ensure_future(self._stopping.wait()))  # type: ignore[arg-type]
        try:
            limit_s = self._config.limits.command_s
            done, _ = await asyncio.wait(tasks, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)  # two may not read from one side
        if not done:
            raise Over("client: silent", SILENT)
        for task in done:
            task.result()  # Gone, if that was it
        if self._server.buffer:
            raise Over("server: ended the session", (await self._reply()).raw)
        if self._server.ended:
            raise Gone("server", "closed")

    async def _command(self, line: bytes) -> None:
        name = smtp.verb(line)
        if smtp.malformed(line):
            DROPS.labels("malformed command").inc()
            await self._error(BAD_LINE)
        elif name == b"DATA":
            await self._data(line)
        elif name == b"BDAT":  # what follows it is no command
            raise Over("BDAT", NOT_OFFERED)
        elif name == b"STARTTLS":
            await self._starttls(line)
        elif name == b"AUTH":
            await self._authenticate(line)
        elif name in smtp.RELAYED:
            await self._relay(name, line)
        else:
            await self._error(UNKNOWN)

    async def _error(self, text: bytes) -> None:
        self._errors += 1
        if self._errors >= MOST_ERRORS:
            raise Over("too many errors", MANY_ERRORS)
        await self._client.send(text)

    async def _relay(self, name: bytes, line: bytes) -> None:
        reply = await self._ask(line)
        if name in (b"EHLO", b"HELO", b"RSET") and reply.good:
            self._sender, self._recipients = False, 0
        elif name == b"MAIL" and reply.good:
            self._sender, self._recipients = True, 0
        elif name == b"RCPT" and reply.good:
            self._recipients += 1
        if name == b"EHLO" and reply.good:
            starttls = self._config.policy.starttls == "pass"
            await self._client.send(smtp.filtered_ehlo(reply, starttls, self._config.limits.message_bytes))
        else:
            await self._relay_reply(reply)
        if name == b"QUIT" or reply.code == 421:
            raise Over("quit" if name == b"QUIT" else "server: ended the session")

    async def _ask(self, line: bytes) -> Reply:
        await self._server.send(line)
        return await self._reply()

    async def _relay_reply(self, reply: Reply) -> None:
        await self._client.send(reply.raw)

    async def _reply(self) -> Reply:
        """The server's next reply. Raises BadReply or Gone."""
        lines: list[bytes] = []
        try:
            async with asyncio.timeout(self._config.limits.reply_s):
                while len(lines) < smtp.MOST_REPLY_LINES:
                    while (line := self._server.line(MOST_LINE)) is None:
                        if self._server.ended:
                            raise Gone("server", "closed")
                        await self._server.fill()
                    code, last = smtp.reply_line(line)
                    lines.append(line)
                    if last:
                        return Reply(code, tuple(lines))
        except TimeoutError:
            raise Gone("server", "silent") from None
        except LineTooLong:
            raise smtp.BadReply("a line without end") from None
        raise smtp.BadReply("a reply without end")

    async def _authenticate(self, line: bytes) -> None:
        """AUTH: what the client answers to a 334 is no command (RFC 4954)."""
        reply = await self._ask(line)
        while reply.code == 334:
            await self._relay_reply(reply)
            reply = await self._ask(await self._answer())
        await self._relay_reply(reply)

    async def _answer(self) -> bytes:
        try:
            while (line := self._client.line(MOST_AUTH_LINE)) is None:
                await self._more_of_the_client(self._config.limits.command_s)
        except LineTooLong:
            raise Over("line too long", LONG_LINE) from None
        if smtp.malformed(line):
            raise Over("malformed answer", BAD_LINE)
        return line

    async def _more_of_the_client(self, limit_s: float) -> None:
        if self._client.ended:
            raise Over("client: closed")
        try:
            async with asyncio.timeout(limit_s):
                await self._client.fill()
        except TimeoutError:
            raise Over("client: silent", SILENT) from None

    async def _starttls(self, line: bytes) -> None:
        if self._config.policy.starttls != "pass":
            await self._error(NOT_OFFERED)
            return
        if self._client.buffer:  # sent before TLS: nobody may take it for part of what is protected (CVE-2011-0411)
            raise Over("commands after STARTTLS", BAD_LINE)
        reply = await self._ask(line)
        await self._relay_reply(reply)
        if reply.code == 220:
            MESSAGES.labels("unseen in TLS").inc()
            await self._carry_tls()

    async def _carry_tls(self) -> None:
        """Both ways until both ended, or one was silent for too long; nothing of it can be looked into."""
        try:
            await asyncio.gather(self._pour(self._client, self._server), self._pour(self._server, self._client))
        except TimeoutError:
            raise Over("silent in TLS") from None
        raise Over("end of TLS")

    async def _pour(self, source: Peer, sink: Peer) -> None:
        while not source.ended:
            async with asyncio.timeout(self._config.limits.reply_s):
                await source.fill()
            await sink.send(source.taken())
        await sink.finish()

    async def _data(self, line: bytes) -> None:
        if not self._recipients or line.upper() != b"DATA\r\n":
            text = b"554 5.5.1 No valid recipients\r\n" if self._sender else b"503 5.5.1 MAIL and RCPT come first\r\n"
            await self._error(text if line.upper() == b"DATA\r\n" else b"501 5.5.4 DATA takes no argument\r\n")
            return
        await self._client.send(GO_AHEAD)
        collector = Collector(self._config.limits.message_bytes)
        try:
            await self._collect(collector)
            outcome = await self._judge.judge(collector.content, collector.fault)
            self._sender, self._recipients = False, 0
            await self._deliver(outcome)
        finally:
            self._judge.budget.give_back(collector)

    async def _collect(self, collector: Collector) -> None:
        """Take the message in, and put back what follows it."""
        while True:
            rest = collector.feed(self._client.taken())
            if not self._judge.budget.hold(collector):
                collector.give_up(NO_ROOM)
            if rest is not None:
                self._client.buffer[:0] = rest
                return
            if collector.hopeless:
                DROPS.labels("message without end").inc()
                raise Over("message without end", b"421 4.3.4 Message is far too large\r\n")
            await self._more_of_the_client(self._config.limits.data_s)

    async def _deliver(self, outcome: Outcome) -> None:
        """Hand the message on and tell the client what the server said, or refuse it and have the server forget it."""
        if outcome.refusal:
            await self._client.send(outcome.refusal)
            await self._ask(b"RSET\r\n")
            return
        try:
            reply = await self._ask(b"DATA\r\n")
            if reply.code == 354:
                await self._server.send(outcome.message)
                await self._server.send(b".\r\n")
                reply = await self._reply()
        except (Gone, smtp.BadReply) as error:
            if isinstance(error, Gone) and error.side != "server":
                raise
            ERRORS.labels("server failed during DATA").inc()
            log("message not delivered", reason=str(error))
            raise Over(f"server failed during DATA: {error}", FAILED) from None
        await self._relay_reply(reply)
