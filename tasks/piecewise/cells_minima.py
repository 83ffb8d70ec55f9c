"""Minima inside cells: those that descents find, and those of which a cell is shown to have one.

Shape legend: N = samples, d = inputs of each, h = units.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from scipy.optimize import least_squares, linprog

from schemas.errors import SpecError
from tasks.landscape import Floats
from tasks.piecewise.cells import (
    CellOptimum,
    TwoLayer,
    cell_optimum,
    same_cell,
    two_layer,
)

MARGIN = 1e-6
"""A minimum is differentiable if the least |cos| of weights and inputs is above this."""
FLAT = 1e-7
"""The greatest norm of a gradient that counts as 0."""
_TRIES = 400
_ROUNDS = 200
_CLOSE = 1e-15
_APART = 1e-3
"""Of losses from each other and from 0, and of products."""


def is_differentiable_minimum(net: TwoLayer, inputs: Floats, targets: Floats) -> bool:
    """Whether the gradient is 0 inside a cell, where the loss is a minimum if it is critical.

    With every output weight nonzero the loss is, near by, a convex function of the products.
    """
    inside = net.margin(inputs) > MARGIN and np.abs(net.outputs).min() > MARGIN
    return bool(inside and np.linalg.norm(net.gradient(inputs, targets)) <= FLAT)


def descended(inputs: Floats, targets: Floats, start: TwoLayer) -> TwoLayer:
    """Where a trust-region descent ends (Branch, Coleman & Li 1999, as SciPy has it)."""
    units, slope = len(start.outputs), start.slope

    def net(numbers: Floats) -> TwoLayer:
        return two_layer(numbers, units, slope)

    def residuals(numbers: Floats) -> Floats:
        return net(numbers).residuals(inputs, targets)

    def jacobian(numbers: Floats) -> Floats:
        return net(numbers).jacobian(inputs)

    found = least_squares(
        residuals,
        start.numbers,
        jacobian,
        xtol=_CLOSE,
        ftol=_CLOSE,
        gtol=_CLOSE,
        max_nfev=_ROUNDS,
    )
    return net(np.asarray(found.x, dtype=np.float64))


def minima(
    inputs: Floats, targets: Floats, units: int, slope: float, random: np.random.Generator
) -> Iterator[TwoLayer]:
    """Differentiable minima above 0 that descents from normal weights find, units in order."""
    for _ in range(_TRIES):
        hidden = random.standard_normal((units, inputs.shape[1]))
        start = TwoLayer(hidden, random.standard_normal(units), slope)
        net = descended(inputs, targets, start)
        above = net.loss(inputs, targets) > _APART
        if above and is_differentiable_minimum(net, inputs, targets):
            yield net.in_order(inputs)


def pair_within(
    inputs: Floats, targets: Floats, units: int, slope: float, random: np.random.Generator
) -> tuple[TwoLayer, TwoLayer]:
    """Two different minima of one cell, with output weights of the same signs.

    Raises:
        SpecError: none are found.
    """
    known: list[TwoLayer] = []
    for net in minima(inputs, targets, units, slope, random):
        for other in known:
            signs = np.array_equal(other.outputs > 0, net.outputs > 0)
            away = float(np.abs(other.products - net.products).max())
            if signs and same_cell(other, net, inputs) and away > _APART:
                return other, net
        known.append(net)
    raise _none_found("two minima of one cell")


def pair_across(
    inputs: Floats, targets: Floats, units: int, slope: float, random: np.random.Generator
) -> tuple[TwoLayer, TwoLayer]:
    """Two minima of different cells with different losses, the lower one second.

    Raises:
        SpecError: none are found.
    """
    first: TwoLayer | None = None
    for net in minima(inputs, targets, units, slope, random):
        first = first or net
        losses = first.loss(inputs, targets), net.loss(inputs, targets)
        if not same_cell(first, net, inputs) and abs(losses[0] - losses[1]) > _APART:
            return (first, net) if losses[0] > losses[1] else (net, first)
    raise _none_found("minima of two cells")


def minimum_of_cell(
    slopes: Floats, inputs: Floats, targets: Floats, slope: float
) -> TwoLayer | None:
    """A minimum in the open cell with slopes (N, h), or None if it has none.

    A local minimum in the open cell is one of the cell's optima, and its products are in the cone
    of the cell for some signs of the output weights; conversely each such optimum is a minimum.
    A linear network has one cell and no walls. Else linear programs decide, one for each choice of
    signs, and ask for the greatest margin.
    """
    optimum = cell_optimum(slopes, inputs, targets)
    if slope == 1.0:
        return TwoLayer(optimum.products, np.ones(slopes.shape[1]), slope)
    sides = np.where(slopes == 1.0, 1.0, -1.0)
    for signs in product((1.0, -1.0), repeat=slopes.shape[1]):
        found = _in_cone(optimum, sides * np.array(signs), inputs)
        if found is not None:
            outputs = np.array(signs)
            return TwoLayer(found / outputs[:, None], outputs, slope)
    return None


def _in_cone(optimum: CellOptimum, sides: Floats, inputs: Floats) -> Floats | None:
    """Optimal products (h, d) with sides_ij·x_i·ŵ_j > 0 for all i and j, or None."""
    h, d = optimum.products.shape
    # sides·x·(ŵ₀ + free·c) ≥ margin, margin ≤ 1, over c and the margin.
    rows = (
        sides[:, :, None, None] * np.eye(h)[None, :, :, None] * inputs[:, None, None, :]
    ).reshape(-1, h * d)
    upper = np.column_stack([-rows @ optimum.free.T, np.ones(len(rows))])
    free = len(optimum.free)
    solved = linprog(
        np.append(np.zeros(free), -1.0),
        A_ub=upper,
        b_ub=rows @ optimum.products.ravel(),
        bounds=[*[(None, None)] * free, (None, 1.0)],
    )
    if solved.x is None or solved.x[-1] <= MARGIN:
        return None
    found: Floats = (optimum.products.ravel() + solved.x[:-1] @ optimum.free).reshape(h, d)
    return found


def _none_found(what: str) -> SpecError:
    return SpecError(
        f"section: {_TRIES} descents have not found {what}; give other samples, fewer of them, or "
        "another seed"
    )
