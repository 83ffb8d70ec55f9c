"""Any piecewise-linear function as one with two pieces that meet at 0, as far as its kink reaches.

The constructions are for g(z) = max(s_+ z, 0) + min(s_− z, 0), s_+ > 0. Near a kink t of h, with
slopes that are not both 0, g(z) = ±(h(t ± δz) − h(t))/δ, so that layers of units g are layers of
units h with other weights: He, Wang & Tao 2020, arXiv:2003.12236, appendix, do so with h(t + δz).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tasks.piecewise.fit import Fit
from tasks.piecewise.network import Layer, run
from tasks.piecewise.pieces import Floats, Kink, Numbers, PiecewiseLinear

_ROOM = 4.0
"""The kink's reach, at least, in pre-activations."""


@dataclass(frozen=True)
class TwoPieces:
    """g(z) = flip·(h(at + turn·δz) − h(at))/δ, with slopes `right` > 0 and `left`.

    Attributes:
        function: h.
        at: its kink t.
        turn, flip: 1 or −1.
        reach: how far h is of two pieces about the kink.
    """

    right: float
    left: float
    function: PiecewiseLinear
    at: float
    turn: float
    flip: float
    reach: float

    def __call__(self, values: Numbers) -> Numbers:
        """The function g at values of any shape; of balls if these are balls."""
        over: Numbers = (values + abs(values)) / 2
        return self.right * over + self.left * (values - over)

    @property
    def bends(self) -> bool:
        """Whether it is not linear."""
        return self.right != self.left

    @property
    def shift(self) -> float | None:
        """The ratio c = (s_+ − s_−)/(s_+ + s_−); None if the slopes are opposite."""
        total = self.right + self.left
        return None if total == 0 else (self.right - self.left) / total

    def step(self, layers: Sequence[Layer], inputs: Floats) -> float:
        """A δ, a power of 2 and at most 1, with which layers of units g stay within the reach."""
        if math.isinf(self.reach):
            return 1.0
        widest = max(float(np.abs(each).max()) for each in run(layers, self, inputs)[0])
        return min(1.0, 2.0 ** math.floor(math.log2(self.reach / (_ROOM * widest))))

    def realised(self, layers: Sequence[Layer], step: float, like: Fit) -> list[Layer]:
        """Layers of units g as layers of units h, for δ = `step`."""
        number = like.number
        into = number(self.turn * step)
        value = self.function(like.zeros(1) + number(self.at))[0]
        found = []
        for at, layer in enumerate(layers):
            weight, bias = layer.weight, layer.bias
            if at > 0:
                weight = weight * (number(self.flip) / number(step))
                bias = bias - weight.sum(axis=1) * value
            if at < len(layers) - 1:
                weight, bias = weight * into, bias * into + number(self.at)
            found.append(Layer(weight, bias))
        return found


def two_pieces(function: PiecewiseLinear) -> TwoPieces:
    """The function about one of its kinks, or everywhere if it has none.

    Of several the one whose slopes are not opposite and that reaches farthest.
    """
    if not function.kinks:
        slope = function.slopes[0]
        size, sign = abs(slope), math.copysign(1, slope)
        return TwoPieces(size, size, function, 0.0, 1.0, sign, math.inf)
    best = max(function.kinks, key=lambda kink: (kink.left + kink.right != 0, kink.reach))
    return _about(best, function)


def _about(kink: Kink, h: PiecewiseLinear) -> TwoPieces:
    if kink.right != 0:
        sign = math.copysign(1.0, kink.right)
        return TwoPieces(sign * kink.right, sign * kink.left, h, kink.at, 1.0, sign, kink.reach)
    sign = math.copysign(1.0, kink.left)
    return TwoPieces(sign * kink.left, 0.0, h, kink.at, -1.0, -sign, kink.reach)
