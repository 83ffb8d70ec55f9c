"""The local minimum that computes the best affine function, with units all in one piece.

Yun, Sra & Jadbabaie 2019, arXiv:1802.03487, section 2.2, for one hidden layer and one output; He,
Wang & Tao 2020, arXiv:2003.12236, for any number of both. Shape legend: m = outputs, n_l = units
of layer l.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tasks.piecewise.fit import Fit
from tasks.piecewise.network import Layer
from tasks.piecewise.pieces import Number, Numbers
from tasks.piecewise.two_pieces import TwoPieces


def minimum_layers(
    found: Fit, widths: Sequence[int], g: TwoPieces, scale: float = 1.0, *, at_kink: bool = False
) -> list[Layer]:
    """Layers of units g whose outputs are those of the fit, α = `scale`.

    The first m units of each hidden layer carry α(ȳ_c − η_c) > 0, the others are constant and
    positive, or, with `at_kink`, those of the first layer are at 0. Each hidden layer has m units
    or more.
    """
    number = found.number
    m = len(found.offset)
    alpha, one = number(scale), number(1.0)
    shifts = np.array([number(each) for each in found.shifts])
    first = found.zeros(widths[0], found.inputs.shape[1])
    bias = found.zeros(widths[0])
    first[:m] = found.matrix * alpha
    bias[:m] = (found.offset - shifts) * alpha
    if not at_kink:
        bias[m:] = -shifts[0] * alpha
    later = [_carry(found, n, before, one / number(g.right)) for before, n in pairwise(widths)]
    out = _carry(found, m, widths[-1], one / (alpha * number(g.right)))
    return [Layer(first, bias), *(_positive(layer, m, one) for layer in later), _plus(out, shifts)]


def carrying(found: Fit, widths: Sequence[int], g: TwoPieces, shifts: Numbers) -> list[Layer]:
    """The layers after one whose first m units carry f − η > 0, which put out f.

    `widths` are those of that layer and of the hidden ones after it.
    """
    one = found.number(1.0)
    m = len(shifts)
    later = [
        _carry(found, n, before, one / found.number(g.right)) for before, n in pairwise(widths)
    ]
    return [*later, _plus(_carry(found, m, widths[-1], one / found.number(g.right)), shifts)]


def _carry(found: Fit, units: int, before: int, factor: Number) -> Layer:
    """The first m units are `factor` times the first m before, the others 0."""
    weight = found.zeros(units, before)
    for at in range(len(found.offset)):
        weight[at, at] = factor
    return Layer(weight, found.zeros(units))


def _positive(layer: Layer, carried: int, one: Number) -> Layer:
    layer.bias[carried:] = one
    return layer


def _plus(layer: Layer, shifts: Numbers) -> Layer:
    return Layer(layer.weight, layer.bias + shifts)
