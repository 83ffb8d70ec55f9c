"""Least squares: the best affine function of the inputs, in floats and in balls.

Shape legend: N = samples, d = inputs of each, m = outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import flint
import numpy as np
from flint import arb, arb_mat
from scipy import linalg

from tasks.piecewise.pieces import Floats, Number, Numbers
from tasks.students.balls import PRECISION, balls


@dataclass(frozen=True)
class Fit:
    """The affine function ȳ = W̄x + b̄ that is nearest to the targets in the squares.

    Attributes:
        inputs, targets: (N, d) and (N, m).
        matrix, offset: W̄ (m, d) and b̄ (m,).
        outputs: ȳ, (N, m).
        number: what a float is turned into before it is reckoned with: itself, or a ball.
    """

    inputs: Numbers
    targets: Numbers
    matrix: Numbers
    offset: Numbers
    outputs: Numbers
    number: Callable[[float], Number] = float

    @property
    def residuals(self) -> Numbers:
        """ȳ − y, (N, m): their sums, and those of their products with inputs, are 0."""
        return self.outputs - self.targets

    @property
    def risk(self) -> Number:
        """½‖ȳ − y‖²."""
        return (self.residuals * self.residuals).sum() / 2

    @property
    def shifts(self) -> Floats:
        """η_c = min(−1, 2 min_i ȳ_ic), (m,), floats: ȳ − η is at least ½."""
        lowest: Floats = self.outputs.astype(np.float64).min(axis=0)
        return np.minimum(-1.0, 2 * lowest)

    def zeros(self, *shape: int) -> Numbers:
        """An array of zeros, of balls if the fit is in balls."""
        return np.full(shape, self.number(0.0))


def fit(inputs: Floats, targets: Floats) -> Fit:
    """The fit in float64; of several the one of least coefficients."""
    columns = _with_ones(inputs)
    found: Floats = linalg.lstsq(columns, targets)[0]
    # Once more, for what rounding has left.
    found = found + linalg.lstsq(columns, targets - columns @ found)[0]
    return Fit(inputs, targets, found[:-1].T.copy(), found[-1].copy(), columns @ found)


def fit_in_balls(inputs: Floats, targets: Floats) -> Fit | None:
    """The fit with all roundings counted; None where the inputs are not proved to span all.

    The normal equations lose half of the digits, of which there are enough.
    """
    with flint.ctx.workprec(2 * PRECISION):
        columns, wanted = balls(_with_ones(inputs)), balls(targets)
        try:
            solved = arb_mat((columns.T @ columns).tolist()).solve(
                arb_mat((columns.T @ wanted).tolist())
            )
        except ZeroDivisionError:
            return None
        found: Any = np.array(solved.entries(), dtype=object).reshape(columns.shape[1], -1)
        return Fit(balls(inputs), wanted, found[:-1].T, found[-1], columns @ found, arb)


def _with_ones(inputs: Floats) -> Floats:
    return np.column_stack([inputs, np.ones(len(inputs))])
