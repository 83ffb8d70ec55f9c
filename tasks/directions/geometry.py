"""Lengths, angles and projections in the space of parameters.

Shape legend: z = directions, n = numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from torch import Tensor

Direction: TypeAlias = Mapping[str, Tensor]
Floats: TypeAlias = npt.NDArray[np.float64]


def gram(directions: Sequence[Direction]) -> Floats:
    """Inner products ⟨dᵢ, dⱼ⟩ (z, z); a parameter that a direction leaves out counts as zero."""
    z = len(directions)
    products = np.zeros((z, z))
    for i, one in enumerate(directions):
        for j, other in enumerate(directions[: i + 1]):
            shared = one.keys() & other.keys()
            total = sum(
                float((one[name].double() * other[name].double()).sum()) for name in sorted(shared)
            )
            products[i, j] = products[j, i] = total
    return products


def norms(directions: Sequence[Direction]) -> Floats:
    """Euclidean norms (z,)."""
    return np.array(np.sqrt(np.diag(gram(directions))))


def cosines(directions: Sequence[Direction]) -> Floats:
    """Cosines of the angles between directions (z, z); NaN beside one of norm zero."""
    products = gram(directions)
    length = np.sqrt(np.diag(products))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.array(products / np.outer(length, length))
