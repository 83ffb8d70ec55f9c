"""The minima of a scan as a dataset: the group `minima` of its store.

Shape legend: R = replicates, S = splits, M = minima of a surface, z = axes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from pipeline.analysis.descending import Indices
from pipeline.analysis.frame import Frame
from pipeline.analysis.minima import Minima
from pipeline.analysis.watersheds import Labels
from schemas.layout import AXIS, BASIN, MINIMUM, REPLICATE, SPLIT
from schemas.statistics import MINIMA

_WALL = np.int32(-1)
_METHOD = (
    "no neighbour, of the 3^z - 1, is lower; a plateau counts once; NaN and +inf are walls; basins "
    "by steepest descent from neighbour to neighbour; depth is the persistence of the minimum "
    "(Edelsbrunner et al. 2002): the least height of a pass to a deeper basin, less the loss"
)
_RESOLUTION = (
    "minima whose depth over the greater magnitude of their loss and their pass is up to the "
    "resolution, that of two rounded losses, are merged into the basin beyond the pass"
)


def minima_table(
    frame: Frame, found: Sequence[Sequence[Minima | None]], relative: float
) -> xr.Dataset | None:
    """The minima [R][S] of a grid, one axis of which may have but one point; None if none are told.

    Rows are sorted by split, then by replicate and by loss. `basin` ([replicate,] split, axis…)
    is the row of the minimum that each point descends to, −1 for walls, if it was kept.
    """
    known = {
        (s, r): each
        for s in range(len(frame.splits))
        for r, splits in enumerate(found)
        if (each := splits[s]) is not None
    }
    if not known:
        return None
    ranked = {key: np.argsort(each.loss, kind="stable") for key, each in known.items()}
    told = [_columns(each, ranked[key], key, frame) for key, each in known.items()]
    variables = {
        name: xr.DataArray(
            np.concatenate([columns[name] for columns in told]),
            dims=(MINIMUM, AXIS)[: first.ndim],
            attrs={"long_name": MINIMA[name].long_name, "units": MINIMA[name].units},
        )
        for name, first in told[0].items()
    }
    kept = [each.basin for each in known.values() if each.basin is not None]
    if len(kept) == frame.n_replicates * len(frame.splits):
        variables[BASIN] = _basins(frame, kept, list(ranked.values()))
    return xr.Dataset(
        variables,
        coords={AXIS: (AXIS, _words(frame.axes), {"long_name": "axis of the grid"})},
        attrs={
            "method": _METHOD,
            "resolution": relative,
            "resolution_meaning": _RESOLUTION,
            "merged": sum(each.merged for each in known.values()),
        },
    )


def _columns(
    found: Minima, rows: Indices, key: tuple[int, int], frame: Frame
) -> dict[str, npt.NDArray[Any]]:
    split, replicate = key
    cells = np.unravel_index(found.place[rows], frame.grid_shape)
    places = [along[k] for along, k in zip(frame.coordinates, cells, strict=True)]
    of = {"of_split": _words([frame.splits[split]] * rows.size)}
    if frame.replicates is not None:
        of["of_replicate"] = np.full(rows.size, frame.replicates[replicate])
    return {
        **of,
        "coordinate": np.stack(places, axis=1),
        "loss": found.loss[rows],
        "at_edge": found.at_edge[rows],
        "plateau_points": found.plateau[rows],
        "basin_points": found.points[rows],
        "basin_fraction": found.points[rows] / max(1, int(found.points.sum())),
        "depth": found.depth[rows],
    }


def _basins(frame: Frame, kept: Sequence[Labels], ranked: Sequence[Indices]) -> xr.DataArray:
    """The rows of the minima that points descend to, from their numbers in each surface."""
    labels = np.empty((len(kept), *frame.grid_shape), dtype=np.int32)
    first = 0
    for k, (numbers, rows) in enumerate(zip(kept, ranked, strict=True)):
        row = np.empty(rows.size + 1, dtype=np.int32)
        row[rows] = np.arange(first, first + rows.size)
        row[-1] = _WALL
        labels[k] = row[numbers.reshape(frame.grid_shape)]
        first += rows.size
    shape = (len(frame.splits), frame.n_replicates, *frame.grid_shape)
    told = {"long_name": "number of the minimum that the point descends to", "units": "1"}
    basin = xr.DataArray(labels.reshape(shape), dims=(SPLIT, REPLICATE, *frame.axes), attrs=told)
    # As the CF conventions have it: what reads them finds no basin where there is a wall.
    basin.encoding["_FillValue"] = _WALL
    if frame.replicates is None:
        return basin.isel({REPLICATE: 0})
    return basin.transpose(REPLICATE, SPLIT, *frame.axes)


def _words(words: Sequence[str]) -> npt.NDArray[Any]:
    return np.array(words, dtype=np.dtypes.StringDType())
