"""Whether data and a network are as the theorems suppose, and if not, why.

Yun, Sra & Jadbabaie 2019, arXiv:1802.03487, theorem 1; He, Wang & Tao 2020, arXiv:2003.12236,
theorem 1. Shape legend: N = samples, m = outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from tasks.piecewise.fit import Fit
from tasks.piecewise.pieces import PiecewiseLinear
from tasks.wide.conditions import distinct

_FITTED = 1e-12
"""Risk of least squares, relative to that of the mean, below which it is rounding."""


@dataclass(frozen=True)
class Supposed:
    """One thing that a theorem supposes: whether it is so, in words."""

    name: str
    met: bool
    reason: str

    def as_json(self) -> dict[str, str | bool]:
        """Plain values."""
        return asdict(self)


def check(found: Fit, widths: Sequence[int], function: PiecewiseLinear) -> list[Supposed]:
    """All that is supposed: of the data, of the widths, and of the slopes."""
    return [_fits_not(found), _distinct(found), _wide(found, widths), _bends(function)]


def _fits_not(found: Fit) -> Supposed:
    targets = found.targets
    scale = float(np.square(targets - targets.mean(axis=0)).sum()) / 2
    relative = float(found.risk) / scale if scale > 0 else 0.0
    met = relative > _FITTED
    verb = "leaves" if met else "fits the targets: it leaves"
    return Supposed(
        "not linearly fittable",
        met,
        f"least squares {verb} {relative:.3g} of the risk of the mean",
    )


def _distinct(found: Fit) -> Supposed:
    met = distinct(found.inputs)
    return Supposed("distinct inputs", met, "all differ" if met else "two inputs are the same")


def _wide(found: Fit, widths: Sequence[int]) -> Supposed:
    m, least = len(found.offset), min(widths)
    return Supposed(
        "wide layers",
        least > m,
        f"the narrowest hidden layer has {least} units for {m} outputs; {m + 1} are supposed",
    )


def _bends(function: PiecewiseLinear) -> Supposed:
    met = bool(function.kinks)
    slopes = ", ".join(f"{slope:g}" for slope in function.slopes)
    return Supposed("a kink", met, f"the slopes are {slopes}" + ("" if met else ", all the same"))
