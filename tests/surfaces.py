"""Datasets of scans that say what their section is, for the statistics of shape."""

from __future__ import annotations

import numpy as np
import xarray as xr
from hypothesis import strategies as st

from pipeline.analysis import statistics

X, Y = np.linspace(-1, 1, 41), np.linspace(-2, 3, 51)
HESSIAN = np.array([[6.0, 0.7], [0.7, 1.0]])
"""Of `quadratic`."""


def scan(loss, coordinates, section="affine", chunks=None) -> xr.Dataset:
    """A dataset of loss ([replicate,] split, axis…); a loss over the axes alone is one split's."""
    axes = [f"h{k}" for k in range(len(coordinates))]
    loss = np.asarray(loss)
    loss = loss[None] if loss.ndim == len(axes) else loss
    dims = ["replicate"] * (loss.ndim - len(axes) - 1) + ["split", *axes]
    labels = ["train", "test", "other"][: loss.shape[-len(axes) - 1]]
    coords = {"split": np.array(labels, dtype=np.dtypes.StringDType())}
    coords |= dict(zip(axes, coordinates, strict=True))
    if "replicate" in dims:
        coords["replicate"] = np.arange(loss.shape[0])
    dataset = xr.Dataset({"loss": (dims, loss)}, coords, {"section": section})
    return dataset if chunks is None else dataset.chunk(dict(zip(axes, chunks, strict=True)))


def told(dataset: xr.Dataset) -> xr.Dataset:
    """The statistics of a scan's surface, of the first split."""
    return statistics(dataset, {}).isel(split=0)


def quadratic(x, y, offset=2.0):
    """Curvatures 6 and 1, mixed 0.7, least away from the origin."""
    return 3 * (x[:, None] - 0.1) ** 2 + 0.5 * (y + 0.4) ** 2 + 0.7 * np.outer(x, y) + offset


@st.composite
def surfaces(draw):
    z = draw(st.integers(1, 3))
    shape = tuple(draw(st.integers(1, 7 if z > 2 else 12)) for _ in range(z))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    loss = rng.normal(size=(draw(st.integers(1, 2)), *shape))
    if draw(st.booleans()):
        loss = np.round(2 * loss)  # plateaus
    for bad in draw(st.lists(st.sampled_from([np.nan, np.inf, -np.inf]), max_size=2)):
        loss[rng.random(loss.shape) < draw(st.sampled_from([0.05, 0.3, 1.0]))] = bad
    coordinates = []
    for n in shape:
        along = np.sort(rng.uniform(-1, 1, size=n))
        along[draw(st.integers(0, n - 1))] = 0.0
        coordinates.append(np.sort(along)[:: draw(st.sampled_from([1, -1]))])
    return scan(loss.astype(draw(st.sampled_from(["f4", "f8"]))), coordinates)
