"""Derivatives of the loss of a network with one hidden layer, and what copies of a unit add.

Fukumizu & Amari 2000, Neural Networks 13; Şimşek et al. 2021, arXiv:2105.12221. Shape
legend: N = samples, d = inputs, m = units, c = outputs, n = m·d + c·m numbers of all weights, in
the order of the network's parameters.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch

from tasks.landscape import Floats
from tasks.symmetry.network import ACTIVATIONS, Weights, outputs_of

_DEFINITE = 1e-9
"""Of the greatest eigenvalue of U, in magnitude, what one must exceed to have a sign."""


@dataclass(frozen=True)
class Regression:
    """Inputs (N, d), targets (N, c) and the activation of the units that are to fit them."""

    inputs: Floats
    targets: Floats
    activation: str


@dataclass(frozen=True)
class Derivatives:
    """The loss, the mean of all squared residuals, with its gradient (n,) and Hessian (n, n)."""

    loss: float
    gradient: Floats
    hessian: Floats

    @property
    def slope(self) -> float:
        """The norm of the gradient."""
        return float(np.linalg.norm(self.gradient))


class Kind(StrEnum):
    """The sign of U: what copies of a unit at a minimum of the narrow network are."""

    POSITIVE = "positive definite"
    NEGATIVE = "negative definite"
    INDEFINITE = "indefinite"
    SINGULAR = "singular"


class Nature(StrEnum):
    """What a critical point is that has copies of a unit of a local minimum."""

    MINIMUM = "local minimum"
    SADDLE = "strict saddle"


def bends(activation: str, values: Floats) -> tuple[Floats, Floats, Floats]:
    """σ, σ' and σ'' at values of any shape, by automatic differentiation."""
    at = torch.from_numpy(np.ascontiguousarray(values)).requires_grad_()
    with torch.enable_grad():
        value = ACTIVATIONS[activation]()(at)
        (slope,) = torch.autograd.grad(value.sum(), at, create_graph=True)
        (bend,) = torch.autograd.grad(slope.sum(), at)
    return value.detach().numpy(), slope.detach().numpy(), bend.numpy()


def _slopes(activation: str, values: Floats) -> tuple[Floats, Floats]:
    """σ and σ', the same."""
    at = torch.from_numpy(np.ascontiguousarray(values)).requires_grad_()
    with torch.enable_grad():
        value = ACTIVATIONS[activation]()(at)
        (slope,) = torch.autograd.grad(value.sum(), at)
    return value.detach().numpy(), slope.numpy()


def residuals(weights: Weights, regression: Regression) -> Floats:
    """Outputs minus targets (N, c)."""
    return outputs_of(weights, regression.inputs, regression.activation) - regression.targets


def output_slopes(weights: Weights, regression: Regression) -> Floats:
    """The derivatives of the outputs by all weights, (N, c, n)."""
    value, slope = _slopes(regression.activation, _product(regression.inputs, weights[0].T))
    return _output_slopes(weights[1], regression.inputs, value, slope)


def derivatives(weights: Weights, regression: Regression) -> Derivatives:
    """The loss of weights (m, d) and (c, m) and its derivatives, in closed form."""
    hidden, output = weights
    units, dimensions = hidden.shape
    value, slope, bend = bends(regression.activation, _product(regression.inputs, hidden.T))
    away = _product(value, output.T) - regression.targets
    rows = _output_slopes(output, regression.inputs, value, slope).reshape(away.size, -1)
    hessian = _product(rows.T, rows)
    back = _product(away, output)
    for unit in range(units):
        own = slice(unit * dimensions, (unit + 1) * dimensions)
        hessian[own, own] += _second(regression.inputs, back[:, unit] * bend[:, unit])
        # Row i of these is that of output i: its weights from all units stand together.
        mixed = _product(away.T, slope[:, unit, None] * regression.inputs)
        for at, row in enumerate(mixed):
            weight = units * dimensions + at * units + unit
            hessian[weight, own] += row
            hessian[own, weight] += row
    factor = 2 / away.size
    gradient = _product(rows.T, away.reshape(-1, 1))[:, 0]
    return Derivatives(float(np.square(away).mean()), factor * gradient, factor * hessian)


def _output_slopes(output: Floats, inputs: Floats, value: Floats, slope: Floats) -> Floats:
    samples, outputs = len(inputs), len(output)
    back = slope[:, None] * output
    entering = (back[..., None] * inputs[:, None, None]).reshape(samples, outputs, -1)
    leaving = np.eye(outputs)[:, :, None] * value[:, None, None]
    return np.concatenate([entering, leaving.reshape(samples, outputs, -1)], axis=2)


def copy_curvature(weights: Weights, unit: int, regression: Regression) -> Floats:
    """U = (2/Nc) Σ_n (e_n·a) σ''(w·x_n) x_n x_nᵀ of one unit (w, a), (d, d); e are the residuals.

    Where the unit, at a critical point, is replaced by copies with shares β_k that sum to 1, the
    second derivative of the loss along changes δw_k of theirs with Σ β_k δw_k = 0 is
    Σ β_k δw_kᵀ U δw_k: such changes leave the outputs as they are in first order, and in second
    order they change them by ½ Σ β_k a σ''(w·x)(δw_k·x)². Of two copies with the shares μ and
    1 − μ, moved by (1 − μ)v and −μv, that is μ(1 − μ) vᵀUv.
    """
    hidden, output = weights
    away = residuals(weights, regression)
    _, _, bend = bends(regression.activation, _product(regression.inputs, hidden[unit, :, None]))
    weight = _product(away, output[:, unit, None]) * bend
    return _second(regression.inputs, weight[:, 0]) * (2 / away.size)


def _second(inputs: Floats, weight: Floats) -> Floats:
    """Σ_n weight_n x_n x_nᵀ, (d, d)."""
    return _product((inputs * weight[:, None]).T, inputs)


def _product(left: Floats, right: Floats) -> Floats:
    """Of matrices, by torch, whose threads can be told to be one: see `tasks.threads`."""
    found: Floats = (torch.from_numpy(left) @ torch.from_numpy(right)).numpy()
    return found


def kind_of(curvature: Floats) -> Kind:
    """The sign of U (d, d)."""
    values = np.linalg.eigvalsh(curvature)
    signs = np.sign(values) * (np.abs(values) > _DEFINITE * np.abs(values).max())
    if (signs > 0).all():
        return Kind.POSITIVE
    if (signs < 0).all():
        return Kind.NEGATIVE
    return Kind.INDEFINITE if {-1.0, 1.0} <= set(signs.tolist()) else Kind.SINGULAR


def nature(kind: Kind, shares: Floats) -> Nature | None:
    """What copies with these shares (k,) make of a minimum whose Hessian is positive definite.

    The Hessian is then that of the minimum, zero along changes of the shares, and, along changes
    δw_i of the copies with Σ β_i δw_i = 0, Σ β_i δw_iᵀ U δw_i. Of p positive shares and q negative
    ones, which sum to 1, the form Σ β_i s_i² has p − 1 positive and q negative squares where
    Σ β_i s_i = 0, as it is positive at s = (1, …, 1), which is orthogonal to these with respect to
    it. None where shares are 0, or there is one copy alone, or U is singular.
    """
    positive, negative = int((shares > 0).sum()), int((shares < 0).sum())
    if positive + negative < max(2, len(shares)) or kind is Kind.SINGULAR:
        return None
    rising, falling = positive - 1, negative
    if kind is Kind.NEGATIVE:
        rising, falling = falling, rising
    flat = falling == 0 and kind is not Kind.INDEFINITE
    return Nature.MINIMUM if flat else Nature.SADDLE
