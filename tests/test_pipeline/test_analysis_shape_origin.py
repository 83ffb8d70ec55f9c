"""Sharpness, widths and curvature at the origin against closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.analysis import statistics
from schemas.statistics import LEVELS, SURFACE
from tests.surfaces import HESSIAN, X, Y, quadratic, scan, told

UNEVEN = np.array([-1.0, -0.7, -0.55, -0.2, 0.0, 0.1, 0.35, 0.4, 0.9, 1.2])


def test_what_is_about_the_origin_needs_it_within_the_grid():
    away = statistics(scan(quadratic(X + 2, Y), [X + 2, Y]), {})
    assert {n.split("_")[0] for n in set(away.data_vars) & set(SURFACE)} == {"shape"}
    edge = statistics(scan(quadratic(X + 1, Y), [X + 1, Y]), {})
    assert "origin" in edge.origin_loss.attrs
    assert "sharpness_max_rise" not in edge
    assert edge.attrs["left_out"] == "sharpness: the origin is at the edge of the grid"
    assert np.isnan(edge.origin_curvature[0]).values.tolist() == [[True, True], [True, False]]
    assert "left_out" not in statistics(scan(quadratic(X, Y), [X, Y]), {}).attrs


def test_the_nearest_grid_point_stands_in_for_an_origin_off_the_grid():
    on = told(scan(quadratic(X, Y), [X, Y]))
    assert on.origin_loss.attrs["origin"] == "the grid point at 0"
    off = told(scan(quadratic(X + 0.02, Y), [X + 0.02, Y]))
    assert off.origin_loss.attrs["origin"] == "the grid point nearest to 0: h0 = 0.02, h1 = 0"
    assert float(off.origin_loss) == pytest.approx(3 * 0.08**2 + 0.08 + 2)
    rounded = np.linspace(-0.3, 0.7, 11)
    assert 0 not in rounded
    assert told(scan(rounded, [rounded])).origin_loss.attrs["origin"] == "the grid point at 0"


@pytest.mark.parametrize("x", [X, UNEVEN, UNEVEN[::-1]])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_the_curvature_of_a_quadratic_is_exact_on_any_grid(x, dtype):
    found = told(scan(quadratic(x, Y).astype(dtype), [x, Y], chunks=(3, 7)))
    atol = 1e-11 if dtype == "f8" else 1e-2
    np.testing.assert_allclose(found.origin_curvature, HESSIAN, atol=atol)
    assert float(found.shape_convexity) == 1
    assert int(found.shape_convexity_points) == (x.size - 2) * (Y.size - 2)
    saddle = quadratic(x, Y) - np.outer(x, Y) * 4
    assert float(told(scan(saddle.astype(dtype), [x, Y])).shape_convexity) == 0


def test_the_measured_hessian_is_set_beside_the_grids():
    dataset = scan(quadratic(X, Y), [X, Y])
    dims = ("split", "axis", "axis_other", "h0", "h1")
    for wrong in (0.0, 0.25):
        stored = np.zeros((1, 2, 2, X.size, Y.size))
        stored[0, :, :, 20, 20] = HESSIAN + wrong * np.eye(2)[::-1]
        found = told(dataset.assign(section_hessian=(dims, stored)))
        np.testing.assert_array_equal(found.origin_curvature_measured, stored[0, :, :, 20, 20])
        np.testing.assert_allclose(found.origin_curvature_error, wrong, atol=1e-11)
    assert "origin_curvature_error" not in told(dataset)


@pytest.mark.parametrize("lowest", [1.0, 0.0, -0.5, -1.0, -3.0])
def test_rises_are_those_within_the_ball_and_the_box(lowest):
    rise = np.add.outer(2 * X**2, Y**2)
    found = told(scan(rise + lowest, [X, Y], chunks=(9, 11)))
    np.testing.assert_array_equal(found.radius, [0.25, 0.5, 1.0])
    for r in found.radius.values:
        at = found.sel(radius=r)
        within = np.add.outer(X**2, Y**2) <= r**2 + 1e-9
        np.testing.assert_allclose(at.sharpness_max_rise, 2 * r**2)
        np.testing.assert_allclose(at.sharpness_mean_rise, rise[within].mean())
        assert int(at.sharpness_points) == within.sum()
        # At the corner of the box, as far as the grid has one: its steps along h1 are 0.1.
        corner = 2 * r**2 + (np.floor(r * 10 + 1e-9) / 10) ** 2
        expected = corner / (1 + lowest) * 100 if lowest > -1 else np.nan
        np.testing.assert_allclose(at.sharpness_epsilon, expected)


def test_a_ball_with_nothing_but_the_origin_tells_nothing():
    h = np.linspace(-1, 1, 5)
    found = told(scan(h**2, [h]))
    np.testing.assert_array_equal(found.sharpness_max_rise, [np.nan, 0.25, 1.0])
    np.testing.assert_array_equal(found.sharpness_epsilon, [np.nan, 25.0, 100.0])
    np.testing.assert_array_equal(found.sharpness_points, [1, 3, 5])
    downhill = told(scan(-(h**2), [h]))
    assert float(downhill.sharpness_max_rise[2]) == 0
    assert float(downhill.sharpness_mean_rise[2]) == pytest.approx(-0.5)


def test_widths_are_those_of_the_parabola():
    dense = [np.linspace(-4, 4, 4001), np.linspace(-4, 4, 11)]
    found = told(scan(np.add.outer(dense[0] ** 2, 0.3 * dense[1] ** 2) + 1, dense))
    rise = np.array(LEVELS) - 1
    np.testing.assert_allclose(found.origin_width.sel(axis="h0"), 2 * np.sqrt(rise), rtol=1e-3)
    flat = told(scan(np.add.outer(dense[0] ** 2, 0 * dense[1]) + 1, dense))
    assert np.isnan(flat.origin_width.sel(axis="h1")).all()
    # Negative losses rise by parts of their size: from -1 to -0.9, 0 and 8.
    negative = told(scan(dense[0] ** 2 - 1, dense[:1]))
    np.testing.assert_allclose(negative.origin_width[0], 2 * np.sqrt(rise), rtol=1e-3)
    assert np.isnan(told(scan(dense[0] ** 2, dense[:1])).origin_width).all()


def test_widths_are_interpolated_and_stop_at_the_first_crossing():
    h = np.array([-3.0, -2, -1, 0, 1, 2, 4])
    loss = np.array([9.0, 1, 5, 1, 2, 3, 1])
    found = told(scan(loss, [h])).origin_width[0]
    # Level 2 is crossed a quarter of the way to -1, and at 1 exactly; 10 is never reached.
    np.testing.assert_allclose(found, [0.025 + 0.1, 0.25 + 1, np.nan])
    walls = told(scan([np.inf, 1, 1, 1, 1, np.nan, 7], [h])).origin_width[0]
    assert np.isnan(walls).all()
    walls = told(scan([np.inf, 1, 1, 1, 1, np.inf, 7], [h])).origin_width[0]
    np.testing.assert_allclose(walls, 3.0)


def test_a_loss_that_is_missing_at_the_origin_leaves_what_is_measured_from_it_undefined():
    x = np.linspace(-1, 1, 21)
    for bad in (np.nan, np.inf, -np.inf):
        loss = np.add.outer(x**2, x**2)
        loss[10, 10] = bad
        found = told(scan(loss, [x, x]))
        names = [n for n in SURFACE if n.startswith(("origin_", "sharpness_")) and n in found]
        assert len(names) == 7
        for name in names:
            missing = found[name] == 0 if name.endswith("_points") else np.isnan(found[name])
            assert missing.all(), name
        assert float(found.shape_convexity) == 1
