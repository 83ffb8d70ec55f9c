"""The network of the task `wide-layer`, and what its hidden layers make of the samples.

Shape legend: N = samples, L = layers, n_l = units of layer l (n_0 inputs, n_L = 1).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.func import functional_call

ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "softplus": nn.Softplus,
}


def network(dimensions: int, widths: Sequence[int], activation: str, bias: bool) -> nn.Sequential:
    """`layer1`, `unit1`, …, `layerL`: linear layers (n_l, n_{l−1}), an activation between two.

    The last one has one output and no activation. float64.
    """
    sizes = [dimensions, *widths, 1]
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for number, (inputs, units) in enumerate(pairwise(sizes), start=1):
        parts[f"layer{number}"] = nn.Linear(inputs, units, bias=bias, dtype=torch.float64)
        if number <= len(widths):
            parts[f"unit{number}"] = ACTIVATIONS[activation]()
    return nn.Sequential(parts)


def features(
    module: nn.Sequential, parameters: Mapping[str, Tensor], inputs: Tensor
) -> list[Tensor]:
    """What each hidden layer puts out for inputs (N, n_0): (N, n_l) for l = 1 … L−1."""
    found = []
    values = inputs
    for name, part in module.named_children():
        own = {key: parameters[f"{name}.{key}"] for key, _ in part.named_parameters()}
        values = functional_call(part, own, (values,))
        if name.startswith("unit"):
            found.append(values)
    return found
