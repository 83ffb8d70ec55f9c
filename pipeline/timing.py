"""How long the work in a folder has taken, over all runs, those that were cut short included."""

from __future__ import annotations

import datetime
import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from schemas.errors import Interrupted, StoreError

TIMES = "times.json"
_EVERY = 5.0
"""Seconds between two notes; a run that is killed loses no more than these."""

End: TypeAlias = Literal["finished", "failed", "interrupted"]


@dataclass(frozen=True)
class Run:
    """One run: when it began (ISO 8601, UTC), its seconds, and how it ended.

    `end` is None while it is under way, and of a run that was killed.
    """

    began: str
    seconds: float
    end: End | None


@contextmanager
def timed(folder: Path) -> Iterator[None]:
    """Note in `folder/times.json` how long what is within takes, every few seconds and at its end.

    Raises:
        StoreError: the folder cannot be written, or what it has as its times cannot be read.
    """
    began, start = datetime.datetime.now(datetime.UTC).isoformat(), time.monotonic()
    done = threading.Event()

    def note(end: End | None) -> None:
        _note(folder, Run(began, round(time.monotonic() - start, 3), end))

    def follow() -> None:
        while not done.wait(_EVERY):
            with suppress(OSError, StoreError):
                note(None)

    try:
        folder.mkdir(parents=True, exist_ok=True)
        note(None)
    except OSError as error:
        raise StoreError(
            f"{folder}: cannot be written ({error.strerror}); choose another folder"
        ) from None
    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    end: End = "failed"
    try:
        yield
        end = "finished"
    except (Interrupted, KeyboardInterrupt):
        end = "interrupted"
        raise
    finally:
        done.set()
        follower.join()
        with suppress(OSError, StoreError):
            note(end)


def runs(folder: Path) -> tuple[Run, ...]:
    """The runs noted in a folder, in the order in which they began; StoreError when unreadable."""
    path = folder / TIMES
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ()
    try:
        return tuple(Run(**run) for run in json.loads(text)["runs"])
    except (ValueError, TypeError, KeyError):
        raise StoreError(f"{path}: does not hold the times of runs; remove it") from None


def _note(folder: Path, run: Run) -> None:
    """Put a run in the place of what was noted of it before, beside those of other processes."""
    others = [other for other in runs(folder) if other.began != run.began]
    kept = sorted([*others, run], key=lambda one: one.began)
    text = json.dumps({"runs": [asdict(one) for one in kept]}, indent=2)
    new = folder / f".{TIMES}.{os.getpid()}"
    new.write_text(text + "\n", encoding="utf-8")
    new.replace(folder / TIMES)
