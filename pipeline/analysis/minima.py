"""Local minima of a surface on a grid, and which of them each point descends to.

The neighbours of a point are the 3^z − 1 around it, as far as there are any. NaN and +inf are
walls, higher than any value and never part of a minimum; −inf is the least there can be. A plateau
is a connected set of points of equal value; it is a minimum, and counts once, if no neighbour of
any of its points is lower. Values are compared as they are stored.

From a point that is not on a minimum the way leads to the lower neighbour with the steepest
descent, (f(p) − f(q)) / |p − q| in the coordinates of the axes, the first in C order where they
tie. Points of a plateau with no lower neighbour, as far as they are connected, all go to the first
point in C order beside them on the same plateau that has one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pipeline.analysis.frame import Floats
from pipeline.analysis.halo import inner

Indices: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Basins:
    """Where every point of a grid descends to.

    `ends` (points,) is, by flat index in C order, the flat index of the minimum that a point
    descends to, its first point if it is a plateau; −1 for walls, which belong to no basin.
    `inside` and `at_edge` count minima without and with a point at the edge of the grid.
    """

    ends: Indices
    inside: int
    at_edge: int


def basins(loss: npt.NDArray[Any], coordinates: Sequence[Floats]) -> Basins:
    """The basins of a loss (n₁, …, n_z) held in memory, every axis of two points or more."""
    values = np.where(np.isnan(loss), np.inf, loss).astype(np.float64)
    padded = np.pad(values, 1, constant_values=np.inf)
    low = (values <= lowest_neighbour(padded)) & (values < np.inf)
    labels, count = ndimage.label(low, np.ones((3,) * loss.ndim))
    outside = np.pad(np.where(low, np.inf, values), 1, constant_values=np.inf)
    leaving = low & (lowest_neighbour(outside) <= values)
    drained = np.zeros(count + 1, dtype=np.bool_)
    drained[labels[leaving]] = True
    drained[0] = True
    first = _first_points(labels, count)
    to = _steepest(padded, coordinates)
    _leave_plateaus(to, padded, outside, labels, leaving, first)
    on_minimum = np.flatnonzero(~drained[labels.ravel()])
    to[on_minimum] = first[labels.ravel()[on_minimum]]
    ends = _followed(to)
    ends[values.ravel() == np.inf] = -1
    touching = {int(label) for label in np.unique(labels[_edge(loss.shape)])}
    minima = np.flatnonzero(~drained)
    at_edge = sum(int(label) in touching for label in minima)
    return Basins(ends, minima.size - at_edge, at_edge)


def strict_minima(values: Floats, at_edge: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Inner points of values (m₁+2, …) below all their neighbours: those not at the edge, and at.

    `at_edge` (m₁, …) says which points are at the edge of the grid, beyond which values are NaN.
    """
    padded = np.where(np.isnan(values), np.inf, values)
    lowest = inner(padded) < lowest_neighbour(padded)
    return int(np.count_nonzero(lowest & ~at_edge)), int(np.count_nonzero(lowest & at_edge))


def lowest_neighbour(padded: Floats) -> Floats:
    """Least of the 3^z − 1 neighbours of every inner point: (m₁+2, …) → (m₁, …).

    Axis by axis, in 4 z operations: the least over a window with its centre and without.
    """
    whole = padded
    without = np.full_like(padded, np.inf)
    for axis in range(padded.ndim):
        below, here, above = (_part(whole, axis, offset) for offset in (-1, 0, 1))
        beside = np.minimum(below, above)
        without = np.minimum(_part(without, axis, 0), beside)
        whole = np.minimum(here, beside)
    return without


def _part(array: npt.NDArray[Any], axis: int, offset: int) -> npt.NDArray[Any]:
    """The array without two entries along an axis: the first two, one at each end, the last two."""
    n = array.shape[axis]
    cut = [slice(None)] * array.ndim
    cut[axis] = slice(1 + offset, n - 1 + offset)
    return array[tuple(cut)]


def _shifted(padded: npt.NDArray[Any], offset: Sequence[int]) -> npt.NDArray[Any]:
    """At every inner point the value of the neighbour at an offset."""
    return padded[tuple(slice(1 + o, n - 1 + o) for o, n in zip(offset, padded.shape, strict=True))]


def _offsets(z: int) -> list[tuple[int, ...]]:
    """Offsets of the neighbours, in C order."""
    return [offset for offset in product((-1, 0, 1), repeat=z) if any(offset)]


def _strides(shape: Sequence[int]) -> Indices:
    return np.array([int(np.prod(shape[k + 1 :])) for k in range(len(shape))], dtype=np.int64)


def _first_points(labels: npt.NDArray[Any], count: int) -> Indices:
    """By label the flat index of its first point."""
    flat = labels.ravel()
    marked = np.flatnonzero(flat)
    first = np.full(count + 1, -1, dtype=np.int64)
    # Written in reverse, so that the first point is the last to be written.
    first[flat[marked[::-1]]] = marked[::-1]
    return first


def _steepest(padded: Floats, coordinates: Sequence[Floats]) -> Indices:
    """By flat index the neighbour of steepest descent; the point itself where none is lower."""
    values = inner(padded)
    to = np.arange(values.size, dtype=np.int64).reshape(values.shape)
    best = np.zeros(values.shape)
    here = to.copy()
    strides = _strides(values.shape)
    with np.errstate(invalid="ignore", over="ignore"):
        for offset in _offsets(values.ndim):
            slope = values - _shifted(padded, offset)
            slope /= _distance(coordinates, offset)
            steeper = slope > best
            np.copyto(best, slope, where=steeper)
            np.copyto(to, here + int(np.dot(offset, strides)), where=steeper)
    return to.ravel()


def _distance(coordinates: Sequence[Floats], offset: Sequence[int]) -> Floats:
    """Distance (m₁, …) to the neighbour at an offset; beyond the grid any number but zero."""
    squared = np.zeros(())
    for along, o in zip(coordinates, offset, strict=True):
        steps = np.concatenate([[1.0], np.diff(along), [1.0]])
        squared = np.add.outer(squared, (steps[1:] if o > 0 else steps[:-1]) ** 2 * abs(o))
    return np.sqrt(squared)


def _leave_plateaus(
    to: Indices,
    padded: Floats,
    outside: Floats,
    labels: npt.NDArray[Any],
    leaving: npt.NDArray[np.bool_],
    first: Indices,
) -> None:
    """Send points on the level to the first point of equal value beside them with a way down.

    `outside` is `padded` with +inf on every point that has no lower neighbour.
    """
    at = np.flatnonzero(leaving)
    if not at.size:
        return
    cells = np.unravel_index(at, leaving.shape)
    strides = _strides(leaving.shape)
    exits = np.full(first.size, to.size, dtype=np.int64)
    for offset in _offsets(leaving.ndim):
        beside = tuple(cell + 1 + o for cell, o in zip(cells, offset, strict=True))
        level = outside[beside] == padded[tuple(cell + 1 for cell in cells)]
        where = at[level]
        np.minimum.at(exits, labels.ravel()[where], where + int(np.dot(offset, strides)))
    through = exits[labels.ravel()]
    stuck = (labels.ravel() > 0) & (through < to.size)
    to[stuck] = through[stuck]


def _followed(to: Indices) -> Indices:
    """Where the ways end, by doubling their length until nothing moves."""
    while True:
        further = to[to]
        if np.array_equal(further, to):
            return to
        to = further


def _edge(shape: Sequence[int]) -> npt.NDArray[np.bool_]:
    edge = np.ones(tuple(shape), dtype=np.bool_)
    edge[(slice(1, -1),) * len(shape)] = False
    return edge
