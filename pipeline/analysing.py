"""Analyse a stored scan: its statistics, and where training on from its minimum leads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from pipeline.analysis import statistics
from pipeline.descent import Descent, descend
from pipeline.locking import locked
from pipeline.manifest import StoredScan, read_stored
from pipeline.reading import open_scan
from pipeline.rebuilding import rebuilt
from pipeline.store import consolidate
from schemas.layout import ANALYSIS_GROUP, DESCENT, DESCENT_GROUP, REPLICATE
from tasks.registry import Progress, silent

_REFERENCE_MINIMUM = "global_minimum"


def analyse(store: str | Path, *, display: Progress = silent) -> xr.Dataset:
    """Compute the statistics of a scan, store them as its group `analysis`, and return them.

    Where the task knows the global minimum, every parameter is trained on from the scan's argmin,
    once, and the outcome is stored as the group `descent`.

    Raises:
        StoreError: there is no scan, or another run is writing to it.
    """
    path = Path(store)
    stored = read_stored(path)
    with locked(path):
        tree = open_scan(path)
        result = statistics(tree.to_dataset(), stored.reference).load()
        _write(result, path, ANALYSIS_GROUP)
        if DESCENT_GROUP not in tree.children and _can_descend(stored, result):
            descents = _descents(path, stored, result, display)
            if descents:
                _write(_descent_dataset(descents), path, DESCENT_GROUP)
        consolidate(path)
    return result


def _can_descend(stored: StoredScan, result: xr.Dataset) -> bool:
    known = _REFERENCE_MINIMUM in stored.reference and "argmin" in result
    return known and bool(np.isfinite(result["argmin"].isel(split=0)).all())


def _descents(
    path: Path, stored: StoredScan, result: xr.Dataset, display: Progress
) -> list[Descent]:
    landscapes = rebuilt(path, stored, display)
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


def _write(dataset: xr.Dataset, path: Path, group: str) -> None:
    dataset.to_zarr(path, group=group, mode="w", consolidated=False, zarr_format=3)
