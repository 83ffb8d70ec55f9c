"""The origin of an affine section on the grid, and what the grid says right there.

The origin is the point whose coordinates are all 0: the network the section goes through. Where
0 is not on the grid, the nearest grid point stands in for it in every statistic.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.analysis.curvature import hessian
from pipeline.analysis.frame import Floats, Frame, computed
from schemas.statistics import LEVELS

# Part of the distance to the next grid point by which a coordinate may miss a value it stands for.
CLOSE = 1e-9


@dataclass(frozen=True)
class Origin:
    """The grid point at or nearest to the origin.

    Attributes:
        cell: its grid index (z,).
        place: its coordinates (z,).
        exact: whether it is the origin, up to rounding.
        reach: half the side of the largest cube about it within the grid.
    """

    cell: tuple[int, ...]
    place: Floats
    exact: bool
    reach: float


def origin_of(coordinates: Sequence[Floats]) -> Origin | None:
    """The origin of a grid, every axis of two points or more; None where 0 is beyond an axis."""
    if any(along.min() > 0 or along.max() < 0 for along in coordinates):
        return None
    cell = tuple(int(np.abs(along).argmin()) for along in coordinates)
    place = np.array([along[k] for along, k in zip(coordinates, cell, strict=True)])
    steps = np.array([np.abs(np.diff(along)).min() for along in coordinates])
    reach = min(
        float(min(here - along.min(), along.max() - here))
        for along, here in zip(coordinates, place, strict=True)
    )
    return Origin(cell, place, bool((np.abs(place) <= CLOSE * steps).all()), reach)


@dataclass(frozen=True)
class Around:
    """Losses around the origin: `near` (R, S, 3, …, 3), NaN beyond the grid, and those on the
    grid line through the origin along each axis: `lines`, (R, S, n_k).
    """

    near: Floats
    lines: tuple[Floats, ...]

    @property
    def loss(self) -> Floats:
        """The loss at the origin (R, S); NaN where it is not finite."""
        centre = self.near.reshape(*self.near.shape[:2], -1)[..., 3 ** len(self.lines) // 2]
        return np.where(np.isfinite(centre), centre, np.nan)


def around(frame: Frame, origin: Origin) -> Around:
    """Read what `Around` holds."""
    z = len(origin.cell)
    cuts = tuple(
        slice(max(0, k - 1), min(n, k + 2))
        for k, n in zip(origin.cell, frame.grid_shape, strict=True)
    )
    through = [(*origin.cell[:k], slice(None), *origin.cell[k + 1 :]) for k in range(z)]
    near, *lines = computed(
        frame.loss[(..., *cuts)], *(frame.loss[(..., *line)] for line in through)
    )
    missing = [
        (int(k == 0), int(k == n - 1)) for k, n in zip(origin.cell, frame.grid_shape, strict=True)
    ]
    padded = np.pad(near.astype(np.float64), [(0, 0), (0, 0), *missing], constant_values=np.nan)
    return Around(padded, tuple(line.astype(np.float64) for line in lines))


def curvature(near: Floats, coordinates: Sequence[Floats], origin: Origin) -> Floats:
    """The Hessian (z, z) of losses (3, …, 3) about the origin by finite differences.

    NaN for an entry that needs a point beyond the grid or a loss that is not finite.
    """
    padded = [np.pad(along, 1, constant_values=np.nan) for along in coordinates]
    steps = [along[k : k + 3] for along, k in zip(padded, origin.cell, strict=True)]
    z = len(coordinates)
    matrix = np.full((z, z), np.nan)
    for (i, j), entry in hessian(near, steps).items():
        value = float(entry.item())
        matrix[i, j] = matrix[j, i] = value if np.isfinite(value) else np.nan
    return matrix


def widths(line: Floats, along: Floats, start: int) -> npt.NDArray[Any]:
    """Width (levels,) of the interval about a point on which a line (n,) stays below each level.

    A level is L₀ + (factor − 1) |L₀|, L₀ the loss at `start`: factor · L₀ where L₀ > 0. The ends
    are where the loss first exceeds it on either side, interpolated linearly between grid points,
    and at the finite point beside an infinite one. NaN where the loss does not exceed the level
    within the grid or a NaN comes first, and where L₀ is 0 or not finite: it sets no scale.
    """
    lowest = line[start]
    if not np.isfinite(lowest) or lowest == 0:
        return np.full(len(LEVELS), np.nan)
    levels = [lowest + (factor - 1) * abs(lowest) for factor in LEVELS]
    sides = [(line[start:], along[start:]), (line[start::-1], along[start::-1])]
    ends = [[_crossing(*side, level) for side in sides] for level in levels]
    return np.array([abs(right - left) for right, left in ends])


def _crossing(line: Floats, along: Floats, level: float) -> float:
    """Where a line that starts below a level first exceeds it; NaN where it does not."""
    beyond = np.flatnonzero(~(line <= level))
    if not beyond.size or np.isnan(line[beyond[0]]):
        return np.nan
    k = int(beyond[0])
    if line[k - 1] == -np.inf:
        return float(along[k])
    with np.errstate(over="ignore"):
        part = (level - line[k - 1]) / (line[k] - line[k - 1])
    return float(along[k - 1] + part * (along[k] - along[k - 1]))
