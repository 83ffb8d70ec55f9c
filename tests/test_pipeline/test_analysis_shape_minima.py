"""Local minima, basins and barriers of landscapes that are known."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.analysis import statistics
from tests.surfaces import scan, told


def test_ripples_have_as_many_minima_as_were_made():
    x, y = np.linspace(-1, 1, 161), np.linspace(-1, 1, 121)
    # Minima of -cos(4 pi x) at 0, +-1/2 and at both ends; of -cos(3 pi y) at 0, +-2/3.
    ripples = -np.add.outer(np.cos(4 * np.pi * x), np.cos(3 * np.pi * y))
    found = told(scan(ripples, [x, y]))
    assert float(found.shape_minima) == 3 * 3
    assert float(found.shape_minima_at_edge) == 2 * 3
    bowl = told(scan(np.add.outer(x**2, y**2), [x, y]))
    assert (float(bowl.shape_minima), float(bowl.shape_minima_at_edge)) == (1, 0)


def test_a_plateau_counts_once_and_a_step_does_not_count():
    h = np.arange(9.0) - 4
    basin = np.add.outer(np.clip(np.abs(h), 2, None), np.clip(np.abs(h), 1, None))
    assert float(told(scan(basin, [h, h])).shape_minima) == 1
    stairs = np.array([5.0, 4, 4, 4, 3, 2, 2, 1, 3])
    assert float(told(scan(stairs, [h])).shape_minima) == 1
    assert float(told(scan(stairs, [h])).basin_fraction) == 1
    flat = told(scan(np.ones((9, 9)), [h, h]))
    assert (float(flat.shape_minima), float(flat.shape_minima_at_edge)) == (0, 1)
    assert float(flat.basin_distance) == pytest.approx(4 * np.sqrt(2))


def test_the_origins_basin_of_a_double_well_is_its_half():
    x, y = np.linspace(-2, 2, 81), np.linspace(-1, 1, 11)
    well = np.add.outer((x**2 - 1) ** 2 + 0.1 * x, y**2)
    moved = np.add.outer(((x - 0.5) ** 2 - 1) ** 2, y**2)
    found = statistics(scan(np.stack([well, moved]), [x, y]), {})
    train, test = found.isel(split=0), found.isel(split=1)
    # At the origin the first slopes down to the left, where its minimum is at about -1.012.
    np.testing.assert_allclose(train.basin_argmin, [-1, 0], atol=0.03)
    assert float(train.basin_distance) == pytest.approx(1, abs=0.03)
    barrier_top = 0.025
    assert float(train.basin_fraction) == pytest.approx((2 + barrier_top) / 4, abs=0.02)
    np.testing.assert_allclose(test.basin_argmin, [-0.5, 0], atol=0.03)
    assert float(test.basin_fraction) == pytest.approx(2.5 / 4, abs=0.02)
    assert float(train.basin_minimum) == pytest.approx(-0.1, abs=0.01)
    assert (found.shape_minima == 2).all()


def test_an_origin_behind_walls_keeps_to_its_own_basin():
    x = np.linspace(-2, 2, 41)
    loss = (x - 1.5) ** 2
    assert float(told(scan(loss, [x])).basin_distance) == pytest.approx(1.5)
    for bad in (np.nan, np.inf):
        loss[25] = bad  # at 0.5
        found = told(scan(loss, [x]))
        assert float(found.basin_distance) == pytest.approx(0.4)
        assert float(found.basin_fraction) == pytest.approx(25 / 40)
        assert float(found.shape_minima) == 2
    loss[20] = np.nan
    assert np.isnan(told(scan(loss, [x])).basin_fraction)
    loss[20] = -np.inf
    found = told(scan(loss, [x]))
    assert float(found.basin_minimum) == -np.inf
    assert float(found.basin_distance) == 0


def test_in_three_dimensions_every_corner_of_the_cube_is_a_well():
    h = np.linspace(-1.5, 1.5, 25)
    a, b, c = np.meshgrid(h, h, h, indexing="ij")
    wells = (a**2 - 1) ** 2 + (b**2 - 1) ** 2 + (c**2 - 1) ** 2
    found = told(scan(wells, [h, h, h], chunks=(10, 9, 8)))
    assert (float(found.shape_minima), float(found.shape_minima_at_edge)) == (8, 0)
    assert float(found.basin_distance) == pytest.approx(np.sqrt(3), abs=0.01)
    assert 1 / 8 <= float(found.basin_fraction) < 0.16  # with the origin, a share of the faces


def along(t, loss, **kwargs):
    found = statistics(scan(loss, [t], "path", **kwargs), {}).isel(split=0)
    return [float(found[name]) for name in ("barrier", "barrier_at", "barrier_max_rise")]


@pytest.mark.parametrize("chunks", [None, (7,), (1,)])
@pytest.mark.parametrize("step", [1, -1])
def test_the_barrier_is_the_rise_above_the_straight_line(chunks, step):
    t = np.linspace(-0.5, 1.5, 81)[::step]
    hump = 0.7 * np.sin(np.pi * t) ** 2
    assert along(t, hump - 3, chunks=chunks) == pytest.approx([0.7, 0.5, 0.7])
    # 4 t (1 - t) is the quadratic's rise above its own chord; what lies outside [0, 1] is no part.
    tilted = 4 * t * (1 - t) + 2 * t - 1 + 100 * (np.abs(t - 0.5) > 0.51)
    assert along(t, tilted, chunks=chunks) == pytest.approx([1, 0.5, 1.25 * 1.8 - 2], abs=1e-12)


def test_a_valley_or_a_line_between_the_ends_has_no_barrier():
    t = np.linspace(0, 1, 21)
    assert along(t, (t - 0.5) ** 2) == [0, 0, 0]
    assert along(t, 2 * t) == pytest.approx([0, 0, 0], abs=1e-15)
    assert along(t, np.sqrt(t))[0] == pytest.approx(0.25, abs=1e-3)
    assert along(t, np.sqrt(t))[2] == 0


def test_ends_off_the_grid_are_interpolated():
    t = np.array([-0.5, 0.5, 0.75, 1.25])
    loss = np.array([0.0, 2, 5, 1])
    # loss(0) = 1 and loss(1) = 3, so the line is 2.5 at 0.75.
    assert along(t, loss) == pytest.approx([2.5, 0.75, 2])


def test_what_is_missing_along_a_path():
    t = np.linspace(0, 1, 11)
    hump = t * (1 - t)
    holed = hump.copy()
    holed[5] = np.nan
    assert along(t, holed) == pytest.approx([0.24, 0.4, 0.24])
    holed[3] = np.inf
    assert along(t, holed) == pytest.approx([np.inf, 0.3, np.inf])
    holed[-1] = np.nan
    assert np.isnan(along(t, holed)).all()
    assert np.isnan(along(t, np.where((t > 0) & (t < 1), np.nan, t))).all()


def test_only_a_path_from_0_to_1_has_a_barrier():
    t = np.linspace(0, 1, 11)
    for coordinates, section in (([t], "affine"), ([t * 0.9], "path"), ([t, t], "path")):
        loss = np.zeros([c.size for c in coordinates])
        assert "barrier" not in statistics(scan(loss, coordinates, section), {})
    found = statistics(scan(t, [t], "path"), {})
    assert "barrier" in found
    assert not [n for n in found if str(n).startswith(("origin_", "sharpness_", "basin_"))]


def test_barriers_are_told_for_every_split_and_replicate():
    t = np.linspace(0, 1, 11)
    heights = np.array([[1.0, 2.0], [3.0, 4.0]])
    loss = heights[..., None] * 4 * t * (1 - t)
    found = statistics(scan(loss, [t], "path", chunks=(4,)), {})
    np.testing.assert_allclose(found.barrier, heights)
    assert found.barrier.dims == ("replicate", "split")
