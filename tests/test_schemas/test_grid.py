"""Axes and grids: exact coordinates, every point in exactly one shard, nothing held in memory."""

import itertools
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.grid import Grid, LinearAxis, LogAxis, ValuesAxis, auto_chunks

finite = st.floats(-1e6, 1e6, allow_nan=False)


@given(start=finite, stop=finite, num=st.integers(2, 60))
def test_linear_axis_is_exact_at_its_ends_and_monotonic(start, stop, num):
    if start == stop or abs(stop - start) < 1e-6:
        return
    values = LinearAxis(start=start, stop=stop, num=num).coordinates(0, num)
    assert values[0] == start
    assert values[-1] == stop
    assert np.allclose(values, np.linspace(start, stop, num), rtol=1e-12, atol=1e-9)
    assert np.all(np.diff(values) * np.sign(stop - start) > 0)


@given(reach=st.floats(1e-3, 1e3), half=st.integers(1, 500))
def test_a_symmetric_axis_samples_its_centre_and_mirrors_exactly(reach, half):
    num = 2 * half + 1
    values = LinearAxis(start=-reach, stop=reach, num=num).coordinates(0, num)
    assert values[half] == 0.0
    assert np.array_equal(values, -values[::-1])


@given(lo=st.integers(0, 20), length=st.integers(0, 20))
def test_a_part_of_an_axis_has_the_same_bits_as_the_whole(lo, length):
    for axis in (
        LinearAxis(start=-0.3, stop=1.7, num=40),
        LogAxis(scale="log", start=-10.0, stop=-1e-7, num=40),
        ValuesAxis(values=tuple(float(i) ** 3 for i in range(40))),
    ):
        whole = axis.coordinates(0, 40)
        assert np.array_equal(axis.coordinates(lo, lo + length), whole[lo : lo + length])


def test_log_axis_has_exact_ends_and_equal_ratios():
    values = LogAxis(scale="log", start=1e-3, stop=1e3, num=7).coordinates(0, 7)
    assert values[0] == 1e-3
    assert values[-1] == 1e3
    assert np.allclose(values[1:] / values[:-1], 10.0, rtol=1e-12)


def test_one_point_axes_hold_their_start():
    assert LinearAxis(start=2.5, stop=9.0, num=1).coordinates(0, 1).tolist() == [2.5]
    assert LogAxis(scale="log", start=2.5, stop=2.5, num=1).coordinates(0, 1).tolist() == [2.5]


shapes = st.lists(st.integers(1, 7), min_size=1, max_size=4)


@st.composite
def grids(draw):
    shape = draw(shapes)
    chunks = [draw(st.integers(1, n)) for n in shape]
    shards = [c * draw(st.integers(1, 3)) for c in chunks]
    axes = tuple(
        ValuesAxis(values=tuple(float(10**k * i) for i in range(n))) for k, n in enumerate(shape)
    )
    names = tuple(f"a{k}" for k in range(len(shape)))
    return Grid(names, axes, tuple(chunks), tuple(shards))


@given(grids())
def test_every_point_is_in_exactly_one_shard_and_shards_are_whole_chunks(grid):
    seen = np.zeros(grid.shape, dtype=int)
    for index in range(grid.n_shards):
        block = grid.shard(index)
        seen[block.slices] += 1
        for (start, stop), shard, n in zip(block.ranges, grid.shards, grid.shape, strict=True):
            assert start % shard == 0
            assert stop == min(start + shard, n)
    assert np.all(seen == 1)


@given(grids())
def test_points_of_a_block_are_its_coordinates_in_c_order(grid):
    coordinates = [axis.coordinates(0, axis.num) for axis in grid.axes]
    for index in range(grid.n_shards):
        block = grid.shard(index)
        parts = [c[s] for c, s in zip(coordinates, block.slices, strict=True)]
        expected = np.array(list(itertools.product(*parts)))
        assert np.array_equal(grid.points(block), expected)
        batched = [grid.points(block, lo, hi) for lo, hi in grid.batches(block, 3)]
        assert np.array_equal(np.concatenate(batched), expected)


def test_a_shard_outside_the_grid_is_an_index_error():
    grid = Grid(("a",), (LinearAxis(start=0, stop=1, num=5),), (2,), (2,))
    for index in (-1, 3):
        with pytest.raises(IndexError):
            grid.shard(index)


def test_a_grid_of_a_trillion_points_costs_no_memory():
    tracemalloc.start()
    axis = LinearAxis(start=0, stop=1, num=1000)
    shape = (1000,) * 4
    grid = Grid(tuple("abcd"), (axis,) * 4, auto_chunks(shape), auto_chunks(shape))
    assert grid.n_points == 10**12
    last = grid.shard(grid.n_shards - 1)
    assert grid.points(last, last.size - 1)[0].tolist() == [1.0] * 4
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # The unravelled indices of one shard, not of the grid.
    assert peak < 20e6


@given(shapes)
def test_automatic_chunks_fit_the_grid(shape):
    chunks = auto_chunks(tuple(shape))
    assert all(1 <= c <= n for c, n in zip(chunks, shape, strict=True))


def test_automatic_chunks_are_neither_tiny_nor_huge():
    assert auto_chunks((256, 256)) == (32, 32)
    assert np.prod(auto_chunks((4096, 4096))) <= 65_536
    assert auto_chunks((7,)) == (7,)
