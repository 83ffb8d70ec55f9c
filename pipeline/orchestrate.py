"""Shards over an executor: record each report, show progress, end cleanly whatever happens."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from pipeline.contents import Contents
from pipeline.executors import Executor
from pipeline.ledger import Counts, Ledger
from schemas.errors import Interrupted
from schemas.layout import ShardStatus
from tasks.registry import Progress

_FLUSH_SECONDS = 1.0
STEP = "scanning points"


def run_shards(executor: Executor, contents: Contents, ledger: Ledger, display: Progress) -> Counts:
    """Run every shard that is not done; returns what became of all of them.

    Whatever ends the run, reports received so far are stored.
    """
    before = ledger.counts()
    points = _points_done(contents, before.done)
    failed = 0
    flushed = time.monotonic()
    display(STEP, points, contents.n_points)
    try:
        for report in executor.run(ledger.unfinished()):
            if report is not None:
                ledger.record(report)
                failed += report.status is ShardStatus.FAILED
                points += contents.place(report.shard)[1].size
                note = f"{failed} failed shards" if failed else ""
                display(STEP, min(points, contents.n_points), contents.n_points, note)
            if time.monotonic() - flushed > _FLUSH_SECONDS:
                ledger.flush()
                flushed = time.monotonic()
    except SystemError as error:
        # Ray's compiled code wraps what a signal handler raised while it was waiting.
        if isinstance(error.__cause__, Interrupted):
            raise error.__cause__ from None
        raise
    finally:
        ledger.flush()
    return ledger.counts()


def _points_done(contents: Contents, shards: int) -> int:
    # Edge shards are smaller, so this is a display's estimate, exact when nothing was done.
    return contents.n_points * shards // contents.n_shards


@contextmanager
def signals_as_exceptions() -> Iterator[None]:
    """Within, SIGINT and SIGTERM raise Interrupted, so that work is kept and Ray is shut down.

    To be entered after Ray has started, which installs handlers of its own.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, _frame: FrameType | None) -> None:
        raise Interrupted(f"ended by {signal.Signals(number).name}", number)

    caught = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, interrupt) for number in caught}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
