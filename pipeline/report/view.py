"""What is drawn of a scan: a thinned copy that fits in memory, its axes and its minima.

The grid may be far larger than memory. Only this module reads it, always by index first and
load second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

from pipeline.report.minima import LocalMinimum, drawn_minima
from pipeline.report.runs import GREATEST_DRAWN, Run, read_runs
from schemas.layout import (
    ANALYSIS_GROUP,
    AXIS,
    PREDICTED_PREFIX,
    REPLICATE,
    SPLIT,
    TARGET,
    TARGET_LOSS,
)

Floats: TypeAlias = npt.NDArray[np.float64]
Indices: TypeAlias = npt.NDArray[np.int64]

MOST_PER_AXIS = 512
MOST_PER_AXIS_OF_CUBE = {3: 48, 4: 24}
MOST_POINTS_OF_HYPERCUBE = 24**4
_CELL = "activation_cell"
PATH = "path"
"""The root attribute `section` of a scan along a path, whose coordinate is t."""


@dataclass(frozen=True)
class Mark:
    """The minimum of a surface: `key` is a split, or `target`."""

    key: str
    at: Mapping[str, float]


@dataclass(frozen=True)
class Barrier:
    """How far the loss of a split rises above the straight line between a path's ends."""

    height: float
    at: float


@dataclass(frozen=True)
class View:
    """A scan as it is drawn: its first replicate, axes ascending, one-point axes held.

    `full` is lazy and whole; `thin` is in memory, with at most MOST_PER_AXIS points along each
    axis (fewer from three axes on) and NaN wherever a value is not finite.
    """

    axes: tuple[str, ...]
    held: Mapping[str, float]
    logs: frozenset[str]
    splits: tuple[str, ...]
    full: xr.Dataset
    thin: xr.Dataset
    every_replicate: xr.DataArray | None
    marks: tuple[Mark, ...]
    minima: tuple[LocalMinimum, ...]
    runs: tuple[Run, ...]
    along_path: bool
    barriers: Mapping[str, Barrier]

    @property
    def reference(self) -> str:
        """The split the others are compared with: the first one."""
        return self.splits[0]

    @property
    def target(self) -> str | None:
        """The variable to show as the target: the one in units of the loss, if there is one."""
        return next((name for name in (TARGET_LOSS, TARGET) if name in self.full), None)

    @property
    def reduced(self) -> bool:
        """Whether `thin` leaves points of the grid out."""
        return any(self.thin.sizes[name] < self.full.sizes[name] for name in self.axes)

    def reduced_words(self, most: int) -> str:
        """The sentence that says a figure keeps at most `most` points along each axis, if so."""
        longest = max(self.full.sizes[name] for name in self.axes)
        return f"Reduced to at most {most} points along each axis." if longest > most else ""

    def loss(self, split: str) -> xr.DataArray:
        """The drawn loss of a split."""
        return self.thin["loss"].sel({SPLIT: split})

    def predicted(self, split: str) -> xr.DataArray | None:
        """The drawn prediction of the difference to the reference split, if there is one."""
        return self.thin.get(PREDICTED_PREFIX + split)

    def mark(self, key: str) -> Mark | None:
        """The minimum of a split or of the target; None when it has no finite value."""
        return next((mark for mark in self.marks if mark.key == key), None)

    def units(self, name: str) -> str:
        """` (unit)` of a variable or axis, empty when it is a pure number."""
        unit = str(self.full[name].attrs.get("units", "1"))
        return "" if unit in ("", "1") else f" ({unit})"


def look(scan: xr.DataTree) -> View:
    """The view of a scan; loads no more than it draws."""
    root = scan.to_dataset()
    grid_axes = [str(dim) for dim in root["loss"].dims if dim not in (REPLICATE, SPLIT)]
    names = [
        name
        for name in (
            "loss",
            "accuracy",
            "end_loss",
            "outcome",
            _CELL,
            TARGET,
            TARGET_LOSS,
            *_predictions(root),
        )
        if name in root
    ]
    ascending = {axis: _ascending(root[axis].values) for axis in grid_axes}
    every = root[names].isel(ascending)
    held = {axis: float(root[axis][0]) for axis in grid_axes if root.sizes[axis] == 1}
    every = every.isel(dict.fromkeys(held, 0), drop=True)
    full = every.isel({REPLICATE: 0}, drop=True) if REPLICATE in every.dims else every
    axes = tuple(axis for axis in grid_axes if axis not in held)
    logs = frozenset(axis for axis in axes if is_logarithmic(root[axis].values))
    full = full.assign_coords({SPLIT: [str(split) for split in root[SPLIT].values]})
    marks = _analysed_marks(scan, grid_axes)
    view = View(
        axes=axes,
        held=held,
        logs=logs,
        splits=tuple(str(split) for split in root[SPLIT].values),
        full=full,
        thin=xr.Dataset(),
        every_replicate=every["loss"] if root.sizes.get(REPLICATE, 1) > 1 else None,
        marks=marks,
        minima=drawn_minima(scan) if axes else (),
        runs=read_runs(scan, full["loss"], held, logs) if axes else (),
        along_path=scan.attrs.get("section") == PATH and len(axes) == 1,
        barriers=_barriers(scan),
    )
    # Hashes are no numbers to be drawn as such.
    drawn = view.full.drop_vars(_CELL, errors="ignore")
    view = replace(view, thin=load(drawn.isel(thinning(view, most_per_axis(len(axes))))))
    return view if marks else replace(view, marks=_drawn_marks(view))


def most_per_axis(z: int) -> int:
    """Points kept along each of z axes."""
    if z < 3:
        return MOST_PER_AXIS
    return MOST_PER_AXIS_OF_CUBE.get(z) or max(2, int(MOST_POINTS_OF_HYPERCUBE ** (1 / z)))


def thinning(view: View, most: int) -> dict[str, Indices]:
    """For each axis the indices to draw; the ends and the minima are always among them."""
    return {
        axis: kept(
            view.full.sizes[axis],
            most,
            [nearest(view.full[axis].values, mark.at[axis]) for mark in view.marks],
        )
        for axis in view.axes
    }


def kept(n: int, most: int, must: Sequence[int] = ()) -> Indices:
    """At most `most` of the indices 0 … n−1: a stride, the last, and as many of `must` as fit."""
    if n <= most:
        return np.arange(n)
    extra = {n - 1, *must[: most // 2]}
    stride = -(-n // max(1, most - len(extra)))
    return np.unique(np.array([*range(0, n, stride), *extra], dtype=np.int64))


def load(data: xr.Dataset) -> xr.Dataset:
    """The data in memory as float64, with NaN wherever a value is not finite."""
    loaded = data.load().astype(np.float64)
    return loaded.where(abs(loaded) < GREATEST_DRAWN)


def nearest(coordinates: npt.NDArray[Any], value: float) -> int:
    """Index of the coordinate nearest to `value`."""
    return int(np.argmin(np.abs(coordinates - value)))


def is_logarithmic(coordinates: npt.NDArray[Any]) -> bool:
    """Whether coordinates of one sign stand in equal ratios, and so belong on a log scale."""
    if coordinates.size < 3 or coordinates.min() * coordinates.max() <= 0:
        return False
    steps = np.diff(np.log(np.abs(coordinates.astype(np.float64))))
    return bool(np.ptp(steps) <= 1e-6 * abs(steps.mean()) and abs(np.sum(steps)) > 0.5)


def edges(coordinates: Floats, logarithmic: bool) -> Floats:
    """Borders of the cells around ascending coordinates, half way on the scale that is drawn."""
    sign = np.sign(coordinates[0]) if logarithmic else 1.0
    place = np.log(np.abs(coordinates)) if logarithmic else coordinates.astype(np.float64)
    middle = (place[1:] + place[:-1]) / 2
    borders = np.concatenate([[2 * place[0] - middle[0]], middle, [2 * place[-1] - middle[-1]]])
    return sign * np.exp(borders) if logarithmic else borders


def over_replicates(every: xr.DataArray) -> xr.Dataset:
    """`mean` and `spread` of a loss over its replicates."""
    loss = load(every.to_dataset(name="loss"))["loss"]
    return xr.Dataset(
        {"mean": loss.mean(REPLICATE, skipna=False), "spread": loss.std(REPLICATE, skipna=False)}
    )


def _predictions(root: xr.Dataset) -> list[str]:
    return [str(name) for name in root.data_vars if str(name).startswith(PREDICTED_PREFIX)]


def _ascending(coordinates: npt.NDArray[Any]) -> slice:
    descending = coordinates.size > 1 and coordinates[0] > coordinates[-1]
    return slice(None, None, -1) if descending else slice(None)


def _analysis(scan: xr.DataTree) -> xr.Dataset:
    """What the analysis found in the first replicate; empty without an analysis."""
    if ANALYSIS_GROUP not in scan.children:
        return xr.Dataset()
    analysis = scan[ANALYSIS_GROUP].to_dataset()
    return analysis.isel({REPLICATE: 0}, drop=True) if REPLICATE in analysis.dims else analysis


def _barriers(scan: xr.DataTree) -> dict[str, Barrier]:
    analysis = _analysis(scan)
    if "barrier" not in analysis or "barrier_at" not in analysis:
        return {}
    found = {
        str(split): Barrier(
            float(analysis["barrier"].sel({SPLIT: split})),
            float(analysis["barrier_at"].sel({SPLIT: split})),
        )
        for split in analysis[SPLIT].values
    }
    return {
        split: each for split, each in found.items() if np.isfinite([each.height, each.at]).all()
    }


def _analysed_marks(scan: xr.DataTree, axes: list[str]) -> tuple[Mark, ...]:
    analysis = _analysis(scan)
    places: dict[str, xr.DataArray] = {}
    if "target_argmin" in analysis:
        places[TARGET] = analysis["target_argmin"]
    if "argmin" in analysis:
        argmin = analysis["argmin"].load()
        places |= {str(split): argmin.sel({SPLIT: split}) for split in argmin[SPLIT].values}
    return tuple(
        Mark(key, dict(zip(axes, map(float, place.transpose(AXIS).values), strict=True)))
        for key, place in places.items()
        if bool(np.isfinite(place).all())
    )


def _drawn_marks(view: View) -> tuple[Mark, ...]:
    fields = {split: view.loss(split) for split in view.splits}
    if view.target is not None:
        fields = {TARGET: view.thin[view.target], **fields}
    marks = []
    for key, field in fields.items():
        if bool(field.notnull().any()):
            place = field.argmin(view.axes)
            marks.append(Mark(key, {axis: float(field[axis][place[axis]]) for axis in view.axes}))
    return tuple(marks)
