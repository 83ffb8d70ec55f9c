"""All statistics of a scan in one self-explaining dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from pipeline.analysis import ranks
from pipeline.analysis.cells import cells
from pipeline.analysis.fidelity import fidelity
from pipeline.analysis.frame import Frame, frame_of
from pipeline.analysis.histogram import BINS, SAMPLE_POINTS, histogram_rankings
from pipeline.analysis.methods import FINITE, METHODS
from pipeline.analysis.minima_table import minima_table
from pipeline.analysis.proximity import nearest_minimisers, proximity
from pipeline.analysis.ranks import Ranking, exact_rankings
from pipeline.analysis.starts import is_multi_start, start_statistics
from pipeline.analysis.surface import surface
from pipeline.analysis.sweep import Sweep, sweep
from pipeline.analysis.transfer import transfer
from schemas.layout import AXIS, AXIS_OTHER, REPLICATE, SPLIT
from schemas.statistics import (
    ANALYSIS,
    ANALYSIS_DIMS,
    COMPARED,
    IOU_QUANTILES,
    LEVEL,
    LEVELS,
    QUANTILE,
    RADIUS,
    SURFACE,
    SURFACE_DIMS,
)


@dataclass(frozen=True)
class Analysis:
    """The statistics of a scan, and its local minima as the group `minima` holds them, if its
    section has a shape and they could be told apart.
    """

    statistics: xr.Dataset
    minima: xr.Dataset | None


def statistics(dataset: xr.Dataset, reference: Mapping[str, float]) -> xr.Dataset:
    """The statistics of a scan alone, as `analysed` has them."""
    return analysed(dataset, reference).statistics


def analysed(dataset: xr.Dataset, reference: Mapping[str, float]) -> Analysis:
    """The statistics of a scan and its local minima.

    Statistics are those variables of `schemas.layout` that apply, `ANALYSIS` and, if the attribute
    `section` of the dataset is `affine` or `path`, `SURFACE`; of a multi-start scan and of
    descents, `ENDS`.

    `dataset` holds `loss([replicate,] split, axis…)` and, if the landscape has them, `target`,
    `target_loss` and `predicted_<split>`, each `([replicate,] axis…)`; opened lazily
    (`xr.open_zarr(path, chunks={})`) it is read chunk by chunk. The first split is the reference
    split. `reference` may hold `global_minimum` and `section_floor`, known values of the loss.

    Where `section_hessian([replicate,] split, axis, axis_other, axis…)` was measured, its value at
    the origin is set beside the grid's own.

    What does not apply (no target, a single split, no prediction) is left out; what is undefined
    is NaN; what the grid does not allow is left out and named in the attribute `left_out`. The
    values do not depend on the timing of threads, and on chunks only by rounding.

    Raises InputError when the dataset has no loss per split.
    """
    if is_multi_start(dataset):
        return Analysis(start_statistics(dataset, reference), None)
    frame = frame_of(dataset)
    exact = frame.n_points <= ranks.EXACT_POINTS
    # Odd, so that samples of a grid of even sides do not keep to a few columns.
    step = None if exact else (frame.n_points // SAMPLE_POINTS) | 1
    sweeps = sweep(frame, step)
    nearest = nearest_minimisers(frame, sweeps)
    found: list[dict[str, npt.NDArray[Any]]] = [
        fidelity(frame, each.summary)
        | transfer(frame, each.summary)
        | proximity(frame, each.summary, near, reference)
        | met
        for each, near, met in zip(sweeps, nearest, cells(dataset, frame), strict=True)
    ]
    shape = surface(dataset, frame)
    for values, further in zip(found, shape.values, strict=True):
        values |= further
    notes: dict[str, Mapping[str, str | float]] = {**shape.notes}
    if len(frame.splits) > 1:
        rankings = _rankings(frame, sweeps, exact)
        notes |= _rank_notes(rankings, exact)
        for values, ranking in zip(found, rankings, strict=True):
            values["transfer_spearman"] = np.array([each.spearman for each in ranking])
            values["transfer_iou"] = np.array([each.iou for each in ranking])
    result = _dataset(frame, found, notes, shape.radii)
    if "outcome" in dataset:
        result = result.assign(start_statistics(dataset, reference).data_vars)
    if shape.left_out:
        result = result.assign_attrs(left_out="; ".join(shape.left_out))
    return Analysis(result, minima_table(frame, shape.minima, shape.resolution))


def _rankings(frame: Frame, sweeps: Sequence[Sweep], exact: bool) -> list[list[Ranking]]:
    if exact:
        return exact_rankings(frame)
    return histogram_rankings(frame, [each.summary for each in sweeps])


def _rank_notes(
    rankings: Sequence[Sequence[Ranking]], exact: bool
) -> dict[str, dict[str, str | float]]:
    """Attributes of the rank statistics: the method and the bound of its error."""
    method = f"{FINITE}; exact" if exact else f"{FINITE}; ranks of histograms of {BINS} bins"
    every = [each for replicate in rankings for each in replicate]
    return {
        "transfer_spearman": {
            "method": method,
            "error_bound": max(each.spearman_bound for each in every),
        },
        "transfer_iou": {"method": method, "error_bound": max(each.iou_bound for each in every)},
    }


def _dataset(
    frame: Frame,
    found: Sequence[Mapping[str, npt.NDArray[Any]]],
    notes: Mapping[str, Mapping[str, str | float]],
    radii: Sequence[float],
) -> xr.Dataset:
    """The values of all replicates with their dimensions, coordinates and attributes."""
    replicated = frame.replicates is not None
    variables = {}
    for name, told in {**ANALYSIS, **SURFACE}.items():
        if name not in found[0]:
            continue
        attrs: dict[str, str | float] = {"long_name": told.long_name, "units": told.units}
        if name in METHODS:
            attrs["method"] = METHODS[name]
        dims = ((REPLICATE,) if replicated else ()) + {**ANALYSIS_DIMS, **SURFACE_DIMS}[name]
        values = np.stack([each[name] for each in found]) if replicated else found[0][name]
        variables[name] = (dims, values, {**attrs, **notes.get(name, {})})
    dims_in_use = {dim for dims, _, _ in variables.values() for dim in dims}
    coordinates = _coordinates(frame, radii)
    return xr.Dataset(
        variables,
        coords={name: each for name, each in coordinates.items() if name in dims_in_use},
        attrs={"points": frame.n_points, "reference_split": frame.splits[0]},
    )


def _coordinates(
    frame: Frame, radii: Sequence[float]
) -> dict[str, tuple[str, Any, dict[str, str]]]:
    return {
        REPLICATE: (REPLICATE, frame.replicates, {"long_name": "independently seeded repetition"}),
        SPLIT: (SPLIT, _labels(frame.splits), {"long_name": "data set"}),
        COMPARED: (
            COMPARED,
            _labels(frame.splits[1:]),
            {"long_name": "data set compared with the reference split"},
        ),
        AXIS: (AXIS, _labels(frame.axes), {"long_name": "axis of the grid"}),
        AXIS_OTHER: (AXIS_OTHER, _labels(frame.axes), {"long_name": "axis of the grid"}),
        RADIUS: (
            RADIUS,
            np.array(radii, dtype=np.float64),
            {"long_name": "distance from the origin in the coordinates", "units": "1"},
        ),
        LEVEL: (
            LEVEL,
            np.array(LEVELS),
            {"long_name": "level of the loss over the loss at the origin", "units": "1"},
        ),
        QUANTILE: (
            QUANTILE,
            np.array(IOU_QUANTILES),
            {"long_name": "part of the points in a sub-level set", "units": "1"},
        ),
    }


def _labels(words: Sequence[str]) -> npt.NDArray[Any]:
    # Of variable length: Zarr format 3 knows no text of fixed length.
    return np.array(words, dtype=np.dtypes.StringDType())
