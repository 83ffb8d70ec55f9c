"""The critical points of narrow networks that wide ones get copies of.

Shape legend: N = samples, d = inputs, r = units, c = outputs, n = r·d + c·r.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from scipy.optimize import least_squares

from schemas.errors import SpecError
from tasks.landscape import Floats
from tasks.symmetry.curvature import Derivatives, Regression, derivatives, output_slopes, residuals
from tasks.symmetry.network import Weights, flattened, unflattened
from tasks.threads import one_thread

_STARTS = 12
_EVALUATIONS = 200
_NEAR = 1e-8
"""Relative tolerances of a descent: Newton's method goes on from there."""
_STEPS = 20
CRITICAL = 1e-13
"""The norm of the gradient at which a point counts as critical."""
_FAR = 100.0
"""Weights beyond it are on their way to infinity."""


@dataclass(frozen=True)
class CriticalPoint:
    """A critical point of a network with r units, (r, d) and (c, r), in float64.

    Its units are in the order of their first output weights.
    """

    weights: Weights
    derivatives: Derivatives

    @property
    def least_eigenvalue(self) -> float:
        """Of the Hessian."""
        return float(np.linalg.eigvalsh(self.derivatives.hessian)[0])


def critical_point(regression: Regression, units: int) -> CriticalPoint:
    """The lowest of the critical points at which seeded descents of that many units end.

    Levenberg–Marquardt from 12 normal starts, then Newton's method as long as the gradient falls.

    Raises:
        SpecError: no descent ends at a critical point.
    """
    inputs, targets = (
        (np.ascontiguousarray(each).tobytes(), each.shape)
        for each in (regression.inputs, regression.targets)
    )
    with one_thread():
        return _critical_point(inputs, targets, regression.activation, units)


@lru_cache(maxsize=32)
def _critical_point(
    inputs: tuple[bytes, tuple[int, ...]],
    targets: tuple[bytes, tuple[int, ...]],
    activation: str,
    units: int,
) -> CriticalPoint:
    rows, wanted = (np.frombuffer(data).reshape(shape) for data, shape in (inputs, targets))
    regression = Regression(rows.copy(), wanted.copy(), activation)
    ends = [_descended(regression, units, number) for number in range(_STARTS)]
    near = [end for end in ends if np.abs(end).max() < _FAR]
    # From the lowest up, as Newton's method need not be tried from all of them.
    for end in sorted(near, key=lambda end: _loss(regression, units, end)):
        found = polished(regression, end, units)
        if found.derivatives.slope <= CRITICAL:
            return found
    raise SpecError(
        f"narrow: none of {_STARTS} descents of {units} units ends at a critical point with a "
        f"gradient of {CRITICAL:g}; take another number of units, or other data"
    )


def polished(regression: Regression, start: Floats, units: int) -> CriticalPoint:
    """Where Newton's method leads from numbers (n,) as long as the norm of the gradient falls."""
    sizes = regression.inputs.shape[1], units, regression.targets.shape[1]
    here, at = start, derivatives(unflattened(start, sizes), regression)
    for _ in range(_STEPS):
        there = here - np.linalg.lstsq(at.hessian, at.gradient, rcond=None)[0]
        after = derivatives(unflattened(there, sizes), regression)
        if not after.slope < at.slope:
            break
        here, at = there, after
    hidden, output = unflattened(here, sizes)
    order = np.argsort(output[0])
    weights = hidden[order], output[:, order]
    return CriticalPoint(weights, derivatives(weights, regression))


def _descended(regression: Regression, units: int, number: int) -> Floats:
    """Where a descent ends, (n,)."""
    sizes = regression.inputs.shape[1], units, regression.targets.shape[1]
    random = np.random.default_rng([number, units])
    start = flattened([random.standard_normal((b, a)) for a, b in pairwise(sizes)])

    def away(numbers: Floats) -> Floats:
        return residuals(unflattened(numbers, sizes), regression).ravel()

    def slopes(numbers: Floats) -> Floats:
        return output_slopes(unflattened(numbers, sizes), regression).reshape(-1, len(start))

    found: Floats = least_squares(
        away,
        start,
        slopes,
        method="lm",
        xtol=_NEAR,
        ftol=_NEAR,
        gtol=_NEAR,
        max_nfev=_EVALUATIONS,
    ).x
    return found


def _loss(regression: Regression, units: int, numbers: Floats) -> float:
    sizes = regression.inputs.shape[1], units, regression.targets.shape[1]
    return float(np.square(residuals(unflattened(numbers, sizes), regression)).mean())
