"""Intervals over replicates, and statistics as rows of text."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from pipeline.analysis import over_replicates, rows, statistics
from pipeline.analysis.table import number
from schemas.errors import InputError


@pytest.fixture(scope="module")
def replicated() -> xr.Dataset:
    rng = np.random.default_rng(0)
    dataset = xr.Dataset(
        {
            "loss": (("replicate", "split", "h1", "h2"), rng.normal(size=(6, 2, 7, 5))),
            "target_loss": (("h1", "h2"), rng.normal(size=(7, 5))),
        },
        coords={"split": ["train", "test"], "h1": np.arange(7.0), "h2": np.arange(5.0)},
    )
    return statistics(dataset, {"global_minimum": 0.0})


def test_intervals_are_scipys(replicated):
    intervals = over_replicates(replicated)
    assert intervals.attrs["replicates"] == 6
    for name, variable in replicated.data_vars.items():
        found = intervals[name]
        assert found.dims == ("bound", *variable.dims[1:])
        assert found.attrs["long_name"] == variable.attrs["long_name"]
        values = variable.values.astype(float)
        np.testing.assert_allclose(found.sel(bound="mean"), values.mean(axis=0))
        spread = stats.sem(values, axis=0)
        low, high = stats.t.interval(0.95, 5, loc=values.mean(axis=0), scale=spread + 1e-300)
        np.testing.assert_allclose(found.sel(bound="low"), low, atol=1e-12)
        np.testing.assert_allclose(found.sel(bound="high"), high, atol=1e-12)


def test_missing_replicates_are_left_out():
    values = np.array([[1.0, np.nan, 5.0], [2.0, np.nan, np.nan], [6.0, np.nan, np.nan]])
    dataset = xr.Dataset({"minimum": (("replicate", "split"), values)})
    found = over_replicates(dataset).minimum
    low, high = stats.t.interval(0.95, 2, loc=3.0, scale=stats.sem([1.0, 2.0, 6.0]))
    np.testing.assert_allclose(found.isel(split=0), [low, 3.0, high])
    assert np.isnan(found.isel(split=1)).all()
    np.testing.assert_array_equal(found.isel(split=2), [np.nan, 5.0, np.nan])


def test_infinite_statistics_have_no_interval():
    dataset = xr.Dataset({"minimum": ("replicate", [1.0, -np.inf])})
    assert over_replicates(dataset).minimum.sel(bound="mean") == -np.inf
    assert np.isnan(over_replicates(dataset).minimum.sel(bound="low"))


def test_intervals_need_replicates(replicated):
    with pytest.raises(InputError, match="no replicate"):
        over_replicates(replicated.isel(replicate=0, drop=True))


def test_rows_of_one_scan(replicated):
    one = replicated.isel(replicate=0, drop=True)
    table = rows(one)
    cells = {(row.name, row.split): row for row in table}
    assert len(cells) == len(table)
    assert {row.name for row in table} == set(one.data_vars)
    assert {row.group for row in table} == {"fidelity", "transfer", "proximity"}
    assert cells["minimum", "train"].value == f"{float(one.minimum[0]):.4g}"
    assert cells["argmin", "test"].value == ", ".join(
        f"{axis} {int(value)}"
        for axis, value in zip(("h1", "h2"), one["argmin"].values[1], strict=True)
    )
    assert cells["transfer_iou", "test"].value.startswith("1% ")
    assert cells["finite_points", "train"].value == "35"
    assert cells["target_range", ""].long_name == "greatest minus least target_loss"


def test_rows_of_replicates_show_intervals(replicated):
    low, mean, high = over_replicates(replicated).minimum.sel(split="test").values
    text = f"{mean:.4g} [{low:.4g}, {high:.4g}]"
    for table in (rows(replicated), rows(over_replicates(replicated))):
        assert [r.value for r in table if (r.name, r.split) == ("minimum", "test")] == [text]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.123456, "0.1235"),
        (1.5e-9, "1.5e-09"),
        (16777216.0, "16,777,216"),
        (-2.0, "-2"),
        (float("nan"), "undefined"),
        (float("inf"), "inf"),
        (1e300, "1e+300"),
    ],
)
def test_numbers_are_readable(value, text):
    assert number(value) == text
