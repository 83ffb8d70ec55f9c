"""Minima of one cell: a curve that joins two of them, and two that none joins inside the cell.

Shape legend: N = samples, d = inputs of each, h = units, P = points, n = all parameters.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.landscape import Floats
from tasks.piecewise.cells import TwoLayer, features


@dataclass(frozen=True)
class JoiningChart:
    """From one minimum of a cell, at 0, to another, at 1, whose output weights have the same signs.

    Products go straight, ŵ_j(t) = (1 − t)ŵ_j + tŵ'_j, and output weights as v_j(t) =
    v_j (v'_j/v_j)^t, so w_j(t) = ŵ_j(t)/v_j(t). Both ends are optima of one convex function of the
    products, and so is what lies between; the signs of w_j·x_i stay, for their cone is convex.
    The path of He, Wang & Tao 2020, arXiv:2003.12236, section 5, is given there in steps.

    The directions are, for each unit, that of v_j, w_j along ŵ_j, and w_j along ŵ'_j.

    Raises:
        ValueError: an output weight is 0, or of the other sign at the end.
    """

    start: Floats
    end: Floats

    def __post_init__(self) -> None:
        if not (self.start * self.end > 0).all():
            raise ValueError("output weights must be nonzero, of the same signs at both ends")

    @property
    def axes(self) -> int:
        """One: t."""
        return 1

    @property
    def directions(self) -> int:
        """Three for each unit."""
        return 3 * len(self.start)

    def coordinates(self, points: Floats) -> Floats:
        """At points (P, 1): (P, 3h), all 0 at t = 0."""
        t, outputs, _ = self._at(points)
        first = (1 - t) / outputs - 1 / self.start
        return np.concatenate([outputs - self.start, first, t / outputs], axis=1)

    def jacobian(self, points: Floats) -> Floats:
        """First derivatives (P, 3h, 1)."""
        t, outputs, rate = self._at(points)
        parts = [rate * outputs, -(1 + (1 - t) * rate) / outputs, (1 - t * rate) / outputs]
        found: Floats = np.concatenate(parts, axis=1)[:, :, None]
        return found

    def hessian(self, points: Floats) -> Floats:
        """Second derivatives (P, 3h, 1, 1)."""
        t, outputs, rate = self._at(points)
        parts = [
            rate**2 * outputs,
            rate * (2 + (1 - t) * rate) / outputs,
            rate * (t * rate - 2) / outputs,
        ]
        found: Floats = np.concatenate(parts, axis=1)[:, :, None, None]
        return found

    def _at(self, points: Floats) -> tuple[Floats, Floats, Floats]:
        """T (P, 1), the output weights (P, h), and the rates at which they grow (h,)."""
        rate = np.log(self.end / self.start)
        return points, self.start * np.exp(points * rate), rate


def joining_directions(one: TwoLayer, other: TwoLayer) -> list[Floats]:
    """The directions (n,) of the chart that joins two minima, the first one the origin."""
    h, d = one.hidden.shape
    rows = np.zeros((3 * h, h * d + h))
    for unit in range(h):
        own = slice(unit * d, (unit + 1) * d)
        rows[unit, h * d + unit] = 1.0
        rows[h + unit, own] = one.products[unit]
        rows[2 * h + unit, own] = other.products[unit]
    return list(rows)


# Three inputs are in the plane of the first two axes, three in that of the first and the third.
_INPUTS = (
    (0.3, 1.0, 0.0),
    (-0.2, -1.5, 0.0),
    (0.5, -0.7, 0.0),
    (0.4, 0.0, 1.2),
    (-0.3, 0.0, 1.0),
    (0.2, 0.0, 0.8),
)
_COMMON, _OTHER, _SUM = 0.3, 0.5, 2.0


def made_reversed(slope: float) -> tuple[Floats, Floats, TwoLayer, TwoLayer]:
    """Inputs (6, 3), targets (6,), and two minima of one cell that cannot be joined inside it.

    On the first plane both units have the same slopes, on the second one opposite ones, so all
    optima of the cell have the same part of ŵ_1 along the axis in both planes, and ŵ_1 is never 0.
    But its output weight has one sign at the first minimum and the other at the second, and would
    have to be 0 in between. The slope is above 0 and below 1.
    """
    inputs = np.array(_INPUTS)

    def minimum(turned: float) -> TwoLayer:
        # Along the second axis the products add up to 2, along the third ŵ_1 + s·ŵ_2 is −2.
        hidden = [
            [turned * _COMMON, 1.0, 1.0],
            [_OTHER, _SUM - turned, (-_SUM - turned) / slope],
        ]
        return TwoLayer(np.array(hidden), np.array([turned, 1.0]), slope)

    one, other = minimum(1.0), minimum(-1.0)
    outputs = one.residuals(inputs, np.zeros(len(inputs)))
    columns = features(one.slopes(inputs), inputs)
    ones = np.ones(len(inputs))
    away = ones - columns @ np.linalg.lstsq(columns, ones)[0]
    return inputs, outputs + away, one, other
