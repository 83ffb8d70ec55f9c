"""A second process, which finishes scans while this one works on others.

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
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pipeline.report import Report
    from schemas.scan import ScanSpec


class Beside:
    """A process that finishes scans, one after another; it starts when it is first needed.

    Left by an exception, it ends at once, whatever it is busy with. A script that uses one guards
    itself with `if __name__ == "__main__"`, since the new process imports it.
    """

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._watched, self._held = context.Pipe(duplex=False)
        usual = multiprocessing.get_start_method()
        self._pool = ProcessPoolExecutor(
            1, mp_context=context, initializer=_begin, initargs=(self._watched, usual)
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

    def finish(self, spec: ScanSpec) -> Future[Report]:
        """The report of the scan of a spec that names its store, run or continued, to come.

        The future raises BrokenProcessPool when the process has died, and otherwise as `run` does.
        """
        self.started = True
        try:
            return self._pool.submit(_finished, spec, Path.cwd())
        except BrokenProcessPool as died:
            future: Future[Report] = Future()
            future.set_exception(died)
            return future


def _begin(watched: Connection, usual: str) -> None:
    """Have this process end when the other end of the pipe is closed; Ctrl-C is not for it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Locks made for spawned processes have names, and one that is left at the end is complained of.
    multiprocessing.set_start_method(usual, force=True)
    threading.Thread(target=_watch, args=(watched,), daemon=True).start()


def _watch(watched: Connection) -> None:
    try:
        watched.recv()
    except (EOFError, OSError):
        os._exit(1)


def _finished(spec: ScanSpec, where: Path) -> Report:
    # Imported here, so that the process is soon ready for signals.
    from pipeline.concluding import finished

    os.chdir(where)
    return finished(spec)
