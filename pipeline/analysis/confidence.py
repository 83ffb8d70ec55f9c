"""Confidence intervals of statistics over the replicates of a scan."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import xarray as xr
from scipy import stats

from schemas.errors import InputError
from schemas.layout import REPLICATE
from schemas.statistics import BOUND

LEVEL = 0.95
BOUNDS = ("low", "mean", "high")


def over_replicates(statistics: xr.Dataset) -> xr.Dataset:
    """Mean and two-sided 95 % t-interval of every statistic: `replicate` becomes `bound`, in front.

    mean ± t(0.975, n − 1) · s / √n, s the standard deviation with n − 1 (Student 1908), over the n
    replicates where the statistic is defined. NaN where n = 0; low and high are NaN where n = 1.
    Exact if the statistic is normal over replicates; correlations and overlaps, being bounded, are
    so only approximately.

    Raises InputError when the statistics have no replicate dimension.
    """
    if REPLICATE not in statistics.dims:
        raise InputError(
            f"the statistics have dimensions {sorted(map(str, statistics.dims))} and no "
            f"{REPLICATE}; scan with replicates above 1"
        )
    variables = {}
    for name, each in statistics.data_vars.items():
        dims = tuple(dim for dim in each.dims if dim != REPLICATE)
        ordered = each.transpose(REPLICATE, *dims)
        attrs = {**each.attrs, "interval": f"{LEVEL:.0%} t-interval over replicates"}
        variables[name] = ((BOUND, *dims), _interval(ordered.values), attrs)
    labels = np.array(BOUNDS, dtype=np.dtypes.StringDType())
    kept = statistics.drop_vars(REPLICATE, errors="ignore").coords
    return xr.Dataset(
        variables,
        coords={
            **kept,
            BOUND: (
                BOUND,
                labels,
                {"long_name": "end or mean of the interval"},
            ),
        },
        attrs={**statistics.attrs, "replicates": statistics.sizes[REPLICATE]},
    )


def _interval(values: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """low, mean, high (3, …) of values (R, …)."""
    held = ~np.isnan(values)
    n = held.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = np.where(held, values, 0.0).sum(axis=0) / n
        squares = np.where(held, (values - mean) ** 2, 0.0).sum(axis=0)
        deviation = np.sqrt(squares / (n - 1))
        # With n = 1 both factors are NaN: there is no interval.
        reach = stats.t.ppf((1 + LEVEL) / 2, n - 1) * deviation / np.sqrt(n)
        return np.stack([mean - reach, mean, mean + reach])
