"""Adam, many descents at once.

Shape legend: P = descents under way, n = variables.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from pipeline.engine.descents.ends import Collected, Ends, Limits, Rows
from pipeline.engine.descents.quasi_newton import Slopes
from schemas.starts import BETAS, EPSILON


def adam(
    slopes: Slopes, starts: Tensor, limits: Limits, step: float, decay_every: int | None
) -> Ends:
    """Descents by Adam (Kingma & Ba 2015, arXiv:1412.6980, Algorithm 1) from starts (P, n).

    In the i-th block of `decay_every` iterations, counted from 0, the step is step/(1 + i), and the
    means go on. A descent whose next loss or gradient is not finite ends where it is, not
    converged. Where a loss is not finite its gradient must not be either.
    """
    descents = _Descents(slopes, starts, limits, step, decay_every)
    while descents.under_way:
        descents.advance()
    return descents.collected.ends()


@dataclass
class _State(Rows):
    """Of each descent under way, everything with P rows; none has ended.

    Attributes:
        gradient: where it is.
        mean, square: moving means of the gradient and of its square, (P, n).
    """

    gradient: Tensor
    mean: Tensor
    square: Tensor


class _Descents:
    def __init__(
        self,
        slopes: Slopes,
        starts: Tensor,
        limits: Limits,
        step: float,
        decay_every: int | None,
    ) -> None:
        self._slopes, self._limits = slopes, limits
        self._step, self._decay_every = step, decay_every
        self._taken = 0
        self.collected = Collected(starts, limits)
        rows = torch.arange(len(starts), device=starts.device)
        loss, gradient = slopes(starts, rows)
        norm = torch.linalg.vector_norm(gradient, dim=1)
        self._state = _State(
            rows=rows,
            theta=starts.clone(),
            loss=loss,
            norm=norm,
            iterations=torch.zeros_like(rows),
            ended=torch.zeros_like(rows, dtype=torch.bool),
            gradient=gradient,
            mean=torch.zeros_like(starts),
            square=torch.zeros_like(starts),
        )
        self._retire(~(norm < torch.inf))

    @property
    def under_way(self) -> bool:
        """Whether any descent is."""
        return len(self._state.rows) > 0

    def advance(self) -> None:
        """A step of every descent. All have taken the same number, for all began together."""
        state = self._state
        before = state.theta, state.loss, state.norm
        state.theta = state.theta + self._stride()
        state.loss, state.gradient = self._slopes(state.theta, state.rows)
        state.norm = torch.linalg.vector_norm(state.gradient, dim=1)
        self._taken += 1
        sound = state.norm < torch.inf
        if self._taken < self._limits.max_iterations and self._all_go_on(sound):
            return
        state.theta = torch.where(sound[:, None], state.theta, before[0])
        state.loss = torch.where(sound, state.loss, before[1])
        state.norm = torch.where(sound, state.norm, before[2])
        self._retire(~sound)

    def _stride(self) -> Tensor:
        """The next steps (P, n), from means that the gradients here are taken into."""
        state, (keep, keep_square), after = self._state, BETAS, self._taken + 1
        state.mean.lerp_(state.gradient, 1 - keep)
        state.square.mul_(keep_square).addcmul_(
            state.gradient, state.gradient, value=1 - keep_square
        )
        block = 0 if self._decay_every is None else self._taken // self._decay_every
        step = self._step / (1 + block) / (1 - keep**after)
        root = (state.square.sqrt() / math.sqrt(1 - keep_square**after)).add_(EPSILON)
        return state.mean.div(root).mul_(-step)

    def _all_go_on(self, sound: Tensor) -> bool:
        """Whether none has converged, come to its target or been lost: in few operations."""
        state, limits = self._state, self._limits
        going = sound & (state.norm > limits.tolerance)
        if limits.target is not None:
            going &= state.loss > limits.target
        return bool(going.all())

    def _retire(self, stuck: Tensor) -> None:
        """Note the ends of those that end, and go on without them: they would be noticed again."""
        state = self._state
        state.iterations = torch.full_like(state.rows, self._taken)
        self.collected.retire(state, stuck)
        state.keep(~state.ended)
