"""How many cells a grid meets, and the picture of them."""

import numpy as np
import pytest
import xarray as xr

from pipeline.analysis import rows, statistics
from pipeline.report.cell_maps import colours, wall_density
from pipeline.report.figures_2d import figures
from pipeline.report.view import look

SIDE = 24


def scan(hashes, chunk, replicates=None):
    """A scan of two splits, the second of one cell, with hashes far beyond float64's integers."""
    shape = hashes.shape
    large = np.uint64(2**63) + hashes.astype(np.uint64)
    cells = np.stack([large, np.full(shape, large.flat[0])])
    loss = np.stack([np.add.outer(np.arange(shape[0]) ** 2.0, np.arange(shape[1]))] * 2)
    dims = ["split", "a", "b"]
    if replicates:
        cells, loss = np.stack([cells] * replicates), np.stack([loss] * replicates)
        dims = ["replicate", *dims]
    return xr.Dataset(
        {"loss": (dims, loss), "activation_cell": (dims, cells)},
        coords={
            "split": np.array(["train", "test"], dtype=np.dtypes.StringDType()),
            "a": np.linspace(-1, 1, shape[0]),
            "b": np.linspace(0, 1, shape[1]),
        },
    ).chunk({"a": chunk, "b": chunk})


def quarters():
    """Four cells; the first and the last one have hashes that float64 cannot tell apart."""
    hashes = np.zeros((SIDE, SIDE))
    hashes[SIDE // 2 :] = 5000
    hashes[:, SIDE // 2 :] += 20_000
    hashes[-1, -1] = 1
    return hashes


@pytest.mark.parametrize("chunk", [5, SIDE])
@pytest.mark.parametrize("replicates", [None, 2])
def test_different_hashes_are_counted_whatever_the_chunks(chunk, replicates):
    found = statistics(scan(quarters(), chunk, replicates), {})
    assert found["cells_met"].attrs["units"] == "cells"
    expected = [5, 1] if replicates is None else [[5, 1]] * replicates
    assert found["cells_met"].values.tolist() == expected
    if replicates is None:
        row = next(row for row in rows(found) if row.name == "cells_met")
        assert (row.group, row.split, row.value) == ("cells", "train", "5")


def test_without_cells_there_is_no_number_and_no_picture():
    data = scan(quarters(), SIDE).drop_vars("activation_cell")
    assert "cells_met" not in statistics(data, {})
    drawn = figures(look(xr.DataTree(data)))
    assert "cells" not in [picture.name for picture in drawn]


def test_walls_are_dense_where_steps_cross_them():
    hashes = np.zeros((64 * 4, 64 * 4), dtype=np.uint64)
    hashes[:, 3::4] = 7
    density = wall_density(hashes)
    assert density.shape == (64, 64)
    # Of the steps along a row, two in four; of those along a column, none.
    np.testing.assert_allclose(density[:-1, :-1], 0.25)
    assert wall_density(np.zeros((5, 9), dtype=np.uint64)).max() == 0


def test_colours_tell_cells_apart_and_keep_to_them():
    hashes = np.random.default_rng(1).integers(0, 2**64, 50, dtype=np.uint64)
    drawn = colours(hashes)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    assert len(np.unique(drawn.round(3), axis=0)) == len(hashes)
    np.testing.assert_array_equal(colours(hashes[::-1]), drawn[::-1])


def test_the_picture_says_how_many_cells_it_shows():
    (picture,) = (
        one for one in figures(look(xr.DataTree(scan(quarters(), 8)))) if one.name == "cells"
    )
    assert "5 activation cells, on train" in picture.caption
    left = picture.figure.axes[0].collections[0].get_array()
    assert len(np.unique(left.reshape(-1, 3), axis=0)) >= 4
