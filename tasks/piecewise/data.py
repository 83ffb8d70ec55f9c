"""Samples of the task `piecewise-net`. Shape legend: N = samples, d = inputs, m = outputs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from tasks.piecewise.parameters import PiecewiseNetParameters
from tasks.piecewise.pieces import Floats

_DATA = 1
"""Keeps the random numbers of the data apart from others of the same seed."""
_CORNERS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))
_ON_A_LINE = ((1.0, 0.0), (0.0, 1.0), (0.5, 0.5))


@dataclass(frozen=True)
class Samples:
    """Inputs (N, d) and targets (N, m)."""

    inputs: Floats
    targets: Floats


def draw_samples(parameters: PiecewiseNetParameters, seed: int) -> Samples:
    """The samples of a seed."""
    if parameters.data == "xor":
        return Samples(np.array(_CORNERS), np.array([[-1.0], [1.0], [1.0], [-1.0]]))
    if parameters.data == "three-points":
        return Samples(np.array(_ON_A_LINE), np.array([[0.0], [0.0], [1.0]]))
    random = np.random.default_rng([seed, _DATA])
    inputs = random.standard_normal((parameters.samples, parameters.dimensions))
    if parameters.data == "normal":
        return Samples(inputs, random.standard_normal((parameters.samples, parameters.outputs)))
    matrix = random.standard_normal((parameters.dimensions, parameters.outputs))
    return Samples(inputs, inputs @ matrix + random.standard_normal(parameters.outputs))
