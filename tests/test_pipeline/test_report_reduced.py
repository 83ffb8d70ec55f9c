"""A grid larger than what is drawn is thinned before it is loaded."""

import numpy as np
import pytest
import xarray as xr
from xarray.backends import BackendArray
from xarray.core.indexing import (
    ExplicitIndexer,
    IndexingSupport,
    LazilyIndexedArray,
    explicit_indexing_adapter,
)

from pipeline.report.view import kept, look
from tests.report_trees import write

pytestmark = pytest.mark.usefixtures("coarse")


def test_kept_indices():
    assert kept(5, 9).tolist() == [0, 1, 2, 3, 4]
    for n in (100, 511, 513, 10**6):
        indices = kept(n, 50, [37, n - 2])
        assert len(indices) <= 50
        assert {0, 37, n - 2, n - 1} <= set(indices.tolist())


class Watched(BackendArray):
    """A large field computed where it is read, which refuses to give more than `most` values."""

    def __init__(self, shape, most):
        self.shape, self.dtype, self.most, self.read = shape, np.dtype("f4"), most, 0

    def __getitem__(self, key: ExplicitIndexer):
        return explicit_indexing_adapter(key, self.shape, IndexingSupport.OUTER, self._read)

    def _read(self, key):
        places = [np.atleast_1d(np.arange(n)[k]) for n, k in zip(self.shape, key, strict=True)]
        size = int(np.prod([len(place) for place in places]))
        assert size <= self.most, f"{size} values were loaded at once"
        self.read += size
        waves = [np.sin(p / n * 5) for p, n in zip(places[1:], self.shape[1:], strict=True)]
        total = sum(np.ix_(*waves)) + 1.0
        values = np.stack([total + i for i in places[0]]).astype("f4")
        scalar = [
            axis for axis, k in enumerate(key) if np.ndim(k) == 0 and not isinstance(k, slice)
        ]
        return values.squeeze(tuple(scalar)) if scalar else values


@pytest.mark.parametrize(
    ("shape", "most"),
    [((2_000_000,), 2 * 512), ((60_000, 50_000), 2 * 512**2), ((4000, 3000, 5000), 2 * 512**2)],
)
def test_a_large_grid_is_reduced_before_it_is_loaded(tmp_path, shape, most):
    watched = Watched((2, *shape), most)
    axes = [f"axis_{i}" for i in range(len(shape))]
    root = xr.Dataset(
        {"loss": (["split", *axes], LazilyIndexedArray(watched))},
        coords={
            "split": ["train", "test"],
            **{a: np.arange(n) * 1.0 for a, n in zip(axes, shape, strict=True)},
        },
    )
    html = write(xr.DataTree(root), tmp_path)
    assert 0 < watched.read <= 20 * most
    assert "reduced to" in html


def test_dask_chunks_that_are_not_drawn_are_not_computed():
    computed = []

    def chunk(block):
        computed.append(block.shape)
        return block

    import dask.array as da

    size = 256 * 4096
    loss = da.zeros((1, size), chunks=(1, 256), dtype="f4").map_blocks(chunk, meta=np.empty((0, 0)))
    root = xr.Dataset({"loss": (("split", "axis_1"), loss)}, coords={"split": ["train"]})
    look(xr.DataTree(root.assign_coords(axis_1=np.arange(size) * 1.0)))
    assert 0 < len(computed) <= 513
