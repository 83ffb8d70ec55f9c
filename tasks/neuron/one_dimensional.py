"""A neuron of one weight: its local minima, found as the zeros of the derivative, and its dips.

What holds of examples on the axes of their inputs follows, since their error is a sum of functions
of one weight each. Auer, Herbster & Warmuth 1995, "Exponentially many local minima for single
neurons", NIPS 8. Shape legend: N = examples, K = points.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.optimize import brentq

from tasks.neuron.activations import Floats

LossName = Literal["square", "entropic"]

_SEARCHED = 4000
_TRIED = 400
_WIDEST = 50.0


@dataclass(frozen=True)
class Line:
    """Examples (x, y) of one weight w, with a sigmoid φ(a) = slope·σ(slope·a) + shift.

    `inputs` (N,) are not zero; `targets` (N,) are shares of the range of φ, from 0 to 1.
    """

    inputs: Floats
    targets: Floats
    slope: float = 1.0
    loss: LossName = "square"

    def losses(self, sums: Floats) -> Floats:
        """Each example's loss at its own slope·w·x (N, K): (N, K)."""
        targets = self.targets[:, None]
        if self.loss == "square":
            return np.square(self.slope * self._deviations(sums))
        inside, outside = -np.logaddexp(0, -sums), -np.logaddexp(0, sums)
        found: Floats = -(targets * inside + (1 - targets) * outside) - _entropy(targets)
        return found

    def values(self, weights: Floats) -> Floats:
        """E(w) at weights (K,): (K,)."""
        total: Floats = self.losses(self._sums(weights)).sum(axis=0)
        return total

    def slopes(self, weights: Floats) -> Floats:
        """E′(w) at weights (K,): (K,)."""
        sums, inputs = self._sums(weights), self.slope * self.inputs[:, None]
        away = self._deviations(sums)
        if self.loss == "square":
            away = 2 * self.slope**2 * away * _sigmoid(sums) * _sigmoid(-sums)
        total: Floats = (away * inputs).sum(axis=0)
        return total

    def _deviations(self, sums: Floats) -> Floats:
        """The deviations σ − y (N, K), as `activations.sigmoid_deviation`: no digits are lost."""
        share = self.targets[:, None]
        with np.errstate(divide="ignore"):
            logits = np.log(share) - np.log1p(-share)
        between = _sigmoid(sums) * (1 - share) + _sigmoid(-sums) * share
        found: Floats = np.tanh((sums - logits) / 2) * between
        return found

    def _sums(self, weights: Floats) -> Floats:
        return self.slope * self.inputs[:, None] * weights[None, :]

    def minima(self) -> Floats:
        """Local minima w* in rising order, to rounding: (M,).

        Zeros of E′ where it turns from negative to positive, looked for at equal ratios of |w| on
        both sides of 0, over all scales of the inputs.
        """
        sizes = np.abs(self.inputs) * self.slope
        reach = np.geomspace(1e-4 / sizes.max(), 40 / sizes.min(), _SEARCHED)
        weights = np.concatenate([-reach[::-1], [0.0], reach])
        slopes = self.slopes(weights)
        found = list(weights[1:-1][(slopes[1:-1] == 0) & (slopes[:-2] < 0) & (slopes[2:] > 0)])
        for k in np.flatnonzero((slopes[:-1] < 0) & (slopes[1:] > 0)):
            root = brentq(
                lambda w: float(self.slopes(np.array([w]))[0]),
                weights[k],
                weights[k + 1],
                xtol=1e-300,
                rtol=1e-14,
            )
            found.append(root)
        return np.sort(np.array(found, dtype=np.float64))

    def least(self) -> float | None:
        """The global minimum of E; None if E falls below every minimum towards infinity."""
        found = self.minima()
        far = 800 / (np.abs(self.inputs).min() * self.slope)
        ends = self.values(np.array([-far, far]))
        if not found.size or self.values(found).min() > ends.min():
            return None
        return float(self.values(found).min())

    def separation(self) -> float:
        """The quantitative form of Lemma 3.2's condition: positive, and there are N minima or more.

        Where example k alone is fitted, at w_k = φ⁻¹(y_k)/x_k, the error has a minimum if at some
        w⁻ < w_k < w⁺ the rise of that example's loss exceeds the total by which the others' change
        on the way. With w⁻ and w⁺ nearer to w_k than halfway, in ratio, to its neighbours, these
        minima are distinct. The number is the least such excess over all examples and both sides,
        each at the best w⁻ or w⁺; minus infinity if two examples are fitted at one weight, or one
        at none but infinity or zero.
        """
        dips = self.dips()
        if dips is None:
            return -math.inf
        worst = math.inf
        for example, (below, fitted, above) in enumerate(dips):
            for end in (below, above):
                trial = fitted * np.geomspace(1.0001, end / fitted, _TRIED)
                here = self.losses(self._sums(np.array([fitted])))
                change = np.abs(self.losses(self._sums(trial)) - here)
                own = change[example]
                others = change.sum(axis=0) - own
                worst = min(worst, float((own - others).max()))
        return worst

    def dips(self) -> list[tuple[float, float, float]] | None:
        """By example the (w⁻, w_k, w⁺) between which it is fitted alone, nearest to zero first.

        None where they are not distinct, not all of one sign, or not finite.
        """
        with np.errstate(divide="ignore"):
            fitted = (np.log(self.targets) - np.log1p(-self.targets)) / (self.slope * self.inputs)
        ordered = np.sort(np.abs(fitted))
        one_sign = bool((fitted > 0).all() or (fitted < 0).all())
        if not (one_sign and np.isfinite(fitted).all() and (np.diff(ordered) > 0).all()):
            return None
        middles = np.sqrt(ordered[:-1] * ordered[1:])
        below = np.concatenate([[ordered[0] / _WIDEST], middles])
        above = np.concatenate([middles, [ordered[-1] * _WIDEST]])
        place = np.searchsorted(ordered, np.abs(fitted))
        sign = math.copysign(1.0, float(fitted[0]))
        return [
            (sign * float(below[at]), sign * float(ordered[at]), sign * float(above[at]))
            for at in place
        ]


def _sigmoid(sums: Floats) -> Floats:
    small = np.exp(-np.abs(sums))
    found: Floats = np.where(sums >= 0, 1.0, small) / (1.0 + small)
    return found


def _entropy(shares: Floats) -> Floats:
    """−y ln y − (1−y) ln (1−y), 0 at 0 and 1."""
    terms = [
        np.where(y > 0, -y * np.log(np.where(y > 0, y, 1.0)), 0.0) for y in (shares, 1 - shares)
    ]
    total: Floats = terms[0] + terms[1]
    return total
