"""Loss surfaces raised to height, and trajectories beside them, as VTK polygonal data.

Shape legend: n, m = points along the two free axes, Q = quadrilaterals, C = checkpoints.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import xarray as xr

from pipeline.exporting.files import sibling
from pipeline.exporting.paraview import (
    Floats,
    add,
    ascii_text,
    describe,
    in_memory,
    needs_pyvista,
    refuse_axes,
    save,
)
from pipeline.exporting.selection import Selection, columns
from pipeline.report.runs import GREATEST_DRAWN, Run
from pipeline.report.style import sequential
from pipeline.report.view import look
from schemas.errors import SpecError, listing
from schemas.layout import SPLIT

if TYPE_CHECKING:
    import pyvista


@dataclass(frozen=True)
class Heights:
    """height = span · (loss − low) / (high − low), the loss cut to low … high."""

    low: float
    high: float
    span: float

    def __call__(self, loss: Floats) -> Floats:
        """Heights of losses; NaN where a loss is not finite."""
        bounded = np.clip(loss.astype(np.float64), self.low, self.high)
        finite = np.isfinite(loss) & (np.abs(loss) < GREATEST_DRAWN)
        return np.where(finite, self.span * (bounded - self.low) / (self.high - self.low), np.nan)

    @property
    def words(self) -> str:
        """What a reader of the file is told."""
        return (
            f"height = {self.span!r} * (loss - {self.low!r}) / ({self.high!r} - {self.low!r}), "
            "the loss cut to that range; the point data hold the true loss"
        )


def check(selection: Selection) -> None:
    """SpecError unless two axes are free."""
    needs_pyvista("vtp")
    columns(selection.root, selection.axes)
    refuse_axes(selection, most=2)
    if len(selection.free) < 2:
        raise SpecError(
            f"format: vtp raises a surface over 2 axes and the scan has {len(selection.free)}; "
            "use format vtr or csv"
        )
    splits = [str(split) for split in selection.root[SPLIT].values]
    if len({sibling(Path("surface"), split) for split in splits}) < len(splits):
        raise SpecError(
            f"format: vtp writes a file for each split, and two of {listing(splits)} would share "
            "one; use format vtr"
        )


def write(selection: Selection, path: Path) -> list[Path]:
    """Write a surface for each split, `STEM-SPLIT.vtp`, and its trajectories if there are any.

    All splits share one scale of heights: the range of the losses, cut where the report's colours
    end, over the span of the longer axis. Quadrilaterals with a corner that is not finite are left
    out. A checkpoint stands at the height of its own loss, which is that of the surface only as far
    as the section holds the checkpoint.
    """
    dataset = in_memory(selection)
    heights = heights_of(dataset, selection.free)
    runs = look(selection.tree).runs
    written = []
    for split in map(str, dataset[SPLIT].values):
        mesh = surface(selection, dataset, heights(_loss(dataset, selection.free, split)))
        describe(mesh, selection, heights.words)
        written.append(sibling(path, split))
        save(mesh, written[-1])
        lines = polylines(runs, selection.free, split, heights) if runs else None
        if lines is not None and lines.n_points:
            describe(lines, selection, heights.words)
            written.append(sibling(path, f"{split}-trajectories"))
            save(lines, written[-1])
    return written


def heights_of(dataset: xr.Dataset, free: tuple[str, ...]) -> Heights:
    """The common heights of every split's surface."""
    loss = dataset["loss"].astype(np.float64)
    norm = sequential(loss.where(abs(loss) < GREATEST_DRAWN)).norm
    span = max(float(np.ptp(dataset[axis].values)) for axis in free)
    return Heights(float(norm.vmin or 0.0), float(norm.vmax or 0.0), span)


def surface(selection: Selection, dataset: xr.Dataset, height: Floats) -> pyvista.PolyData:
    """The quadrilaterals (Q, 4) over a grid of heights (n, m), with every variable as point data.

    Only points that are a corner of one are kept.
    """
    import pyvista

    x, y = (dataset[axis].values for axis in selection.free)
    points = np.stack([*np.meshgrid(x, y, indexing="ij"), height], axis=-1).reshape(-1, 3)
    number = np.arange(height.size).reshape(height.shape)
    quads = np.stack([number[:-1, :-1], number[1:, :-1], number[1:, 1:], number[:-1, 1:]], -1)
    quads = quads.reshape(-1, 4)
    quads = quads[np.isfinite(points[quads, 2]).all(axis=1)]
    used, corners = np.unique(quads, return_inverse=True)
    mesh = pyvista.PolyData(points[used], faces=_cells(corners.reshape(-1, 4)))
    for column in columns(dataset, selection.axes):
        values = column.pick(dataset, selection.free)
        add(mesh, column, values.reshape(-1, values.shape[-1])[used])
    return mesh


def polylines(
    runs: Sequence[Run], free: tuple[str, ...], split: str, heights: Heights
) -> pyvista.PolyData:
    """A line through the checkpoints of each run, in their order; those without height left out.

    Point data: `run`, its number among the field data `runs`; the checkpoints' own losses; how
    much of them the section holds. A run of one checkpoint is a vertex.
    """
    import pyvista

    level = [heights(run.own[split]) for run in runs]
    there = [np.flatnonzero(np.isfinite(height)) for height in level]

    def gathered(parts: Iterable[Floats]) -> Floats:
        return np.concatenate([part[kept] for part, kept in zip(parts, there, strict=True)])

    starts = np.cumsum([0, *map(len, there)])
    cells = [np.arange(start, stop) for start, stop in itertools.pairwise(starts)]
    places = [gathered(run.at[axis] for run in runs) for axis in free]
    mesh = pyvista.PolyData(
        np.column_stack([*places, gathered(level)]),
        lines=_cells_of([cell for cell in cells if len(cell) > 1]),
        verts=_cells_of([cell for cell in cells if len(cell) == 1]),
    )
    mesh.point_data["run"] = np.repeat(np.arange(len(runs)), [len(kept) for kept in there])
    mesh.point_data["explained"] = gathered(run.explained for run in runs)
    mesh.point_data["distance"] = gathered(run.distance for run in runs)
    for name in runs[0].own:
        mesh.point_data[f"loss_{name}"] = gathered(run.own[name] for run in runs)
    mesh.field_data["runs"] = [ascii_text(run.name) for run in runs]
    return mesh


def _cells_of(cells: list[npt.NDArray[Any]]) -> npt.NDArray[Any] | None:
    return np.concatenate([[len(cell), *cell] for cell in cells]) if cells else None


def _loss(dataset: xr.Dataset, free: tuple[str, ...], split: str) -> Floats:
    return np.asarray(dataset["loss"].sel({SPLIT: split}).transpose(*free).values)


def _cells(corners: npt.NDArray[Any]) -> npt.NDArray[Any]:
    return np.column_stack([np.full(len(corners), corners.shape[1]), corners]).ravel()
