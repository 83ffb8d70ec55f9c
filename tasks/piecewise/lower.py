"""A point whose risk is below that of the best affine function.

Yun, Sra & Jadbabaie 2019, arXiv:1802.03487, section 2.2; for more layers and outputs He, Wang &
Tao 2020, arXiv:2003.12236. Shape legend: N = samples, m = outputs, n_l = units of layer l.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tasks.piecewise.fit import Fit
from tasks.piecewise.minimum import carrying
from tasks.piecewise.network import Layer
from tasks.piecewise.pieces import Floats
from tasks.piecewise.split import Split
from tasks.piecewise.two_pieces import TwoPieces


def line_of(found: Fit, split: Split) -> tuple[Floats, float]:
    """P as weights (d,) and an offset: p = w·x + b."""
    tilt = split.tilt
    weights: Floats = found.matrix[split.coordinate] + tilt
    return weights, float(found.offset[split.coordinate] - tilt @ found.inputs.mean(axis=0))


def lower_layers(found: Fit, widths: Sequence[int], g: TwoPieces, split: Split) -> list[Layer]:
    """Layers of units g that put out the fit, bent as the split says; in floats.

    Two units of the first layer make the bent output; the others are carried. Later layers carry
    all. The first hidden layer has m + 1 units or more, the others m.
    """
    first, out = _bent(found, widths[0], g, split)
    if len(widths) == 1:
        return [first, out]
    outputs = g(found.inputs @ first.weight.T + first.bias) @ out.weight.T + out.bias
    shifts = np.minimum(-1.0, 2 * outputs.min(axis=0))
    m = len(found.offset)
    weight, bias = found.zeros(widths[1], widths[0]), found.zeros(widths[1])
    weight[:m], bias[:m] = out.weight, out.bias - shifts
    return [first, Layer(weight, bias), *carrying(found, widths[1:], g, shifts)]


def _bent(found: Fit, units: int, g: TwoPieces, split: Split) -> tuple[Layer, Layer]:
    """The first layer, and what of its units puts out the bent fit."""
    m, d = found.matrix.shape
    weight, bias = found.zeros(units, d), found.zeros(units)
    read, offset = found.zeros(m, units), found.zeros(m)
    line, at = line_of(found, split)
    q = split.coordinate
    if split.fold:
        low = found.shifts[q]
        weight[0], bias[0] = found.matrix[q], found.offset[q] - low
        weight[1], bias[1] = line, at - split.beta
        read[q, :2] = 1 / g.right, split.gamma
        offset[q] = low - split.gamma * split.mean
    else:
        weight[0], bias[0] = line, at - split.beta + split.gamma
        weight[1], bias[1] = -line, -at + split.beta + split.gamma
        read[q, :2] = np.array([1.0, -1.0]) / (g.right + g.left)
        offset[q] = split.beta
    others = [c for c in range(m) if c != q]
    for unit, c in enumerate(others, start=2):
        weight[unit], bias[unit] = found.matrix[c], found.offset[c] - found.shifts[c]
        read[c, unit], offset[c] = 1 / g.right, found.shifts[c]
    return Layer(weight, bias), Layer(read, offset)
