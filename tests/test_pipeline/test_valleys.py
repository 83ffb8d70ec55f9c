"""Bad valleys of grids against a flood from the least loss; blocks against the whole."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analysis import minima as module
from pipeline.analysis import statistics
from tests.surfaces import scan, told
from tests.test_pipeline.test_minima import QUICK, fields, found_in, neighbours


def climbs_over(low, high, relative):
    """Whether high is above low by more than rounding."""
    if np.isinf(low) or np.isinf(high):
        return high > low
    return high - low > relative * max(abs(low), abs(high))


def flooded(values, relative):
    """By cell the least height of a path to the least loss, in the order in which it is reached."""
    least = values.min()
    height = np.full(values.shape, np.inf)
    heap = []
    for cell in np.ndindex(values.shape):
        if values[cell] < np.inf and not climbs_over(least, values[cell], relative):
            height[cell] = values[cell]
            heap.append((height[cell], cell))
    heapq.heapify(heap)
    while heap:
        level, cell = heapq.heappop(heap)
        for beside in neighbours(cell, values.shape):
            if max(level, values[beside]) < height[beside]:
                height[beside] = max(level, values[beside])
                heapq.heappush(heap, (height[beside], beside))
    return height


def brute(loss, relative):
    """Points in bad valleys, and the greatest climb from one of them."""
    values = np.where(np.isnan(loss), np.inf, loss)
    height = flooded(values, relative)
    opened = [cell for cell in np.ndindex(values.shape) if values[cell] < np.inf]
    climbs = [
        height[cell] - values[cell]
        for cell in opened
        if climbs_over(values[cell], height[cell], relative)
    ]
    return len(climbs), max(climbs, default=0.0)


@QUICK
@given(fields(), st.sampled_from([0.0, 0.0, 0.1, 0.4]))
def test_bad_valleys_are_those_of_a_flood_from_the_least_loss(field, relative):
    loss, coordinates = field
    found = found_in(loss, coordinates, relative=relative)
    assert (found.bad_points, found.bad_depth) == brute(loss, relative)
    # A valley has a minimum that counts, and one that counts above the floor a valley.
    if found.place.size:
        above = [climbs_over(found.loss.min(), each, relative) for each in found.loss]
        assert (found.bad_points > 0) == any(above)


@pytest.mark.parametrize("relative", [0.0, 0.1])
@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("shape", [(80,), (13, 12), (6, 7, 5)])
def test_blocks_of_rough_terrain_count_what_the_flood_finds(shape, kept, relative, monkeypatch):
    if not kept:
        monkeypatch.setattr(module, "LABELLED_POINTS", 0)
    rng = np.random.default_rng([*shape, kept, int(10 * relative)])
    coordinates = [np.arange(float(n)) for n in shape]
    for scale, walls in ((1.0, 0.2), (3.0, 0.0), (3.0, 0.5), (50.0, 0.2)):
        loss = np.round(scale * (3 + rng.normal(size=shape)))
        loss[rng.random(shape) < walls] = np.nan
        found = found_in(loss, coordinates, 4, relative=relative)
        assert (found.basin is not None) == kept
        assert (found.bad_points, found.bad_depth) == brute(loss, relative)


def test_a_double_well_is_bad_below_its_pass():
    x = np.linspace(-2, 2, 401)
    well = (x**2 - 1) ** 2 + 0.1 * x
    found = told(scan(well, [x]))
    at = 150 + well[150:250].argmax()
    beyond = well[at + 1 :]
    assert float(found.shape_bad_valleys) == (beyond < well[at]).sum() / x.size
    assert float(found.shape_bad_valley_depth) == well[at] - beyond.min()
    # The same depth in both: neither is bad, though there are two minima.
    even = told(scan((x**2 - 1) ** 2, [x]))
    assert (float(even.shape_minima), float(even.shape_bad_valleys)) == (2, 0)
    assert float(even.shape_bad_valley_depth) == 0


def test_a_way_around_the_hill_makes_a_valley_good():
    x, y = np.linspace(-2, 2, 81), np.linspace(-1, 3, 41)
    wells = ((x**2 - 1) ** 2 + 0.1 * x)[:, None] * np.ones(41)
    found = told(scan(wells, [x, y]))
    assert float(found.shape_bad_valleys) > 0.2
    assert float(found.shape_minima_at_edge) == 2
    # The hill between them ends before the last points, and all comes down to there.
    slope = np.linspace(1, 0, 41)
    assert float(told(scan((wells + 9) * slope, [x, y])).shape_bad_valleys) == 0


def test_the_climb_is_over_the_highest_pass_on_the_way_and_the_lowest_way():
    # From 1 to the floor at 9 the pass of 7 has to be crossed, from 5 to 0 that of 5 first.
    loss = np.array([6.0, 1.0, 5.0, 2.0, 7.0, 0.0, 9.0, 3.0, 4.0])
    found = found_in(loss, [np.arange(9.0)])
    # In bad valleys: 6, 1, 5, 2 below 7; 3, 4 below 9.
    assert (found.bad_points, found.bad_depth) == (6, 6)
    ring = np.full((5, 5), 9.0)
    ring[1, 1:4] = [2.0, 5.0, 0.0]
    assert found_in(ring, [np.arange(5.0)] * 2).bad_depth == 3
    ring[2, 2] = 3.0  # a lower way beside the other, from corner to corner
    assert found_in(ring, [np.arange(5.0)] * 2).bad_depth == 1


def test_behind_walls_every_point_is_bad_and_the_climb_has_no_end():
    loss = np.array([0.0, 1.0, np.nan, 5.0, 4.0, np.inf, -1.0, 3.0])
    found = told(scan(loss, [np.arange(8.0) - 4]))
    assert float(found.shape_bad_valleys) == 4 / 6
    assert float(found.shape_bad_valley_depth) == np.inf
    # A basin beside the deepest of those behind the wall, with a point above the pass between.
    apart = np.array([0.0, np.nan, 8.0, 5.0, 6.0, 4.0, 9.0])
    assert found_in(apart, [np.arange(7.0)]).bad_points == 5
    walls = told(scan(np.full(8, np.nan), [np.arange(8.0) - 4]))
    assert np.isnan([walls.shape_bad_valleys, walls.shape_bad_valley_depth]).all()


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_rounding_makes_no_bad_valley(dtype):
    """A valley that comes down along one axis, each loss off by a few units of its rounding."""
    rng = np.random.default_rng(0)
    x, y = np.linspace(-1, 1, 40), np.linspace(-1, 1, 40)
    eps = np.finfo(dtype).eps
    exact = 1 + np.add.outer(np.clip(abs(x) - 0.5, 0, None), 30 * eps * y)
    loss = (exact * (1 + rng.uniform(-3, 3, size=exact.shape) * eps)).astype(dtype)
    relative = module.resolution(dtype, 0.0)
    assert found_in(loss, [x, y]).bad_points > 10
    assert found_in(loss, [x, y], 13, relative=relative).bad_points == 0
    # What is deeper than that is one, in the side of the valley as well.
    loss[20, 38] -= 40 * eps
    assert found_in(loss, [x, y], 13, relative=relative).bad_points == 1


def test_each_split_and_replicate_has_its_own():
    x = np.linspace(-2, 2, 41)
    even, tilted = (x**2 - 1) ** 2, (x**2 - 1) ** 2 + 0.2 * x
    loss = np.array([[even, tilted], [tilted, even]])
    found = statistics(scan(loss, [x], chunks=(7,)), {})
    bad = found.shape_bad_valleys
    assert bad.dims == ("replicate", "split")
    assert (bad.values > 0).tolist() == [[False, True], [True, False]]
    assert (bad.values == bad.values.T).all()
