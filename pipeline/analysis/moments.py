"""Moments of blocks in float64 that merge without loss of precision.

The merge is Chan, Golub & LeVeque's (1983, "Algorithms for computing the sample variance") taken
over many parts at once: with counts n_b, means m_b and sums of squares M_b about them,

    n = Σ n_b,   m = Σ n_b m_b / n,   M = Σ M_b + Σ n_b (m_b − m)²,

so an offset much greater than the spread costs only the last digits of the means. Parts are
merged in the order given.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt

Values: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Spread:
    """Number of finite values, the least and the greatest of them (NaN when there are none)."""

    count: int
    low: float
    high: float

    @classmethod
    def of(cls, values: npt.NDArray[Any]) -> Self:
        """The spread of the finite values of an array."""
        finite = _finite(values)
        if not finite.size:
            return cls(0, math.nan, math.nan)
        return cls(finite.size, float(finite.min()), float(finite.max()))

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """The spread of the union."""
        held = [part for part in parts if part.count]
        if not held:
            return cls(0, math.nan, math.nan)
        count = sum(part.count for part in held)
        return cls(count, min(part.low for part in held), max(part.high for part in held))

    @property
    def range(self) -> float:
        """Greatest minus least; NaN when there is no finite value."""
        return self.high - self.low


@dataclass(frozen=True)
class Difference:
    """Moments of d = y − x over the points where it is finite.

    `count` points, their `mean`, `m2` = Σ(d − mean)², `total` = Σ|d|, least and greatest d.
    """

    count: int
    mean: float
    m2: float
    total: float
    low: float
    high: float

    @classmethod
    def of(cls, x: Values, y: Values) -> Self:
        """The moments of y − x."""
        with np.errstate(over="ignore", invalid="ignore"):
            d = _finite(y - x)
            if not d.size:
                return cls._empty()
            mean = _centre(d)
            m2 = float(np.square(d - mean).sum())
            return cls(d.size, mean, m2, float(np.abs(d).sum()), float(d.min()), float(d.max()))

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """The moments of the union."""
        held = [part for part in parts if part.count]
        if not held:
            return cls._empty()
        n = np.array([part.count for part in held], dtype=np.float64)
        means = np.array([part.mean for part in held])
        with np.errstate(over="ignore", invalid="ignore"):
            mean, apart = _merged_mean(n, means)
            m2 = sum_of([part.m2 for part in held]) + float((n * apart**2).sum())
        return cls(
            sum(part.count for part in held),
            mean,
            m2,
            sum_of([part.total for part in held]),
            min(part.low for part in held),
            max(part.high for part in held),
        )

    @classmethod
    def _empty(cls) -> Self:
        return cls(0, math.nan, math.nan, math.nan, math.nan, math.nan)

    @property
    def sup(self) -> float:
        """Greatest |d|."""
        return max(abs(self.low), abs(self.high))

    @property
    def rms(self) -> float:
        """√(mean of d²)."""
        return math.hypot(self.mean, self.deviation)

    @property
    def mean_absolute(self) -> float:
        """Mean of |d|."""
        return self.total / self.count if self.count else math.nan

    @property
    def sup_about_mean(self) -> float:
        """Greatest |d − mean|."""
        return max(self.high - self.mean, self.mean - self.low)

    @property
    def deviation(self) -> float:
        """√(mean of (d − mean)²)."""
        return math.sqrt(self.m2 / self.count) if self.count else math.nan


@dataclass(frozen=True)
class Comoments:
    """Moments of pairs (x, y) over the points where both are finite.

    Means, and the sums Σ(x − x̄)², Σ(y − ȳ)², Σ(x − x̄)(y − ȳ). A field that is constant has a
    sum of exactly zero, however it was cut into parts.
    """

    count: int
    mean_x: float
    mean_y: float
    xx: float
    yy: float
    xy: float

    @classmethod
    def of(cls, x: Values, y: Values) -> Self:
        """The moments of the pairs (x, y)."""
        finite = np.isfinite(x) & np.isfinite(y)
        if not finite.all():
            x, y = x[finite], y[finite]
        if not x.size:
            return cls(0, math.nan, math.nan, math.nan, math.nan, math.nan)
        with np.errstate(over="ignore", invalid="ignore"):
            mean_x, mean_y = _centre(x), _centre(y)
            dx, dy = x - mean_x, y - mean_y
            sums = [float((a * b).sum()) for a, b in ((dx, dx), (dy, dy), (dx, dy))]
        return cls(x.size, mean_x, mean_y, *sums)

    @classmethod
    def merge(cls, parts: Sequence[Self]) -> Self:
        """The moments of the union."""
        held = [part for part in parts if part.count]
        if not held:
            return cls(0, math.nan, math.nan, math.nan, math.nan, math.nan)
        n = np.array([part.count for part in held], dtype=np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            mean_x, apart_x = _merged_mean(n, np.array([part.mean_x for part in held]))
            mean_y, apart_y = _merged_mean(n, np.array([part.mean_y for part in held]))
            return cls(
                sum(part.count for part in held),
                mean_x,
                mean_y,
                sum_of([part.xx for part in held]) + float((n * apart_x**2).sum()),
                sum_of([part.yy for part in held]) + float((n * apart_y**2).sum()),
                sum_of([part.xy for part in held]) + float((n * apart_x * apart_y).sum()),
            )

    @property
    def correlation(self) -> float:
        """Σ(x − x̄)(y − ȳ) / √(Σ(x − x̄)² Σ(y − ȳ)²); NaN when x or y is constant."""
        if not (self.count and self.xx > 0 and self.yy > 0):
            return math.nan
        ratio = self.xy / math.sqrt(self.xx) / math.sqrt(self.yy)
        return ratio if math.isnan(ratio) else min(1.0, max(-1.0, ratio))

    @property
    def slope(self) -> float:
        """Least-squares slope of y on x; NaN when x is constant."""
        return self.xy / self.xx if self.count and self.xx > 0 else math.nan

    @property
    def intercept(self) -> float:
        """Least-squares intercept of y on x; NaN when x is constant."""
        return self.mean_y - self.slope * self.mean_x


def sum_of(values: Sequence[float]) -> float:
    """The sum in the order given, pairwise as numpy does."""
    return float(np.sum(np.asarray(values, dtype=np.float64)))


def _finite(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    # NaN passes through min and max, so two reductions usually spare a mask.
    if values.size and np.isfinite(values.min()) and np.isfinite(values.max()):
        return values
    finite: npt.NDArray[Any] = values[np.isfinite(values)]
    return finite


def _centre(values: Values) -> float:
    # Measured from the first value, so that a constant's mean is that constant to the last bit.
    return float(values[0] + (values - values[0]).mean())


def _merged_mean(n: Values, means: Values) -> tuple[float, Values]:
    """The mean of all, and how far each part's mean lies from it."""
    mean = means[0] + (n * (means - means[0])).sum() / n.sum()
    return float(mean), means - mean
