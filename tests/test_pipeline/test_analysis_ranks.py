"""Rank correlation and overlaps: exact against scipy, histograms against exact."""

from __future__ import annotations

import math
import tracemalloc

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.analysis import gather, ranks, statistics
from pipeline.analysis.histogram import BINS, Bins
from pipeline.analysis.moments import Spread
from pipeline.analysis.ranks import nth_least, rank


@pytest.fixture
def histograms(monkeypatch):
    monkeypatch.setattr(ranks, "EXACT_POINTS", 0)


def dataset_of(x, y, chunk) -> xr.Dataset:
    loss = np.stack([x, y])
    dims = ["split", *(f"h{k}" for k in range(x.ndim))]
    coords = {"split": ["train", "test"]}
    coords |= {name: np.arange(n) for name, n in zip(dims[1:], x.shape, strict=True)}
    return xr.Dataset({"loss": (dims, loss)}, coords=coords).chunk(dict.fromkeys(dims[1:], chunk))


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 300), st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 3]))
def test_spearman_is_scipys(n, seed, decimals):
    rng = np.random.default_rng(seed)
    x = np.round(rng.normal(size=n), decimals)
    y = np.round(x + rng.normal(size=n), decimals)
    if np.ptp(x) and np.ptp(y):
        assert rank(x, y).spearman == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)
    holed = np.concatenate([[np.nan, 1.0, np.inf], x])
    assert rank(holed, np.concatenate([[0.0, -np.inf, 1.0], y])) == rank(x, y)


def test_known_overlaps():
    x = np.arange(100.0)
    assert rank(x, 3 * x + 1).iou == (1,) * 5
    assert rank(x, -x).iou == (0, 0, 0, 0, 0)
    half = rank(x, np.roll(x, 5))  # the least k of one are k shifted by 5
    assert half.iou == pytest.approx([0, 0, 5 / 15, 20 / 30, 45 / 55])


def test_ties_join_the_set():
    x = np.zeros(10)
    assert rank(x, x).iou == (1,) * 5  # a constant's every sub-level set is everything
    y = np.array([0.0, 0, 1, 1, 1, 1, 1, 1, 1, 1])
    assert rank(x, y).iou == pytest.approx([0.2, 0.2, 0.2, 1, 1])
    assert math.isnan(rank(x, y).spearman)


def test_nth_least_is_not_misled_by_rounding():
    for n in range(1, 2000):
        assert nth_least(0.1, n) == -(-n // 10)
        assert nth_least(0.01, n) == -(-n // 100)


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["normal", "cauchy", "lognormal", "offset", "ties", "constant", "extreme"]),
    st.integers(0, 2**32 - 1),
    st.sampled_from(["float32", "float64"]),
)
def test_bins_are_monotone(kind, seed, dtype):
    rng = np.random.default_rng(seed)
    values = _drawn(rng, kind, 3000).astype(dtype)
    bins = Bins.of(values[::7], Spread.of(values))
    ordered = bins(np.sort(values))
    assert (np.diff(ordered) >= 0).all()
    assert ordered[0] >= 0
    assert ordered[-1] < BINS


def _drawn(rng, kind, size):
    return {
        "normal": lambda: rng.normal(size=size),
        "cauchy": lambda: rng.standard_cauchy(size=size) * 1e3,
        "lognormal": lambda: rng.lognormal(sigma=6, size=size),
        "offset": lambda: 1e6 + rng.normal(size=size),
        "ties": lambda: rng.integers(0, 5, size=size).astype(float),
        "constant": lambda: np.full(size, 0.1),
        "extreme": lambda: rng.choice([-1e38, -1e-30, -0.0, 0.0, 1e-30, 1e38], size=size),
    }[kind]()


@pytest.mark.parametrize("kind", ["normal", "cauchy", "lognormal", "offset"])
def test_histograms_keep_their_bound(histograms, kind):
    rng = np.random.default_rng(7)
    x = _drawn(rng, kind, (150, 140))
    y = x + 0.5 * _drawn(rng, kind, (150, 140))
    x[:20, :30] = np.nan
    y[10:40, 25:60] = np.inf
    found = statistics(dataset_of(x, y, 64), {})
    exact = rank(x.ravel(), y.ravel())
    bound = found.transfer_spearman.attrs["error_bound"]
    assert 0 < bound < 2e-3
    assert abs(float(found.transfer_spearman[0]) - exact.spearman) <= bound
    differences = abs(found.transfer_iou.values[0] - exact.iou)
    assert (differences <= found.transfer_iou.attrs["error_bound"] + 1e-12).all()
    assert "histograms" in found.transfer_spearman.attrs["method"]


def test_histograms_of_ties_bound_themselves_honestly(histograms):
    rng = np.random.default_rng(8)
    x, y = _drawn(rng, "ties", (90, 80)), _drawn(rng, "ties", (90, 80))
    found = statistics(dataset_of(x, y, 32), {})
    exact = rank(x.ravel(), y.ravel())
    # Ties that share a bin share a rank, so here there is no error at all.
    np.testing.assert_allclose(found.transfer_spearman[0], exact.spearman, atol=1e-12)
    np.testing.assert_allclose(found.transfer_iou[0], exact.iou)


def test_histograms_of_nothing_and_of_a_constant(histograms):
    nothing = np.full((9, 8), np.nan)
    found = statistics(dataset_of(nothing, nothing, 4), {})
    assert np.isnan(found.transfer_spearman).all()
    assert np.isnan(found.transfer_iou).all()
    constant = np.full((9, 8), 0.1)
    found = statistics(dataset_of(constant, constant, 4), {})
    assert np.isnan(found.transfer_spearman).all()
    np.testing.assert_array_equal(found.transfer_iou, 1)
    disjoint = constant.copy()
    disjoint[:5], constant[5:] = np.nan, np.nan
    assert np.isnan(statistics(dataset_of(constant, disjoint, 4), {}).transfer_iou).all()


def test_histograms_of_replicates_and_three_splits(histograms):
    rng = np.random.default_rng(9)
    loss = rng.normal(size=(2, 3, 40, 30)).cumsum(axis=1)
    coords = {"split": ["a", "b", "c"], "h0": np.arange(40), "h1": np.arange(30)}
    dataset = xr.Dataset({"loss": (("replicate", "split", "h0", "h1"), loss)}, coords=coords)
    found = statistics(dataset.chunk(h0=16, h1=7), {})
    for r, c in np.ndindex(2, 2):
        expected = stats.spearmanr(loss[r, 0].ravel(), loss[r, c + 1].ravel()).statistic
        error = abs(float(found.transfer_spearman[r, c]) - expected)
        assert error <= found.transfer_spearman.attrs["error_bound"]


def test_a_large_field_is_never_held_whole(histograms, monkeypatch):
    monkeypatch.setattr(gather, "SAMPLE_POINTS", 2**12)
    n, chunk = 200, 40
    field = da.random.default_rng(0).random((2, n, n, n), chunks=(1, chunk, chunk, chunk))
    coords = {"split": ["train", "test"], **{h: np.arange(n) for h in "abc"}}
    dataset = xr.Dataset({"loss": (("split", *"abc"), field.astype("float32"))}, coords=coords)
    with dask.config.set(scheduler="threads", num_workers=2):
        tracemalloc.start()
        statistics(dataset, {})
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 2 * n**3 * 4 / 2  # half of the loss
