"""Where a line in the space of weights crosses the walls of activation cells, exactly.

On the line θ + tδ every weight is affine in t. As long as no unit of a sample changes its piece,
the values before the units of layer l are polynomials in t of degree l for that sample; a wall is
where one of them meets a knot. The samples' walls are followed one by one, from root to root.
Cells in general: Hanin & Rolnick 2019, arXiv:1906.00904.

Shape legend: N = samples, n_l = units of layer l (n_0 inputs), K = knots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from schemas.errors import SpecError
from tasks.landscape import Floats
from tasks.section import Section

Pieces = npt.NDArray[np.intp]
_CLOSE = 1e-10
"""Walls nearer to each other than this share of the line are not told apart."""
_REAL = 1e-9


@dataclass(frozen=True)
class Unit:
    """A continuous piecewise-linear function: h(t) = slope·t + intercept on each piece.

    Attributes:
        knots: where pieces meet, ascending, (K,).
        slopes, intercepts: of the pieces, (K + 1,).
    """

    knots: Floats
    slopes: Floats
    intercepts: Floats

    def pieces(self, values: Floats) -> Pieces:
        """The piece of each value; a knot belongs to the piece below it."""
        return np.searchsorted(self.knots, values, side="left")


@dataclass(frozen=True)
class Layer:
    """A linear layer on the line: weights + t·weight_steps, biases likewise, then its units.

    Attributes:
        weights, weight_steps: (n_l, n_{l−1}).
        biases, bias_steps: (n_l,).
    """

    weights: Floats
    weight_steps: Floats
    biases: Floats
    bias_steps: Floats
    unit: Unit


@dataclass(frozen=True)
class Crossings:
    """The walls on a line.

    Attributes:
        at: coordinates of the walls of all samples, ascending.
        samples: whose wall it is.
    """

    at: Floats
    samples: npt.NDArray[np.intp]


def crossings(
    module: nn.Sequential, section: Section, inputs: Floats, low: float, high: float
) -> Crossings:
    """The walls of the cells of inputs (N, n_0) between two coordinates of a line.

    Raises:
        SpecError: the section is not a line, or the module no sequence of linear layers with ReLUs,
            leaky ReLUs or hard tanhs between them.
        ArithmeticError: walls are too close to each other to be told apart in float64.
    """
    layers = layers_of(module, section)
    found = [_of_sample(layers, sample, low, high) for sample in inputs]
    at = np.concatenate(found)
    samples = np.repeat(np.arange(len(inputs)), [len(one) for one in found])
    order = np.argsort(at, kind="stable")
    return Crossings(at[order], samples[order])


def layers_of(module: nn.Sequential, section: Section) -> list[Layer]:
    """The layers before units, on a line; see `crossings` for what is raised."""
    if len(section.directions) != 1 or section.chart is not None:
        raise SpecError(
            f"axes: got {section.z} of a section that is not a straight line; give one axis"
        )
    layers = []
    parts = list(module.named_children())
    for (name, part), (_, unit) in pairwise(parts):
        if not isinstance(part, nn.Linear):
            continue
        weights, weight_steps = _on_line(section, f"{name}.weight")
        biases = bias_steps = np.zeros(len(weights))
        if part.bias is not None:
            biases, bias_steps = _on_line(section, f"{name}.bias")
        layers.append(Layer(weights, weight_steps, biases, bias_steps, unit_of(unit)))
    return layers


def unit_of(module: nn.Module) -> Unit:
    """A module as a piecewise-linear function; SpecError if it is none of those known here."""
    if isinstance(module, nn.ReLU):
        return Unit(np.zeros(1), np.array([0.0, 1.0]), np.zeros(2))
    if isinstance(module, nn.LeakyReLU):
        return Unit(np.zeros(1), np.array([module.negative_slope, 1.0]), np.zeros(2))
    if isinstance(module, nn.Hardtanh):
        low, high = module.min_val, module.max_val
        if np.isinf([low, high]).all():
            return Unit(np.zeros(0), np.ones(1), np.zeros(1))
        return Unit(np.array([low, high]), np.array([0.0, 1.0, 0.0]), np.array([low, 0.0, high]))
    raise SpecError(
        f"cells: got {type(module).__name__} after a linear layer; expected ReLU, LeakyReLU or "
        "Hardtanh"
    )


def _on_line(section: Section, name: str) -> tuple[Floats, Floats]:
    origin: Tensor = section.origin[name]
    step = section.directions[0].get(name, torch.zeros_like(origin))
    return origin.numpy(), step.numpy()


def _of_sample(layers: Sequence[Layer], sample: Floats, low: float, high: float) -> Floats:
    """The walls of one sample (n_0,), ascending."""
    close = _CLOSE * (high - low)
    found: list[float] = []
    here = low
    while True:
        # Beyond a wall several units may be in other pieces: those above a layer that has died.
        pieces = pieces_at(layers, sample, here)
        wall = _next_wall(layers, sample, pieces, here)
        end = high if wall is None else min(wall, high)
        _check(layers, sample, pieces, here, end)
        if wall is None or wall > high:
            return np.array(found)
        found.append(wall)
        here = wall + close


def pieces_at(layers: Sequence[Layer], sample: Floats, t: float) -> list[Pieces]:
    """The piece of each unit of each layer at a coordinate, by a forward pass."""
    values, found = sample, []
    for layer in layers:
        weights = layer.weights + t * layer.weight_steps
        before = weights @ values + layer.biases + t * layer.bias_steps
        pieces = layer.unit.pieces(before)
        found.append(pieces)
        values = layer.unit.slopes[pieces] * before + layer.unit.intercepts[pieces]
    return found


def _next_wall(
    layers: Sequence[Layer], sample: Floats, pieces: Sequence[Pieces], after: float
) -> float | None:
    """The first wall beyond a coordinate; None if there is none."""
    walls: list[float] = []
    values = sample[:, None]
    for layer, own in zip(layers, pieces, strict=True):
        before = _polynomial(layer, values)
        # The knot below each piece, and the one above it.
        for knots in (own - 1, own):
            for unit in np.flatnonzero((knots >= 0) & (knots < len(layer.unit.knots))):
                polynomial = before[unit].copy()
                polynomial[0] -= layer.unit.knots[knots[unit]]
                root = _first_root(polynomial, after)
                walls += [] if root is None else [root]
        values = layer.unit.slopes[own][:, None] * before
        values[:, 0] += layer.unit.intercepts[own]
    return min(walls, default=None)


def _polynomial(layer: Layer, values: Floats) -> Floats:
    """Coefficients (n_l, degree + 2) before the units, of values (n_{l−1}, degree + 1)."""
    found = np.zeros((len(layer.weights), values.shape[1] + 1))
    found[:, :-1] += layer.weights @ values
    found[:, 1:] += layer.weight_steps @ values
    found[:, 0] += layer.biases
    found[:, 1] += layer.bias_steps
    return found


def _first_root(polynomial: Floats, after: float) -> float | None:
    """The least real root above a coordinate, in rising powers; None if there is none."""
    trimmed = np.trim_zeros(polynomial, "b")
    if len(trimmed) < 2:
        return None
    roots = np.polynomial.polynomial.polyroots(trimmed)
    real = roots.real[np.abs(roots.imag) <= _REAL * np.maximum(np.abs(roots), 1.0)]
    beyond = real[real > after]
    return float(beyond.min()) if len(beyond) else None


def _check(
    layers: Sequence[Layer], sample: Floats, pieces: Sequence[Pieces], here: float, end: float
) -> None:
    """ArithmeticError unless halfway to the next wall a forward pass has the pieces followed."""
    seen = pieces_at(layers, sample, (here + end) / 2)
    if not all(map(np.array_equal, seen, pieces)):
        raise ArithmeticError(
            f"the walls near {here!r} are too close to each other to be followed in float64"
        )
