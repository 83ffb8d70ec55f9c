"""The report of a scan: whole, self-contained, faithful, and never larger than what is drawn."""

import base64
import json
import re

import numpy as np
import pytest
import xarray as xr
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from pipeline.report.figures_nd import centre, pair_cuts, profiles
from pipeline.report.interactive import cube, surface
from pipeline.report.panels import Panel, draw
from pipeline.report.style import number, sequential
from pipeline.report.summary import tables
from pipeline.report.view import look
from schemas.layout import ShardStatus
from tests.report_trees import tree_of, wells, write

pytestmark = pytest.mark.usefixtures("coarse")

FIGURES = {
    1: {"curves", "transfer", "accuracy"},
    2: {"surfaces", "contours", "relief", "difference", "error", "transfer", "accuracy"},
    3: {"cuts_target", "cuts_train", "cuts_test", "cuts_difference_test", "profiles", "transfer"},
}
HOSTILE = "</script><script>alert('$x_{$ &amp;')</script>"


def outside_references(html):
    """What a browser would load from elsewhere: src, href, url() and @import outside of scripts."""
    markup = re.sub(r"<script.*?</script>", "", html, flags=re.DOTALL)
    loads = re.findall(r"""(?:src|href)\s*=\s*["']?([^"'\s>]+)|url\(([^)]+)\)|@import""", markup)
    return [a or b for a, b in loads if not (a or b).startswith(("#", "data:image/png;base64,"))]


@pytest.fixture(scope="module", params=[(30,), (20, 14), (9, 8, 7)], ids="{0}".format)
def written(request, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    return request.param, out, write(wells(request.param), out)


def test_a_page_and_its_figures_for_every_number_of_axes(written):
    shape, out, html = written
    names = FIGURES[min(3, len(shape))]
    assert {path.stem for path in out.glob("*.png")} == names
    for name in names:
        pixels = np.asarray(Image.open(out / f"{name}.png").convert("L"))
        assert pixels.std() > 5, name
        assert f'id="{name}"' in html
    assert len(re.findall('<img [^>]*alt="[^"]+"', html)) == len(names)


def test_four_axes(tmp_path):
    root = wells((6, 5, 4, 3), splits=("train",)).to_dataset()[["loss"]]
    html = write(tree_of(root), tmp_path)
    assert {path.stem for path in tmp_path.glob("*.png")} == {"cuts_train", "profiles"}
    assert "one panel for each pair of axes" in html


def test_the_page_loads_nothing_from_elsewhere(written):
    html = written[2]
    assert outside_references(html) == []
    assert not re.search(r"<script[^>]+src", html)
    assert "default-src 'none'" in html


def test_the_page_says_where_it_comes_from(written):
    for words in ("f00d", "task: wells", "1.5·10⁻⁵", "xr.open_zarr(&#39;/runs/wells.zarr&#39;)"):
        assert words in written[2]


def test_replicates_are_drawn(tmp_path):
    html = write(wells((12, 10), replicates=3, splits=("train",)), tmp_path)
    assert (tmp_path / "replicates.png").exists()
    assert "over 3 replicates" in html
    assert "mean ± one standard deviation" in write(wells((20,), 3), tmp_path)
    cubic = look(wells((4, 3, 3), 3, splits=("train",)))
    assert "mean ± one standard deviation" in profiles(cubic).caption


def test_first_axis_is_horizontal_and_second_vertical():
    tree = wells((7, 5))
    root = tree.to_dataset()[["loss"]]
    corner = xr.zeros_like(root.loss)
    corner[:, -1, 0] = 1.0  # greatest axis_1, least axis_2: the lower right corner
    view = look(tree_of(root.assign(loss=corner)))
    figure = Figure()
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    loss = view.loss("train")
    draw(axes, view, Panel("train", loss, sequential(loss), marks=False))
    drawn = np.asarray(axes.collections[0].get_array()).reshape(5, 7)
    assert drawn[0, -1] == 1
    assert drawn.sum() == 1
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("axis_1", "axis_2")
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[..., :3].astype(int)
    x, y = axes.transData.transform((1.5, -1.5)).astype(int)
    yellow = pixels[pixels.shape[0] - 1 - y - 8, x - 8]
    assert yellow[0] > 200 > yellow[2]


def test_orientation_of_the_interactive_surface_and_cube():
    tree = wells((7, 5))
    trace = json.loads(surface(look(tree)))["figure"]["data"][0]
    assert trace["z"]["shape"] == "5, 7"
    root = wells((4, 3, 2)).to_dataset()[["loss"]]
    mark = xr.zeros_like(root.loss)
    mark[:, 3, 0, 1] = 1.0
    layers = json.loads(cube(look(tree_of(root.assign(loss=mark)))))["layers"]
    train = next(layer for layer in layers if layer["label"] == "train")
    codes = np.frombuffer(base64.b64decode(train["codes"]), "<u2")
    assert codes.reshape(4, 3, 2)[3, 0, 1] == codes.max() == 65534
    assert (codes > 0).sum() == 1


def test_descending_axes_are_drawn_ascending():
    root = wells((7, 5)).to_dataset()
    ascending, descending = (
        look(tree_of(root)),
        look(tree_of(root.isel(axis_1=slice(None, None, -1)))),
    )
    xr.testing.assert_equal(ascending.thin, descending.thin)
    assert ascending.marks == descending.marks


def test_cuts_run_through_the_train_minimum():
    view = look(wells((9, 8, 7)))
    least = view.full["loss"].sel(split="train").min()
    through = centre(view)
    for pair, cut in pair_cuts(view).items():
        at = {axis: float(view.full[axis][through[axis]]) for axis in pair}
        assert cut["loss"].sel(split="train", **at) == least


def test_marks_are_found_without_an_analysis():
    with_one, without = look(wells((9, 8))), look(wells((9, 8), analysed=False))
    assert without.mark("train") == with_one.mark("train")


def all_nan(root):
    for name in root.data_vars:
        root[name][:] = np.nan


def constant(root):
    for name in root.data_vars:
        root[name][:] = 3.0


def holes(root):
    root["loss"] = root.loss.astype(np.float64)
    root.loss[0, :2] = np.inf
    root.loss[0, -1:] = 1e300
    root.loss[1] = np.nan


def far_tail(root):
    root.loss[:, 0] = 1e25
    root.target_loss[0] = 0.0


def decades(root):
    root["loss"] = np.exp(6 * root.loss)


@pytest.mark.parametrize(
    ("shape", "damage"),
    [((11,), each) for each in (all_nan, constant, holes, far_tail, decades)]
    + [((2, 5), each) for each in (all_nan, constant, holes, far_tail)]
    + [((4, 3, 3), decades)],
)
def test_any_values_can_be_drawn(tmp_path, shape, damage):
    root = wells(shape).to_dataset()[["loss", "target_loss"]].copy(deep=True)
    damage(root)
    html = write(tree_of(root, analysed=damage is constant), tmp_path)
    if damage in (all_nan, holes):
        assert "no finite value" in html


@pytest.mark.parametrize("shape", [(1,), (1, 1), (1, 9), (9, 1), (1, 3, 1)])
def test_one_point_axes_are_held(tmp_path, shape):
    html = write(wells(shape), tmp_path)
    assert ("axis_1 = 0.25" in html) == (shape[0] == 1)


def test_logarithmic_axes_of_either_sign(tmp_path):
    up, down = np.geomspace(1e-3, 1, 9), -np.geomspace(1e-3, 1, 8)
    root = wells((9, 8)).to_dataset()[["loss"]]
    tree = tree_of(root.assign_coords(axis_1=up, axis_2=down))
    assert look(tree).logs == {"axis_1", "axis_2"}
    write(tree, tmp_path)
    cubic = wells((9, 8, 3)).to_dataset().assign_coords(axis_1=up, axis_2=down)
    places = json.loads(cube(look(tree_of(cubic))))["axes"]
    assert places[0]["borders"] == pytest.approx(np.linspace(0, 1, 10), abs=1e-6)
    assert places[1]["borders"] == pytest.approx(np.linspace(0, 1, 9), abs=1e-6)
    assert places[1]["labels"][0] == "−1"


def test_many_splits(tmp_path):
    root = wells((8, 7), splits=("train", "a", "b", "d")).to_dataset()[["loss"]]
    html = write(tree_of(root), tmp_path)
    assert "d − train" in html


def test_one_split_and_five_axes():
    bare = wells((2, 3, 2, 3, 2), splits=("train",)).to_dataset()[["loss"]]
    view = look(xr.DataTree(bare))
    assert len(pair_cuts(view)) == 10
    assert len(json.loads(cube(view))["axes"]) == 5


def test_an_unfinished_scan_says_so(tmp_path):
    status = np.array([ShardStatus.DONE, ShardStatus.FAILED, ShardStatus.PENDING], np.uint8)
    root = wells((6,)).to_dataset()
    assert "of 3 shards 1 pending and 1 failed" in write(tree_of(root, status=status), tmp_path)


def test_hostile_words_are_only_words(tmp_path):
    for shape in ((8,), (3, 3, 3)):
        tree = tree_of(wells(shape, splits=("train", HOSTILE)).to_dataset()[["loss"]])
        html = write(tree, tmp_path, [(HOSTILE, HOSTILE, HOSTILE, HOSTILE, HOSTILE)], HOSTILE)
        assert "<script>alert" not in html
        assert "&lt;script&gt;alert" in html
        assert all(re.fullmatch(r"[a-z0-9_]+\.png", p.name) for p in tmp_path.glob("*.png"))


def test_words_the_font_lacks(tmp_path):
    write(wells((8,), splits=("train", "測試 😀\n_")), tmp_path)


def test_rows_become_tables():
    rows = [
        ("fidelity", "sup", "train", 0.12344, "greatest error"),
        ("fidelity", "sup", "test", "0.2 [0.1, 0.3]", "greatest error"),
        ("transfer", "gap", "", float("nan"), "gap"),
    ]
    fidelity, transfer = tables(rows)
    assert fidelity.columns == ["train", "test"]
    assert fidelity.lines[0].cells == ["0.1234", "0.2 [0.1, 0.3]"]
    assert (transfer.columns, transfer.lines[0].cells) == (["value"], ["–"])


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (-1.5, "−1.5"), (1234567.0, "1.235·10⁶"), (12000.0, "12,000"), (1e-5, "1·10⁻⁵"),
     (float("nan"), "–"), (float("-inf"), "−∞")],
)  # fmt: skip
def test_numbers_read_well(value, text):
    assert number(value) == text
