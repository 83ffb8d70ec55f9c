"""Limited-memory BFGS and gradient descent, many descents at once.

Every evaluation serves all descents that are under way: each has its own line search, and goes on
to its next direction as soon as a step is accepted.

Shape legend: P = descents under way, n = variables, m = pairs in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from pipeline.engine.descents.ends import Collected, Ends, Limits, Rows, rounding
from pipeline.engine.descents.pairs import Pairs, dots

Slopes: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(variables (P, n), numbers of the descents (P,)) → losses (P,) and gradients (P, n)."""

MEMORY = 10
_DECREASE, _CURVATURE = 1e-4, 0.9
"""The constants of the weak Wolfe conditions (Nocedal & Wright 2006, eq. 3.6)."""
_MOST_TRIALS = 30
_FLATTER = 0.5
_MARGIN = 0.1
_HALVED = 3
"""Each so many-th trial of a line search halves its bracket."""
_GROWTH = (2.0, 10.0)


def quasi_newton(slopes: Slopes, starts: Tensor, limits: Limits, memory: int) -> Ends:
    """Descents from starts (P, n) by L-BFGS (Nocedal 1980, Math. Comp. 35, 773–782).

    Without memory this is gradient descent, and each line search begins with the step size of
    Barzilai & Borwein (1988, IMA J. Numer. Anal. 8, 141–148). A step is accepted by the weak Wolfe
    conditions (Lewis & Overton 2013, Math. Program. 141, 135–163), or by the approximate ones where
    the loss no longer resolves a decrease (Hager & Zhang 2005, SIAM J. Optim. 16, 170–192, eq.
    4.1). A descent ends, not converged, when the loss at its start is not finite, or when line
    searches fail again and again without its coming lower or flatter between.
    """
    descents = _Descents(slopes, starts, limits, memory)
    while descents.under_way:
        descents.advance()
    return descents.collected.ends()


@dataclass
class _State(Rows):
    """Of each descent under way, everything with P rows.

    Attributes:
        gradient: where it is.
        noise: an increase of the loss that is taken for rounding.
        direction, slope: of the line search, and the derivative along it.
        step: that is tried next; low and high bracket it, with the derivatives there.
        trials: of this line search.
        gamma: sᵀy/yᵀy of its last pair, 0 where it has none.
        failed_loss, failed_norm: where a line search failed last, infinite before.
    """

    gradient: Tensor
    noise: Tensor
    direction: Tensor
    slope: Tensor
    step: Tensor
    low: Tensor
    high: Tensor
    low_slope: Tensor
    high_slope: Tensor
    trials: Tensor
    gamma: Tensor
    failed_loss: Tensor
    failed_norm: Tensor


class _Descents:
    def __init__(self, slopes: Slopes, starts: Tensor, limits: Limits, memory: int) -> None:
        self._slopes = slopes
        self.collected = Collected(starts, limits)
        rows = torch.arange(len(starts), device=starts.device)
        loss, gradient = slopes(starts, rows)
        zero, none = torch.zeros_like(loss), torch.zeros_like(rows)
        self._state = _State(
            rows=rows,
            theta=starts.clone(),
            loss=loss,
            gradient=gradient,
            norm=gradient.norm(dim=1),
            iterations=none,
            noise=rounding(loss),
            direction=torch.zeros_like(starts),
            slope=zero,
            step=zero,
            low=zero,
            high=zero,
            low_slope=zero,
            high_slope=zero,
            trials=none,
            gamma=zero,
            failed_loss=torch.full_like(loss, torch.inf),
            failed_norm=torch.full_like(loss, torch.inf),
            ended=torch.zeros_like(rows, dtype=torch.bool),
        )
        self._memory = Pairs(memory)
        finite = loss.isfinite() & self._state.norm.isfinite()
        self.collected.retire(self._state, ~finite)
        self._begin(~self._state.ended)

    @property
    def under_way(self) -> bool:
        """Whether any descent is."""
        return not bool(self._state.ended.all())

    def advance(self) -> None:
        """One evaluation for every descent: a step accepted, or a bracket narrowed."""
        state = self._state
        shift = state.step[:, None] * state.direction
        trial = state.theta + shift
        loss, gradient = self._slopes(trial, state.rows)
        along = dots(gradient, state.direction)
        finite = loss.isfinite() & along.isfinite()
        enough = loss <= state.loss + _DECREASE * state.step * state.slope
        level = loss <= state.loss + state.noise
        level &= along <= (2 * _DECREASE - 1) * state.slope
        down = finite & (enough | level)
        # Where the loss says no more, the gradient alone may.
        norm = gradient.norm(dim=1)
        flatter = ((loss - state.loss).abs() <= state.noise) & (norm <= _FLATTER * state.norm)
        accepted = (down & (along >= _CURVATURE * state.slope)) | flatter
        accepted &= ~state.ended
        stuck = anew = torch.zeros_like(accepted)
        if not bool(accepted.all()):
            failed = self._narrow(down, torch.where(finite, along, torch.inf)) & ~accepted
            anew = self._forget(failed)
            stuck = failed & ~anew
        self._move(accepted, shift, trial, loss, gradient)
        self.collected.retire(state, stuck)
        self._begin((accepted | anew) & ~state.ended)
        if state.sparse:
            kept = ~state.ended
            state.keep(kept)
            self._memory.keep(kept)

    def _narrow(self, down: Tensor, along: Tensor) -> Tensor:
        """Move the brackets and the steps to be tried; whether a search has failed, (P,)."""
        state, step = self._state, self._state.step
        longer = step + (step - state.low) * along / (state.low_slope - along)
        longer = torch.where(along > state.low_slope, longer, torch.inf)
        longer = longer.clamp(_GROWTH[0] * step, _GROWTH[1] * step)
        state.low = torch.where(down, step, state.low)
        state.low_slope = torch.where(down, along, state.low_slope)
        state.high = torch.where(down, state.high, step)
        state.high_slope = torch.where(down, state.high_slope, along)
        width = state.high - state.low
        share = state.low_slope / (state.low_slope - state.high_slope)
        usable = state.high_slope.isfinite() & (state.high_slope > 0)
        # Interpolation alone may creep along from one side.
        usable &= state.trials % _HALVED != _HALVED - 1
        share = torch.where(usable, share.clamp(_MARGIN, 1 - _MARGIN), 0.5)
        inside = state.low + share * width
        state.step = torch.where(state.high.isfinite(), inside, longer)
        state.trials = state.trials + 1
        closed = (inside <= state.low) | (inside >= state.high)
        return (state.trials >= _MOST_TRIALS) | (closed & state.high.isfinite())

    def _forget(self, failed: Tensor) -> Tensor:
        """Take the memory of rows whose search has failed (P,), and tell which may go on.

        Those that had some, and have come lower or flatter since they failed before.
        """
        state = self._state
        lower = state.loss < state.failed_loss - state.noise
        anew = failed & (state.gamma > 0) & (lower | (state.norm < _FLATTER * state.failed_norm))
        state.failed_loss = torch.where(anew, state.loss, state.failed_loss)
        state.failed_norm = torch.where(anew, state.norm, state.failed_norm)
        state.gamma = torch.where(anew, 0.0, state.gamma)
        self._memory.forget(anew)
        return anew

    def _move(
        self, accepted: Tensor, shift: Tensor, trial: Tensor, loss: Tensor, gradient: Tensor
    ) -> None:
        """Go to the accepted trials, and keep what they tell of the curvature."""
        state = self._state
        bend = gradient - state.gradient
        gamma = self._memory.add(accepted, shift, bend)
        state.gamma = torch.where(gamma > 0, gamma, state.gamma)
        here = accepted[:, None]
        state.theta = torch.where(here, trial, state.theta)
        state.gradient = torch.where(here, gradient, state.gradient)
        state.loss = torch.where(accepted, loss, state.loss)
        state.noise = torch.maximum(state.noise, rounding(state.loss))
        state.norm = torch.where(accepted, gradient.norm(dim=1), state.norm)
        state.iterations = state.iterations + accepted

    def _begin(self, chosen: Tensor) -> None:
        """Begin a line search in the chosen rows (P,)."""
        state = self._state
        steepest = -state.gradient
        direction = self._memory.direction(state.gradient, state.gamma)
        slope = dots(direction, state.gradient)
        least = torch.finfo(slope.dtype).eps * direction.norm(dim=1) * state.norm
        learnt = (state.gamma > 0) & (slope < -least)
        direction = torch.where(learnt[:, None], direction, steepest)
        slope = torch.where(learnt, slope, -state.norm.square())
        first = (1 / state.gradient.abs().sum(dim=1)).clamp(max=1.0)
        state.direction = torch.where(chosen[:, None], direction, state.direction)
        state.slope = torch.where(chosen, slope, state.slope)
        state.low_slope = torch.where(chosen, slope, state.low_slope)
        state.step = torch.where(chosen, torch.where(learnt, 1.0, first), state.step)
        state.low = torch.where(chosen, 0.0, state.low)
        state.high = torch.where(chosen, torch.inf, state.high)
        state.trials = torch.where(chosen, 0, state.trials)
