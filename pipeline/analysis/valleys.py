"""Bad valleys of a surface on a grid, from its basins and the passes between them, out of core.

A bad valley is a connected part of a sub-level set in which the loss does not come down to its
least (Nguyen, Mukkamala & Hein 2018, arXiv:1809.10749, there of the strict sub-level sets of all
parameters; here of the points of one grid, each connected with the 3^z − 1 around it). A point lies
in one if every path from it to the least loss of the grid climbs above it.

A path from a point may first descend to the minimum of the point's basin. So the least height of
such paths is that of the paths from the minimum, or the point's own loss where that is greater, and
only the former has to be known, one number for each basin.

Losses are known up to rounding: a point at the least loss but for rounding is at the floor too, and
a climb within rounding is none.

Shape legend: S = splits, M = minima, m = points of a block along an axis.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pipeline.analysis.blocks import Block
from pipeline.analysis.depths import Depths, beyond_rounding
from pipeline.analysis.frame import Floats
from pipeline.analysis.halo import inner
from pipeline.analysis.joining import Joined
from pipeline.analysis.watersheds import Labels, labelled


@dataclass(frozen=True)
class Valleys:
    """The ways from the minima of a surface to its least loss.

    Attributes:
        out: the least height of a path from each minimum to the floor, (M,): −inf at the floor,
            +inf behind walls.
        bad: whether the path climbs by more than rounding, (M,).
        depth: the greatest climb, 0 if none is more than rounding.
        relative: the rounding of two losses over the greater of their magnitudes.
    """

    out: Floats
    bad: npt.NDArray[np.bool_]
    depth: float
    relative: float


def valleys(values: Floats, told: Depths, relative: float) -> Valleys:
    """The valleys of minima of losses `values` (M,), of whose basins `told` says how they join."""
    least = np.full(values.size, values.min(initial=np.inf))
    floor = ~beyond_rounding(least, values, relative)
    # Basins join at rising heights, and what is at the floor is the elder of any it joins: the ways
    # beyond the passes lead there over the lowest ones. `out` is of what comes before `to`.
    out = np.where(floor, -np.inf, told.height)
    to = np.where(floor, np.arange(values.size), told.beyond)
    while not np.array_equal(to, further := to[to]):
        out, to = np.maximum(out, out[to]), further
    out = np.maximum(out, out[to])
    bad = beyond_rounding(values, out, relative)
    depth = float(np.max(out[bad] - values[bad], initial=0.0))
    return Valleys(out, bad, depth, relative)


def points_in_bad_valleys(
    loss: npt.NDArray[Any],
    block: Block,
    known: Sequence[tuple[int | None, Labels | None]],
    wanted: Sequence[tuple[Joined, Valleys] | None],
) -> list[int]:
    """How many of a block's own points, of losses (S, m₁+4, …), lie in bad valleys, by split.

    `known` are, for each split, the basin that owns all of the block's points, if it is one, and
    the basins of all of them, if they were kept. Splits that are not wanted have none.
    """
    counts = []
    for each, (only, basin), found in zip(loss, known, wanted, strict=True):
        if found is None:
            counts.append(0)
            continue
        whole, of = found
        if basin is None:
            basin = inner(labelled(each, block, only, whole)[1])
        height = np.append(of.out, -np.inf)[basin]  # −1 stands for walls
        own = inner(inner(each)).astype(np.float64)
        counts.append(int(np.count_nonzero(beyond_rounding(own, height, of.relative))))
    return counts
