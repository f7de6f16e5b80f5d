"""A recorder whose files are written by a process of its own, so that the engine and the formatting have a core each.

In: what `RoundRecorder` takes. Out: the same files, byte for byte. The other process ends with `close`, and with this one, however
this one ends; Ctrl-C is left to this one. At most QUEUED flushes wait for it, so memory stays flat.
"""

import contextlib
import fcntl
import gc
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType

import numpy
import pyarrow

from testbed.simulator.records.sheets import warm_up
from testbed.simulator.records.streams import Blocks, Streams
from testbed.simulator.records.writer import RoundRecorder

QUEUED = 8
PIPE_BYTES = 1 << 20
Call = tuple[str, tuple[object, ...], dict[str, object]]
Message = tuple[list[Call], Blocks, float]
Ends = tuple[Connection, ...]


class RecordsNotWrittenError(OSError):
    """The writing process could not write; the text is its error."""


class ProcessRecorder(Streams):
    """As a RoundRecorder, which `make` makes in the other process.

    Args:
        links, vnf, packets: as RoundRecorder's.
    """

    def __init__(self, make: Callable[[], RoundRecorder], *, links: bool, vnf: bool, packets: bool) -> None:
        super().__init__(links=links, vnf=vnf, packets=packets)
        self._calls: list[Call] = []
        self._placed: set[int] = set()
        self._problem = ""
        self._waiting: queue.Queue[Message | None] = queue.Queue(QUEUED)
        context = multiprocessing.get_context("fork")  # the entities need no copy, the packages no second import
        taken, self._given = context.Pipe(duplex=False)
        self._said, saying = context.Pipe(duplex=False)
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._given.fileno(), fcntl.F_SETPIPE_SZ, PIPE_BYTES)  # less is slower only
        self._process = context.Process(
            target=_write, args=(make, taken, saying, (self._given, self._said)), name="records"
        )
        gc.freeze()  # the other process has no use for what is there: a collection would copy all of it
        self._process.start()
        gc.unfreeze()
        taken.close()
        saying.close()
        self._sender: threading.Thread | None = threading.Thread(target=self._send, name="records", daemon=True)
        self._sender.start()

    def __enter__(self) -> "ProcessRecorder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def placed(self, request: int, sfc_instance: str) -> None:
        """From now on this request's packets are processed by this SFC instance."""
        if request in self._placed:
            self.flush(0.0)  # what was written down so far is of the instance before
        self._placed.add(request)
        self._calls.append(("placed", (request, sfc_instance), {}))

    def created(self, instance: int, name: str, vnf: str, node: str) -> None:
        """A VNF instance with its number."""
        self._calls.append(("created", (instance, name, vnf, node), {}))

    def event(self, table: str, event: str, time: float, **columns: object) -> None:
        """A row of one of the rare files."""
        self._calls.append(("event", (table, event, time), columns))

    def flush(self, now: float) -> None:
        """Hand over what was written down.

        Raises:
            RecordsNotWrittenError: what was handed over before could not be written.
        """
        blocks = self.take()
        calls, self._calls = self._calls, []
        self._check()
        self._waiting.put((calls, blocks, now))
        time.sleep(0)  # the sender gets the interpreter now, and not when the compiled engine next lets go of it

    def close(self) -> None:
        """Have everything written. A second call does nothing.

        Raises:
            RecordsNotWrittenError: something could not be written.
        """
        if self._sender is None:
            return
        try:
            self.flush(float("inf"))
        finally:
            self._waiting.put(None)
            self._sender.join()
            self._sender = None
            self._process.join()
        self._check()
        if self._process.exitcode:
            raise RecordsNotWrittenError(f"the writing process ended with {self._process.exitcode}")

    def _send(self) -> None:
        with self._given:  # closing it is how the other process knows the end
            while (message := self._waiting.get()) is not None:
                with contextlib.suppress(OSError):  # it has ended, and said why
                    _give(self._given, message)

    def _check(self) -> None:
        with contextlib.suppress(EOFError, OSError):
            if self._said.poll():
                self._problem = self._said.recv()
        if self._problem:
            raise RecordsNotWrittenError(self._problem)


def _give(to: Connection, message: Message) -> None:
    """Send a message. Its numbers go as they are, without the copies that pickling makes of them.

    Raises:
        OSError: nobody takes it.
    """
    calls, blocks, now = message
    to.send((calls, {name: block.shape for name, block in blocks.items()}, now))
    rest = [block.reshape(-1).data.cast("B") for block in blocks.values()]
    while rest:
        sent = os.writev(to.fileno(), rest)
        while rest and sent >= len(rest[0]):
            sent -= len(rest.pop(0))
        if sent:
            rest[0] = rest[0][sent:]


def _taken(giver: Connection) -> Message:
    """The next message.

    Raises:
        EOFError: there will be none.
    """
    calls, shapes, now = giver.recv()
    blocks = {name: numpy.empty(shape) for name, shape in shapes.items()}
    for block in blocks.values():
        rest = block.reshape(-1).data.cast("B")
        while rest:
            got = os.readv(giver.fileno(), [rest])
            if not got:
                raise EOFError
            rest = rest[got:]
    return calls, blocks, now


def _write(make: Callable[[], RoundRecorder], messages: Connection, saying: Connection, not_ours: Ends) -> None:
    """The other process: write until there is nothing more to come, or nobody to send it."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    for end in not_ours:
        end.close()
    code = 0
    try:
        pyarrow.set_memory_pool(pyarrow.system_memory_pool())  # Arrow's own gives pages back and soon wants them again
        with make() as recorder, contextlib.suppress(EOFError):
            warm_up()  # while the first packets are simulated
            while True:
                calls, blocks, now = _taken(messages)
                for name, values, columns in calls:
                    getattr(recorder, name)(*values, **columns)
                recorder.write(blocks)
                recorder.flush(now)
    except Exception as problem:
        code = 1
        with contextlib.suppress(OSError):
            saying.send(f"{type(problem).__name__}: {problem}")
    os._exit(code)  # nothing of the process that this one was forked from is to be done twice
