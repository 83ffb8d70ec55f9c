"""The statistics of a surface's shape: those of `schemas.statistics.SURFACE` that apply.

Shape legend: R = replicates, S = splits, z = axes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import xarray as xr

from pipeline.analysis import barrier
from pipeline.analysis.frame import Frame, computed
from pipeline.analysis.halo import over_surroundings
from pipeline.analysis.minima import MOST_LOOKS, MOST_MINIMA, Minima, feasible, minima, resolution
from pipeline.analysis.origin import Around, Origin, around, curvature, origin_of, widths
from pipeline.analysis.roughness import roughness
from pipeline.analysis.shape import Shape, shape_of
from pipeline.analysis.sharpness import RADII, sharpness
from schemas.layout import AFFINE, AXIS, AXIS_OTHER, PATH, REPLICATE, SPLIT
from schemas.statistics import SURFACE, SURFACE_DIMS

Values: TypeAlias = dict[str, npt.NDArray[Any]]

SECTION = "section"
BFLOAT16_ERROR = "bfloat16_error"
_OF_MINIMA = (
    "shape_minima",
    "shape_minima_at_edge",
    "shape_bad_valleys",
    "shape_bad_valley_depth",
)


@dataclass(frozen=True)
class Surface:
    """The statistics of each replicate, further attributes of some, the radii that rises were
    taken within, why statistics that would apply were left out, and the minima of every replicate
    and split, [R][S], None for those that are too many; of depth no less than `resolution` of the
    loss.
    """

    values: list[Values]
    notes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    radii: tuple[float, ...] = ()
    left_out: tuple[str, ...] = ()
    minima: Sequence[Sequence[Minima | None]] = ()
    resolution: float = 0.0


def surface(dataset: xr.Dataset, frame: Frame) -> Surface:
    """The statistics that apply to a scan whose attribute `section` says what its axes are.

    `affine`: all but the barrier, those about the origin if every axis reaches to 0. `path`: the
    shape, and the barrier if there is one axis and it reaches from 0 to 1. Nothing applies to
    other scans, nor to a single point. An axis of one point is held: the surface has no shape
    along it.
    """
    kind = dataset.attrs.get(SECTION)
    held = [k for k, along in enumerate(frame.coordinates) if along.size == 1]
    if kind not in (AFFINE, PATH) or len(held) == len(frame.axes):
        return Surface([{} for _ in range(frame.n_replicates)])
    reduced = _without(frame, held)
    at_zero = all(float(frame.coordinates[k][0]) == 0 for k in held)
    origin = origin_of(reduced.coordinates) if kind == AFFINE and at_zero else None
    evaluation = float(dataset.attrs.get(BFLOAT16_ERROR, 0.0))
    relative = resolution(frame.loss.dtype, 0.0 if np.isnan(evaluation) else evaluation)
    found = _measured(reduced, origin, relative)
    if kind == PATH and barrier.applies(reduced.coordinates):
        for values, along in zip(found.values, barrier.barriers(reduced), strict=True):
            values |= along
    for values in found.values:
        _spread(values, frame, held)
    if origin is not None and "section_hessian" in dataset:
        measured = _measured_curvature(dataset, frame, origin, held)
        for values, matrices in zip(found.values, measured, strict=True):
            values |= _beside(values["origin_curvature"], matrices)
    return found


def _measured(frame: Frame, origin: Origin | None, relative: float) -> Surface:
    """All that the losses tell, of a frame without held axes."""
    near = None if origin is None else around(frame, origin)
    known = np.full((frame.n_replicates, len(frame.splits)), np.nan) if near is None else near.loss
    centre = origin if origin is not None and origin.reach > 0 else None
    radii = () if centre is None else tuple(part * centre.reach for part in RADII)
    blocks = over_surroundings(shape_of, frame, known, origin=centre, radii=radii)
    shapes, rough = computed(blocks, roughness(frame))
    cell = None if origin is None else origin.cell
    followed = minima(frame, cell, relative) if feasible(frame) else []
    found: list[Values] = []
    for r in range(frame.n_replicates):
        shape = Shape.merge(list(shapes[r].flat))
        values = shape.values() | {"shape_roughness": rough[r]}
        if origin is not None and near is not None:
            values |= _at_origin(near, r, frame, origin)
        if centre is not None:
            values |= sharpness(shape.rises, known[r])
        if followed:
            values |= _descents(followed[r], frame, origin)
        found.append(values)
    left_out = []
    if origin is not None and centre is None:
        left_out.append("sharpness: the origin is at the edge of the grid")
    if not followed:
        left_out.append(
            f"minima and basins: the grid has more than {MOST_LOOKS // 3 ** len(frame.axes):,} "
            "points"
        )
    if any(each is None for replicate in followed for each in replicate):
        left_out.append(f"minima and basins: a surface has more than {MOST_MINIMA:,} minima")
    return Surface(found, _notes(frame, origin), radii, tuple(left_out), followed, relative)


def _at_origin(near: Around, replicate: int, frame: Frame, origin: Origin) -> Values:
    """The loss (S,), widths (S, z, levels) and Hessian (S, z, z) at the origin of a replicate."""
    return {
        "origin_loss": near.loss[replicate],
        "origin_width": np.array(
            [
                [
                    widths(line[replicate, s], along, k)
                    for line, along, k in zip(
                        near.lines, frame.coordinates, origin.cell, strict=True
                    )
                ]
                for s in range(len(frame.splits))
            ]
        ),
        "origin_curvature": np.array(
            [curvature(losses, frame.coordinates, origin) for losses in near.near[replicate]]
        ),
    }


def _descents(splits: Sequence[Minima | None], frame: Frame, origin: Origin | None) -> Values:
    """Minima, bad valleys and the basin of the origin, of each split of a replicate."""
    per_split = []
    for found in splits:
        values: dict[str, Any] = dict.fromkeys(_OF_MINIMA, np.nan)
        if found is not None and found.place.size > 0:
            at_edge = np.count_nonzero(found.at_edge)
            values = {
                "shape_minima": float(found.place.size - at_edge),
                "shape_minima_at_edge": float(at_edge),
                "shape_bad_valleys": found.bad_points / found.points.sum(),
                "shape_bad_valley_depth": found.bad_depth,
            }
        per_split.append(values if origin is None else values | _basin(found, frame, origin))
    return {name: np.array([values[name] for values in per_split]) for name in per_split[0]}


def _basin(found: Minima | None, frame: Frame, origin: Origin) -> dict[str, Any]:
    """The basin of the origin on one surface; NaN where the origin is in none."""
    if found is None or found.here is None:
        return {
            **dict.fromkeys(("basin_fraction", "basin_minimum", "basin_distance"), np.nan),
            "basin_argmin": np.full(len(frame.axes), np.nan),
        }
    cell = np.unravel_index(found.place[found.here], frame.grid_shape)
    place = np.array([along[k] for along, k in zip(frame.coordinates, cell, strict=True)])
    return {
        "basin_fraction": found.points[found.here] / found.points.sum(),
        "basin_minimum": float(found.loss[found.here]),
        "basin_argmin": place,
        "basin_distance": float(np.linalg.norm(place - origin.place)),
    }


def _measured_curvature(
    dataset: xr.Dataset, frame: Frame, origin: Origin, held: Sequence[int]
) -> npt.NDArray[Any]:
    """The stored section_hessian at the origin, (R, S, z, z)."""
    free = [axis for k, axis in enumerate(frame.axes) if k not in held]
    cell = dict.fromkeys(frame.axes, 0) | dict(zip(free, origin.cell, strict=True))
    there = dataset["section_hessian"].isel(cell)
    if REPLICATE not in there.dims:
        there = there.expand_dims({REPLICATE: frame.n_replicates})
    return np.asarray(there.transpose(REPLICATE, SPLIT, AXIS, AXIS_OTHER).values, dtype=np.float64)


def _beside(estimated: npt.NDArray[Any], measured: npt.NDArray[Any]) -> Values:
    """Measured Hessians (S, z, z), and how far those from the grid are from them."""
    with np.errstate(invalid="ignore"):
        apart = np.abs(estimated - measured)
    return {
        "origin_curvature_measured": measured,
        # Both NaN or infinite tells nothing; fmax passes over NaN and keeps it where all are.
        "origin_curvature_error": np.fmax.reduce(apart, axis=(1, 2)),
    }


def _without(frame: Frame, held: Sequence[int]) -> Frame:
    """The frame without the axes of one point."""
    cut = tuple(0 if k in held else slice(None) for k in range(len(frame.axes)))
    return replace(
        frame,
        loss=frame.loss[(..., *cut)],
        fields={},
        axes=tuple(name for k, name in enumerate(frame.axes) if k not in held),
        coordinates=tuple(along for k, along in enumerate(frame.coordinates) if k not in held),
    )


def _spread(values: Values, frame: Frame, held: Sequence[int]) -> None:
    """Put back the held axes, along which there is NaN, or the one coordinate there is."""
    free = [k for k in range(len(frame.axes)) if k not in held]
    for name in values:
        for position, dim in enumerate(SURFACE_DIMS[name]):
            if dim in (AXIS, AXIS_OTHER):
                moved = np.moveaxis(values[name], position, -1)
                whole = np.full((*moved.shape[:-1], len(frame.axes)), np.nan)
                whole[..., free] = moved
                if name == "basin_argmin":
                    for k in held:
                        whole[..., k] = frame.coordinates[k][0] * (moved[..., 0] * 0 + 1)
                values[name] = np.moveaxis(whole, -1, position)


def _notes(frame: Frame, origin: Origin | None) -> dict[str, dict[str, str]]:
    """Attributes that depend on the scan."""
    if origin is None:
        return {}
    where = ", ".join(
        f"{axis} = {here:.6g}" for axis, here in zip(frame.axes, origin.place, strict=True)
    )
    said = "the grid point at 0" if origin.exact else f"the grid point nearest to 0: {where}"
    about = [name for name in SURFACE if name.startswith(("origin_", "sharpness_", "basin_"))]
    return {name: {"origin": said} for name in about}
