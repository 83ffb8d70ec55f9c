"""Targets for which equal units are a local minimum that is not global, however many they are.

Yu & Chen 1995, "On the local minima free condition of backpropagation learning", IEEE Transactions
on Neural Networks 6, claim that there is none where one hidden layer has as many units as there are
samples. Ding, Li & Sun 2019, arXiv:1911.01413, refute that; the construction here is one of our
own. Shape legend: N = samples, d = inputs of each, n = units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from scipy import linalg
from torch import Tensor
from torch.nn import functional

from tasks.landscape import Floats

_DRAWS = 64
_SPREAD = 2.0


@dataclass(frozen=True)
class Trap:
    """n equal units w, their output weights v, and targets Y = Σ_j v_j σ(w·x_i) − e_i.

    With g(u) = Σ_i e_i σ(u·x_i), the residuals e have g(w) = 0, ∇g(w) = 0 and ∇²g(w) = ±N·I. The
    outputs f at any parameters have Σ_i e_i f_i = Σ_j v_j g(w_j). With the sign + and v_j > 0 that
    is never below 0 near equal units, where it is 0: there ‖f − Y‖² ≥ ‖e‖², a local minimum.

    Attributes:
        unit: w, (d,).
        outputs: v, (n,), all 1.
        residuals: e, (N,).
        targets: Y, (N,).
    """

    unit: Floats
    outputs: Floats
    residuals: Floats
    targets: Floats


def make_trap(
    inputs: Floats, units: int, activation: str, sign: float, random: np.random.Generator
) -> Trap:
    """The trap of that many units for inputs (N, d), or with the sign −1 a saddle at equal units.

    w is the one of 64 seeded normal vectors for which the residuals are smallest. Parameters see
    to it that N is at least the number of conditions.
    """
    spread = _SPREAD / np.sqrt(inputs.shape[1])
    drawn = [spread * random.standard_normal(inputs.shape[1]) for _ in range(_DRAWS)]
    found = [_residuals(inputs, unit, activation) for unit in drawn]
    best = min(range(_DRAWS), key=lambda number: float(np.linalg.norm(found[number])))
    unit, residuals = drawn[best], sign * found[best]
    outputs = np.ones(units)
    values = derivatives(activation, inputs @ unit)[0]
    return Trap(unit, outputs, residuals, values * outputs.sum() - residuals)


def _residuals(inputs: Floats, unit: Floats, activation: str) -> Floats:
    """The least e (N,) with Σe_iσ_i = 0, Σe_iσ'_ix_i = 0 and Σe_iσ''_ix_ix_iᵀ = N·I."""
    value, slope, bend = derivatives(activation, inputs @ unit)
    rows, columns = np.triu_indices(inputs.shape[1])
    products = inputs[:, rows] * inputs[:, columns]
    terms = np.vstack([value, slope * inputs.T, bend * products.T])
    sums = np.concatenate([np.zeros(1 + inputs.shape[1]), len(inputs) * (rows == columns)])
    found: Floats = linalg.lstsq(terms, sums, lapack_driver="gelsy")[0]
    # Once more, for what rounding has left.
    found += linalg.lstsq(terms, sums - terms @ found, lapack_driver="gelsy")[0]
    return found


def derivatives(activation: str, values: Floats) -> tuple[Floats, Floats, Floats]:
    """σ, σ' and σ'' at values of any shape."""
    at: Tensor = torch.from_numpy(values)
    if activation == "tanh":
        tanh = at.tanh()
        slope = 1 - tanh * tanh
        return tanh.numpy(), slope.numpy(), (-2 * tanh * slope).numpy()
    sigmoid = at.sigmoid()
    slope = sigmoid * (-at).sigmoid()
    if activation == "softplus":
        return functional.softplus(at).numpy(), sigmoid.numpy(), slope.numpy()
    return sigmoid.numpy(), slope.numpy(), (slope * (1 - 2 * sigmoid)).numpy()
