"""The statistics against plain numpy on arrays in memory, and what they say of known landscapes."""

from __future__ import annotations

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.analysis import over_replicates, statistics
from schemas.errors import InputError
from schemas.statistics import ANALYSIS, ANALYSIS_DIMS

QUICK = settings(max_examples=30, deadline=None)


def scan(loss, coordinates, chunks=None, **fields) -> xr.Dataset:
    """A scan's dataset: loss (split, axis…) or (replicate, split, axis…), fields without split."""
    axes = [f"h{k}" for k in range(len(coordinates))]
    leading = ["replicate"] * (loss.ndim - len(axes) - 1)
    dims = {"loss": [*leading, "split", *axes]}
    labels = ["train", "test", "other"][: loss.shape[len(leading)]]
    coords = {"split": np.array(labels, dtype=np.dtypes.StringDType())}
    coords |= dict(zip(axes, coordinates, strict=True))
    if leading:
        coords["replicate"] = np.arange(loss.shape[0])
    for name, field in fields.items():
        dims[name] = axes if field.ndim == len(axes) else ["replicate", *axes]
    data = {name: (dims[name], value) for name, value in {"loss": loss, **fields}.items()}
    dataset = xr.Dataset(data, coords=coords)
    return dataset if chunks is None else dataset.chunk(dict(zip(axes, chunks, strict=True)))


def finite_difference(x, y):
    with np.errstate(invalid="ignore"):
        d = (y.astype(float) - x.astype(float)).ravel()
    return d[np.isfinite(d)]


def least(values) -> int | None:
    """The flat index of the least value that is not NaN, by brute force."""
    pairs = [(v, k) for k, v in enumerate(values.ravel().tolist()) if v == v]
    return min(pairs)[1] if pairs else None


@st.composite
def scans(draw):
    z = draw(st.integers(1, 4))
    shape = tuple(draw(st.integers(1, 5 if z > 2 else 9)) for _ in range(z))
    chunks = tuple(draw(st.integers(1, n)) for n in shape)
    n_splits = draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    loss = rng.normal(size=(n_splits, *shape))
    if draw(st.booleans()):
        loss = np.round(loss)  # ties
    target_loss = rng.normal(size=shape)
    for bad in draw(st.lists(st.sampled_from([np.nan, np.inf, -np.inf]), max_size=3)):
        loss[rng.random(loss.shape) < draw(st.sampled_from([0.1, 0.5, 1.0]))] = bad
    if draw(st.booleans()):
        target_loss[rng.random(shape) < 0.3] = np.nan
    coordinates = [np.sort(rng.normal(size=n))[:: draw(st.sampled_from([1, -1]))] for n in shape]
    dtype = draw(st.sampled_from(["float32", "float64"]))
    fields = {"target": target_loss + 1, "target_loss": target_loss}
    if n_splits > 1:
        fields["predicted_test"] = rng.normal(size=shape)
    return scan(loss.astype(dtype), coordinates, chunks, **fields)


@QUICK
@given(scans())
def test_fidelity_is_numpys(dataset):
    found = statistics(dataset, {})
    target = dataset.target_loss.values
    for split in dataset.split.values:
        d = finite_difference(target, dataset.loss.sel(split=split).values)
        here = found.sel(split=split)
        assert int(here.fidelity_points) == d.size
        if not d.size:
            assert np.isnan(here.fidelity_sup)
            assert np.isnan(here.fidelity_rmse)
            continue
        c = d.mean()
        expected = {
            "fidelity_sup": abs(d).max(),
            "fidelity_rmse": np.sqrt((d**2).mean()),
            "fidelity_mae": abs(d).mean(),
            "fidelity_constant": c,
            "fidelity_sup_after_constant": abs(d - c).max(),
            "fidelity_rmse_after_constant": d.std(),
            "theorem_constant": (d - 1).mean(),
        }
        for name, value in expected.items():
            np.testing.assert_allclose(here[name], value, rtol=1e-12, atol=1e-12, err_msg=name)
    held = target[np.isfinite(target)]
    np.testing.assert_allclose(found.target_range, np.ptp(held) if held.size else np.nan)


@QUICK
@given(scans())
def test_transfer_is_numpys(dataset):
    found = statistics(dataset, {})
    if dataset.sizes["split"] == 1:
        assert not [name for name in found if str(name).startswith("transfer_")]
        return
    x = dataset.loss.values[0].astype(float)
    for s, split in enumerate(found.compared.values, start=1):
        here = found.sel(compared=split)
        y = dataset.loss.values[s].astype(float)
        d = finite_difference(x, y)
        both = np.isfinite(x) & np.isfinite(y)
        assert int(here.transfer_points) == both.sum()
        if d.size:
            np.testing.assert_allclose(here.transfer_sup, abs(d).max())
            np.testing.assert_allclose(here.transfer_rms, np.sqrt((d**2).mean()))
            np.testing.assert_allclose(here.transfer_rms_after_constant, d.std(), atol=1e-12)
        if both.any() and np.ptp(x[both]) and np.ptp(y[both]):
            slope, intercept = np.polyfit(x[both], y[both], 1)
            np.testing.assert_allclose(here.transfer_slope, slope, rtol=1e-6, atol=1e-9)
            np.testing.assert_allclose(here.transfer_intercept, intercept, rtol=1e-6, atol=1e-9)
            correlation = np.corrcoef(x[both], y[both])[0, 1]
            np.testing.assert_allclose(here.transfer_pearson, correlation, atol=1e-12)
        else:
            assert np.isnan(here.transfer_pearson)
    predicted = dataset.predicted_test.values
    d = finite_difference(x + predicted, dataset.loss.values[1])
    error = found.transfer_prediction_error.values
    np.testing.assert_allclose(error[0], abs(d).max() if d.size else np.nan, atol=1e-12)
    assert np.isnan(error[1:]).all()


@QUICK
@given(scans())
def test_minima_are_brute_forces(dataset):
    found = statistics(dataset, {"global_minimum": 0.5, "section_floor": -1.0})
    coordinates = [dataset[f"h{k}"].values for k in range(dataset.loss.ndim - 1)]
    losses = dataset.loss.values
    best = [least(loss) for loss in losses]

    def place(index):
        cell = np.unravel_index(index, losses.shape[1:])
        return np.array([x[k] for x, k in zip(coordinates, cell, strict=True)]), np.array(cell)

    for s, index in enumerate(best):
        here = found.isel(split=s)
        if index is None:
            assert np.isnan(here.minimum)
            assert np.isnan(here["argmin"]).all()
            assert np.isnan(here.proximity_distance)
            continue
        assert float(here.minimum) == losses[s].ravel()[index]
        np.testing.assert_array_equal(here["argmin"], place(index)[0])
        at = least(dataset.target_loss.values)
        if at is not None:
            np.testing.assert_allclose(
                here.proximity_distance, np.linalg.norm(place(index)[0] - place(at)[0])
            )
            np.testing.assert_array_equal(here.proximity_cells, abs(place(index)[1] - place(at)[1]))
            np.testing.assert_array_equal(here.loss_at_target_argmin, losses[s].ravel()[at])
        if s and best[0] is not None:
            shift = found.isel(compared=s - 1)
            np.testing.assert_array_equal(
                shift.transfer_argmin_shift, place(index)[0] - place(best[0])[0]
            )
            np.testing.assert_array_equal(
                shift.transfer_argmin_cells, place(index)[1] - place(best[0])[1]
            )
            at_reference = float(losses[s].ravel()[best[0]])
            low = float(losses[s].ravel()[index])
            regret = 0.0 if at_reference == low else at_reference - low
            np.testing.assert_array_equal(shift.transfer_regret, regret)
    if best[0] is not None:
        low = float(losses[0].ravel()[best[0]])
        assert float(found.gap_to_global_minimum) == low - 0.5
        assert float(found.gap_to_section_floor) == low + 1.0


@QUICK
@given(scans(), st.integers(1, 4))
def test_chunks_do_not_matter(dataset, length):
    axes = list(dataset.loss.dims[1:])
    whole = statistics(dataset.compute(), {})
    cut = statistics(dataset.compute().chunk(dict.fromkeys([*axes, "split"], length)), {})
    xr.testing.assert_allclose(whole, cut, rtol=1e-9, atol=1e-12)


@QUICK
@given(scans())
def test_every_variable_is_as_the_layout_says(dataset):
    dataset = dataset.assign(activation_cell=xr.zeros_like(dataset.loss, dtype=np.uint64))
    for replicated in (False, True):
        given_ = dataset.expand_dims(replicate=[3, 4]) if replicated else dataset
        found = statistics(given_, {"global_minimum": 0.0, "section_floor": 0.0})
        leading = ("replicate",) if replicated else ()
        single = dataset.sizes["split"] == 1
        expected = {n for n in ANALYSIS if not (single and n.startswith("transfer_"))}
        assert set(found.data_vars) == expected
        for name, variable in found.data_vars.items():
            assert variable.dims == (*leading, *ANALYSIS_DIMS[name])
            assert variable.attrs["long_name"] == ANALYSIS[name].long_name
            assert variable.attrs["units"] == ANALYSIS[name].units
        for dim in found.dims:
            assert dim in found.coords
        if replicated:
            assert found.replicate.values.tolist() == [3, 4]
            alike = found.isel(replicate=0, drop=True)
            xr.testing.assert_identical(alike, found.isel(replicate=1, drop=True))


def test_what_does_not_apply_is_left_out():
    dataset = scan(np.arange(5.0)[None], [np.arange(5.0)])
    assert set(statistics(dataset, {}).data_vars) == {"minimum", "argmin", "finite_points"}
    assert "theorem_constant" in statistics(dataset.assign(target=("h0", np.zeros(5))), {})


def test_a_dataset_without_loss_is_refused():
    with pytest.raises(InputError, match="expected loss"):
        statistics(xr.Dataset({"accuracy": 1.0}), {})


def test_a_shifted_quadratic_is_told_to_the_cell():
    x, y = np.linspace(-1, 1, 41), np.logspace(-2, 0, 21)
    bowl = np.add.outer((x - 0.5) ** 2, (np.log10(y) + 1) ** 2)
    moved = np.add.outer((x - 0.3) ** 2, (np.log10(y) + 1.2) ** 2)
    found = statistics(scan(np.stack([bowl, moved + 2]), [x, y], (7, 8), target_loss=bowl), {})
    test = found.sel(compared="test")
    np.testing.assert_allclose(test.transfer_argmin_shift, [-0.2, 10**-1.2 - 0.1], atol=1e-12)
    np.testing.assert_array_equal(test.transfer_argmin_cells, [-4, -2])
    np.testing.assert_allclose(test.transfer_regret, 0.2**2 + 0.2**2)
    np.testing.assert_allclose(found.proximity_distance.sel(split="train"), 0)
    np.testing.assert_array_equal(found.proximity_cells.sel(split="test"), [4, 2])
    np.testing.assert_allclose(found.minimum, [0, 2], atol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_symmetric_wells_are_one_minimum(dtype):
    h = np.linspace(-1, 1, 201)
    wells = 1 - np.exp(-((h - 0.5) ** 2) / 0.1) - np.exp(-((h + 0.5) ** 2) / 0.1)
    nudge = np.where(h > 0, 1e-11, 0.0)  # the left well is less, by no more than rounding
    loss = (h - 0.51) ** 2
    fields = {"target_loss": (wells + nudge).astype(dtype)}
    found = statistics(scan(loss[None], [h], (11,), **fields), {})
    assert float(found.target_argmin[0]) == pytest.approx(-0.5, abs=0.02)
    assert float(found.proximity_distance[0]) < 0.03
    assert found.proximity_cells.values[0, 0] <= 2


def test_a_constant_target_is_least_everywhere_and_a_constant_loss_correlates_with_nothing():
    h = np.linspace(-1, 1, 9)
    loss = np.stack([np.full(9, 0.1), h**2])
    found = statistics(scan(loss, [h], (4,), target_loss=np.full(9, 0.3)), {})
    np.testing.assert_array_equal(found.proximity_distance, 0)
    assert float(found.target_range) == 0
    for name in ("pearson", "spearman", "slope", "intercept"):
        assert np.isnan(found[f"transfer_{name}"]).all()


def test_an_unfinished_scan_counts_what_is_there():
    h = np.linspace(0, 1, 10)
    loss = np.stack([h, h])
    loss[0, 6:] = np.nan
    loss[1, :3] = np.nan
    loss[1, 5] = -np.inf
    found = statistics(scan(loss, [h], (4,), target_loss=h), {})
    assert found.finite_points.values.tolist() == [6, 6]
    assert found.fidelity_points.values.tolist() == [6, 6]
    assert found.transfer_points.values.tolist() == [2]
    assert float(found.minimum.sel(split="test")) == -np.inf
    assert float(found["argmin"].sel(split="test")[0]) == h[5]
    assert np.isnan(found.transfer_regret)  # the test loss is not known at the train argmin


def test_a_scan_not_begun_is_nan_without_complaint():
    loss = np.full((2, 2, 4, 3), np.nan, dtype=np.float32)
    dataset = scan(loss, [np.arange(4.0), np.arange(3.0)], (3, 2), target_loss=loss[0, 0])
    found = statistics(dataset, {"global_minimum": 0.0})
    for name, variable in found.data_vars.items():
        missing = (variable == 0) if name.endswith("_points") else np.isnan(variable)
        assert missing.all(), name
    assert np.isnan(over_replicates(found).minimum).all()


def test_replicates_are_judged_one_by_one():
    rng = np.random.default_rng(1)
    h = [np.arange(5.0), np.arange(4.0)]
    loss, own = rng.normal(size=(3, 2, 5, 4)), rng.normal(size=(3, 5, 4))
    shared = rng.normal(size=(5, 4))
    together = statistics(scan(loss, h, (2, 3), target=own, target_loss=shared), {})
    for r in range(3):
        alone = statistics(scan(loss[r], h, (2, 3), target=own[r], target_loss=shared), {})
        xr.testing.assert_allclose(together.isel(replicate=r, drop=True), alone)


def test_threads_do_not_matter():
    rng = np.random.default_rng(2)
    h = [np.arange(17.0)] * 3
    loss = rng.normal(size=(2, 17, 17, 17)).astype(np.float32)
    dataset = scan(loss, h, (3, 4, 5), target_loss=rng.normal(size=(17, 17, 17)))
    with dask.config.set(scheduler="synchronous"):
        once = statistics(dataset, {})
    with dask.config.set(scheduler="threads", num_workers=8):
        for _ in range(3):
            xr.testing.assert_identical(statistics(dataset, {}), once)


def test_a_wrong_prediction_is_noticed():
    rng = np.random.default_rng(3)
    h = np.linspace(0, 1, 50)
    loss = rng.normal(size=50)
    both, right = np.stack([loss, loss + h]), h.copy()
    wrong = right.copy()
    wrong[17] += 0.25
    for field, error in ((right, 0.0), (wrong, 0.25)):
        found = statistics(scan(both, [h], (7,), predicted_test=field), {})
        np.testing.assert_allclose(found.transfer_prediction_error, error, atol=1e-12)


def test_a_shuffled_loss_does_not_transfer():
    rng = np.random.default_rng(4)
    h = np.linspace(-1, 1, 60)
    bowl = np.add.outer(h**2, h**2)
    shuffled = rng.permutation(bowl.ravel()).reshape(bowl.shape)
    losses = np.stack([bowl, bowl * 2, shuffled])
    found = statistics(scan(losses, [h, h], (16, 16)), {})
    faithful, broken = found.sel(compared="test"), found.sel(compared="other")
    np.testing.assert_allclose(faithful.transfer_iou, 1)
    np.testing.assert_allclose([faithful.transfer_pearson, faithful.transfer_spearman], 1)
    np.testing.assert_allclose(faithful.transfer_slope, 2)
    np.testing.assert_allclose(faithful.transfer_intercept, 0, atol=1e-12)
    assert (broken.transfer_iou[:4] < 0.2).all()
    assert abs(broken.transfer_spearman) < 0.1


def test_the_store_reads_back_without_a_warning(tmp_path):
    rng = np.random.default_rng(5)
    dataset = scan(rng.normal(size=(2, 6, 5)).astype("f4"), [np.arange(6.0), np.arange(5.0)])
    path = tmp_path / "scan.zarr"
    dataset.chunk(h0=4, h1=2).to_zarr(path, consolidated=False)
    lazily = statistics(xr.open_zarr(path, chunks={}, consolidated=False), {})
    xr.testing.assert_allclose(lazily, statistics(dataset, {}))
    lazily.to_zarr(path, group="analysis", mode="a", consolidated=False)
    stored = xr.open_zarr(path, group="analysis", consolidated=False)
    xr.testing.assert_equal(stored.compute(), lazily)
