"""Which parameters a direction moves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from schemas.errors import SpecError, listing, suggestion

_STATISTICS = frozenset({"running_mean", "running_var", "num_batches_tracked"})


def is_statistic(name: str) -> bool:
    """Whether a name is that of a normalisation layer's running statistics.

    Where statistics are interpolated between checkpoints they stand among the parameters, but
    they are no coordinates of the loss: nothing is drawn for them, differentiated by them or
    measured in them.
    """
    return name.rpartition(".")[2] in _STATISTICS


def selected(names: Iterable[str], patterns: Sequence[str] | None, where: str) -> list[str]:
    """The names that match one of the shell-style patterns, in their order; all without patterns.

    Raises:
        SpecError: a pattern matches nothing.
    """
    every = list(names)
    if patterns is None:
        return every
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in every):
            near = suggestion(pattern, every) or suggestion(pattern.strip("*."), every)
            raise SpecError(
                f"{where}.parameters: {pattern!r} matches no parameter; expected names such as "
                f"{listing(every, 6)}{near}"
            )
    return [name for name in every if any(fnmatchcase(name, pattern) for pattern in patterns)]
