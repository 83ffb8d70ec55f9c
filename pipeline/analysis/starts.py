"""Statistics of the starts of a multi-start scan, and of the descents of any scan.

Shape legend: R = replicates (one when the scan has none), S = splits, P = points of the scan.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from pipeline.analysis.frame import computed
from schemas.layout import REPLICATE, SPLIT, STARTS, DescentOutcome
from schemas.starts import RELATIVE
from schemas.statistics import ENDS, ENDS_DIMS

_READ = ("loss", "end_loss", "iterations", "outcome")
_COUNTED = "of the descents from points at which the loss is finite"
_METHODS = {
    **{name: _COUNTED for name in ENDS if name.startswith("ends_")},
    "ends_losses": "two are different if all between them are more than "
    f"{RELATIVE:g} max(|least|, median loss at the points - least) apart",
}


def is_multi_start(dataset: xr.Dataset) -> bool:
    """Whether the points of a scan are starts."""
    return dataset.attrs.get("section") == STARTS


def start_statistics(dataset: xr.Dataset, reference: Mapping[str, float]) -> xr.Dataset:
    """Those variables of `schemas.statistics.ENDS` that apply to a scan.

    `dataset` holds `loss([replicate,] split, …)` and, of descents, `end_loss`, `iterations` and
    `outcome` alike, with an attribute `target` if they had one; `reference` may hold
    `global_minimum`, that of the first split. A replicate at a time is held in memory.
    """
    read = dataset[[name for name in _READ if name in dataset]]
    replicated = REPLICATE in read["loss"].dims
    every = read if replicated else read.expand_dims(REPLICATE)
    known = "global_minimum" in reference
    found = []
    for replicate in range(every.sizes[REPLICATE]):
        one = _flat(every.isel({REPLICATE: replicate}))
        values = _of_starts(one["loss"]) if is_multi_start(dataset) else {}
        if "outcome" in one:
            values |= _of_ends(one, known, "target" in read["outcome"].attrs)
        found.append(values)
    variables: dict[Hashable, Any] = {}
    for name in found[0]:
        dims = ((REPLICATE,) if replicated else ()) + ENDS_DIMS[name]
        values_of = np.stack([each[name] for each in found]) if replicated else found[0][name]
        told = {"long_name": ENDS[name].long_name, "units": ENDS[name].units}
        method = {"method": _METHODS[name]} if name in _METHODS else {}
        variables[name] = (dims, values_of, told | method)
    splits = [str(split) for split in dataset[SPLIT].values]
    coordinates: dict[Hashable, Any] = {
        SPLIT: (SPLIT, np.array(splits, dtype=np.dtypes.StringDType()), {"long_name": "data set"})
    }
    if replicated:
        coordinates[REPLICATE] = dataset[REPLICATE]
    points = int(np.prod([n for dim, n in read["loss"].sizes.items() if dim in _points(read)]))
    attributes = {"points": points, "reference_split": splits[0]}
    return xr.Dataset(variables, coordinates, attributes)


def _points(dataset: xr.Dataset) -> list[Hashable]:
    return [dim for dim in dataset["loss"].dims if dim not in (REPLICATE, SPLIT)]


def _flat(dataset: xr.Dataset) -> dict[str, npt.NDArray[Any]]:
    """Each variable in memory, (S, P)."""
    dims = _points(dataset)
    lazy = {str(name): each.transpose(SPLIT, *dims).data for name, each in dataset.items()}
    (loaded,) = computed(lazy)
    return {name: np.asarray(each).reshape(len(each), -1) for name, each in loaded.items()}


def _of_starts(loss: npt.NDArray[Any]) -> dict[str, npt.NDArray[Any]]:
    """Of losses (S, P)."""
    rows = [row[np.isfinite(row)].astype(np.float64) for row in loss]
    return {
        "starts_finite": np.array([row.size for row in rows]),
        "starts_loss_min": _each(np.min, rows),
        "starts_loss_median": _each(np.median, rows),
        "starts_loss_max": _each(np.max, rows),
    }


def _of_ends(
    one: Mapping[str, npt.NDArray[Any]], known: bool, aimed: bool
) -> dict[str, npt.NDArray[Any]]:
    """Of one replicate, variables (S, P)."""
    descended = np.isfinite(one["loss"])
    outcome, end = one["outcome"], one["end_loss"].astype(np.float64)

    def count(*wanted: DescentOutcome) -> npt.NDArray[np.int64]:
        counts: npt.NDArray[np.int64] = (descended & np.isin(outcome, wanted)).sum(axis=1)
        return counts

    ended = descended & (outcome != DescentOutcome.NOT_CONVERGED) & np.isfinite(end)
    converged = ended & (outcome != DescentOutcome.LOW_ENOUGH)
    of_ended, of_converged = (
        [row[there] for row, there in zip(end, rows, strict=True)] for rows in (ended, converged)
    )
    starts = [row[there] for row, there in zip(one["loss"], descended, strict=True)]
    iterations = [row[there] for row, there in zip(one["iterations"], descended, strict=True)]
    found: dict[str, npt.NDArray[Any]] = {}
    if known:
        reached, all_of_them = count(DescentOutcome.GLOBAL)[0], np.count_nonzero(descended[0])
        share = reached / all_of_them if all_of_them else np.nan
        found |= {
            "ends_global": np.asarray(reached),
            "ends_global_fraction": np.asarray(share),
            "ends_spurious": np.asarray(count(DescentOutcome.SPURIOUS)[0]),
        }
    if aimed:
        found["ends_low_enough"] = count(DescentOutcome.LOW_ENOUGH)
    minima = (DescentOutcome.GLOBAL, DescentOutcome.SPURIOUS, DescentOutcome.MINIMUM)
    return found | {
        "ends_minimum": count(*minima),
        "ends_saddle": count(DescentOutcome.SADDLE),
        "ends_not_converged": count(DescentOutcome.NOT_CONVERGED),
        "ends_loss_min": _each(np.min, of_ended),
        "ends_loss_max": _each(np.max, of_ended),
        "ends_losses": np.array(
            [different(row, from_) for row, from_ in zip(of_converged, starts, strict=True)]
        ),
        "ends_iterations_median": _each(np.median, iterations),
        "ends_iterations_max": _each(np.max, iterations),
    }


def different(losses: npt.NDArray[Any], starts: npt.NDArray[Any]) -> int:
    """How many different values there are among the losses at ends, given those at the starts.

    Sorted, a value begins wherever the gap is more than the share of a loss that an outcome takes
    for rounding.
    """
    if not losses.size:
        return 0
    ordered = np.sort(losses.astype(np.float64))
    depth = float(np.median(starts.astype(np.float64))) - ordered[0]
    gaps = np.diff(ordered) > RELATIVE * max(abs(ordered[0]), depth)
    return 1 + int(np.count_nonzero(gaps))


def _each(statistic: Any, rows: list[npt.NDArray[Any]]) -> npt.NDArray[np.float64]:  # noqa: ANN401 - of numpy's
    """A statistic of each row; NaN of an empty one."""
    return np.array([float(statistic(row)) if row.size else np.nan for row in rows])
