"""Where descents end, and how their rows are kept while they last.

Shape legend: P = descents, n = variables.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

_ROUNDING = 64
"""Units in the last place."""
_KEPT = 0.75


@dataclass(frozen=True)
class Ends:
    """Where P descents have ended.

    Attributes:
        theta: (P, n).
        loss: (P,).
        gradient_norm: (P,), in the variables of the descent.
        iterations: (P,), int64.
        converged: (P,), whether the gradient norm is within the tolerance.
        low: (P,), whether the loss is finite and at most the target; false without one.
    """

    theta: Tensor
    loss: Tensor
    gradient_norm: Tensor
    iterations: Tensor
    converged: Tensor
    low: Tensor


@dataclass(frozen=True)
class Limits:
    """Where descents end.

    Attributes:
        tolerance: gradient norm at which one has converged.
        max_iterations: after which one is given up.
        target: loss at or below which one ends as well.
    """

    tolerance: float
    max_iterations: int
    target: float | None = None


@dataclass
class Rows:
    """Of each descent under way, everything with P rows; a method adds what it needs.

    Attributes:
        rows: its number.
        theta, loss, norm, iterations: where it is, the loss and the gradient norm there.
        ended: it is kept only until rows are taken out.
    """

    rows: Tensor
    theta: Tensor
    loss: Tensor
    norm: Tensor
    iterations: Tensor
    ended: Tensor

    def keep(self, kept: Tensor) -> None:
        """Leave only the rows kept (P,)."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name)[kept])

    @property
    def sparse(self) -> bool:
        """Whether so few are under way that the others should be taken out."""
        return int((~self.ended).sum()) <= _KEPT * len(self.ended)


def rounding(values: Tensor) -> Tensor:
    """A change of values (P,) that is taken for rounding."""
    return _ROUNDING * torch.finfo(values.dtype).eps * values.abs()


class Collected:
    """The ends of a block of descents, filled in as its rows end."""

    def __init__(self, starts: Tensor, limits: Limits) -> None:
        self._limits = limits
        number = len(starts)
        self._theta = starts.clone()
        self._loss, self._norm = (starts.new_full((number,), torch.nan) for _ in range(2))
        self._iterations = torch.zeros(number, dtype=torch.int64, device=starts.device)
        self._converged, self._low = (
            torch.zeros(number, dtype=torch.bool, device=starts.device) for _ in range(2)
        )

    def retire(self, state: Rows, stuck: Tensor) -> None:
        """Note the ends of rows at their limits, and of those that are stuck (P,)."""
        limits, low = self._limits, torch.zeros_like(stuck)
        converged = state.norm <= limits.tolerance
        if limits.target is not None:
            low = (state.loss <= limits.target) & state.loss.isfinite()
        late = state.iterations >= limits.max_iterations
        ending = (converged | low | stuck | late) & ~state.ended
        if not bool(ending.any()):
            return
        rows = state.rows[ending]
        self._theta[rows] = state.theta[ending]
        self._loss[rows] = state.loss[ending]
        self._norm[rows] = state.norm[ending]
        self._iterations[rows] = state.iterations[ending]
        self._converged[rows] = converged[ending]
        self._low[rows] = low[ending]
        state.ended = state.ended | ending

    def ends(self) -> Ends:
        """The ends of all rows."""
        return Ends(
            self._theta, self._loss, self._norm, self._iterations, self._converged, self._low
        )
