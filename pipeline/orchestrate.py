"""Shards over an executor: record each report, show progress, end cleanly whatever happens."""

from __future__ import annotations

import time

from pipeline.contents import Contents
from pipeline.executors import Executor
from pipeline.ledger import Counts, Ledger
from pipeline.signals import unwrapped
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
        with unwrapped():
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
    finally:
        ledger.flush()
    return ledger.counts()


def _points_done(contents: Contents, shards: int) -> int:
    # Edge shards are smaller, so this is a display's estimate, exact when nothing was done.
    return contents.n_points * shards // contents.n_shards
