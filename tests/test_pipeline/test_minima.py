"""Minima on grids, their basins and depths, against brute force; blocks against the whole."""

from __future__ import annotations

import math
from collections import deque
from itertools import product
from unittest import mock

import dask
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.analysis import blocks
from pipeline.analysis import minima as module
from pipeline.analysis.descending import lowest_neighbour
from pipeline.analysis.frame import frame_of
from pipeline.analysis.minima import minima
from tests.surfaces import scan

QUICK = settings(max_examples=60, deadline=None)


@st.composite
def fields(draw):
    """A field (n₁, …, n_z) of two points or more along every axis, and its coordinates."""
    z = draw(st.integers(1, 3))
    shape = tuple(draw(st.integers(2, (10, 8, 5)[z - 1])) for _ in range(z))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    loss = np.round(draw(st.sampled_from([0.3, 0.7, 2.0, 100.0])) * rng.normal(size=shape))
    for bad in draw(st.lists(st.sampled_from([np.nan, np.inf, -np.inf]), max_size=2)):
        loss[rng.random(shape) < draw(st.sampled_from([0.1, 0.4, 1.0]))] = bad
    return loss, [np.sort(rng.uniform(-1, 1, size=n)) for n in shape]


def neighbours(cell, shape):
    for offset in product((-1, 0, 1), repeat=len(shape)):
        beside = tuple(c + o for c, o in zip(cell, offset, strict=True))
        if any(offset) and all(0 <= c < n for c, n in zip(beside, shape, strict=True)):
            yield beside


def connected(cell, shape, inside):
    """All cells connected with a cell by neighbours for which `inside` holds."""
    seen, todo = {cell}, deque([cell])
    while todo:
        for beside in neighbours(todo.popleft(), shape):
            if beside not in seen and inside(beside):
                seen.add(beside)
                todo.append(beside)
    return seen


def steepest(values, cell, coordinates):
    """The neighbour of steepest descent, the first where they tie; None where none is lower."""
    best, to = 0.0, None
    for beside in neighbours(cell, values.shape):
        if values[beside] < values[cell]:
            apart = [a[i] - a[j] for a, i, j in zip(coordinates, cell, beside, strict=True)]
            slope = (values[cell] - values[beside]) / math.sqrt(sum(d * d for d in apart))
            if slope > best:
                best, to = slope, beside
    return to


def ends_of(values, coordinates):
    """By cell the first cell of the minimum that it descends to, one step after another."""
    shape, opened = values.shape, [c for c in np.ndindex(values.shape) if values[c] < np.inf]
    to = {cell: steepest(values, cell, coordinates) for cell in opened}
    leads = {}
    for cell in opened:
        if to[cell] is None and cell not in leads:
            low = connected(
                cell,
                shape,
                lambda q: values[q] == values[cell] and to[q] is None,  # noqa: B023
            )
            around = {q for p in low for q in neighbours(p, shape)} - low
            out = min((q for q in around if values[q] == values[cell]), default=None)
            leads |= dict.fromkeys(low, min(low) if out is None else out)
        elif to[cell] is not None:
            leads[cell] = to[cell]
    ends = {}
    for cell in opened:
        end = cell
        while leads[end] != end:
            end = leads[end]
        ends[cell] = end
    return ends


def depth_of(values, cell, minima):
    """Flooded from a minimum level by level: how far to where an older one is met."""
    older = {c for c in minima if (values[c], c) < (values[cell], cell)}
    for level in np.unique(values[(values >= values[cell]) & (values < np.inf)]):
        below = connected(cell, values.shape, lambda q: values[q] <= level)  # noqa: B023
        if below & older:
            return level - values[cell]
    return np.inf


def found_in(loss, coordinates, length=None, at=None, relative=0.0):
    """The minima of one surface; in blocks of chunks of `length` if it is given."""
    chunks = None if length is None else [length] * loss.ndim
    frame = frame_of(scan(loss, coordinates, "affine", chunks=chunks))
    points = blocks.BLOCK_POINTS if length is None else 1
    with mock.patch.object(blocks, "BLOCK_POINTS", points), dask.config.set(scheduler="sync"):
        ((found,),) = minima(frame, at, relative)
    return found


@QUICK
@given(fields())
def test_minima_and_basins_are_brute_forces(field):
    loss, coordinates = field
    values = np.where(np.isnan(loss), np.inf, loss)
    found = found_in(loss, coordinates)
    ends = ends_of(values, coordinates)
    firsts = sorted(set(ends.values()))
    assert [np.unravel_index(p, loss.shape) for p in found.place] == firsts
    assert found.loss.tolist() == [values[cell] for cell in firsts]
    for k, cell in enumerate(firsts):
        plateau = connected(cell, values.shape, lambda q: values[q] == values[cell])  # noqa: B023
        assert found.plateau[k] == len(plateau)
        assert found.at_edge[k] == any(
            c in (0, n - 1) for p in plateau for c, n in zip(p, loss.shape, strict=True)
        )
        assert found.depth[k] == depth_of(values, cell, firsts)
        assert found.points[k] == sum(end == cell for end in ends.values())
    for cell in np.ndindex(values.shape):
        assert found.basin[cell] == (firsts.index(ends[cell]) if cell in ends else -1)


@QUICK
@given(fields(), st.integers(2, 4), st.sampled_from([0.0, 0.3, 3.0]), st.data())
def test_blocks_find_what_the_whole_has_to_the_bit(field, length, relative, data):
    loss, coordinates = field
    at = tuple(data.draw(st.integers(0, n - 1)) for n in loss.shape)
    whole = found_in(loss, coordinates, None, at, relative)
    cut = found_in(loss, coordinates, length, at, relative)
    for name in ("place", "loss", "at_edge", "plateau", "depth", "points", "basin"):
        np.testing.assert_array_equal(getattr(cut, name), getattr(whole, name), err_msg=name)
    assert (cut.merged, cut.here) == (whole.merged, whole.here)
    assert whole.here == (None if whole.basin[at] < 0 else whole.basin[at])
    np.testing.assert_array_equal(
        np.bincount(whole.basin.ravel() + 1, minlength=whole.place.size + 1)[1:], whole.points
    )


@QUICK
@given(fields())
def test_the_lowest_neighbour_is_brute_forces(field):
    values = np.where(np.isnan(field[0]), np.inf, field[0])
    found = lowest_neighbour(np.pad(values, 1, constant_values=np.inf))
    for cell in np.ndindex(values.shape):
        assert found[cell] == min(values[q] for q in neighbours(cell, values.shape))


def test_a_plateau_over_the_corners_of_blocks_counts_once():
    h = np.arange(12.0)
    loss = np.ones((12, 12))
    loss[2:10, 2:10] = 0  # over the nine blocks of 4
    found = found_in(loss, [h, h], 4)
    assert (found.place.tolist(), found.plateau.tolist()) == ([2 * 12 + 2], [64])
    assert (found.points.tolist(), found.at_edge.tolist()) == ([144], [False])
    # A way out at one corner drains it all, from the far corner too.
    loss[10, 10] = -1
    found = found_in(loss, [h, h], 4)
    assert (found.place.tolist(), found.points.tolist()) == ([10 * 12 + 10], [144])
    # At the edge in the first of its blocks alone.
    loss[0:2, 5] = 0
    loss[10, 10] = 1
    assert found_in(loss, [h, h], 4).at_edge.tolist() == [True]


def test_a_snake_through_all_blocks_is_one_minimum():
    loss = np.ones((11, 13))
    for row in range(1, 10, 2):
        loss[row, 1:12] = 0
        loss[row + 1, 11 if row % 4 == 1 else 1] = 0
    coordinates = [np.arange(11.0), np.arange(13.0)]
    found = found_in(loss, coordinates, 3)
    assert (found.place.size, found.plateau[0]) == (1, (loss == 0).sum())


@pytest.mark.parametrize("length", [None, 8])
def test_shallow_minima_join_the_basin_beyond_their_pass(length):
    x = np.arange(33.0)
    wells = {3: 0.0, 16: 1.0, 29: 2.0}
    loss = np.full(33, 10.0) + 0.1 * np.minimum.reduce([abs(x - w) for w in wells])
    for place, depth in wells.items():
        loss[place - 2 : place + 3] = depth + np.abs(np.arange(-2, 3))
    loss[22] = loss[10] = 20.0
    loss[31] = 2.5  # a dent in the last well's side, 0.5 deep
    found = found_in(loss, [x], length)
    assert found.loss.tolist() == [0, 1, 2, 2.5]
    np.testing.assert_allclose(found.depth, [np.inf, 19, 18, 0.5])
    merged = found_in(loss, [x], length, relative=0.2)
    assert (merged.loss.tolist(), merged.merged) == ([0, 1, 2], 1)
    assert merged.points[2] == found.points[2] + found.points[3]
    assert merged.basin[31] == merged.basin[29] == 2
    # All but the deepest are merged: their points go on over the passes to it.
    alone = found_in(loss, [x], length, relative=2.0)
    assert (alone.place.tolist(), alone.points.tolist(), alone.merged) == ([3], [33], 3)


def test_what_is_beyond_a_pass_is_the_basin_there_and_not_the_deepest_of_those_joined():
    # The dent at 5 ends at a height of 8, when the basin of 3 has long joined that of 1. It is just
    # as deep as what is merged.
    loss = np.array([9.0, 0.0, 5.0, 1.0, 8.0, 6.0, 9.0])
    found = found_in(loss, [np.arange(7.0)], relative=0.25)
    assert (found.place.tolist(), found.points.tolist()) == ([1, 3], [3, 4])


def test_a_slope_that_underflows_is_a_descent_all_the_same():
    tiny = 5e-324
    # Two minima: of one alone no way would have to be followed.
    found = found_in(tiny * np.array([3, 2, 1, 0, 1, 2, 1, 0, 1]), [4.0 * np.arange(9)])
    assert (found.place.tolist(), found.points.tolist()) == ([3, 7], [6, 3])


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_jitter_of_a_flat_part_is_no_minimum(dtype):
    """The valley of a bowl in one direction, each loss off by a few units of its rounding."""
    rng = np.random.default_rng(0)
    x, y = np.linspace(-1, 1, 60), np.linspace(-1, 1, 60)
    exact = 1 + np.add.outer(x**2, 0 * y)
    eps = np.finfo(dtype).eps
    loss = (exact * (1 + rng.uniform(-3, 3, size=exact.shape) * eps)).astype(dtype)
    relative = module.resolution(dtype, 0.0)
    assert found_in(loss, [x, y], 25).place.size > 10
    merged = found_in(loss, [x, y], 25, relative=relative)
    assert merged.place.size == 1
    # What is deeper than that is kept, and so is all that float64 can tell.
    loss[29, 30] -= 40 * eps
    loss[29, 5] -= 40 * eps
    assert found_in(loss, [x, y], 25, relative=relative).place.size == 2
    assert module.resolution("f4", 0.01) == 0.02
