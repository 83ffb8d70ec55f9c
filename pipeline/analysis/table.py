"""Statistics as plain rows of text, for a terminal or a page to lay out."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterator
from itertools import product
from typing import Any, NamedTuple

import xarray as xr

from pipeline.analysis.confidence import over_replicates
from schemas.layout import AXIS, AXIS_OTHER, REPLICATE, SPLIT
from schemas.statistics import ANALYSIS, BOUND, COMPARED, ENDS, LEVEL, QUANTILE, RADIUS, SURFACE

UNDEFINED = "undefined"
GROUPS = {"origin": "sharpness", "ends": "descents"}
"""Groups of variables whose prefix is not their group's name."""


class Row(NamedTuple):
    """A statistic of a split (or of none: an empty string), ready to be read."""

    group: str
    name: str
    split: str
    value: str
    long_name: str


def rows(statistics: xr.Dataset) -> list[Row]:
    """A row for every statistic and split, in the order of the layout.

    Statistics of several replicates, or intervals over them, read `mean [low, high]`. Values along
    axes, quantiles, radii or levels share a row: `h1 0.5, h2 -0.25`.
    """
    if REPLICATE in statistics.dims:
        statistics = over_replicates(statistics)
    return [
        Row(_group(name), name, split, _text(values), told.long_name)
        for name, told in {**ANALYSIS, **SURFACE, **ENDS}.items()
        if name in statistics
        for split, values in _by_split(statistics[name])
    ]


def number(value: float) -> str:
    """Four significant digits, counts in full; `undefined` for NaN."""
    if math.isnan(value):
        return UNDEFINED
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.4g}"


def _group(name: str) -> str:
    if name.startswith("fidelity_") or name in ("theorem_constant", "target_range"):
        return "fidelity"
    prefix = name.split("_")[0]
    if prefix in ("transfer", "cells") or name in SURFACE or name in ENDS:
        return GROUPS.get(prefix, prefix)
    return "proximity"


def _by_split(variable: xr.DataArray) -> Iterator[tuple[str, xr.DataArray]]:
    """The values of each split or compared split; all of them under no name if it has neither."""
    for dim in (SPLIT, COMPARED):
        if dim in variable.dims:
            for label in variable[dim].values:
                yield str(label), variable.sel({dim: label})
            return
    yield "", variable


def _text(values: xr.DataArray) -> str:
    shared = [dim for dim in values.dims if dim in _LABELS]
    if not shared:
        return _scalar(values)
    parts = []
    for labels in product(*(values[dim].values for dim in shared)):
        words = [_LABELS[dim](label) for dim, label in zip(shared, labels, strict=True)]
        chosen = values.sel(dict(zip(shared, labels, strict=True)))
        parts.append(f"{' '.join(words)} {_scalar(chosen)}")
    return ", ".join(parts)


_LABELS: dict[Hashable, Callable[[Any], str]] = {
    AXIS: str,
    AXIS_OTHER: lambda axis: f"× {axis}",
    QUANTILE: lambda share: f"{share:.0%}",
    RADIUS: lambda radius: f"within {number(radius)}:",
    LEVEL: lambda level: f"at {level:g} L0:",
}


def _scalar(value: xr.DataArray) -> str:
    """`mean [low, high]` of an interval, the mean alone where it has no ends."""
    if BOUND not in value.dims:
        return number(float(value))
    low, mean, high = (float(value.sel({BOUND: each})) for each in ("low", "mean", "high"))
    if math.isnan(low) or math.isnan(high):
        return number(mean)
    return f"{number(mean)} [{number(low)}, {number(high)}]"
