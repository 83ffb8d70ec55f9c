"""The exception tree.

    CartogradError
    ├── InputError            what was asked for cannot be done        exit code 2
    │   ├── SpecError         a spec, parameter or option is wrong
    │   ├── PlanError         the plan does not fit the machine
    │   └── StoreError        the store is missing, busy or unreadable
    │       └── StoreMismatch the store holds a different scan
    ├── WorkError             the input was right and the work failed  exit code 1
    │   └── ScanIncomplete    some shards failed for good
    └── Interrupted           a signal ended the work                  exit code 128 + signal

Every message is one line: the value, what was expected, the remedy.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class CartogradError(Exception):
    """Any error this product raises on purpose."""

    exit_code = 1


class InputError(CartogradError):
    """What was asked for is wrong; nothing was computed and nothing stored was touched."""

    exit_code = 2


class SpecError(InputError):
    """A field of a spec, a task parameter or an option is wrong."""


class PlanError(InputError):
    """The plan cannot be carried out within the stated limits."""


class StoreError(InputError):
    """The store is missing, in use by another run, or not one of ours."""


class StoreMismatch(StoreError):
    """The store holds a different scan; the message names the difference."""


class WorkError(CartogradError):
    """The input was right, but the work could not be finished."""


class ScanIncomplete(WorkError):
    """The scan ran to its end, but the shards in `failed` could not be computed."""

    def __init__(self, message: str, failed: tuple[int, ...]) -> None:
        super().__init__(message)
        self.failed = failed

    def __reduce__(self) -> tuple[type[ScanIncomplete], tuple[str, tuple[int, ...]]]:
        return type(self), (str(self), self.failed)


class Interrupted(CartogradError):
    """The work was ended by a signal; what was written is kept."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number

    def __reduce__(self) -> tuple[type[Interrupted], tuple[str, int]]:
        return type(self), (str(self), self.exit_code - 128)


def suggestion(value: object, allowed: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the allowed word nearest to `value`, else an empty string."""
    near = difflib.get_close_matches(str(value), list(allowed), n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def listing(words: Iterable[str], most: int = 12) -> str:
    """The words joined by commas, cut after `most`."""
    all_words = list(words)
    cut = all_words[:most]
    more = len(all_words) - len(cut)
    return ", ".join(cut) + (f" and {more} more" if more else "")
