"""Second derivatives of the surface by finite differences of the grid, and where it is convex.

Along an axis with steps h₋ to the point before and h₊ to the point after,

    f″ ≈ 2 [(f₊ − f)/h₊ − (f − f₋)/h₋] / (h₋ + h₊)
    f′ ≈ [h₋ (f₊ − f)/h₊ + h₊ (f − f₋)/h₋] / (h₋ + h₊),

the derivatives of the parabola through three points (Fornberg 1988, doi 10.1090/S0025-5718-1988-
0935077-0); a mixed derivative is f′ along one axis of f′ along the other. All are exact for
quadratics, whatever the spacing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from pipeline.analysis.frame import Floats
from pipeline.analysis.halo import inner
from pipeline.analysis.proximity import ROUNDING_UNITS

Entries: TypeAlias = dict[tuple[int, int], Floats]


def hessian(values: Floats, coordinates: Sequence[Floats]) -> Entries:
    """Second derivatives (m₁, …, m_z) by axes (i, j), i ≤ j, of values (m₁+2, …, m_z+2).

    `coordinates` (m_k+2,) of each axis. NaN where a value or a coordinate it needs is missing.
    """
    z = len(coordinates)
    entries = {}
    with np.errstate(all="ignore"):
        for i, along in enumerate(coordinates):
            entries[i, i] = _second(inner(values, [k for k in range(z) if k != i]), along, i)
            for j in range(i + 1, z):
                slopes = _first(inner(values, [k for k in range(z) if k not in (i, j)]), along, i)
                entries[i, j] = _first(slopes, coordinates[j], j)
    return entries


def convexity(values: Floats, coordinates: Sequence[Floats], eps: float) -> tuple[int, int]:
    """Points where the Hessian is finite, and those of them where it is positive semi-definite.

    Values (m₁+2, …, m_z+2), judged at the m₁ × … × m_z inner ones. The Hessian may be negative by
    what rounding of the values (by relative `eps`) can make it, a bound on its norm:
    4 eps · max|f| · Σ 4/h², max|f| over the 3^z points around and h the lesser step of each axis.
    """
    entries = hessian(values, coordinates)
    if not all(entry.size for entry in entries.values()):
        return 0, 0
    with np.errstate(all="ignore"):
        unit = np.zeros(())
        for along in coordinates:
            steps = np.abs(np.diff(along))
            unit = np.add.outer(unit, 4 / np.minimum(steps[:-1], steps[1:]) ** 2)
        tolerance = ROUNDING_UNITS * eps * _greatest(np.abs(values)) * unit
        # A flat surface of value 0 has neither curvature nor rounding, and is convex.
        pivots = _pivots(entries, len(coordinates), tolerance + np.finfo(np.float64).tiny)
        known = np.isfinite(sum(entries.values(), tolerance))
        convex = known & np.logical_and.reduce([pivot > 0 for pivot in pivots])
    return int(np.count_nonzero(known)), int(np.count_nonzero(convex))


def _pivots(entries: Entries, z: int, shift: Floats) -> list[Floats]:
    """Pivots of Gaussian elimination of H + shift · 1: positive definite iff all are positive."""
    rest = dict(entries)
    for k in range(z):
        rest[k, k] = rest[k, k] + shift
    for k in range(z):
        for i in range(k + 1, z):
            factor = rest[k, i] / rest[k, k]
            for j in range(i, z):
                rest[i, j] = rest[i, j] - factor * rest[k, j]
    return [rest[k, k] for k in range(z)]


def _greatest(values: Floats) -> Floats:
    """Greatest of each inner point and all around it; NaN where one of them is."""
    for axis in range(values.ndim):
        below, here, above = _three(values, axis)
        values = np.maximum(np.maximum(below, here), above)
    return values


def _second(values: Floats, along: Floats, axis: int) -> Floats:
    before, after, below, above = _slopes(values, along, axis)
    return 2 * (above - below) / (before + after)


def _first(values: Floats, along: Floats, axis: int) -> Floats:
    before, after, below, above = _slopes(values, along, axis)
    return (before * above + after * below) / (before + after)


def _slopes(values: Floats, along: Floats, axis: int) -> tuple[Floats, Floats, Floats, Floats]:
    """h₋, h₊ and the slopes of the chords before and after each inner point along an axis."""
    steps = np.diff(along).reshape([-1 if k == axis else 1 for k in range(values.ndim)])
    slopes = np.diff(values, axis=axis) / steps
    cut = [slice(None)] * values.ndim
    cut[axis] = slice(None, -1)
    before = tuple(cut)
    cut[axis] = slice(1, None)
    after = tuple(cut)
    return steps[before], steps[after], slopes[before], slopes[after]


def _three(values: Floats, axis: int) -> tuple[Floats, Floats, Floats]:
    n = values.shape[axis]
    below, here, above = (
        values[tuple(slice(o, n - 2 + o) if k == axis else slice(None) for k in range(values.ndim))]
        for o in range(3)
    )
    return below, here, above
