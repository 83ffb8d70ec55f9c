"""What is constructed for samples: a local minimum, a lower point, and the proof of both.

Shape legend: N = samples, d = inputs of each.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import flint
import numpy as np

from tasks.piecewise.case import Case
from tasks.piecewise.certificate import Proof, prove_minimum, risk_bound
from tasks.piecewise.data import Samples
from tasks.piecewise.fit import Fit, fit, fit_in_balls
from tasks.piecewise.hypotheses import Supposed, check
from tasks.piecewise.lower import line_of, lower_layers
from tasks.piecewise.minimum import minimum_layers
from tasks.piecewise.network import Layer, run, zero_layers
from tasks.piecewise.pieces import PiecewiseLinear
from tasks.piecewise.split import Split, best_split
from tasks.piecewise.two_pieces import TwoPieces, two_pieces
from tasks.students.balls import PRECISION

OTHER = 2.0
"""How many times as large the α of the minimum is that a plane goes through as well."""


@dataclass(frozen=True)
class Construction:
    """A local minimum and a lower point of a network of piecewise-linear units.

    Attributes:
        samples: what it is for.
        widths: of the hidden layers.
        function: h.
        fit, exact: least squares in floats, and in balls if the inputs span all.
        g: the two pieces near a kink.
        split: how the lower point bends the fit; None without one.
        lower: that point.
        supposed: what the theorems suppose.
    """

    samples: Samples
    widths: tuple[int, ...]
    function: PiecewiseLinear
    fit: Fit
    exact: Fit | None
    g: TwoPieces
    split: Split | None
    lower: list[Layer] | None
    supposed: list[Supposed]

    def minimum(self, scale: float, *, broken: bool = False) -> list[Layer]:
        """The local minimum of α = `scale`."""
        layers = minimum_layers(self.fit, self.widths, self.g, scale, at_kink=broken)
        return self.g.realised(layers, self._step(scale), self.fit)

    def prove(self, scale: float, *, broken: bool = False) -> Proof | None:
        """What is proved of that minimum; None where the inputs do not span all."""
        if self.exact is None:
            return None
        with flint.ctx.workprec(2 * PRECISION):
            layers = minimum_layers(self.exact, self.widths, self.g, scale, at_kink=broken)
            ideal = self.g.realised(layers, self._step(scale), self.exact)
        lower = None
        if self.lower is not None:
            lower = risk_bound(self.lower, self.function, self.samples)
        found = self.minimum(scale, broken=broken)
        return prove_minimum(found, ideal, self.function, self.exact, lower)

    def probes(self, scale: float, *, broken: bool) -> list[list[Layer]]:
        """Directions of a unit that is not needed, of norm 1.

        It turns to where the samples can be split, and its weight in the next layer grows.
        """
        m = len(self.fit.offset)
        minimum = self.minimum(scale, broken=broken)
        turn, grow = zero_layers(minimum), zero_layers(minimum)
        if self.split is None:
            q, weights, bias = 0, np.eye(1, self.fit.inputs.shape[1])[0], 0.0
        else:
            q = self.split.coordinate
            weights, offset = line_of(self.fit, self.split)
            bias = offset - self.split.beta
        norm = self.g.turn * float(np.hypot(np.linalg.norm(weights), bias))
        turn[0].weight[m], turn[0].bias[m] = weights / norm, bias / norm
        # What the unit puts out before it turns is taken off again.
        value = float(self.function(minimum[0].bias[m]))
        norm = float(np.hypot(1.0, value))
        grow[1].weight[q, m], grow[1].bias[q] = 1 / norm, -value / norm
        return [turn, grow]

    def family(self) -> tuple[list[Layer], list[Layer], list[Layer]]:
        """F, A and B: the minimum of any α is F + αA + B/α, as far as the kink reaches."""
        minimum = self.minimum(1.0)
        fixed, factor, divided = list(minimum), zero_layers(minimum), zero_layers(minimum)
        first, last = minimum[0], minimum[-1]
        at = np.full_like(first.bias, self.g.at)
        fixed[0] = Layer(np.zeros_like(first.weight), at)
        factor[0] = Layer(first.weight, first.bias - at)
        fixed[-1] = Layer(np.zeros_like(last.weight), self.fit.shifts)
        divided[-1] = Layer(last.weight, last.bias - self.fit.shifts)
        return fixed, factor, divided

    @property
    def greatest_scale(self) -> float:
        """The α up to which that is so."""
        layers = minimum_layers(self.fit, self.widths, self.g)
        inputs = self.samples.inputs
        widest = max(float(np.abs(each).max()) for each in run(layers, self.g, inputs)[0])
        return self.g.reach / (self.g.step(layers, inputs) * widest)

    def case(self, scale: float, *, broken: bool) -> Case:
        """All of it for one α."""
        most = self.greatest_scale
        spare = self.widths[0] > len(self.fit.offset)
        return Case(
            minimum=self.minimum(scale),
            broken=self.minimum(scale, broken=True),
            lower=self.lower,
            other=self.minimum(OTHER * scale),
            probes=self.probes(scale, broken=broken) if spare else [],
            family=self.family(),
            unbroken=self.prove(scale),
            proof=self.prove(scale, broken=True) if broken else self.prove(scale),
            missing=self._missing(),
            facts={
                "fit_risk": float(self.fit.risk),
                "g": [self.g.right, self.g.left],
                "supposed": [each.as_json() for each in self.supposed],
                "split": None if self.split is None else self.split.as_json(),
                "greatest_scale": None if math.isinf(most) else most,
            },
        )

    def _missing(self) -> str:
        unmet = [each.reason for each in self.supposed if not each.met]
        return unmet[0] if unmet else "no way to split the samples lowers the risk"

    def _step(self, scale: float) -> float:
        return self.g.step(minimum_layers(self.fit, self.widths, self.g, scale), self.fit.inputs)


def construct(samples: Samples, widths: Sequence[int], function: PiecewiseLinear) -> Construction:
    """The minimum and the lower point for these samples, widths and units.

    There is no lower point where no split lowers the risk, or the first hidden layer has no more
    units than there are outputs.
    """
    found, g = fit(samples.inputs, samples.targets), two_pieces(function)
    supposed = check(found, widths, function)
    fitted = not supposed[0].met
    split = None if fitted or widths[0] <= len(found.offset) else best_split(found, g)
    lower = None
    if split is not None:
        layers = lower_layers(found, widths, g, split)
        lower = g.realised(layers, g.step(layers, samples.inputs), found)
    exact = fit_in_balls(samples.inputs, samples.targets)
    return Construction(samples, tuple(widths), function, found, exact, g, split, lower, supposed)
