"""The network of the task `piecewise-net`, and parameters of it as layers of matrices.

Shape legend: N = samples, L = layers, n_l = units of layer l (n_0 inputs, n_L outputs).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn

from tasks.piecewise.activations import unit
from tasks.piecewise.pieces import Numbers, PiecewiseLinear


@dataclass(frozen=True)
class Layer:
    """W (n_l, n_{l−1}) and b (n_l,): numbers, or balls."""

    weight: Numbers
    bias: Numbers


def network(
    dimensions: int,
    widths: Sequence[int],
    outputs: int,
    activation: str | PiecewiseLinear,
) -> nn.Sequential:
    """`layer1`, `unit1`, …, `layerL`: linear layers (n_l, n_{l−1}), an activation between two.

    float64.
    """
    sizes = [dimensions, *widths, outputs]
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (inputs, units) in enumerate(pairwise(sizes), start=1):
        parts[f"layer{number}"] = nn.Linear(inputs, units, dtype=torch.float64)
        if number <= len(widths):
            parts[f"unit{number}"] = unit(activation)
    return nn.Sequential(parts)


def as_parameters(layers: Sequence[Layer]) -> dict[str, Tensor]:
    """The layers as parameters of `network`, by name."""
    found: dict[str, Tensor] = {}
    for number, layer in enumerate(layers, start=1):
        found[f"layer{number}.weight"] = torch.from_numpy(layer.weight.copy())
        found[f"layer{number}.bias"] = torch.from_numpy(layer.bias.copy())
    return found


def minus(layers: Sequence[Layer], others: Sequence[Layer]) -> list[Layer]:
    """The differences of their weights and biases."""
    pairs = zip(layers, others, strict=True)
    return [Layer(one.weight - other.weight, one.bias - other.bias) for one, other in pairs]


def zero_layers(like: Sequence[Layer]) -> list[Layer]:
    """Layers of these shapes whose numbers are all 0."""
    return [Layer(np.zeros_like(each.weight), np.zeros_like(each.bias)) for each in like]


def run(
    layers: Sequence[Layer], function: Callable[[Numbers], Numbers], inputs: Numbers
) -> tuple[list[Numbers], Numbers]:
    """Pre-activations (N, n_l) of the hidden layers, and outputs (N, n_L), of inputs (N, n_0).

    Of balls, if these are balls.
    """
    before: list[Numbers] = []
    values = inputs
    for layer in layers[:-1]:
        before.append(values @ layer.weight.T + layer.bias)
        values = function(before[-1])
    return before, values @ layers[-1].weight.T + layers[-1].bias
