"""Charts: the coordinate of a path → the coordinates of the section that spans it.

A path through the control points θ₀ … θ_m is θ(t) = θ₀ + Σⱼ wⱼ(t)·(θⱼ − θ₀), j = 1 … m: a curve
within the affine section with origin θ₀ and directions θⱼ − θ₀. The weights w are its chart.
Garipov et al. 2018, arXiv:1802.10026, section 3.2.

All is computed with elementwise operations in a fixed order, so a point's bits do not depend on
the batch it is in. Shape legend: P = points, m = directions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from schemas.errors import SpecError, listing, suggestion

Floats: TypeAlias = npt.NDArray[np.float64]

_QUADRATURE_NODES = 64


@dataclass(frozen=True)
class BezierChart:
    """The Bézier curve of m + 1 control points: wⱼ(t) = C(m, j) tʲ (1 − t)^(m−j).

    A polynomial, so it goes on outside [0, 1]. At t = 0 and t = 1 the weights are exactly those
    of the ends. Garipov et al. 2018, arXiv:1802.10026, equation (5) for m = 2.

    Raises:
        SpecError: m is less than 1, or the points have not one column.
    """

    directions: int

    def __post_init__(self) -> None:
        _check_directions(self.directions)

    @property
    def axes(self) -> int:
        """One: t."""
        return 1

    def coordinates(self, points: Floats) -> Floats:
        """Weights at points (P, 1): (P, m)."""
        return _bernstein(self.directions, _column(points))[:, 1:]

    def jacobian(self, points: Floats) -> Floats:
        """wⱼ′ = m (b_{j−1} − b_j), with b the Bernstein polynomials of degree m − 1: (P, m, 1)."""
        m = self.directions
        lower = _padded(_bernstein(m - 1, _column(points)), 1)
        return (m * (lower[:, :-1] - lower[:, 1:]))[:, 1:, None]

    def hessian(self, points: Floats) -> Floats:
        """wⱼ″ = m (m − 1) (b_{j−2} − 2 b_{j−1} + b_j), b of degree m − 2: (P, m, 1, 1)."""
        m, t = self.directions, _column(points)
        if m == 1:
            return np.zeros((len(t), 1, 1, 1))
        lower = _padded(_bernstein(m - 2, t), 2)
        second = lower[:, :-2] - 2 * lower[:, 1:-1] + lower[:, 2:]
        return (m * (m - 1) * second)[:, 1:, None, None]


@dataclass(frozen=True)
class PolygonChart:
    """Straight segments through m + 1 control points, θⱼ at t = j/m.

    Every segment takes the same part of [0, 1], however long it is; the first and the last go on
    outside. The derivative at a kink is that to its right; the second derivative is 0 throughout.
    Garipov et al. 2018, arXiv:1802.10026, equation (4) for m = 2.

    Raises:
        SpecError: m is less than 1, or the points have not one column.
    """

    directions: int

    def __post_init__(self) -> None:
        _check_directions(self.directions)

    @property
    def axes(self) -> int:
        """One: t."""
        return 1

    def coordinates(self, points: Floats) -> Floats:
        """Weights at points (P, 1), of which at most two are not 0: (P, m)."""
        t = _column(points)
        segment, knots = self._segments(t)
        # A quotient of differences, so that it is exactly 0 and 1 at the knots.
        part = (t - knots[segment]) / (knots[segment + 1] - knots[segment])
        return self._on_segment(segment, 1.0 - part, part)

    def jacobian(self, points: Floats) -> Floats:
        """−m and m for the control points that a segment leaves and reaches: (P, m, 1)."""
        t = _column(points)
        segment, _ = self._segments(t)
        speed = np.full(len(t), float(self.directions))
        return self._on_segment(segment, -speed, speed)[:, :, None]

    def hessian(self, points: Floats) -> Floats:
        """Zeros: (P, m, 1, 1)."""
        return np.zeros((len(_column(points)), self.directions, 1, 1))

    def _segments(self, t: Floats) -> tuple[npt.NDArray[np.intp], Floats]:
        """The segment of each point, 0 … m − 1, and the knots (m + 1,)."""
        knots = np.arange(self.directions + 1) / self.directions
        found = np.searchsorted(knots, t, side="right") - 1
        return np.clip(found, 0, self.directions - 1), knots

    def _on_segment(self, segment: npt.NDArray[np.intp], left: Floats, right: Floats) -> Floats:
        weights = np.zeros((len(segment), self.directions + 1))
        rows = np.arange(len(segment))
        weights[rows, segment] = left
        weights[rows, segment + 1] = right
        return weights[:, 1:]


PathChart: TypeAlias = BezierChart | PolygonChart

_CHARTS: Mapping[str, type[PathChart]] = {
    "linear": PolygonChart,
    "polygon": PolygonChart,
    "bezier": BezierChart,
}


def path_chart(kind: str, bends: int) -> PathChart:
    """The chart of a path of that kind with so many inner control points; a linear one has none.

    Raises:
        SpecError: the kind is unknown, or the number of bends negative.
    """
    if kind not in _CHARTS:
        raise SpecError(
            f"path.kind: got {kind!r}; expected one of {listing(_CHARTS)}"
            f"{suggestion(kind, _CHARTS)}"
        )
    return _CHARTS[kind](1 if kind == "linear" else bends + 1)


def path_length(chart: PathChart, gram: Floats) -> float:
    """Euclidean length of the path over [0, 1], ∫ √(w′ᵀ G w′) dt.

    `gram` (m, m) holds the inner products G of the directions. Gauss–Legendre quadrature on each
    [j/m, (j+1)/m]: exact for a polygon, and but for cusps to nearly all digits for a Bézier curve.
    """
    nodes, factors = np.polynomial.legendre.leggauss(_QUADRATURE_NODES)
    within = (np.arange(chart.directions)[:, None] + (nodes + 1) / 2) / chart.directions
    velocity = chart.jacobian(within.reshape(-1, 1))[:, :, 0]
    # Of a velocity that vanishes, rounding may leave a square just below 0.
    squared = np.maximum(np.einsum("pi,ij,pj->p", velocity, gram, velocity), 0.0)
    speeds = np.sqrt(squared).reshape(within.shape)
    return float((speeds @ factors).sum() / (2 * chart.directions))


def _check_directions(directions: int) -> None:
    if directions < 1:
        raise SpecError(
            f"path: got {directions} directions; expected 1 or more, which is the number of bends "
            "and one; give bends: 0 or more"
        )


def _column(points: Floats) -> Floats:
    """The coordinate t (P,) of points (P, 1)."""
    if points.ndim != 2 or points.shape[1] != 1:
        raise SpecError(
            f"axes: got points of shape {points.shape}; a path has one coordinate, so (P, 1); "
            "give one axis"
        )
    return points[:, 0]


def _bernstein(degree: int, t: Floats) -> Floats:
    """All Bernstein polynomials of a degree at t (P,): (P, degree + 1).

    By b_{j,n} = (1 − t) b_{j,n−1} + t b_{j−1,n−1}. Powers would round differently in the vectorised
    and in the remaining part of an array, and products do not.
    """
    values = np.ones((len(t), 1))
    left, right = (1.0 - t)[:, None], t[:, None]
    for _ in range(degree):
        padded = _padded(values, 1)
        values = left * padded[:, 1:] + right * padded[:, :-1]
    return values


def _padded(values: Floats, columns: int) -> Floats:
    """The columns with so many zeros before and after them."""
    return np.pad(values, ((0, 0), (columns, columns)))
