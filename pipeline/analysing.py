"""Analyse a stored scan: statistics, local minima, and where training on from the least leads."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import xarray as xr

from pipeline.analysis import analysed
from pipeline.descent import Descent, descend
from pipeline.locking import locked
from pipeline.manifest import StoredScan, read_stored
from pipeline.reading import open_scan
from pipeline.rebuilding import rebuilt
from pipeline.refining import MOST_NUMBERS, refined
from pipeline.store import consolidate
from schemas.errors import InputError
from schemas.layout import (
    AFFINE,
    ANALYSIS_GROUP,
    BASIN,
    DESCENT_GROUP,
    MINIMA_GROUP,
    MINIMUM,
    REPLICATE,
    SECTION_GROUP,
)
from schemas.statistics import DESCENT
from tasks.landscape import Landscape
from tasks.registry import Progress, silent

_REFERENCE_MINIMUM = "global_minimum"


def analyse(store: str | Path, *, display: Progress = silent) -> xr.Dataset:
    """Compute the statistics of a scan, store them as its group `analysis`, and return them.

    The local minima of its surfaces are stored as the group `minima`, refined where the landscape
    can be built again at little cost. Where the task knows the global minimum, every parameter is
    trained on from the scan's argmin, once, and the outcome is stored as the group `descent`.

    Raises:
        StoreError: there is no scan, or another run is writing to it.
    """
    path = Path(store)
    stored = read_stored(path)
    with locked(path):
        tree = open_scan(path)
        found = analysed(tree.to_dataset(), stored.reference)
        result = found.statistics.load()
        _write(result, path, ANALYSIS_GROUP)
        landscapes: list[Landscape] = []
        if DESCENT_GROUP not in tree.children and _can_descend(stored, result):
            landscapes = rebuilt(path, stored, display)
            descents = _descents(landscapes, stored, result, display)
            if descents:
                _write(_descent_dataset(descents), path, DESCENT_GROUP)
        if found.minima is not None:
            table = _refined(found.minima, path, stored, tree, landscapes, display)
            _write_minima(table, path, stored)
        consolidate(path)
    return result


def _refined(
    table: xr.Dataset,
    path: Path,
    stored: StoredScan,
    tree: xr.DataTree,
    landscapes: list[Landscape],
    display: Progress,
) -> xr.Dataset:
    """The table with its minima refined, if it has any, and why not where they are not."""
    if not table.sizes[MINIMUM]:
        return table
    if tree.attrs["section"] != AFFINE:
        return table.assign_attrs(refinement="none: a path may have bends")
    if _moved_numbers(tree) > MOST_NUMBERS:
        return table.assign_attrs(refinement=f"none: more than {MOST_NUMBERS:,} numbers are moved")
    try:
        landscapes = landscapes or rebuilt(path, stored, display)
    except InputError as error:
        # A store can be analysed where the files that it was made of are not at hand.
        return table.assign_attrs(refinement=f"none: {error}")
    if not landscapes:
        return table.assign_attrs(refinement="none: the model was given in memory")
    axes = [np.asarray(tree[name].values, dtype=np.float64) for name in stored.spec.axes]
    return refined(table, landscapes, axes)


def _moved_numbers(tree: xr.DataTree) -> int:
    """How many numbers the directions of a module's section have, 0 of a closed form."""
    if SECTION_GROUP not in tree.children:
        return 0
    shapes = tree[SECTION_GROUP].to_dataset()["shape"].values.ravel()
    return sum(math.prod(json.loads(str(shape))) for shape in shapes)


def _can_descend(stored: StoredScan, result: xr.Dataset) -> bool:
    known = _REFERENCE_MINIMUM in stored.reference and "argmin" in result
    return known and bool(np.isfinite(result["argmin"].isel(split=0)).all())


def _descents(
    landscapes: list[Landscape], stored: StoredScan, result: xr.Dataset, display: Progress
) -> list[Descent]:
    split = stored.spec.splits[0]
    starts = result["argmin"].sel(split=split)
    if REPLICATE not in starts.dims:
        starts = starts.expand_dims(REPLICATE)
    found = [
        descend(landscape, np.asarray(start, dtype=np.float64), split, display)
        for landscape, start in zip(landscapes, starts.transpose(REPLICATE, ...), strict=True)
    ]
    return [descent for descent in found if descent is not None]


def _descent_dataset(descents: list[Descent]) -> xr.Dataset:
    columns = {
        name: xr.DataArray(
            [descent.as_dict()[name] for descent in descents],
            dims=REPLICATE,
            attrs={"long_name": variable.long_name, "units": variable.units},
        )
        for name, variable in DESCENT.items()
    }
    dataset = xr.Dataset(columns)
    return dataset if len(descents) > 1 else dataset.isel({REPLICATE: 0})


def _write_minima(table: xr.Dataset, path: Path, stored: StoredScan) -> None:
    if BASIN in table:
        chunks = stored.contents.grid.chunks
        leading = (1,) * (table[BASIN].ndim - len(chunks))
        table[BASIN].encoding["chunks"] = (*leading, *chunks)
    _write(table, path, MINIMA_GROUP)


def _write(dataset: xr.Dataset, path: Path, group: str) -> None:
    dataset.to_zarr(path, group=group, mode="w", consolidated=False, zarr_format=3)
