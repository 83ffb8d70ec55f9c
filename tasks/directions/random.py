"""Random directions, and their scales by the parameters they start from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TypeAlias

import torch
from torch import Tensor

Normalisation: TypeAlias = Callable[[Tensor, Tensor], Tensor]


def random_directions(origin: Mapping[str, Tensor], z: int, seed: int) -> list[dict[str, Tensor]]:
    """Z directions with independent standard normal entries, float64, shaped as the parameters."""
    return list(islice(random_draws(origin, seed), z))


def random_draws(origin: Mapping[str, Tensor], seed: int) -> Iterator[dict[str, Tensor]]:
    """The directions of `random_directions`, one after another without end."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield {
            name: torch.randn(tensor.shape, generator=generator, dtype=torch.float64)
            for name, tensor in origin.items()
        }


def filter_normalised(
    direction: Mapping[str, Tensor], origin: Mapping[str, Tensor], *, vectors: bool = False
) -> dict[str, Tensor]:
    """The direction with each filter rescaled to the norm of the origin's: d ← d·‖θ‖/‖d‖.

    A filter is a slice along the first dimension of a parameter of two or more dimensions.
    Parameters of fewer dimensions (biases, normalisation weights) do not move, or, if `vectors`,
    are rescaled as a whole. Li et al. 2018, arXiv:1712.09913, section 4; where biases move, the
    authors' code takes the parameter itself for the direction, which would make all axes equal in
    it. A filter of norm zero does not move either.
    """

    def rescaled(d: Tensor, theta: Tensor) -> Tensor:
        return _to_norm_of(d, theta, tuple(range(1, d.dim())) if d.dim() > 1 else None)

    return _normalised(direction, origin, vectors, rescaled)


def layer_normalised(
    direction: Mapping[str, Tensor], origin: Mapping[str, Tensor], *, vectors: bool = False
) -> dict[str, Tensor]:
    """The direction with each parameter tensor rescaled to the norm of the origin's.

    Li et al. 2018, arXiv:1712.09913, their code's `layer`. Parameters of less than two dimensions
    and of norm zero are treated as in `filter_normalised`.
    """
    return _normalised(direction, origin, vectors, lambda d, theta: _to_norm_of(d, theta, None))


def parameter_normalised(
    direction: Mapping[str, Tensor], origin: Mapping[str, Tensor], *, vectors: bool = False
) -> dict[str, Tensor]:
    """The direction with each entry multiplied by the origin's: d ← d·θ.

    Li et al. 2018, arXiv:1712.09913, their code's `weight`. Parameters of less than two dimensions
    do not move unless `vectors`; entries that are zero do not move.
    """
    return _normalised(direction, origin, vectors, lambda d, theta: d * theta)


def _normalised(
    direction: Mapping[str, Tensor],
    origin: Mapping[str, Tensor],
    vectors: bool,
    rescaled: Normalisation,
) -> dict[str, Tensor]:
    return {
        name: rescaled(tensor, origin[name].double())
        for name, tensor in direction.items()
        if vectors or tensor.dim() >= 2
    }


def _to_norm_of(tensor: Tensor, wanted: Tensor, dims: tuple[int, ...] | None) -> Tensor:
    """Each group of entries rescaled to the norm of the same entries of `wanted`; None: all."""
    target = torch.linalg.vector_norm(wanted, dim=dims, keepdim=True)
    own = torch.linalg.vector_norm(tensor, dim=dims, keepdim=True)
    return tensor * torch.where(own > 0, target / own, torch.zeros_like(own))
