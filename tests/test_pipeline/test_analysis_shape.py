"""What the statistics of a surface's shape apply to; convexity and roughness."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.analysis import over_replicates, rows, statistics
from pipeline.analysis.halo import pieces
from schemas.statistics import SURFACE, SURFACE_DIMS
from tests.surfaces import X, Y, quadratic, scan, surfaces, told

QUICK = settings(max_examples=12, deadline=None)


@QUICK
@given(surfaces(), st.integers(1, 4))
def test_chunks_do_not_matter(dataset, length):
    axes = list(dataset.loss.dims[1:])
    cut = dataset.chunk(dict.fromkeys(axes, length))
    xr.testing.assert_allclose(statistics(cut, {}), statistics(dataset, {}), rtol=1e-9, atol=1e-12)


def test_blocks_and_their_halos_do_not_matter(monkeypatch):
    rng = np.random.default_rng(0)
    h = [np.linspace(-1, 1, n) for n in (11, 8, 9)]
    loss = np.round(3 * rng.normal(size=(2, 11, 8, 9)))
    loss[0, 3:5, 2, 2] = np.nan
    whole = statistics(scan(loss, h), {})
    monkeypatch.setattr("pipeline.analysis.halo.BLOCK_POINTS", 1)
    monkeypatch.setattr("pipeline.analysis.halo.SLAB", 7)
    monkeypatch.setattr("pipeline.analysis.roughness.SLAB", 5)
    xr.testing.assert_allclose(statistics(scan(loss, h, chunks=(3, 2, 4)), {}), whole)


@pytest.mark.parametrize("shape", [(1,), (200_000,), (3, 90_000), (60, 70, 80)])
def test_pieces_cover_a_block_once(shape):
    seen = np.zeros(shape, dtype=int)
    for cut in pieces(shape):
        assert seen[cut].size <= 65_536
        seen[cut] += 1
    assert (seen == 1).all()


@QUICK
@given(surfaces())
def test_every_variable_is_as_the_layout_says(dataset):
    found = statistics(dataset, {})
    for name in set(SURFACE) & set(found.data_vars):
        assert found[name].dims == SURFACE_DIMS[name]
        assert found[name].attrs["long_name"] == SURFACE[name].long_name
        assert found[name].attrs["units"] == SURFACE[name].units
    replicated = statistics(dataset.expand_dims(replicate=[3, 4]), {})
    for r in (0, 1):
        xr.testing.assert_identical(replicated.isel(replicate=r, drop=True), found)
    assert over_replicates(replicated).sizes["bound"] == 3


@pytest.mark.parametrize("section", [None, "plane"])
def test_scans_that_do_not_say_what_their_section_is_have_no_shape(section):
    dataset = scan(quadratic(X, Y), [X, Y])
    assert set(statistics(dataset, {}).data_vars) & set(SURFACE)
    other = dataset.assign_attrs(section=section) if section else dataset.drop_attrs()
    assert not set(statistics(other, {}).data_vars) & set(SURFACE)


def test_convexity_is_the_part_of_points_where_the_curvature_is_not_negative():
    h = np.linspace(-2, 2, 401)
    well = told(scan((h**2 - 1) ** 2, [h]))
    assert float(well.shape_convexity) == pytest.approx(1 - 1 / np.sqrt(3) / 2, abs=0.01)
    assert float(told(scan(h**4, [h])).shape_convexity) == 1
    assert float(told(scan(-(h**2), [h])).shape_convexity) == 0
    z3 = [np.linspace(-1, 1, 9)] * 3
    a, b, c = np.meshgrid(*z3, indexing="ij")
    bowl = a**2 + b**2 + c**2
    assert float(told(scan(bowl + a * b + b * c, z3)).shape_convexity) == 1
    assert float(told(scan(bowl + 2.1 * a * b, z3)).shape_convexity) == 0


@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_rounding_does_not_make_a_valley_concave(dtype):
    h = np.linspace(-1, 1, 301)
    valley = np.add.outer(h, 0.3 * h) ** 2 + 1
    assert float(told(scan(valley.astype(dtype), [h, h])).shape_convexity) == 1
    ridge = told(scan((valley - 0.5 * h**2).astype("f8"), [h, h]))
    assert float(ridge.shape_convexity) == 0


def test_a_flat_surface_is_convex_and_has_no_roughness():
    h = np.linspace(-1, 1, 9)
    for value in (0.0, 0.1, -3.0):
        found = told(scan(np.full((9, 9), value, dtype="f4"), [h, h]))
        assert float(found.shape_convexity) == 1
        assert np.isnan(found.shape_roughness).all()
        assert float(found.sharpness_max_rise[2]) == 0
    tilted = told(scan(np.add.outer(h, 0 * h), [h, h]))
    np.testing.assert_allclose(tilted.shape_roughness, [1, np.nan])


def test_roughness_counts_ups_and_downs():
    h = np.linspace(0, 1, 1001)
    assert float(told(scan(np.exp(h), [h])).shape_roughness[0]) == pytest.approx(1)
    bowl = told(scan((h - 0.5) ** 2, [h]))
    assert float(bowl.shape_roughness[0]) == pytest.approx(2)
    # Five and a half periods of amplitude 1: eleven falls and rises by 2.
    waves = told(scan(5 - 3 * np.cos(11 * np.pi * h), [h]))
    assert float(waves.shape_roughness[0]) == pytest.approx(11, rel=1e-3)


@QUICK
@given(surfaces())
def test_roughness_is_brute_forces(dataset):
    found = statistics(dataset, {})
    eps = np.finfo(dataset.loss.dtype).eps
    if "shape_roughness" not in found:
        assert all(n == 1 for n in dataset.loss.shape[1:])
        return
    for s, loss in enumerate(dataset.loss.values.astype(float)):
        for axis, n in enumerate(loss.shape):
            ratios = []
            for line in np.moveaxis(loss, axis, -1).reshape(-1, n):
                extent = np.ptp(line) if np.isfinite(line).all() else 0
                if extent > 4 * eps * np.abs(line).max():
                    ratios.append(np.abs(np.diff(line)).sum() / extent)
            expected = np.mean(ratios) if ratios else np.nan
            np.testing.assert_allclose(found.shape_roughness[s, axis], expected)


def test_missing_and_infinite_losses_are_passed_over():
    x, y = np.linspace(-1, 1, 21), np.linspace(-1, 1, 11)
    clean = np.add.outer(x**2, y**2) + 1
    holed = clean.copy()
    holed[1, 1], holed[10, 7] = np.nan, np.inf
    found, whole = told(scan(holed, [x, y])), told(scan(clean, [x, y]))
    assert int(found.shape_convexity_points) == 19 * 9 - 4 - 9
    assert float(found.shape_convexity) == 1
    least = float(whole.sharpness_max_rise[0])
    np.testing.assert_array_equal(found.sharpness_max_rise, [least, np.inf, np.inf])
    finite = np.isfinite(holed) & (np.add.outer(x**2, y**2) <= 1 + 1e-9)
    np.testing.assert_allclose(found.sharpness_mean_rise[2], (holed - 1)[finite].mean())
    rough = np.delete(np.delete(holed, 10, 0), 1, 0)
    assert float(found.shape_roughness[1]) == pytest.approx(
        (np.abs(np.diff(rough, axis=1)).sum(1) / np.ptp(rough, axis=1)).mean()
    )
    np.testing.assert_allclose(found.origin_curvature, [[2, 0], [0, 2]], atol=1e-9)


def test_a_held_axis_has_no_part_in_the_shape():
    flat = told(scan(quadratic(X, Y), [X, Y]))
    held = statistics(scan(quadratic(X, Y)[:, None, :], [X, [0.0], Y]), {}).isel(split=0)
    for name in set(SURFACE) & set(flat.data_vars):
        dims = [dim for dim in ("axis", "axis_other") if dim in held[name].dims]
        free = held[name].sel({dim: ["h0", "h2"] for dim in dims})
        np.testing.assert_allclose(free, flat[name], err_msg=name)
    assert np.isnan(held.origin_curvature.sel(axis="h1")).all()
    assert float(held.basin_argmin.sel(axis="h1")) == 0
    off = statistics(scan(quadratic(X, Y)[:, None, :], [X, [0.5], Y]), {})
    assert "origin_loss" not in off
    assert not set(statistics(scan([[1.0]], [[0.0], [0.0]]), {}).data_vars) & set(SURFACE)


def test_a_scan_not_begun_is_nan_without_complaint():
    dataset = scan(
        np.full((2, 2, 5, 4), np.nan, dtype="f4"), [np.arange(5) - 2.0, np.arange(4) - 1.0]
    )
    found = statistics(dataset, {})
    assert set(found.data_vars) >= {"sharpness_max_rise", "basin_fraction", "shape_minima"}
    for name, variable in found.data_vars.items():
        missing = (variable == 0) if name.endswith("_points") else np.isnan(variable)
        assert missing.all(), name


def test_replicates_are_judged_one_by_one():
    rng = np.random.default_rng(1)
    h = [np.linspace(-1, 1, 7), np.linspace(-1, 1, 5)]
    loss = rng.normal(size=(3, 2, 7, 5))
    together = statistics(scan(loss, h, chunks=(2, 3)), {})
    for r in range(3):
        alone = statistics(scan(loss[r], h, chunks=(2, 3)), {})
        xr.testing.assert_allclose(together.isel(replicate=r, drop=True), alone)


def test_above_the_limits_minima_and_basins_are_left_out_and_said_so(monkeypatch):
    loss = quadratic(X, Y)
    loss[0, 0] = -5
    with monkeypatch.context() as patched:
        patched.setattr("pipeline.analysis.minima.MOST_LOOKS", 9 * 500)
        patched.setattr("pipeline.analysis.surface.MOST_LOOKS", 9 * 500)
        found = statistics(scan(loss, [X, Y], chunks=(10, 10)), {})
    assert not [name for name in found if str(name).startswith(("basin", "shape_minima"))]
    assert found.attrs["left_out"] == "minima and basins: the grid has more than 500 points"
    with monkeypatch.context() as patched:
        patched.setattr("pipeline.analysis.minima.MOST_MINIMA", 1)
        patched.setattr("pipeline.analysis.surface.MOST_MINIMA", 1)
        one = statistics(scan(np.stack([loss, quadratic(X, Y)]), [X, Y]), {})
    assert one.attrs["left_out"] == "minima and basins: a surface has more than 1 minima"
    np.testing.assert_array_equal(one.shape_minima, [np.nan, 1])
    np.testing.assert_array_equal(np.isnan(one.basin_fraction), [True, False])
    assert "left_out" not in statistics(scan(loss, [X, Y]), {}).attrs


def test_rows_are_sorted_into_groups_and_say_what_their_numbers_are_of():
    by_name = {row.name: row for row in rows(statistics(scan(quadratic(X, Y), [X, Y]), {}))}
    assert {by_name[name].group for name in by_name if name in SURFACE} == {
        "sharpness",
        "shape",
        "basin",
    }
    assert by_name["origin_curvature"].value.startswith("h0 × h0 6, h0 × h1 0.7, ")
    assert by_name["origin_width"].value.startswith("h0 at 1.1 L0: 0.5")
    assert by_name["sharpness_points"].value.startswith("within 0.25: ")
    assert by_name["minimum"].group == "proximity"


def test_the_store_reads_back_without_a_warning(tmp_path):
    found = statistics(scan(quadratic(X, Y), [X, Y], chunks=(9, 9)), {})
    found.to_zarr(tmp_path / "analysis.zarr", consolidated=False)
    stored = xr.open_zarr(tmp_path / "analysis.zarr", consolidated=False)
    xr.testing.assert_equal(stored.compute(), found)
