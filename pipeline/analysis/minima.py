"""Local minima of a surface on a grid, their basins and their depths, out of core.

What a minimum is, and which of them each point descends to, `descending` says. The grid is passed
over twice, block by block: the first pass finds the minima (`joining`), the second which of them
each point leads to, and the passes between (`depths`). The result does not depend on the chunks.

Stored losses are rounded, and a flat part of a surface then has minima that are nothing else. So
minima no deeper than the rounding are no minima: each is merged into the basin beyond the pass at
which it ends, and the counts, tables and basins are of those that are left. Where some lie in bad
valleys (`valleys`), a third pass counts the points that do.

Shape legend: R = replicates, S = splits, z = axes, M = minima.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from dask.delayed import delayed

from pipeline.analysis.blocks import Block, blocks_of, over
from pipeline.analysis.depths import Depths, Passes, beyond_rounding, depths
from pipeline.analysis.descending import Indices, Mask, followed, ways
from pipeline.analysis.frame import Floats, Frame, computed
from pipeline.analysis.joining import Border, Joined, border, joined
from pipeline.analysis.proximity import ROUNDING_UNITS
from pipeline.analysis.valleys import Valleys, points_in_bad_valleys, valleys
from pipeline.analysis.watersheds import Labels, Watershed, watersheds

MOST_LOOKS = 2**33
"""Greatest number of neighbours looked at, 3^z for each point of the grid."""
MOST_MINIMA = 2**20
"""Greatest number of minima, those of rounding among them, that are told apart."""
LABELLED_POINTS = 2**24
"""Greatest number of losses, of all splits and replicates, whose basins are kept."""


@dataclass(frozen=True)
class Minima:
    """The minima of one surface in the order of their first points.

    Attributes:
        place: flat index in C order of the first point, (M,).
        loss, at_edge, plateau, depth: the loss (M,), whether a point of the minimum is at the edge
            of the grid, its points of equal loss, its depth.
        points: points that descend to each, (M,).
        merged: how many were no deeper than the rounding.
        here: number of the minimum that the asked point descends to; None for a wall, or if no
            point was asked for.
        basin: number of the minimum of every point of the grid, −1 for walls; None if not asked.
        bad_points: points that lie in a bad valley.
        bad_depth: how far a path to the least loss has to climb from the deepest bad valley.
    """

    place: Indices
    loss: Floats
    at_edge: Mask
    plateau: Indices
    depth: Floats
    points: Indices
    merged: int
    here: int | None
    basin: Labels | None
    bad_points: int
    bad_depth: float


def resolution(dtype: npt.DTypeLike, evaluation: float) -> float:
    """The relative rounding of a depth: that of two losses as stored, or as they were evaluated.

    A loss is taken to be known to 4 units of its stored dtype's rounding, or to the relative error
    `evaluation` if that is greater.
    """
    return 2 * max(ROUNDING_UNITS * float(np.finfo(dtype).eps), evaluation)


def feasible(frame: Frame) -> bool:
    """Whether the grid can be followed in reasonable time and memory."""
    looks: int = frame.n_points * 3 ** len(frame.axes)
    return looks <= MOST_LOOKS


def minima(frame: Frame, at: tuple[int, ...] | None, relative: float) -> list[list[Minima | None]]:
    """The minima of every replicate and split, [R][S], every axis of two points or more.

    `at` is a cell (z,) whose basin is asked for. Depths up to `relative` of the greater magnitude
    of a minimum's loss and its pass are taken for rounding. None for a surface that has more than
    MOST_MINIMA.
    """
    keep = frame.loss.size <= LABELLED_POINTS
    place = None if at is None else int(np.ravel_multi_index(at, frame.grid_shape))
    return [_of_replicate(frame, r, place, keep, relative) for r in range(frame.n_replicates)]


def _of_replicate(
    frame: Frame, replicate: int, at: int | None, keep: bool, relative: float
) -> list[Minima | None]:
    blocks = blocks_of(frame, replicate)
    if len(blocks) == 1:  # it is read but once
        blocks = [replace(blocks[0], loss=computed(blocks[0].loss)[0])]
    borders = over(blocks, _borders, [()] * len(blocks))
    splits = range(len(frame.splits))
    wanted: list[Joined | None] = []
    uniform = []
    for s in splits:
        of_split = [each[s] for each in borders]
        whole = joined(of_split)
        wanted.append(whole if whole.place.size <= MOST_MINIMA else None)
        uniform.append([_only_basin(whole, each) for each in of_split])
    del borders
    shared = delayed(wanted, pure=False, traverse=False)
    found = over(blocks, watersheds, list(zip(*uniform, strict=True)), shared, at, keep)
    surfaces = [
        None
        if every is None
        else _Surface.of(every, [p for each in found if (p := each[s])], relative)
        for s, every in enumerate(wanted)
    ]
    bad = _bad_points(blocks, uniform, surfaces)
    return [
        None if each is None else _simplified(each, blocks, frame, relative, bad[s])
        for s, each in enumerate(surfaces)
    ]


@dataclass(frozen=True)
class _Surface:
    """All minima of a surface, what each block has of their basins, and how these join."""

    every: Joined
    parts: Sequence[Watershed]
    told: Depths
    valleys: Valleys

    @classmethod
    def of(cls, every: Joined, parts: Sequence[Watershed], relative: float) -> _Surface:
        """From the basins in every block."""
        told = depths(every.value, Passes.merge([part.passes for part in parts]))
        return cls(every, parts, told, valleys(every.value, told, relative))


def _borders(loss: npt.NDArray[Any], block: Block, _: object) -> list[Border]:
    return [border(ways(each, block.coordinates), block.places) for each in loss]


def _only_basin(whole: Joined, of: Border) -> int | None:
    """The basin of all points of a block, where its border tells that there is but one.

    A way that leaves the block goes through a point of its border, or ends in the block.
    """
    found = np.concatenate([whole.basins(of.place), whole.basins(of.part)])
    return int(found[0]) if found.size and (found == found[0]).all() else None


def _bad_points(
    blocks: Sequence[Block],
    uniform: Sequence[Sequence[int | None]],
    surfaces: Sequence[_Surface | None],
) -> list[int]:
    """The points of each split that lie in bad valleys; blocks without any are not read again."""
    concerned = [
        k
        for k in range(len(blocks))
        if any(each and each.valleys.bad[each.parts[k].minima].any() for each in surfaces)
    ]
    known = [
        [
            (uniform[s][k], None if each is None else each.parts[k].basin)
            for s, each in enumerate(surfaces)
        ]
        for k in concerned
    ]
    wanted = [
        (each.every, each.valleys) if each is not None and each.valleys.bad.any() else None
        for each in surfaces
    ]
    shared = delayed(wanted, pure=False, traverse=False)
    found = over([blocks[k] for k in concerned], points_in_bad_valleys, known, shared)
    return [sum(counts[s] for counts in found) for s in range(len(surfaces))]


def _simplified(
    surface: _Surface,
    blocks: Sequence[Block],
    frame: Frame,
    relative: float,
    bad_points: int,
) -> Minima:
    """The minima that are deeper than rounding, and the basins of all merged into theirs."""
    every, parts, told = surface.every, surface.parts, surface.told
    kept, into = _merging(every.value, told, relative)
    points = np.zeros(every.place.size, dtype=np.int64)
    for part in parts:
        points[part.minima] += part.points
    together = np.zeros(kept.size, dtype=np.int64)
    np.add.at(together, into, points)
    here = next((part.here for part in parts if part.here is not None), -1)
    basin = None
    if all(part.basin is not None for part in parts):
        basin = np.empty(frame.grid_shape, dtype=np.int32)
        numbers = np.append(into, -1).astype(np.int32)
        for part, block in zip(parts, blocks, strict=True):
            basin[block.slices] = numbers[part.basin]
    return Minima(
        place=every.place[kept],
        loss=every.value[kept],
        at_edge=every.at_edge[kept],
        plateau=every.size[kept],
        depth=told.depth[kept],
        points=together,
        merged=every.place.size - kept.size,
        here=None if here < 0 else int(into[here]),
        basin=basin,
        bad_points=bad_points,
        bad_depth=surface.valleys.depth,
    )


def _merging(values: Floats, told: Depths, relative: float) -> tuple[Indices, Indices]:
    """The numbers of the minima that are kept, and for each of all which of those it becomes."""
    shallow = ~beyond_rounding(values, told.height, relative)
    becomes = followed(np.where(shallow, told.beyond, np.arange(values.size)))
    kept = np.flatnonzero(~shallow)
    return kept, np.searchsorted(kept, becomes)
