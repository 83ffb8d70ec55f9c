"""Descents from neighbour to neighbour within a block of the grid.

The neighbours of a point are the 3^z − 1 around it, as far as there are any. NaN and +inf are
walls, higher than any value and never part of a minimum; −inf is the least there can be. Values
are compared as they are stored.

From a point with a lower neighbour the way leads to the one with the steepest descent,
(f(p) − f(q)) / |p − q| in the coordinates of the axes, the first in C order where they tie. Points
without a lower neighbour are low; connected low points have equal values. A connected set of them
goes to the first point in C order, beside it and of its value, that has a lower neighbour; where
there is none, the set is a minimum, and its first point in C order stands for it.

Shape legend: m = points of the block along an axis. The block comes with 2 points on every side, so
that of those next to it, its halo, it is known whether they are low.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from pipeline.analysis.frame import Floats
from pipeline.analysis.halo import inner, pieces, widened

Indices: TypeAlias = npt.NDArray[np.int64]
Mask: TypeAlias = npt.NDArray[np.bool_]

HALO = 2
"""Points that a block needs on every side of its own."""


@dataclass(frozen=True)
class LowSets:
    """The connected sets of low points of a block, each cut off at the block's border.

    Places are flat indices in C order into the block with its halo. Of each set k: `first[k]` its
    first point, `size[k]` its points, `at_edge[k]` whether it touches the edge of the grid,
    `exit[k]` the first point by which it is left, `none` if there is none within the halo, and
    `open[k]` whether it goes on in the halo: `links` are the pairs (k, low point in the halo).
    """

    first: Indices
    size: Indices
    at_edge: Mask
    exit: Indices
    open: Mask
    links: Indices
    none: int


@dataclass(frozen=True)
class Ways:
    """Where the ways from the points of a block lead.

    Attributes:
        values: losses with the halo, (m₁+2, …), walls +inf.
        end: by flat index the place at which the way from a point ends within the block: the first
            point of a set of low points, or a point of the halo. Walls end at themselves.
        sets: the sets of low points.
    """

    values: Floats
    end: Indices
    sets: LowSets


def ways(loss: npt.NDArray[Any], coordinates: Sequence[Floats]) -> Ways:
    """The ways of a block of losses (m₁+4, …), coordinates (m_k+4,) of `evenly_scaled` likewise.

    Beyond the grid both are NaN.
    """
    wide = walled(loss)
    values = inner(wide)
    low = (values <= lowest_neighbour(wide)) & (values < np.inf)
    along = [each[1:-1] for each in coordinates]
    sets, labels = _low_sets(values, low, along)
    to = np.arange(values.size)
    moves = inner(~low & (values < np.inf))
    inner(to.reshape(values.shape))[moves] += _steepest(values, along)[moves]
    leads = np.where(~sets.open & (sets.exit < sets.none), sets.exit, sets.first)
    at = np.flatnonzero(labels)
    to[at] = leads[labels.ravel()[at] - 1]
    return Ways(values, followed(to), sets)


def walled(loss: npt.NDArray[Any]) -> Floats:
    """Losses in float64, with +inf for NaN."""
    values: Floats = np.where(np.isnan(loss), np.inf, loss).astype(np.float64)
    return values


def evenly_scaled(coordinates: Sequence[Floats]) -> list[Floats]:
    """Coordinates of a whole grid times a power of two, so that no neighbours are 1 apart.

    Which slope is the steepest stays as it was, but none can vanish by underflow.
    """
    widest = max(float(np.abs(np.diff(along)).max()) for along in coordinates)
    _, exponent = np.frexp(widest * len(coordinates))
    return [np.ldexp(along, -int(exponent)) for along in coordinates]


def followed(to: Indices) -> Indices:
    """Where the ways end, by doubling their length until nothing moves."""
    while True:
        further = to[to]
        if np.array_equal(further, to):
            return to
        to = further


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


def offsets(z: int) -> Iterator[tuple[int, ...]]:
    """Offsets of the neighbours, in C order."""
    return (offset for offset in product((-1, 0, 1), repeat=z) if any(offset))


def shifted(padded: npt.NDArray[Any], offset: Sequence[int]) -> npt.NDArray[Any]:
    """At every inner point the value of the neighbour at an offset."""
    return padded[tuple(slice(1 + o, n - 1 + o) for o, n in zip(offset, padded.shape, strict=True))]


def strides(shape: Sequence[int]) -> Indices:
    """How far the flat index moves for a step along each axis."""
    return np.array([int(np.prod(shape[k + 1 :])) for k in range(len(shape))], dtype=np.int64)


def _part(array: npt.NDArray[Any], axis: int, offset: int) -> npt.NDArray[Any]:
    """The array without two entries along an axis: the first two, one at each end, the last two."""
    n = array.shape[axis]
    cut = [slice(None)] * array.ndim
    cut[axis] = slice(1 + offset, n - 1 + offset)
    return array[tuple(cut)]


def _low_sets(
    values: Floats, low: Mask, coordinates: Sequence[Floats]
) -> tuple[LowSets, npt.NDArray[Any]]:
    """The sets of the block's own low points; by point the number of its set, from 1, or 0."""
    own = np.zeros_like(low)
    inner(own)[...] = inner(low)
    labels, count = ndimage.label(own, np.ones((3,) * low.ndim))
    at = np.flatnonzero(own)
    of = labels.ravel()[at].astype(np.int64) - 1
    flat, is_low = values.ravel(), low.ravel()
    exits = np.full(count, flat.size)
    links = [np.empty((0, 2), dtype=np.int64)]
    for offset in offsets(low.ndim):
        beside = at + int(np.dot(offset, strides(low.shape)))
        level = flat[beside] == flat[at]
        leaves = level & ~is_low[beside]
        np.minimum.at(exits, of[leaves], beside[leaves])
        goes_on = level & is_low[beside] & (labels.ravel()[beside] == 0)
        links.append(np.stack([of[goes_on], beside[goes_on]], axis=1))
    first = np.full(count, flat.size)
    np.minimum.at(first, of, at)
    edge = np.zeros(count, dtype=np.bool_)
    edge[of[_at_edge(coordinates).ravel()[at]]] = True
    linked = np.concatenate(links)
    crossing = np.zeros(count, dtype=np.bool_)
    crossing[linked[:, 0]] = True
    size = np.bincount(of, minlength=count)
    return LowSets(first, size, edge, exits, crossing, linked, flat.size), labels


def _at_edge(coordinates: Sequence[Floats]) -> Mask:
    """Which points, halo included, have none of the grid beside them on some side."""
    edge = np.zeros((), dtype=np.bool_)
    for along in coordinates:
        beyond = np.isnan(np.pad(along, 1, constant_values=np.nan))
        edge = np.logical_or.outer(edge, beyond[:-2] | beyond[2:])
    return edge


def _steepest(values: Floats, coordinates: Sequence[Floats]) -> Indices:
    """At own points the step of flat index to the neighbour of steepest descent, 0 if none."""
    steps = [0, *(int(np.dot(each, strides(values.shape))) for each in offsets(values.ndim))]
    taken = np.zeros([n - 2 for n in values.shape], dtype=np.int64)
    numbers = np.min_scalar_type(len(steps))
    for cut in pieces(taken.shape):
        around = tuple(widened(part) for part in cut)
        local = values[around]
        here = inner(local)
        best = np.zeros(here.shape)
        number = np.zeros(here.shape, dtype=numbers)
        spans = [each[part] for each, part in zip(coordinates, around, strict=True)]
        # inf − inf of walls and NaN beyond the grid are no descents.
        with np.errstate(invalid="ignore", over="ignore"):
            for k, offset in enumerate(offsets(values.ndim), start=1):
                slope = here - shifted(local, offset)
                slope /= _distance(spans, offset)
                steeper = slope > best
                np.fmax(best, slope, out=best)
                np.copyto(number, k, where=steeper)
        taken[cut] = np.array(steps, dtype=np.int64)[number]
    return taken


def _distance(coordinates: Sequence[Floats], offset: Sequence[int]) -> Floats:
    """Distance to the neighbour at an offset, NaN where there is none in the grid.

    (m₁, …), but with one entry along the axes that the offset does not move along.
    """
    squared = np.zeros(())
    for along, o in zip(coordinates, offset, strict=True):
        steps = np.diff(along) ** 2
        squared = np.add.outer(squared, {-1: steps[:-1], 0: np.zeros(1), 1: steps[1:]}[o])
    return np.sqrt(squared)
