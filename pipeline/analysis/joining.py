"""The ways of all blocks of a grid joined: every minimum, and where those that cross blocks end.

What a block tells of itself is no more than its border: a low set that goes on in another block,
and a way that leads out of it, are followed from border to border. Places are flat indices in C
order into the grid.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.analysis.descending import Indices, Mask, Ways, followed
from pipeline.analysis.frame import Floats
from pipeline.analysis.halo import inner

NONE = np.iinfo(np.int64).max
"""The exit of a set that has none: greater than any place."""


@dataclass(frozen=True)
class Places:
    """Places of a block with its halo in the grid.

    `corner` is the grid index of the block's first own point, `shape` that of the grid.
    """

    corner: tuple[int, ...]
    shape: tuple[int, ...]

    def of(self, flat: Indices, within: Sequence[int]) -> Indices:
        """Places of points by their flat index into a block that is (m₁+2, …) with its halo."""
        place = np.zeros(flat.shape, dtype=np.int64)
        index = np.unravel_index(flat, tuple(within))
        for along, c, n in zip(index, self.corner, self.shape, strict=True):
            place = place * n + (along + c - 1)
        return place


@dataclass(frozen=True)
class Border:
    """What a block tells of itself.

    Attributes:
        place, end: of each point beside another block, and where its way ends in the block or in
            the halo of the block.
        part, size, at_edge, value: of each minimum, and of each low set that goes on in other
            blocks the part in this one: its first point, its points, whether it touches the edge
            of the grid, its loss.
        exit, exit_end: the first point by which a part is left, or NONE, and where the way from
            there ends.
        links: pairs (part, low point of the same set in the halo).
    """

    place: Indices
    end: Indices
    part: Indices
    size: Indices
    at_edge: Mask
    value: Floats
    exit: Indices
    exit_end: Indices
    links: Indices


def border(found: Ways, places: Places) -> Border:
    """What a block tells of itself."""
    sets, flat, within = found.sets, found.values.ravel(), found.values.shape
    at = np.flatnonzero(_beside_others(within, places) & (found.values < np.inf))
    told = np.flatnonzero(sets.open | (sets.exit == sets.none))
    first, exits = sets.first[told], sets.exit[told]
    left = exits < sets.none
    exit_place, exit_end = np.full(exits.shape, NONE), np.full(exits.shape, NONE)
    exit_place[left] = places.of(exits[left], within)
    exit_end[left] = places.of(found.end[exits[left]], within)
    linked, low = sets.links.T
    return Border(
        place=places.of(at, within),
        end=places.of(found.end[at], within),
        part=places.of(first, within),
        size=sets.size[told],
        at_edge=sets.at_edge[told],
        value=flat[first],
        exit=exit_place,
        exit_end=exit_end,
        links=np.stack([places.of(sets.first[linked], within), places.of(low, within)], axis=1),
    )


def _beside_others(within: tuple[int, ...], places: Places) -> Mask:
    """Which points of a block with its halo are its own and have a point of another beside them."""
    mask = np.zeros(within, dtype=np.bool_)
    own = inner(mask)
    for axis, (m, c, n) in enumerate(zip(own.shape, places.corner, places.shape, strict=True)):
        along = np.moveaxis(own, axis, 0)
        if c > 0:
            along[0] = True
        if c + m < n:
            along[-1] = True
    return mask


@dataclass(frozen=True)
class Joined:
    """The minima of a grid in the order of their first points, and the ways between its blocks.

    Attributes:
        place, size, at_edge, value: of each minimum: its first point, its points, whether one of
            them is at the edge of the grid, its loss.
        crossings, basin: places at which ways within a block may end, ascending, and the number of
            the minimum that each leads to.
    """

    place: Indices
    size: Indices
    at_edge: Mask
    value: Floats
    crossings: Indices
    basin: npt.NDArray[np.int32]

    def basins(self, places: Indices) -> npt.NDArray[np.int32]:
        """The number of the minimum that each of the places leads to; all are crossings."""
        return self.basin[np.searchsorted(self.crossings, places)]


def joined(borders: Sequence[Border]) -> Joined:
    """The blocks of a grid joined; their order does not matter."""
    place, end = _sorted(borders, "place", "end")
    part, size, at_edge, value, exits, exit_end = _sorted(
        borders, "part", "size", "at_edge", "value", "exit", "exit_end"
    )
    links = np.concatenate([each.links for each in borders])
    # The way from a low point in the halo ends, in its own block, at the part that it belongs to.
    other = end[np.searchsorted(place, links[:, 1])]
    pairs = np.searchsorted(part, links[:, 0]), np.searchsorted(part, other)
    ones = np.ones(len(links), dtype=np.int8)
    graph = coo_array((ones, pairs), shape=(part.size, part.size))
    count, whole = connected_components(graph, directed=False)
    first, least = np.full(count, NONE), np.full(count, NONE)
    np.minimum.at(first, whole, part)
    np.minimum.at(least, whole, exits)
    leaves = np.full(count, NONE)
    by_exit = (exits == least[whole]) & (exits < NONE)
    leaves[whole[by_exit]] = exit_end[by_exit]
    sizes, edges = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.bool_)
    np.add.at(sizes, whole, size)
    np.logical_or.at(edges, whole, at_edge)
    # A part leads where its whole set does: to the set's first point, or out by its first exit.
    leads = np.where(least < NONE, leaves, first)[whole]
    minimum = np.flatnonzero((least[whole] == NONE) & (first[whole] == part))
    number = whole[minimum]
    crossings, basin = _followed_through(place, end, part, leads, part[minimum])
    return Joined(part[minimum], sizes[number], edges[number], value[minimum], crossings, basin)


def _sorted(borders: Sequence[Border], *names: str) -> list[npt.NDArray[Any]]:
    """Columns of all blocks together, in the order of the first of them."""
    columns = [np.concatenate([getattr(each, name) for each in borders]) for name in names]
    order = np.argsort(columns[0])
    return [column[order] for column in columns]


def _followed_through(
    place: Indices, end: Indices, part: Indices, leads: Indices, minima: Indices
) -> tuple[Indices, npt.NDArray[np.int32]]:
    """All crossings, and the number of the minimum that each leads to."""
    crossings = np.union1d(place, part)
    to = np.empty_like(crossings)
    to[np.searchsorted(crossings, place)] = np.searchsorted(crossings, end)
    to[np.searchsorted(crossings, part)] = np.searchsorted(crossings, leads)
    number = np.empty(crossings.size, dtype=np.int32)
    number[np.searchsorted(crossings, minima)] = np.arange(minima.size)
    return crossings, number[followed(to)]
