"""SIGINT and SIGTERM as exceptions, so that work is kept and Ray is shut down."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from schemas.errors import Interrupted


@contextmanager
def unwrapped() -> Iterator[None]:
    """Within, Interrupted comes through Ray's compiled code, which wraps it while it waits."""
    try:
        yield
    except SystemError as error:
        if isinstance(error.__cause__, Interrupted):
            raise error.__cause__ from None
        raise


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
