"""Where the loss of a piecewise-linear network is looked at, and from where descents start.

Shape legend: n = numbers of all parameters, z = axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tasks.piecewise.pieces import Floats
from tasks.section import unflattened


@dataclass(frozen=True)
class NormalWeights:
    """A start: independent normal weights and biases, of standard deviation scale/√inputs.

    Attributes:
        module: the network.
    """

    module: nn.Module

    def __call__(self, random: np.random.Generator, scale: float) -> Floats:
        """Parameters (n,)."""
        drawn = []
        inputs = 1
        for tensor in self.module.parameters():
            # A bias has as many inputs as the weights before it.
            inputs = tensor.shape[1] if tensor.dim() > 1 else inputs
            drawn.append(random.standard_normal(tensor.numel()) / np.sqrt(inputs))
        numbers: Floats = scale * np.concatenate(drawn)
        return numbers

    def named(self, numbers: Floats) -> dict[str, Tensor]:
        """Numbers (n,) as tensors by name."""
        like = dict(self.module.named_parameters())
        rows = unflattened(torch.from_numpy(numbers)[None], like)
        return {name: tensor[0] for name, tensor in rows.items()}


def orthonormal(random: np.random.Generator, size: int, count: int) -> list[Floats]:
    """Random orthonormal directions (size,)."""
    return list(np.linalg.qr(random.standard_normal((size, count)))[0].T)
