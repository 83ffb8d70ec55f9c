"""The task `deep-linear`: L(W_1 … W_H) = ‖Y − W_H … W_1 X‖_F² as a function of all weights.

Shape legend: P = points, n = weights, d_i = width of layer i, M = columns of X. The weights of
W_1, of shape (d_1, d_0), come first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from schemas.errors import SpecError, listing, suggestion
from tasks.landscape import Floats, Landscape
from tasks.linear.deep_data import Regression, Sample, draw_samples, regress
from tasks.linear.deep_parameters import DeepLinearParameters
from tasks.objective import ClosedForm
from tasks.registry import BuildContext
from tasks.section import Section, whole_section

RISE = "rise"
"""The split whose loss is L(θ) − L(origin), without the cancellation of that difference."""
_ORIGIN, _DIRECTIONS = 2, 3
"""Keep the random numbers of the section apart from those of the data of the same seed."""
_MOST_MOMENTS = 1024
"""Numbers of a moment up to which it is kept among the facts."""


@dataclass(frozen=True)
class DeepLinear:
    """L(θ) = ‖Y − W_H … W_1 X‖_F² + constant, (P, n) → (P,); a ReLU follows layer `relu_after`."""

    widths: tuple[int, ...]
    inputs: Tensor
    targets: Tensor
    constant: float = 0.0
    relu_after: int | None = None

    def __call__(self, theta: Tensor) -> Tensor:
        """Losses (P,) in the dtype of theta (P, n)."""
        return self.residuals(theta).square().sum(dim=1) + self.constant

    def residuals(self, theta: Tensor) -> Tensor:
        """The entries of W_H … W_1 X − Y, (P, d_H·M)."""
        return (self.outputs(theta) - self.targets.to(theta)).flatten(1)

    def outputs(self, theta: Tensor) -> Tensor:
        """W_H … W_1 X, (P, d_H, M)."""
        signal = self.inputs.to(theta).expand(len(theta), -1, -1)
        for number, layer in enumerate(layers(theta, self.widths), start=1):
            signal = torch.bmm(layer, signal)
            if number == self.relu_after:
                signal = signal.relu()
        return signal


@dataclass(frozen=True)
class Rise:
    """L(θ) − L(θ₀) of a linear network, (P, n) → (P,), exact to rounding of the rise itself.

    With E the residual Y − W_H … W_1 X at θ₀ and D what the outputs move by, it is −⟨2E − D, D⟩;
    layer by layer D_i = W_i D_{i−1} + (W_i − W_i⁰) S⁰_{i−1}, S⁰ being the signals at θ₀.
    """

    risk: DeepLinear
    origin: Tensor

    def __call__(self, theta: Tensor) -> Tensor:
        """Rises (P,) in the dtype of theta (P, n)."""
        widths, origin = self.risk.widths, self.origin.to(theta)
        signal = self.risk.inputs.to(theta)
        moved = torch.zeros_like(signal).expand(len(theta), -1, -1)
        shifts = layers(theta - origin, widths)
        bases = layers(origin[None], widths)
        for layer, shift, base in zip(layers(theta, widths), shifts, bases, strict=True):
            before = signal.expand(len(theta), -1, -1)
            moved = torch.bmm(layer, moved) + torch.bmm(shift, before)
            signal = base[0] @ signal
        left = 2 * (self.risk.targets.to(theta) - signal) - moved
        return -(left * moved).flatten(1).sum(dim=1)


def layers(theta: Tensor, widths: tuple[int, ...]) -> list[Tensor]:
    """The weights of W_1 … W_H at points (P, n), each (P, d_i, d_{i−1})."""
    shapes = _shapes(widths)
    parts = torch.split(theta, [rows * columns for rows, columns in shapes], dim=1)
    named = zip(parts, shapes, strict=True)
    return [part.reshape(len(theta), *shape) for part, shape in named]


def _shapes(widths: tuple[int, ...]) -> list[tuple[int, int]]:
    return [(rows, columns) for columns, rows in pairwise(widths)]


@dataclass(frozen=True)
class GaussianLayers:
    """A start: independent normal weights, those of W_i of standard deviation scale/√d_{i−1}."""

    widths: tuple[int, ...]

    def __call__(self, rng: np.random.Generator, scale: float) -> Floats:
        """Weights (n,)."""
        drawn = [rng.standard_normal(shape) / np.sqrt(shape[1]) for shape in _shapes(self.widths)]
        return scale * np.concatenate([layer.ravel() for layer in drawn])


def factorised(linear_map: Floats, widths: tuple[int, ...]) -> Floats:
    """Weights (n,) whose product is the map (d_H, d_0), its singular values shared equally.

    The rank of the map must not exceed the least width.
    """
    left, singular, right = np.linalg.svd(linear_map)
    rank, depth = min(widths), len(widths) - 1
    roots = singular[:rank] ** (1 / depth)
    within = [np.eye(width, rank) for width in widths[1:-1]]
    bases = [right[:rank].T, *within, left[:, :rank]]
    found = [(base * roots) @ before.T for before, base in pairwise(bases)]
    return np.concatenate([layer.ravel() for layer in found])


def build_deep_linear(parameters: DeepLinearParameters, context: BuildContext) -> Landscape:
    """The splits train and test, and of a linear network `rise`, which is train less the origin's.

    Directions are random and of unit norm, their last layer signed such that the loss falls from
    zero weights along each. The reference `global_minimum` is that of reduced-rank regression
    (`deep_data.Regression`), for no product has a rank above the least width; with a ReLU none is
    known.

    Raises:
        SpecError: a split is none of these.
    """
    samples = draw_samples(parameters, context.seed)
    risks = {split: _risk(parameters, sample) for split, sample in samples.items()}
    regression = regress(samples["train"])
    origin = _origin(parameters, regression, context.seed)
    linear = parameters.relu_after is None
    functions: dict[str, Callable[[Tensor], Tensor]] = {**risks}
    residuals = {split: risk.residuals for split, risk in risks.items()}
    if linear:
        functions[RISE] = Rise(risks["train"], torch.from_numpy(origin))
        residuals[RISE] = risks["train"].residuals
    for split in context.splits:
        if split not in functions:
            raise SpecError(
                f"splits: got {split!r}; expected some of {listing(functions)}"
                f"{suggestion(split, functions)}"
            )
    directions = [] if context.z is None else _directions(risks["train"], context.z, context.seed)
    facts = _facts(parameters, samples["train"], regression)
    if linear:
        facts["alignments"] = [_alignment(risks["train"], direction) for direction in directions]
    least = {"global_minimum": regression.minimum(min(parameters.widths))} if linear else {}
    return Landscape(
        ClosedForm(functions, residuals),
        _section(origin, directions, context.z is None),
        reference=least,
        facts={**facts, **least},
        draw=GaussianLayers(parameters.widths),
    )


def _risk(parameters: DeepLinearParameters, sample: Sample) -> DeepLinear:
    constant = 0.0
    if parameters.relu_after is None:
        sample, constant = sample.reduced()
    return DeepLinear(
        parameters.widths,
        torch.from_numpy(np.ascontiguousarray(sample.inputs)),
        torch.from_numpy(np.ascontiguousarray(sample.targets)),
        constant,
        parameters.relu_after,
    )


def _origin(parameters: DeepLinearParameters, regression: Regression, seed: int) -> Floats:
    widths = parameters.widths
    if parameters.origin == "minimum":
        return factorised(regression.minimiser(min(widths)), widths)
    drawn = GaussianLayers(widths)(np.random.default_rng([seed, _ORIGIN]), 1.0)
    return drawn if parameters.origin == "seeded" else np.zeros_like(drawn)


def _section(origin: Floats, directions: list[Floats], whole: bool) -> Section:
    start = {"theta": torch.from_numpy(origin)}
    if whole:
        return whole_section(start)
    return Section(start, tuple({"theta": torch.from_numpy(d)} for d in directions))


def _directions(risk: DeepLinear, z: int, seed: int) -> list[Floats]:
    rng = np.random.default_rng([seed, _DIRECTIONS])
    shapes = _shapes(risk.widths)
    last = shapes[-1][0] * shapes[-1][1]
    found = []
    for _ in range(z):
        direction = rng.standard_normal(sum(rows * columns for rows, columns in shapes))
        direction /= np.linalg.norm(direction)
        if _alignment(risk, direction) < 0:
            direction[-last:] *= -1
        found.append(direction)
    return found


def _alignment(risk: DeepLinear, direction: Floats) -> float:
    """The cosine of Y with the network's outputs at these weights.

    L(t·direction) − L(0) = −2 t^H·‖Y‖·‖outputs‖·cosine + t^{2H}·‖outputs‖², so that a line through
    zero is generic, flat to order H, just where the cosine is not zero.
    """
    outputs = risk.outputs(torch.from_numpy(direction)[None])[0]
    products = (outputs * risk.targets).sum(), outputs.norm(), risk.targets.norm()
    product, length, whole = (float(value) for value in products)
    return product / (length * whole) if length > 0 else 0.0


def _facts(
    parameters: DeepLinearParameters, sample: Sample, regression: Regression
) -> dict[str, Any]:
    """What is known of the train split, computed without the network."""
    x, y = sample.inputs, sample.targets
    facts: dict[str, Any] = {
        "widths": list(parameters.widths),
        "depth": len(parameters.widths) - 1,
        "relu_after": parameters.relu_after,
        "origin": parameters.origin,
        "input_rank": regression.input_rank,
        "data_rank": regression.rank,
        "eigenvalues": regression.eigenvalues.tolist(),
        "regression_minimum": regression.minimum(len(y)),
        "loss_at_zero": float(np.sum(y**2)),
        "greatest_moment": float(np.linalg.norm(y @ x.T, ord=2)),
    }
    if max(x.shape[0], y.shape[0]) * x.shape[0] <= _MOST_MOMENTS:
        facts |= {"input_moment": (x @ x.T).tolist(), "target_moment": (y @ x.T).tolist()}
    return facts
