"""A second process, in which scans are analysed and reported while this one runs the next scan.

It is started from scratch (no fork: this process has threads) and ends with the one that started
it, however that ends. The results are the same as in one process.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pipeline.report import Report


class Beside:
    """A process for conclusions, one after another; it starts when it is first needed.

    Left by an exception, it ends at once, whatever it is busy with.
    """

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._watched, self._held = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(
            1, mp_context=context, initializer=_end_with, initargs=(self._watched,)
        )
        self.started = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None:
            self._held.close()
        self._pool.shutdown(cancel_futures=kind is not None)
        self._held.close()
        self._watched.close()

    def report(self, store: Path) -> Coming:
        """The report of a complete scan, to come."""
        self.started = True
        future: Future[Report] = Future()
        try:
            future = self._pool.submit(_renewed, store, Path.cwd())
        except BrokenProcessPool as died:
            future.set_exception(died)
        return Coming(store, future)


@dataclass(frozen=True)
class Coming:
    """A report that is being made."""

    store: Path
    future: Future[Report]

    def take(self) -> Report:
        """The report, waited for, or what making it raises.

        It is made in this process if the other one has died.
        """
        try:
            return self.future.result()
        except BrokenProcessPool:
            from pipeline.concluding import renewed

            return renewed(self.store)


def _end_with(watched: Connection) -> None:
    """Have this process end when the other end of the pipe is closed; Ctrl-C is not for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_watch, args=(watched,), daemon=True).start()


def _watch(watched: Connection) -> None:
    try:
        watched.recv()
    except (EOFError, OSError):
        os._exit(1)


def _renewed(store: Path, where: Path) -> Report:
    # Imported here, so that the process is soon ready for signals.
    from pipeline.concluding import renewed

    os.chdir(where)
    return renewed(store)
