"""Figures alone and the interactive page: complete, self-contained, of what was asked for."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from pipeline.exporting import export
from pipeline.exporting.curves import curves
from pipeline.exporting.selection import select
from pipeline.report.view import look
from tests.exports import OWN, PLACES, known, lose, scan, with_trajectories
from tests.test_pipeline.test_report import outside_references

pytestmark = pytest.mark.usefixtures("coarse")


def data_of(html):
    return json.loads(re.search(r'id="explore-data">(.*?)</script>', html, re.DOTALL).group(1))


@pytest.mark.parametrize(
    ("z", "names"),
    [
        (1, {"curves", "transfer"}),
        (2, {"surfaces", "contours", "relief", "difference", "transfer"}),
        (3, {"cuts_train", "cuts_test", "cuts_difference_test", "profiles", "transfer"}),
    ],
)
def test_figures_stand_alone_in_a_folder(tmp_path, z, names):
    files = export(scan(tmp_path, z), format="png").files
    assert {path.stem for path in files} == names
    assert set((tmp_path / "scan.figures").iterdir()) == set(files)
    assert all(np.asarray(Image.open(path).convert("L")).std() > 5 for path in files)


def test_figures_go_into_the_folder_that_is_given(tmp_path):
    files = export(scan(tmp_path, 1), tmp_path / "new" / "figures", format="png").files
    assert {path.parent for path in files} == {tmp_path / "new" / "figures"}


@pytest.mark.parametrize("z", [1, 2, 3, 4])
def test_a_page_loads_nothing_from_elsewhere(tmp_path, z):
    (path,) = export(scan(tmp_path, z)).files
    html = path.read_text(encoding="utf-8")
    assert path.name == "scan.html"
    assert outside_references(html) == []
    assert not re.search(r"<script[^>]+src", html)
    assert "default-src 'none'" in html
    assert ("Plotly" in html) == (z <= 2)


def test_the_page_of_one_axis_holds_the_curves_and_their_minima(tmp_path):
    html = export(scan(tmp_path, 1)).files[0].read_text(encoding="utf-8")
    traces = {trace["name"]: trace for trace in data_of(html)["data"]}
    assert set(traces) == {f"{a} {s}" for a in ("loss on", "minimum of") for s in OWN}
    figure = json.loads(curves(look(select(tmp_path / "scan.zarr").tree)))
    assert figure == data_of(html)
    assert numbers(traces["loss on test"]["x"]) == [-1, -0.5, 0, 0.5, 1]
    assert numbers(traces["loss on test"]["y"]) == pytest.approx(
        known("test", [-1, -0.5, 0, 0.5, 1])
    )


def numbers(encoded):
    """Numbers of a plotly figure, which packs arrays."""
    if isinstance(encoded, list):
        return encoded
    import base64

    return np.frombuffer(base64.b64decode(encoded["bdata"]), encoded["dtype"]).tolist()


def test_the_page_of_two_axes_has_a_choice_for_each_split(tmp_path):
    html = export(scan(tmp_path, 2)).files[0].read_text(encoding="utf-8")
    data = data_of(html)
    assert data["choices"] == ["train", "test", "test − train"]
    surface = data["figure"]["data"][0]
    heights = np.reshape(numbers(surface["z"]), (7, 5))
    b, a = np.meshgrid(numbers(surface["y"]), numbers(surface["x"]), indexing="ij")
    np.testing.assert_allclose(heights, known("train", a, b), rtol=1e-6)
    assert numbers(surface["y"])[0] == -2.5


def test_a_slice_of_a_cube_is_drawn_as_a_surface(tmp_path):
    done = export(scan(tmp_path, 3), at={"b": -2})
    html = done.files[0].read_text(encoding="utf-8")
    assert "5 × 3 points over a and c" in html
    assert "b = −2 held" in html
    data = data_of(html)
    surface = data["figure"]["data"][0]
    c, a = np.meshgrid(numbers(surface["y"]), numbers(surface["x"]), indexing="ij")
    heights = np.reshape(numbers(surface["z"]), (3, 5))
    np.testing.assert_allclose(heights, known("train", a, -2.0, c), rtol=1e-6)


def test_the_minimum_of_a_slice_is_that_of_the_slice(tmp_path):
    from pipeline.analysing import analyse

    store = scan(tmp_path, 2, parameters={"curvature": [1, 1], "centre": [0.5, 0.5]})
    analyse(store)
    assert look(select(store).tree).mark("train").at == {"a": 0.5, "b": 0.5}
    sliced = select(store, at={"b": -2.5})
    assert "analysis" not in sliced.tree.children
    assert look(sliced.tree).mark("train").at == {"a": 0.5}


def test_an_unfinished_scan_says_so(tmp_path):
    store = scan(tmp_path, 2)
    lose(store, 3)
    assert "of 12 shards 1 pending" in export(store).files[0].read_text(encoding="utf-8")


def test_trajectories_are_drawn_at_the_checkpoints_own_losses(tmp_path):
    html = export(with_trajectories(scan(tmp_path, 1))).files[0].read_text(encoding="utf-8")
    traces = {trace["name"]: trace for trace in data_of(html)["data"]}
    run = traces["Läufer, own loss on train"]
    assert numbers(run["x"]) == PLACES[:3, 0].tolist()
    assert numbers(run["y"]) == OWN["train"][:3].tolist()
    assert (run["mode"], traces["one, own loss on train"]["mode"]) == ("lines+markers", "markers")
    assert run["text"] == ["Läufer: 0", "Läufer: 1", "Läufer: 2"]


def test_a_replicate_is_drawn_alone(tmp_path):
    store = scan(tmp_path, 1, replicates=2)
    assert look(select(store).tree).every_replicate is not None
    assert look(select(store, replicate=1).tree).every_replicate is None
    assert "2 replicates" not in export(store, replicate=1).files[0].read_text(encoding="utf-8")
