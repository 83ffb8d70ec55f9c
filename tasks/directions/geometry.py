"""Lengths, angles and projections in the space of parameters.

A parameter that a direction leaves out counts as zero. Running statistics are not measured: they
move along with a direction, but have no length.

Shape legend: z = directions, n = numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from schemas.errors import SpecError
from tasks.directions.selection import is_statistic

Direction: TypeAlias = Mapping[str, Tensor]
Floats: TypeAlias = npt.NDArray[np.float64]

# Least eigenvalue of a matrix of cosines: about half the squared sine of the least angle.
_DEPENDENT = 1e-12


class Projection(NamedTuple):
    """A displacement from the origin of a section, projected into it.

    Attributes:
        coordinates: of the section's nearest point, (z,).
        explained: share of the squared length that lies in the section; NaN for length zero.
        residual: distance from the section.
    """

    coordinates: Floats
    explained: float
    residual: float


def inner(one: Direction, other: Direction) -> float:
    """⟨one, other⟩ over the parameters that both move, in float64."""
    return math.fsum(
        float(torch.dot(tensor.double().reshape(-1), other[name].double().reshape(-1)))
        for name, tensor in one.items()
        if name in other and not is_statistic(name)
    )


def gram(directions: Sequence[Direction]) -> Floats:
    """Inner products ⟨dᵢ, dⱼ⟩, (z, z)."""
    products = np.empty((len(directions), len(directions)))
    for i, one in enumerate(directions):
        for j, other in enumerate(directions[: i + 1]):
            products[i, j] = products[j, i] = inner(one, other)
    return products


def norms(directions: Sequence[Direction]) -> Floats:
    """Euclidean norms (z,)."""
    return np.sqrt([inner(direction, direction) for direction in directions])


def cosines(directions: Sequence[Direction]) -> Floats:
    """Cosines of the angles between directions (z, z); NaN beside one of norm zero."""
    products = gram(directions)
    length = np.sqrt(np.diag(products))
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = products / np.outer(length, length)
    np.fill_diagonal(found, np.where(length > 0, 1.0, np.nan))
    return found


def project(displacement: Direction, directions: Sequence[Direction]) -> Projection:
    """The nearest point of the section spanned by the directions, which need not be orthogonal.

    Raises:
        SpecError: a direction lies in the span of those before it, so that coordinates are not
            unique.
    """
    require_independent(directions)
    length = math.sqrt(inner(displacement, displacement))
    coordinates, rest = beside(displacement, directions)
    residual = math.sqrt(inner(rest, rest))
    explained = 1.0 - (residual / length) ** 2 if length > 0 else math.nan
    return Projection(coordinates, explained, residual)


def require_independent(directions: Sequence[Direction]) -> None:
    """Raise SpecError if a direction lies in the span of those before it."""
    angles = cosines(directions)
    for axis in range(len(directions)):
        block = angles[: axis + 1, : axis + 1]
        if not (np.isfinite(block).all() and np.linalg.eigvalsh(block)[0] > _DEPENDENT):
            raise SpecError(
                f"directions: axis {axis + 1} of {len(directions)} lies in the span of the axes "
                "before it; choose another direction, or fewer axes"
            )


def beside(
    displacement: Direction, directions: Sequence[Direction]
) -> tuple[Floats, dict[str, Tensor]]:
    """Least squares: coordinates c (z,) and what remains, displacement − Σ cⱼ·directionⱼ.

    Of dependent directions the coordinates of least norm, in units of the directions' lengths.
    """
    rest = dict(displacement)
    lengths = norms(directions)
    lengths[lengths == 0] = 1.0
    inverse = np.linalg.pinv(
        gram(directions) / np.outer(lengths, lengths), rcond=_DEPENDENT, hermitian=True
    )
    coordinates = np.zeros(len(directions))
    for _ in range(2):  # the second time what rounding has left, as in iterative refinement
        along = np.array([inner(rest, direction) for direction in directions])
        step = inverse @ (along / lengths) / lengths
        coordinates += step
        for weight, direction in zip(step.tolist(), directions, strict=True):
            for name, tensor in direction.items():
                part = weight * tensor.double()
                rest[name] = rest[name] - part if name in rest else -part
    return coordinates, rest
