"""Checkpoints projected into the section: where they lie, and what the surface says there.

Shape legend: n = checkpoints of a run, C = corners of a cell.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

from schemas.layout import AXIS, CHECKPOINT, REPLICATE, SPLIT, TRAJECTORY_GROUP

Floats: TypeAlias = npt.NDArray[np.float64]
GREATEST_DRAWN = 1e30
"""Beyond this the single precision of a browser overflows; such values count as not finite."""

# no axis of a grid has such a name
_CORNER, _PLACE = "_corner", "_place"


@dataclass(frozen=True)
class Run:
    """The checkpoints of one training run, in order; a single model has one.

    Attributes:
        name: the run's name.
        checkpoints: their names (n).
        at: axis → coordinates (n) of the checkpoints' projections into the section.
        inside: whether each lies on the grid (n), half a cell around it included.
        explained: fraction (n) of the squared displacement from the section's origin that lies
            within the section; NaN for the origin itself.
        distance: Euclidean distance (n) of the checkpoints from the section.
        own: split → loss (n) of the checkpoints themselves.
        surface: split → loss (n) of the surface at their projections, interpolated linearly on
            the grid; NaN outside of it.
    """

    name: str
    checkpoints: tuple[str, ...]
    at: Mapping[str, Floats]
    inside: npt.NDArray[np.bool_]
    explained: Floats
    distance: Floats
    own: Mapping[str, Floats]
    surface: Mapping[str, Floats]

    @property
    def single(self) -> bool:
        """Whether this is one model rather than a trajectory."""
        return len(self.checkpoints) == 1


def read_runs(
    scan: xr.DataTree, loss: xr.DataArray, held: Mapping[str, float], logs: frozenset[str]
) -> tuple[Run, ...]:
    """The runs that a scan holds, of its first replicate; none when it holds no trajectories.

    `loss` (split, axes ascending) may be larger than memory: only the corners of the cells that
    hold a checkpoint are read. `held` are the axes of a single point.
    """
    if TRAJECTORY_GROUP not in scan.children:
        return ()
    found = scan[TRAJECTORY_GROUP].to_dataset().load()
    if REPLICATE in found.dims:
        found = found.isel({REPLICATE: 0}, drop=True)
    places = found["coordinate"].transpose(AXIS, CHECKPOINT)
    labels = [str(axis) for axis in places[AXIS].values]
    at = dict(zip(labels, places.values.astype(np.float64), strict=True))
    shown = {str(axis): at[str(axis)] for axis in loss.dims if axis != SPLIT}
    surface = interpolated(loss, shown, logs)
    on_grid = np.all([inside(loss[axis].values, x, axis in logs) for axis, x in shown.items()], 0)
    for axis, value in held.items():
        surface = np.where(np.isclose(at[axis], value), surface, np.nan)
    own = found["loss"].transpose(SPLIT, CHECKPOINT)
    losses = dict(zip(map(str, own[SPLIT].values), own.values.astype(np.float64), strict=True))
    splits = [str(split) for split in loss[SPLIT].values]
    unknown = np.full(on_grid.shape, np.nan)
    names = np.array([str(value) for value in found["run"].values])
    return tuple(
        Run(
            name=str(name),
            checkpoints=tuple(map(str, found["name"].values[mine])),
            at={axis: values[mine] for axis, values in at.items()},
            inside=on_grid[mine],
            explained=found["explained"].values[mine].astype(np.float64),
            distance=found["distance"].values[mine].astype(np.float64),
            own={split: losses.get(split, unknown)[mine] for split in splits},
            surface={split: row[mine] for split, row in zip(splits, surface, strict=True)},
        )
        for name in dict.fromkeys(names)
        for mine in [np.flatnonzero(names == name)]
    )


def interpolated(field: xr.DataArray, places: Mapping[str, Floats], logs: frozenset[str]) -> Floats:
    """The field (…, axes ascending) at n places, linear within each cell: (…, n).

    Linear on the scale that is drawn. Within half a cell around the grid it is the grid's border;
    further out, and beside a corner that is not finite, it is NaN.
    """
    corners, weights = [], []
    sides = [_cell(field[axis].values, x, axis in logs) for axis, x in places.items()]
    for corner in itertools.product((0, 1), repeat=len(sides)):
        corners.append([lower + bit for (lower, _), bit in zip(sides, corner, strict=True)])
        shares = [w if bit else 1 - w for (_, w), bit in zip(sides, corner, strict=True)]
        weights.append(np.prod(shares, axis=0))
    index = np.array(corners)  # (C, axes, n)
    near = field.isel(
        {axis: ((_CORNER, _PLACE), index[:, i]) for i, axis in enumerate(places)}
    ).transpose(..., _CORNER, _PLACE)
    values = near.values.astype(np.float64)
    values = np.where(np.abs(values) < GREATEST_DRAWN, values, np.nan)
    share = np.array(weights)
    total = np.where(share > 0, values * share, 0.0).sum(axis=-2)
    on_grid = [inside(field[axis].values, x, axis in logs) for axis, x in places.items()]
    return np.asarray(np.where(np.all(on_grid, axis=0), total, np.nan), dtype=np.float64)


def inside(grid: npt.NDArray[np.float64], x: Floats, logarithmic: bool) -> npt.NDArray[np.bool_]:
    """Whether each of x lies within the cells around the points of an ascending grid."""
    place, at = _drawn(grid, grid, logarithmic), _drawn(grid, x, logarithmic)
    low = place[0] - (place[1] - place[0]) / 2
    high = place[-1] + (place[-1] - place[-2]) / 2
    return np.asarray((at >= low) & (at <= high))


def between(grid: Floats, x: Floats, pieces: npt.NDArray[np.int64], logarithmic: bool) -> Floats:
    """The coordinates x (n) and, after the i-th, `pieces[i]` − 1 more on the way to the next.

    Evenly spaced on the scale that the grid is drawn on.
    """
    at = _drawn(grid, x, logarithmic)
    starts = np.concatenate([[0], np.cumsum(pieces)])
    drawn = np.interp(np.arange(starts[-1] + 1), starts, at)
    sign = float(np.sign(grid[0]))
    return np.asarray(sign * np.exp(sign * drawn) if logarithmic else drawn, dtype=np.float64)


def _cell(
    grid: npt.NDArray[np.float64], x: Floats, logarithmic: bool
) -> tuple[npt.NDArray[np.int64], Floats]:
    """Index of the grid point below each x, and how far along the cell it lies, 0 … 1."""
    place, at = _drawn(grid, grid, logarithmic), _drawn(grid, x, logarithmic)
    at = np.clip(np.where(np.isfinite(at), at, place[0]), place[0], place[-1])
    lower = np.clip(np.searchsorted(place, at, side="right") - 1, 0, len(place) - 2)
    return lower, (at - place[lower]) / (place[lower + 1] - place[lower])


def _drawn(grid: npt.NDArray[np.float64], x: Floats, logarithmic: bool) -> Floats:
    """Values on the scale that the grid is drawn on, ascending; NaN where it has no place."""
    if not logarithmic:
        return np.asarray(x, dtype=np.float64)
    sign = float(np.sign(grid[0]))
    magnitude = np.where(sign * x > 0, sign * x, np.nan)
    return np.asarray(sign * np.log(magnitude), dtype=np.float64)
