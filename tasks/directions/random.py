"""Directions through parameter space."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def random_directions(origin: Mapping[str, Tensor], z: int, seed: int) -> list[dict[str, Tensor]]:
    """Z directions with independent standard normal entries, float64, shaped as the parameters."""
    generator = torch.Generator().manual_seed(seed)
    return [
        {
            name: torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            for name, tensor in origin.items()
        }
        for _ in range(z)
    ]


def filter_normalised(
    direction: Mapping[str, Tensor], origin: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The direction with each filter rescaled to the norm of the origin's: d ← d·‖θ‖/‖d‖.

    A filter is a slice along the first dimension of a parameter of two or more dimensions.
    Parameters of fewer dimensions (biases, normalisation weights) do not move. Li et al. 2018,
    arXiv:1712.09913, section 4. A filter of norm zero does not move either.
    """
    normalised = {}
    for name, tensor in direction.items():
        if tensor.dim() < 2:
            continue
        inner = tuple(range(1, tensor.dim()))
        wanted = torch.linalg.vector_norm(origin[name].double(), dim=inner, keepdim=True)
        own = torch.linalg.vector_norm(tensor, dim=inner, keepdim=True)
        normalised[name] = tensor * torch.where(own > 0, wanted / own, torch.zeros_like(own))
    return normalised
