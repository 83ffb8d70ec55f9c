"""Surfaces of several scans side by side: one colour scale, their own windows and titles."""

import numpy as np
import pytest
from PIL import Image

from pipeline.report.page import save
from pipeline.report.study_surfaces import draw
from schemas import parse_spec
from schemas.study import Study, Surfaces
from tests import report_trees

PAIR = Surfaces("Two of them", "Both.", {"with": "first", "without": "second"})


def trees(other=(7, 6)):
    first, second = report_trees.wells((9, 5)), report_trees.wells(other)
    second["loss"] = 3 * second["loss"]
    return {"first": first, "second": second}


def test_the_surfaces_share_one_colour_scale_over_both():
    scans = trees()
    picture = draw("figure 3", PAIR, scans)
    panels = [axes for axes in picture.figure.axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == ["with", "without"]
    meshes = [axes.collections[0] for axes in panels]
    losses = [scans[name]["loss"].isel(split=0).values for name in ("first", "second")]
    for mesh, values in zip(meshes, losses, strict=True):
        np.testing.assert_allclose(np.sort(mesh.get_array().ravel()), np.sort(values.ravel()))
        assert mesh.norm is meshes[0].norm
    assert meshes[0].norm.vmin == pytest.approx(min(v.min() for v in losses))
    assert meshes[0].norm.vmax == pytest.approx(max(v.max() for v in losses))
    assert (picture.name, picture.title) == ("figure_figure_3", "Two of them")
    assert picture.caption.startswith("Both. ")
    assert "with and without" in picture.alt


def test_it_is_saved_like_any_figure_of_a_study(tmp_path):
    shown = save(draw("pair", PAIR, trees()), tmp_path)
    with Image.open(tmp_path / "figure_pair.png") as image:
        width, height = image.size
    assert width > 1.5 * height
    assert shown.width < width


def test_a_scan_that_is_no_surface_is_refused():
    with pytest.raises(ValueError, match="scan second has 3 axes; expected two"):
        draw("pair", PAIR, trees((4, 3, 3)))


def test_a_study_has_the_scans_of_its_surfaces():
    axes = {"a": {"start": 0, "stop": 1, "num": 3}, "b": {"start": 0, "stop": 1, "num": 3}}
    spec = parse_spec({"task": "quadratic", "axes": axes})
    scans = {"first": spec, "second": spec}
    assert Study("S", "", scans, (), surfaces={"pair": PAIR}).surfaces["pair"] is PAIR
    with pytest.raises(ValueError, match="surfaces pair: no scan second; expected some of first"):
        Study("S", "", {"first": spec}, (), surfaces={"pair": PAIR})
