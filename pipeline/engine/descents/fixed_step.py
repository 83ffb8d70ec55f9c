"""Gradient descent of a fixed step, many descents at once.

Shape legend: P = descents under way, n = variables.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.engine.descents.ends import Collected, Ends, Limits, Rows
from pipeline.engine.descents.quasi_newton import Slopes
from schemas.starts import FAR


def fixed_step(slopes: Slopes, starts: Tensor, limits: Limits, step: float) -> Ends:
    """Descents θ ← θ − step·∇L from starts (P, n), without a line search.

    A descent that diverges, beyond a norm of `FAR` or to a gradient that is not finite, begins
    again from its own start with half its step, and its iterations go on counting (as in Safran &
    Shamir 2018, arXiv:1712.08968). One whose start is as bad ends there, not converged. Where a
    loss is not finite its gradient must not be either.
    """
    descents = _Descents(slopes, starts, limits, step)
    while descents.under_way:
        descents.advance()
    return descents.collected.ends()


@dataclass
class _State(Rows):
    """Of each descent under way, everything with P rows; none has ended.

    Attributes:
        gradient: where it is.
        stride: minus its step, (P, 1).
        start, start_loss, start_gradient: where it began.
    """

    gradient: Tensor
    stride: Tensor
    start: Tensor
    start_loss: Tensor
    start_gradient: Tensor


class _Descents:
    def __init__(self, slopes: Slopes, starts: Tensor, limits: Limits, step: float) -> None:
        self._slopes, self._limits = slopes, limits
        self._taken = 0
        self.collected = Collected(starts, limits)
        rows = torch.arange(len(starts), device=starts.device)
        loss, gradient = slopes(starts, rows)
        self._state = _State(
            rows=rows,
            theta=starts.clone(),
            loss=loss,
            norm=torch.linalg.vector_norm(gradient, dim=1),
            iterations=torch.zeros_like(rows),
            ended=torch.zeros_like(rows, dtype=torch.bool),
            gradient=gradient,
            stride=starts.new_full((len(starts), 1), -step),
            start=starts,
            start_loss=loss,
            start_gradient=gradient,
        )
        self._retire(~self._sound())

    @property
    def under_way(self) -> bool:
        """Whether any descent is."""
        return len(self._state.rows) > 0

    def advance(self) -> None:
        """A step of every descent. All have taken the same number, for all began together."""
        state = self._state
        state.theta.addcmul_(state.stride, state.gradient)
        state.loss, state.gradient = self._slopes(state.theta, state.rows)
        state.norm = torch.linalg.vector_norm(state.gradient, dim=1)
        self._taken += 1
        if self._taken < self._limits.max_iterations and self._all_go_on():
            return
        diverged = ~self._sound()
        self._begin_again(diverged)
        self._retire(torch.zeros_like(diverged))

    def _all_go_on(self) -> bool:
        """Whether none has converged, come to its target or diverged: in few operations."""
        state, limits = self._state, self._limits
        going = self._sound() & (state.norm > limits.tolerance)
        if limits.target is not None:
            going &= state.loss > limits.target
        return bool(going.all())

    def _sound(self) -> Tensor:
        """Which descents have not diverged (P,)."""
        state = self._state
        size: Tensor = torch.linalg.vector_norm(state.theta, dim=1)
        return (size <= FAR) & (state.norm < torch.inf)

    def _begin_again(self, diverged: Tensor) -> None:
        """Put those that have diverged (P,) back to their starts."""
        state, here = self._state, diverged[:, None]
        state.stride = torch.where(here, state.stride / 2, state.stride)
        state.theta = torch.where(here, state.start, state.theta)
        state.gradient = torch.where(here, state.start_gradient, state.gradient)
        state.loss = torch.where(diverged, state.start_loss, state.loss)
        state.norm = torch.linalg.vector_norm(state.gradient, dim=1)

    def _retire(self, stuck: Tensor) -> None:
        """Note the ends of those that end, and go on without them: they would be noticed again."""
        state = self._state
        state.iterations = torch.full_like(state.rows, self._taken)
        self.collected.retire(state, stuck)
        state.keep(~state.ended)
