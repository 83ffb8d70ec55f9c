"""Piecewise-linear functions of one number, by their knots and slopes.

Shape legend: K = knots.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from schemas.errors import SpecError, listing

Floats: TypeAlias = npt.NDArray[np.float64]
Numbers: TypeAlias = npt.NDArray[Any]
"""Floats, or balls."""
Number: TypeAlias = Any
"""A float, or a ball."""


@dataclass(frozen=True)
class Kink:
    """A knot at which the slope changes.

    Attributes:
        at: the knot.
        left, right: the slopes on its sides.
        reach: how far the function is of these two slopes, on both sides; infinite of one kink.
    """

    at: float
    left: float
    right: float
    reach: float


@dataclass(frozen=True)
class PiecewiseLinear:
    """A continuous function h with a slope on each piece.

    Attributes:
        knots: rising, K of them; none for a function that is linear.
        slopes: of the pieces from left to right, K + 1.
        at_zero: h(0).

    Raises:
        SpecError: numbers that are not finite, knots that do not rise, or another number of slopes.
    """

    knots: tuple[float, ...]
    slopes: tuple[float, ...]
    at_zero: float = 0.0

    def __post_init__(self) -> None:
        numbers = (*self.knots, *self.slopes, self.at_zero)
        wrong = [number for number in numbers if not math.isfinite(number)]
        if wrong:
            raise SpecError(
                f"activation: got {wrong[0]} among its numbers; expected finite ones; leave it out"
            )
        if any(one >= other for one, other in pairwise(self.knots)):
            raise SpecError(
                f"activation: knots are {listing(map(str, self.knots))}; expected each above the "
                "one before; put them in order, and leave out what is repeated"
            )
        if len(self.slopes) != len(self.knots) + 1:
            raise SpecError(
                f"activation: got {len(self.slopes)} slopes for {len(self.knots)} knots; expected "
                f"{len(self.knots) + 1}, one for each piece; give as many"
            )

    def __call__(self, values: Numbers) -> Numbers:
        """The function at values of any shape; of balls if these are balls."""
        found: Numbers = self.at_zero + self.slopes[0] * values
        for knot, (left, right) in zip(self.knots, pairwise(self.slopes), strict=True):
            over = values - knot
            # The positive part, which is |·| of a ball as well, less what it is at 0.
            lifted = (over + abs(over)) / 2 - max(-knot, 0.0)
            found = found + (right * lifted - left * lifted)
        return found

    @property
    def left_line(self) -> float:
        """What the first piece's line is at 0."""
        lifts = (
            (right - left) * max(-knot, 0.0)
            for knot, (left, right) in zip(self.knots, pairwise(self.slopes), strict=True)
        )
        return self.at_zero - sum(lifts)

    @property
    def kinks(self) -> list[Kink]:
        """The knots at which the slope changes, from left to right."""
        true = [
            (knot, *sides)
            for knot, sides in zip(self.knots, pairwise(self.slopes), strict=True)
            if sides[0] != sides[1]
        ]
        places = [-math.inf, *(knot for knot, *_ in true), math.inf]
        return [
            Kink(knot, left, right, min(knot - before, after - knot))
            for (knot, left, right), before, after in zip(
                true, places[:-2], places[2:], strict=True
            )
        ]


def leaky(right: float, left: float) -> PiecewiseLinear:
    """h(x) = max(s_+ x, 0) + min(s_− x, 0), s_+ = `right` and s_− = `left`; |x| is (1, −1)."""
    return PiecewiseLinear((0.0,), (left, right))


NAMED: Mapping[str, PiecewiseLinear] = {
    "relu": leaky(1.0, 0.0),
    "abs": leaky(1.0, -1.0),
    "hard-tanh": PiecewiseLinear((-1.0, 1.0), (0.0, 1.0, 0.0)),
    "linear": PiecewiseLinear((), (1.0,)),
}
"""Functions by name."""
