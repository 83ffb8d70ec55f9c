"""Levenberg–Marquardt, many descents at once: of a sum of squares, or of the gradient.

Shape legend: P = descents under way, n = variables, m = terms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor

from pipeline.engine.descents.ends import Collected, Ends, Limits, Rows, rounding

Terms: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(variables (P, n), numbers of the descents (P,)) → terms r (P, m), Jacobians J (P, m, n)."""
Losses: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""The same → losses (P,)."""

_FIRST_DAMPING = 1e-3
"""Of the greatest diagonal entry of JᵀJ."""


@dataclass
class _State(Rows):
    """Of each descent under way, everything with P rows.

    Attributes:
        square, slope, matrix: Σ r², Jᵀr and JᵀJ where it is.
        damping, factor: μ, and what it is multiplied by if the next step is not accepted.
    """

    square: Tensor
    slope: Tensor
    matrix: Tensor
    damping: Tensor
    factor: Tensor


def damped(
    terms: Terms, losses: Losses, starts: Tensor, limits: Limits, *, of_gradient: bool
) -> Ends:
    """Descents of Σ r² from starts (P, n), with damping μ as Nielsen (1999, IMM-REP-1999-05).

    Steps solve (JᵀJ + μ) δ = −Jᵀr. Where the terms are the gradient of a loss, the tolerance is
    for their norm, and the descent may end at a critical point of any kind; else it is for the
    gradient of the sum, 2·Jᵀr. A step that changes the sum within rounding is accepted if it
    shortens that norm. A descent ends, not converged, when its terms are not finite at its start,
    when a step no longer moves its variables, or where a gradient is shortest without being zero.
    Losses are found on the way only where there is a target.
    """
    descents = _Descents(terms, losses, starts, limits, of_gradient)
    while descents.under_way:
        descents.advance()
    ends = descents.collected.ends()
    if limits.target is not None:
        return ends
    rows = torch.arange(len(starts), device=starts.device)
    return replace(ends, loss=losses(ends.theta, rows))


class _Descents:
    def __init__(
        self,
        terms: Terms,
        losses: Losses,
        starts: Tensor,
        limits: Limits,
        of_gradient: bool,
    ) -> None:
        self._terms, self._of_gradient = terms, of_gradient
        self._losses = None if limits.target is None else losses
        self.collected = Collected(starts, limits)
        rows = torch.arange(len(starts), device=starts.device)
        square, slope, matrix, length = self._measured(starts, rows)
        diagonal = matrix.diagonal(dim1=1, dim2=2)
        self._state = _State(
            rows=rows,
            theta=starts.clone(),
            loss=self._loss(starts, rows, square),
            iterations=torch.zeros_like(rows),
            square=square,
            slope=slope,
            matrix=matrix,
            norm=length,
            damping=_FIRST_DAMPING * diagonal.amax(dim=1),
            factor=torch.full_like(square, 2.0),
            ended=torch.zeros_like(rows, dtype=torch.bool),
        )
        finite = square.isfinite() & matrix.sum(dim=(1, 2)).isfinite()
        self.collected.retire(self._state, ~finite)

    @property
    def under_way(self) -> bool:
        """Whether any descent is."""
        return not bool(self._state.ended.all())

    def _measured(self, theta: Tensor, rows: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Σ r², Jᵀr, JᵀJ and the norm at points (P, n)."""
        terms, jacobian = self._terms(theta, rows)
        turned = jacobian.transpose(1, 2)
        slope = (turned @ terms[:, :, None])[:, :, 0]
        norm = terms.norm(dim=1) if self._of_gradient else 2 * slope.norm(dim=1)
        return terms.square().sum(dim=1), slope, turned @ jacobian, norm

    def _loss(self, theta: Tensor, rows: Tensor, like: Tensor) -> Tensor:
        """Losses (P,) at points (P, n); NaN without a target."""
        if self._losses is None:
            return torch.full_like(like, torch.nan)
        return self._losses(theta, rows)

    def advance(self) -> None:
        """Try a step in every descent."""
        state = self._state
        step, solved = self._step()
        trial = state.theta + step
        square, slope, matrix, norm = self._measured(trial, state.rows)
        finite = solved & square.isfinite() & matrix.sum(dim=(1, 2)).isfinite()
        gain = state.square - square
        foreseen = (step * (state.damping[:, None] * step - state.slope)).sum(dim=1)
        level = (gain.abs() <= rounding(state.square)) & (norm < state.norm)
        accepted = finite & ((gain > 0) | level) & ~state.ended
        self._adapt(accepted, torch.where(level, 1.0, gain / foreseen))
        still = (trial == state.theta).all(dim=1) | ~state.damping.isfinite()
        here, there = accepted[:, None], accepted[:, None, None]
        state.theta = torch.where(here, trial, state.theta)
        state.slope = torch.where(here, slope, state.slope)
        state.matrix = torch.where(there, matrix, state.matrix)
        state.square = torch.where(accepted, square, state.square)
        state.loss = torch.where(accepted, self._loss(trial, state.rows, square), state.loss)
        state.norm = torch.where(accepted, norm, state.norm)
        state.iterations = state.iterations + 1
        self.collected.retire(state, (still & ~accepted) | self._is_shortest())
        if state.sparse:
            state.keep(~state.ended)

    def _is_shortest(self) -> Tensor:
        """Where a gradient r is shortest but not zero, (P,): Jᵀr vanishes beside |J|·|r|."""
        state = self._state
        if not self._of_gradient:
            return torch.zeros_like(state.ended)
        size = state.matrix.diagonal(dim1=1, dim2=2).sum(dim=1).sqrt()
        least = torch.finfo(size.dtype).eps ** 0.75
        shortest: Tensor = state.slope.norm(dim=1) <= least * size * state.norm
        return shortest

    def _step(self) -> tuple[Tensor, Tensor]:
        """Steps (P, n), and whether their equations could be solved, (P,)."""
        state = self._state
        n = state.theta.shape[1]
        diagonal = state.matrix.diagonal(dim1=1, dim2=2)
        # Below this JᵀJ + μ is singular to rounding, and its factors would fail.
        least = n * torch.finfo(state.square.dtype).eps * diagonal.sum(dim=1)
        state.damping = torch.maximum(state.damping, least)
        eye = torch.eye(n, dtype=state.theta.dtype, device=state.theta.device)
        # Rows that have ended may hold anything.
        matrix = torch.where(state.ended[:, None, None], eye, state.matrix)
        damping = torch.where(state.ended, 1.0, state.damping)
        factor, failed = torch.linalg.cholesky_ex(matrix + damping[:, None, None] * eye)
        step = torch.cholesky_solve(-state.slope[:, :, None], factor)[:, :, 0]
        return step, (failed == 0) & step.isfinite().all(dim=1)

    def _adapt(self, accepted: Tensor, ratio: Tensor) -> None:
        """The next damping, from the gain over the one foreseen (P,)."""
        state = self._state
        less = (1 - (2 * ratio - 1) ** 3).clamp(min=1 / 3, max=2.0)
        state.damping = state.damping * torch.where(accepted, less, state.factor)
        state.factor = torch.where(accepted, 2.0, 2 * state.factor)
