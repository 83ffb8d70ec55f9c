"""Samples of the task `wide-layer`. Shape legend: N = samples, d = inputs of each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.landscape import Floats
from tasks.wide.parameters import WideLayerParameters
from tasks.wide.trap import make_trap

_DATA = 1
"""Keeps the random numbers of the data apart from those of the starts of the same seed."""


@dataclass(frozen=True)
class Samples:
    """Inputs (N, d), targets (N,), and the equal units that the targets were made for, if any.

    Attributes:
        unit: their weights w, (d,).
        outputs: their output weights v, (n,).
    """

    inputs: Floats
    targets: Floats
    unit: Floats | None = None
    outputs: Floats | None = None


def draw_samples(parameters: WideLayerParameters, seed: int) -> Samples:
    """The samples of a seed."""
    random = np.random.default_rng([seed, _DATA])
    inputs = random.standard_normal((parameters.samples, parameters.dimensions))
    if parameters.of_equal_units:
        sign = -1.0 if parameters.data == "saddle" else 1.0
        trap = make_trap(inputs, parameters.widths[0], parameters.activation, sign, random)
        return Samples(inputs, trap.targets, trap.unit, trap.outputs)
    targets = random.standard_normal(parameters.samples)
    if parameters.data == "repeated":
        inputs[1] = inputs[0]
    return Samples(inputs, targets)
