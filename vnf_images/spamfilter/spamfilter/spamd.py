"""SpamAssassin's daemon: runs it, asks it for scores (protocol SPAMC 1.5 over a local socket), tries it with the GTUBE test message.

In: messages. Out: scores, or ScoringFailed with the reason. Must not ask the network: spamd runs with --local.
"""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import threading
import time
from typing import IO

from vnf.log import log

from spamfilter.metrics import ERRORS
from spamfilter.verdict import Score

SOCKET = "/run/spamd/spamd.sock"
WITHOUT_CAPABILITIES = ("setpriv", "--inh-caps=-all", "--ambient-caps=-all")
RESTART_AFTER_S = 1.0
TRIED_EVERY_S = 5.0
TRIAL_LIMIT_S = 3.0
ANSWER_BYTES = 1 << 16
# SpamAssassin's own test for content filters: must score 1000.
GTUBE = b"XJS*C4JDBQADN1.NSBN3*2IDNEN*GTUBE-STANDARD-ANTI-UBE-TEST-EMAIL*C.34X"
TRIAL = (
    b"From: a@example.org\r\nTo: b@example.org\r\nSubject: trial\r\nMessage-ID: <1@example.org>\r\n\r\n"
    + GTUBE
    + b"\r\n"
)
_SPAM_LINE = re.compile(r"^Spam: *\S+ *; *(-?[0-9.]+) */", re.MULTILINE)


class ScoringFailed(RuntimeError):
    """There is no score; the message says why."""


class Spamd:
    """The daemon's process, one spare child more than messages at once: a trial never waits for mail."""

    def __init__(self, scans: int) -> None:
        self._children = scans + 1
        self._free = asyncio.Semaphore(scans)
        self._scans = scans
        self._process: subprocess.Popen[str] | None = None
        self._trial_lock = threading.Lock()
        self._tried_s = -TRIED_EVERY_S
        self._reason = "spamd is starting"
        self.busy = 0

    @property
    def load(self) -> float:
        """The share of the allowed scans that are under way or wait, up to 1."""
        return min(1.0, self.busy / self._scans)

    async def keep_running(self) -> None:
        """Start the daemon, and again whenever it ended."""
        while True:
            if self._process is not None and self._process.poll() is not None:
                ERRORS.labels("spamd ended").inc()
                log("spamd ended", status=self._process.returncode)
                self._process = None
                self._reason = "spamd ended"
                await asyncio.sleep(RESTART_AFTER_S)
            if self._process is None:
                self._process = await asyncio.to_thread(self._start)
            await asyncio.sleep(0.2)

    def _start(self) -> subprocess.Popen[str]:
        command = [
            *WITHOUT_CAPABILITIES,
            "spamd",
            "--local",
            "--nouser-config",
            "--syslog=stderr",
            f"--socketpath={SOCKET}",
            "--socketmode=0666",
        ]
        children = str(self._children)
        command += [f"--max-children={children}", f"--min-children={children}", f"--max-spare={children}"]
        command += ["--min-spare=1", "--max-conn-per-child=500"]
        home = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/run/spamd", "LANG": "C", "TMPDIR": "/run/spamd"}
        process = subprocess.Popen(
            command,
            env=home,
            cwd="/run/spamd",
            stderr=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=_log_complaints, args=(process.stderr,), name="spamd's log", daemon=True).start()
        return process

    async def score(self, message: bytes, limit_s: float) -> Score:
        """The message's score. Raises ScoringFailed, also when `limit_s` passes, the wait for a free child included."""
        self.busy += 1
        try:
            async with asyncio.timeout(limit_s), self._free:
                return parse_answer(await self._ask(message))
        except TimeoutError:
            raise ScoringFailed(f"no score within {limit_s:g} s") from None
        except OSError as error:
            raise ScoringFailed(f"spamd: {error.strerror or error}") from None
        finally:
            self.busy -= 1

    async def _ask(self, message: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(SOCKET)
        try:
            writer.write(request(message))
            writer.write_eof()  # else spamd waits for the rest of a last line that has no end
            answer = bytearray()
            while len(answer) < ANSWER_BYTES and (part := await reader.read(ANSWER_BYTES)):
                answer += part
            return bytes(answer)
        finally:
            writer.transport.abort()

    def tried(self) -> str:
        """What is wrong with the daemon, empty when it scores GTUBE as it should; asked at most every few seconds."""
        with self._trial_lock:
            if time.monotonic() - self._tried_s >= TRIED_EVERY_S or self._reason:
                self._reason = _trial()
                self._tried_s = time.monotonic()
            return self._reason


def _log_complaints(lines: IO[str]) -> None:
    """Of what spamd says, its account of each message is in the filter's own log; the rest is passed on."""
    for line in lines:
        if " info: " not in line:
            log("spamd", said=line.strip())


def _trial() -> str:
    try:
        with socket.socket(socket.AF_UNIX) as asked:
            asked.settimeout(TRIAL_LIMIT_S)
            asked.connect(SOCKET)
            asked.sendall(request(TRIAL))
            asked.shutdown(socket.SHUT_WR)
            answer = bytearray()
            while len(answer) < ANSWER_BYTES and (part := asked.recv(ANSWER_BYTES)):
                answer += part
        score = parse_answer(bytes(answer))
    except (OSError, ScoringFailed) as error:
        return f"spamd does not score: {error}"
    return "" if score.points >= 999 and "GTUBE" in score.tests else f"spamd gave GTUBE {score.points:.1f} points"


def request(message: bytes) -> bytes:
    """A question for the score and the rules that hit."""
    return b"SYMBOLS SPAMC/1.5\r\nContent-length: %d\r\n\r\n%b" % (len(message), message)


def parse_answer(answer: bytes) -> Score:
    """The score in spamd's answer. Raises ScoringFailed."""
    head, _, body = answer.decode("ascii", "replace").partition("\r\n\r\n")
    status = head.split("\r\n", 1)[0].split(" ", 2)
    found = _SPAM_LINE.search(head)
    if len(status) < 3 or status[1] != "0" or found is None:
        raise ScoringFailed(f"spamd said {head.splitlines()[0][:80]!r}" if head else "spamd hung up")
    return Score(float(found[1]), tuple(name for name in body.strip().split(",") if name))
