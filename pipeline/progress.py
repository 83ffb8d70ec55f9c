"""Live progress on stderr: a bar on a terminal, plain lines elsewhere, nothing when silent."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from tasks.registry import Progress as Steps
from tasks.registry import silent

_LINE_SECONDS = 5.0
_MOST_BARS = 12
"""Beyond these, bars of steps that are done make room; a study has hundreds of steps."""


@contextmanager
def shown(display: Steps | None) -> Iterator[Steps]:
    """The display given, or by default a bar in a terminal or a notebook, and nothing elsewhere."""
    if display is not None:
        yield display
    elif (console := Console(stderr=True)).is_terminal or console.is_jupyter:
        with TerminalDisplay() as bars:
            yield bars
    else:
        yield silent


def _redraws(console: Console) -> bool:
    """Whether a bar can be redrawn; in a notebook that takes ipywidgets."""
    if console.is_jupyter:
        return importlib.util.find_spec("ipywidgets") is not None
    return console.is_terminal


class TerminalDisplay:
    """A bar for each step on a terminal; one plain line every few seconds elsewhere."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        self._started: dict[str, tuple[float, int]] = {}
        self._last_line: dict[str, float] = {}

    def __enter__(self) -> Self:
        if _redraws(self._console):
            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[note]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=self._console,
            )
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def __call__(self, step: str, done: int, total: int, note: str = "") -> None:
        """Show a step's state."""
        began, first = self._started.setdefault(step, (time.monotonic(), done))
        rate = (done - first) / max(time.monotonic() - began, 1e-9)
        note = ", ".join(part for part in (f"{rate:,.0f}/s" if done > first else "", note) if part)
        if self._bars is None:
            self._line(step, done, total, rate, note)
            return
        if step not in self._tasks:
            self._make_room(self._bars)
            self._tasks[step] = self._bars.add_task(step, total=total, note=note)
        self._bars.update(self._tasks[step], completed=done, total=total, note=note)

    def _make_room(self, bars: Progress) -> None:
        done = {bar.id for bar in bars.tasks if bar.finished}
        for step, bar in list(self._tasks.items()):
            if len(self._tasks) < _MOST_BARS:
                return
            if bar in done:
                bars.remove_task(bar)
                del self._tasks[step]

    def _line(self, step: str, done: int, total: int, rate: float, note: str) -> None:
        now = time.monotonic()
        if now - self._last_line.get(step, float("-inf")) < _LINE_SECONDS and done < total:
            return
        self._last_line[step] = now
        left = f", {(total - done) / rate:,.0f} s left" if rate > 0 and done < total else ""
        percent = 100 * done / total if total else 100
        text = f"{step}: {done:,} of {total:,} ({percent:.0f} %){', ' + note if note else ''}{left}"
        self._console.print(text, highlight=False, soft_wrap=True)
