"""Local minima on a scan's page: the table of the deepest, and the dots in its figures."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from pipeline.report.local_minima import local_minima
from pipeline.report.minima import drawn_minima
from pipeline.report.page import pictures
from pipeline.report.view import look
from tests.report_trees import wells, write

pytestmark = pytest.mark.usefixtures("coarse")


def with_minima(shape, refined=True, of=("train", "train", "test")):
    tree = wells(shape)
    axes = [f"axis_{i + 1}" for i in range(len(shape))]
    place = np.array([[-1.0, 0.5], [1.0, 0.5], [-1.0, 0.4]])[:, : len(shape)]
    kinds = ["minimum", "edge", "not refined"]
    columns = {
        "of_split": ("minimum", list(of)),
        "coordinate": (("minimum", "axis"), place),
        "loss": ("minimum", [1.8, 2.2, 1.9]),
        "at_edge": ("minimum", [False, True, False]),
        "depth": ("minimum", [np.inf, 0.7, np.inf]),
        "basin_fraction": ("minimum", [0.6, 0.4, 1.0]),
    }
    if refined:
        columns |= {
            "refined_coordinate": (("minimum", "axis"), place + 0.0123),
            "refined_loss": ("minimum", [1.75, 2.1, np.nan]),
            "refined_eigenvalue_min": ("minimum", [0.5, -0.2, np.nan]),
            "refined_eigenvalue_max": ("minimum", [3.0, 4.0, np.nan]),
            "kind": ("minimum", kinds),
        }
    tree["minima"] = xr.DataTree(xr.Dataset(columns, {"axis": axes}))
    return tree


def dots(figure):
    """The places of the small white marks, panel by panel."""
    return [
        [line.get_xydata()[0].tolist() for line in axes.lines if line.get_markersize() == 3.4]
        for axes in figure.axes
    ]


def test_the_page_lists_the_minima_of_each_split(tmp_path):
    page = write(with_minima((21,)), tmp_path)
    assert "local minima: 2 on train, 1 on test" in page
    (table,) = local_minima(with_minima((21, 17)))
    cells = {line.words: line.cells for line in table.lines}
    assert list(cells) == ["train 1", "train 2", "test 1"]
    assert cells["train 1"] == [
        *("−1, 0.5", "1.8", "∞", "0.6", "no"),
        *("−0.9877, 0.5123", "1.75", "0.5 … 3", "minimum"),
    ]
    assert cells["test 1"][-1] == "not refined"
    (table,) = local_minima(with_minima((21, 17), refined=False))
    assert len(table.columns) == 5
    assert local_minima(wells((21, 17))) == []


def test_the_deepest_are_listed_in_the_order_of_their_loss(monkeypatch):
    monkeypatch.setattr("pipeline.report.local_minima.MOST_LISTED", 1)
    (table,) = local_minima(with_minima((21, 17)))
    assert table.name.endswith("; the 1 deepest of each")
    assert [line.cells[1] for line in table.lines] == ["1.8", "1.9"]


def test_dots_stand_where_the_minima_were_refined_to():
    view = look(with_minima((21, 17)))
    surfaces = pictures(view)[0].figure
    titles = [axes.get_title() for axes in surfaces.axes]
    by_title = dict(zip(titles, dots(surfaces), strict=True))
    # The second left the grid and stands where the grid has it; one alone is marked already.
    np.testing.assert_allclose(by_title["train"], [[-0.9877, 0.5123], [1, 0.5]])
    assert by_title["test"] == by_title["target"] == []
    curves = pictures(look(with_minima((41,))))[0].figure
    np.testing.assert_allclose(dots(curves)[0], [[-0.9877, 1.75], [1, 2.2]])
    assert drawn_minima(wells((21, 17))) == ()
