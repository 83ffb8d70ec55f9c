"""Which minimum each point of a block descends to, and the passes between the basins.

Shape legend: m = points of the block along an axis, S = splits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from pipeline.analysis.blocks import Block
from pipeline.analysis.depths import Passes
from pipeline.analysis.descending import Indices, offsets, shifted, walled, ways
from pipeline.analysis.frame import Floats
from pipeline.analysis.halo import inner
from pipeline.analysis.joining import Joined

Labels: TypeAlias = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Watershed:
    """Of a block: how many points lead to each minimum that any leads to, and the passes."""

    minima: Indices
    points: Indices
    passes: Passes
    here: int | None
    basin: Labels | None


def watersheds(
    loss: npt.NDArray[Any],
    block: Block,
    only: Sequence[int | None],
    wanted: Sequence[Joined | None],
    at: int | None,
    keep: bool,
) -> list[Watershed | None]:
    """What a block has of each split's basins; None for those that are not wanted.

    `only` are the basins that own all of the block's points, `at` is a place whose basin is asked
    for, and `keep` whether those of all points are.
    """
    return [
        None if whole is None else _watershed(each, block, basin, whole, at, keep)
        for each, basin, whole in zip(loss, only, wanted, strict=True)
    ]


def _watershed(
    loss: npt.NDArray[Any],
    block: Block,
    only: int | None,
    whole: Joined,
    at: int | None,
    keep: bool,
) -> Watershed:
    values, labels = labelled(loss, block, only, whole)
    own = inner(labels)
    counts = np.bincount(own.ravel() + 1)[1:]
    led_to = np.flatnonzero(counts)
    here = None
    if at is not None:
        cell = np.subtract(np.unravel_index(at, block.places.shape), block.places.corner)
        if (cell >= 0).all() and (cell < own.shape).all():
            here = int(own[tuple(cell)])
    kept = own.copy() if keep else None
    return Watershed(led_to, counts[led_to], _passes(labels, values), here, kept)


def labelled(
    loss: npt.NDArray[Any], block: Block, only: int | None, whole: Joined
) -> tuple[Floats, Labels]:
    """Losses (m₁+2, …), walls +inf, and the number of the minimum each descends to, −1 for walls.

    With `only`, that is the minimum of all own points, and no way has to be followed.
    """
    if only is None:
        found = ways(loss, block.coordinates)
        values, end = found.values, found.end
    else:
        values = inner(walled(loss))
        end = np.arange(values.size)
    opened = values.ravel() < np.inf
    ends = np.zeros(opened.size, dtype=np.bool_)
    ends[end[opened]] = True
    number = np.full(opened.size, -1 if only is None else only, dtype=np.int32)
    if only is not None:
        inner(ends.reshape(values.shape))[...] = False
    terminal = np.flatnonzero(ends)
    number[terminal] = whole.basins(block.places.of(terminal, values.shape))
    labels = np.where(opened, number[end], np.int32(-1))
    return values, labels.reshape(values.shape)


def _passes(labels: Labels, values: Floats) -> Passes:
    """The passes from own points of a block to neighbours after them."""
    if np.unique(labels[labels >= 0]).size < 2:
        return Passes.none()
    here, height = inner(labels), inner(values)
    found = [Passes.none()]
    for offset in offsets(labels.ndim):
        if offset < (0,) * labels.ndim:
            continue  # that neighbour has this point among those after it
        there = shifted(labels, offset)
        at = np.nonzero((here != there) & (here >= 0) & (there >= 0))
        one, other = here[at].astype(np.int64), there[at].astype(np.int64)
        over = np.maximum(height[at], shifted(values, offset)[at])
        part = Passes(np.minimum(one, other), np.maximum(one, other), over)
        found.append(Passes.merge([part]))
    return Passes.merge(found)
