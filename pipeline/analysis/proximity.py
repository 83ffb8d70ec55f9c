"""How near the least loss of a scan lies to where its target is least.

A minimiser of the target is any grid point whose target_loss exceeds the least by no more than
1e-9 of its range, plus four units of rounding of the stored numbers: symmetric wells count as
equal though they were sampled and stored with rounding. Distances are Euclidean in the
coordinates of the axes, whatever their scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from dask.delayed import delayed

from pipeline.analysis.frame import Floats, Frame, computed
from pipeline.analysis.sweep import Minimum, Summary, Sweep
from schemas.layout import TARGET_LOSS

TIE = 1e-9
"""Part of the target's range within which minimisers tie."""
ROUNDING_UNITS = 4


@dataclass(frozen=True)
class Nearest:
    """The minimiser of the target nearest to a place: its squared distance and flat index."""

    squared: float
    index: int


def proximity(
    frame: Frame,
    summary: Summary,
    nearest: Sequence[Nearest | None],
    reference: Mapping[str, float],
) -> dict[str, npt.NDArray[np.generic]]:
    """The proximity statistics of one replicate that apply: (S,), (S, z), (z,) or ().

    `nearest` is the minimiser of the target nearest to each split's argmin.
    """
    minima = [summary.minima[split] for split in frame.splits]
    least = [math.nan if low is None else low.value for low in minima]
    values: dict[str, npt.NDArray[np.generic]] = {
        "minimum": np.array(least),
        "argmin": np.array([place_of(frame, low) for low in minima]),
        "finite_points": np.array([summary.sums.spreads[split].count for split in frame.splits]),
    }
    for known in ("global_minimum", "section_floor"):
        if known in reference:
            values[f"gap_to_{known}"] = np.array(gap(least[0], reference[known]))
    if TARGET_LOSS in frame.fields:
        values |= _beside_target(frame, minima, summary.minima[TARGET_LOSS], nearest)
    return values


def _beside_target(
    frame: Frame,
    minima: Sequence[Minimum | None],
    target: Minimum | None,
    nearest: Sequence[Nearest | None],
) -> dict[str, npt.NDArray[np.generic]]:
    missing = [math.nan] * len(frame.splits)
    cells = [
        np.abs(cell_of(frame, low) - cell_of(frame, near))
        for low, near in zip(minima, nearest, strict=True)
    ]
    return {
        "target_minimum": np.array(math.nan if target is None else target.value),
        "target_argmin": place_of(frame, target),
        "loss_at_target_argmin": np.array(missing if target is None else target.losses),
        "proximity_distance": np.array(
            [math.nan if near is None else math.sqrt(near.squared) for near in nearest]
        ),
        "proximity_cells": np.array(cells),
    }


def nearest_minimisers(frame: Frame, sweeps: Sequence[Sweep]) -> list[tuple[Nearest | None, ...]]:
    """For every replicate the target's minimiser nearest to each split's argmin.

    Reads again only the blocks of target_loss that hold a minimiser. None where a split or the
    target is NaN throughout, or where there is no target_loss.
    """
    lazy = [_search(frame, r, sweep) for r, sweep in enumerate(sweeps)]
    found = computed(*lazy)
    return [
        tuple(_first([block[s] for block in blocks]) for s in range(len(frame.splits)))
        for blocks in found
    ]


def _search(frame: Frame, replicate: int, sweep: Sweep) -> list[Any]:
    """One lazy tuple of `Nearest` for each block of a replicate that holds a minimiser."""
    target = sweep.summary.minima.get(TARGET_LOSS)
    if target is None:
        return []
    field = frame.fields[TARGET_LOSS]
    spread = sweep.summary.sums.spreads[TARGET_LOSS]
    tolerance = 0.0
    if spread.count:
        greatest = max(abs(spread.low), abs(spread.high))
        tolerance = TIE * spread.range + ROUNDING_UNITS * np.finfo(field.dtype).eps * greatest
    threshold = target.value + tolerance
    places = [place_of(frame, sweep.summary.minima[split]) for split in frame.splits]
    return [
        delayed(_nearest_in_block)(block, threshold, places, frame.coordinates, origin)
        for block, low, origin in zip(
            field[replicate].to_delayed().flat,
            sweep.target_lows,
            frame.block_origins(),
            strict=True,
        )
        if low <= threshold
    ]


def _nearest_in_block(
    target_loss: npt.NDArray[Any],
    threshold: float,
    places: Sequence[Floats],
    coordinates: Sequence[Floats],
    origin: tuple[int, ...],
) -> tuple[Nearest | None, ...]:
    """The nearest point of a block with target_loss ≤ threshold to each of the places (z,)."""
    ties = np.nonzero(target_loss <= threshold)
    cells = [first + along for first, along in zip(origin, ties, strict=True)]
    grid_shape = tuple(along.size for along in coordinates)
    found: list[Nearest | None] = []
    for place in places:
        if np.isnan(place).any():
            found.append(None)
            continue
        squared = np.zeros(cells[0].size)
        for along, cell, here in zip(coordinates, cells, place, strict=True):
            squared += (along[cell] - here) ** 2
        first = int(squared.argmin())
        index = np.ravel_multi_index([cell[first] for cell in cells], grid_shape)
        found.append(Nearest(float(squared[first]), int(index)))
    return tuple(found)


def _first(candidates: Sequence[Nearest | None]) -> Nearest | None:
    held = [near for near in candidates if near is not None]
    return min(held, key=lambda near: (near.squared, near.index), default=None)


def place_of(frame: Frame, where: Minimum | Nearest | None) -> Floats:
    """Coordinates (z,) of a grid point; NaN for none."""
    if where is None:
        return np.full(len(frame.axes), np.nan)
    cell = np.unravel_index(where.index, frame.grid_shape)
    return np.array([along[k] for along, k in zip(frame.coordinates, cell, strict=True)])


def cell_of(frame: Frame, where: Minimum | Nearest | None) -> Floats:
    """Grid index (z,) of a grid point, as floats; NaN for none."""
    if where is None:
        return np.full(len(frame.axes), np.nan)
    return np.array(np.unravel_index(where.index, frame.grid_shape), dtype=np.float64)


def gap(value: float, least: float) -> float:
    """Value − least, and 0 where they are equal, be it the same infinity."""
    return 0.0 if value == least else value - least
