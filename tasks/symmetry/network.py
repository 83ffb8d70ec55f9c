"""The networks of the task `symmetry-net`, teachers and students, without biases.

Shape legend: n_l = units of layer l (n_0 inputs; the last one the outputs), L = hidden layers,
n = numbers of all weights.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tasks.landscape import Floats

Weights: TypeAlias = tuple[Floats, ...]
"""The matrices (n_l, n_{l−1}) of all layers, that of the output last."""

_EXACT = 40.0
"""Beyond it softplus is the identity to the last bit of a float64."""


class Softplus(nn.Module):
    """log(1 + eˣ), nowhere taken for the identity where a float64 could tell them apart."""

    def forward(self, values: Tensor) -> Tensor:
        """Of each value."""
        return functional.softplus(values, threshold=_EXACT)


class Exponential(nn.Module):
    """eˣ."""

    def forward(self, values: Tensor) -> Tensor:
        """Of each value."""
        return values.exp()


class Asymmetric(nn.Module):
    """σ(4x) + log(1 + eˣ): not odd or even, nor so but for a constant.

    Şimşek et al. 2021, arXiv:2105.12221, their example of an activation without such a symmetry.
    """

    def forward(self, values: Tensor) -> Tensor:
        """Of each value."""
        return torch.sigmoid(4 * values) + functional.softplus(values, threshold=_EXACT)


ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "softplus": Softplus,
    "exp": Exponential,
    "asymmetric": Asymmetric,
}


def layer_names(hidden: int) -> tuple[str, ...]:
    """`hidden`, or of several hidden layers `hidden1`, `hidden2`, …; then `output`."""
    names = ["hidden"] if hidden == 1 else [f"hidden{number + 1}" for number in range(hidden)]
    return (*names, "output")


def network(sizes: Sequence[int], activation: str) -> nn.Sequential:
    """Linear layers (n_l, n_{l−1}) of sizes n_0, n_1, …, an activation between two; float64.

    Their weights are `hidden.weight` and `output.weight`, see `layer_names`.
    """
    names = layer_names(len(sizes) - 2)
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for name, (inputs, units) in zip(names, pairwise(sizes), strict=True):
        parts[name] = nn.Linear(inputs, units, bias=False, dtype=torch.float64)
        if name != names[-1]:
            parts[f"{name}_activation"] = ACTIVATIONS[activation]()
    return nn.Sequential(parts)


def outputs_of(weights: Sequence[Floats], inputs: Floats, activation: str) -> Floats:
    """What the network of these weights puts out for inputs (N, n_0): (N, n_{L+1})."""
    function = ACTIVATIONS[activation]()
    values = torch.from_numpy(inputs)
    for matrix in weights[:-1]:
        values = function(values @ torch.from_numpy(matrix).T)
    found: Floats = (values @ torch.from_numpy(weights[-1]).T).numpy()
    return found


def flattened(weights: Sequence[Floats]) -> Floats:
    """All numbers (n,), in the order of the network's parameters."""
    return np.concatenate([matrix.ravel() for matrix in weights])


def unflattened(numbers: Floats, sizes: Sequence[int]) -> Weights:
    """The matrices (n_l, n_{l−1}) that hold numbers (n,), of layers of sizes n_0 … n_{L+1}."""
    shapes = [(units, inputs) for inputs, units in pairwise(sizes)]
    ends = np.cumsum([units * inputs for units, inputs in shapes])[:-1]
    parts = np.split(numbers, ends)
    return tuple(part.reshape(shape) for part, shape in zip(parts, shapes, strict=True))


def named(weights: Sequence[Floats]) -> dict[str, Tensor]:
    """The matrices as the network's parameters by name."""
    names = layer_names(len(weights) - 1)
    pairs = zip(names, weights, strict=True)
    return {f"{name}.weight": torch.from_numpy(matrix.copy()) for name, matrix in pairs}
