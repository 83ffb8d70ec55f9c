"""Moments that merge, against numpy on the whole."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.analysis.moments import Comoments, Difference, Spread


def cut(values, at):
    return np.split(values, sorted(k for k in set(at) if k <= values.size))


@settings(max_examples=50, deadline=None)
@given(
    st.integers(1, 200),
    st.lists(st.integers(0, 200), max_size=6),
    st.sampled_from([0.0, 1.0, 1e9, -1e12]),
    st.integers(0, 2**32 - 1),
)
def test_parts_merge_into_the_whole(n, at, offset, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(2, n)) + offset
    parts = list(zip(cut(x, at), cut(y, at), strict=True))
    pair = Comoments.merge([Comoments.of(*part) for part in parts])
    cx, cy = x - x[0], y - y[0]
    expected = np.cov(cx, cy, ddof=0) * n if n > 1 else np.zeros((2, 2))
    assert pair.count == n
    np.testing.assert_allclose(
        [pair.xx, pair.yy, pair.xy],
        [expected[0, 0], expected[1, 1], expected[0, 1]],
        atol=n * (1e-10 + 10 * np.spacing(abs(offset))),  # the digits of a mean, no more
    )
    d = Difference.merge([Difference.of(*part) for part in parts])
    np.testing.assert_allclose(d.mean, (y - x).mean(), atol=1e-12)
    np.testing.assert_allclose(d.deviation, (y - x).std(), atol=1e-12)
    np.testing.assert_allclose(d.mean_absolute, abs(y - x).mean())
    np.testing.assert_allclose([d.low, d.high], [(y - x).min(), (y - x).max()])


def test_an_offset_does_not_swallow_the_variance():
    rng = np.random.default_rng(0)
    noise = rng.integers(-8, 9, size=10_000) / 8
    x = noise + 2.0**40
    merged = Comoments.merge([Comoments.of(part, part) for part in np.split(x, 100)])
    expected = ((noise - noise.mean()) ** 2).sum()
    assert merged.xx == pytest.approx(expected, rel=1e-5)
    naive = (x**2).sum() - x.size * x.mean() ** 2
    assert abs(naive - expected) > expected / 2  # the textbook formula knows nothing here


@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e-30, -7e20])
def test_a_constant_has_no_variance_however_it_is_cut(value):
    x = np.full(1001, value)
    ramp = np.arange(1001.0)
    at = [1, 30, 500, 777]
    parts = [Comoments.of(*part) for part in zip(cut(x, at), cut(ramp, at), strict=True)]
    merged = Comoments.merge(parts)
    assert merged.xx == 0
    assert math.isnan(merged.correlation)
    assert math.isnan(merged.slope)


def test_only_finite_points_count():
    x = np.array([1.0, np.nan, np.inf, 2.0, -np.inf])
    y = np.array([2.0, 1.0, 1.0, np.nan, -np.inf])
    assert Spread.of(x) == Spread(2, 1.0, 2.0)
    assert Difference.of(x, y) == Difference(1, 1.0, 0.0, 1.0, 1.0, 1.0)
    assert Comoments.of(x, y).count == 1
    nothing = np.full(3, np.nan)
    for kind in (Difference, Comoments):
        empty = kind.merge([kind.of(nothing, nothing), kind.of(nothing, nothing)])
        assert empty.count == 0
        full = kind.of(np.arange(3.0), np.ones(3))
        assert kind.merge([empty, full, empty]) == full
    assert math.isnan(Difference.of(nothing, nothing).sup)


def test_extreme_values_neither_crash_nor_warn():
    x = np.array([1e308, -1e308, 1.0])
    d = Difference.of(x, -x)
    assert d.count == 1  # a difference beyond the greatest float is not finite
    assert math.isnan(Comoments.of(x, -x).correlation)
