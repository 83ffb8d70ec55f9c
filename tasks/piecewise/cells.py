"""Activation cells of a network of one hidden layer, and the least loss of each.

The units h(t) = t above 0 and s·t below it, so h(t) = h'(t)·t. Within a cell the slopes
A_ij = h'(w_j·x_i) are constant, and the outputs Σ_j A_ij x_i·ŵ_j are linear in the products
ŵ_j = v_j w_j: the squared error is convex in these (He, Wang & Tao 2020, arXiv:2003.12236,
section 5).

Shape legend: N = samples, d = inputs of each, h = units, R = points, k = dimension of the optima.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import linalg

from tasks.landscape import Floats

_RANK = 1e-10
"""Singular values up to this share of the greatest are 0."""


@dataclass(frozen=True)
class TwoLayer:
    """Weights of one hidden layer without biases.

    Attributes:
        hidden: w, (h, d).
        outputs: v, (h,).
        slope: s, of the units below 0.
    """

    hidden: Floats
    outputs: Floats
    slope: float

    @property
    def products(self) -> Floats:
        """ŵ, (h, d)."""
        found: Floats = self.outputs[:, None] * self.hidden
        return found

    @property
    def numbers(self) -> Floats:
        """All parameters, (h·d + h,)."""
        return np.concatenate([self.hidden.ravel(), self.outputs])

    def slopes(self, inputs: Floats) -> Floats:
        """A, (N, h)."""
        return np.where(inputs @ self.hidden.T > 0, 1.0, self.slope)

    def residuals(self, inputs: Floats, targets: Floats) -> Floats:
        """Outputs minus targets, (N,)."""
        before = inputs @ self.hidden.T
        found: Floats = np.where(before > 0, before, self.slope * before) @ self.outputs - targets
        return found

    def jacobian(self, inputs: Floats) -> Floats:
        """Of the outputs by all parameters, (N, h·d + h)."""
        slopes = self.slopes(inputs)
        by_hidden = (slopes * self.outputs)[:, :, None] * inputs[:, None, :]
        by_outputs = slopes * (inputs @ self.hidden.T)
        return np.column_stack([by_hidden.reshape(len(inputs), -1), by_outputs])

    def gradient(self, inputs: Floats, targets: Floats) -> Floats:
        """Of the mean squared error, (h·d + h,)."""
        found: Floats = self.jacobian(inputs).T @ self.residuals(inputs, targets)
        return 2 * found / len(inputs)

    def loss(self, inputs: Floats, targets: Floats) -> float:
        """The mean squared error."""
        return float(np.square(self.residuals(inputs, targets)).mean())

    def margin(self, inputs: Floats) -> float:
        """The least |cos| between a unit's weights and an input: 0 on the wall of a cell."""
        lengths = np.outer(np.linalg.norm(inputs, axis=1), np.linalg.norm(self.hidden, axis=1))
        if not lengths.all():
            return 0.0
        return float((np.abs(inputs @ self.hidden.T) / lengths).min())

    def in_order(self, inputs: Floats) -> TwoLayer:
        """The same with the units in the order of their slopes and of their output's sign."""
        keys = np.vstack([self.outputs > 0, self.slopes(inputs)])
        order = np.lexsort(keys)
        return TwoLayer(self.hidden[order], self.outputs[order], self.slope)


def two_layer(numbers: Floats, units: int, slope: float) -> TwoLayer:
    """The network of parameters (n,), hidden weights first."""
    return TwoLayer(numbers[:-units].reshape(units, -1), numbers[-units:], slope)


@dataclass(frozen=True)
class CellOptimum:
    """The least squares of a cell over all products, inside its cone or not.

    Attributes:
        loss: the least mean squared error.
        products: those of least norm, (h, d).
        free: orthonormal directions of products along which the outputs stay the same, (k, h·d).
    """

    loss: float
    products: Floats
    free: Floats

    def fixed(self, unit: int) -> Floats:
        """What all optima have in common of a unit's product: its part at right angles to `free`.

        (d,). The product can be 0 at some optimum only if this is 0.
        """
        h, d = self.products.shape
        own = self.free.reshape(-1, h, d)[:, unit]
        projected = linalg.lstsq(own.T, self.products[unit])[0] @ own if len(own) else 0.0
        found: Floats = self.products[unit] - projected
        return found


def features(slopes: Floats, inputs: Floats) -> Floats:
    """Φ (N, h·d) of a cell with slopes (N, h): the outputs are Φ·ŵ."""
    found: Floats = (slopes[:, :, None] * inputs[:, None, :]).reshape(len(inputs), -1)
    return found


def cell_optimum(slopes: Floats, inputs: Floats, targets: Floats) -> CellOptimum:
    """The least squares of the cell with slopes (N, h) on inputs (N, d) and targets (N,)."""
    left, values, right = linalg.svd(features(slopes, inputs))
    rank = int(np.count_nonzero(values > _RANK * values[0])) if values[0] > 0 else 0
    along = left[:, :rank].T @ targets
    products = right[:rank].T @ (along / values[:rank])
    away = targets - left[:, :rank] @ along
    shape = slopes.shape[1], inputs.shape[1]
    return CellOptimum(float(np.square(away).mean()), products.reshape(shape), right[rank:])


def same_cell(one: TwoLayer, other: TwoLayer, inputs: Floats) -> bool:
    """Whether two networks, their units in this order, are in one cell."""
    return bool(np.array_equal(one.slopes(inputs), other.slopes(inputs)))


def cell_keys(slopes: npt.NDArray[np.float64]) -> tuple[bytes, ...]:
    """The slopes of each unit of a cell (N, h), in an order that does not depend on theirs."""
    return tuple(sorted(np.packbits(unit > slopes.min()).tobytes() for unit in slopes.T))
