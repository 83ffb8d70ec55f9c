"""Training runs and paths in the report: drawn where the data says, counted where they are not."""

import json

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from pipeline.report import (
    figure_path,
    figure_runs,
    figures_1d,
    figures_2d,
    figures_nd,
    sections,
    style,
)
from pipeline.report.interactive import surface
from pipeline.report.labels import Label, put_labels
from pipeline.report.panels import COLOUR_BAR
from pipeline.report.runs import inside, interpolated
from pipeline.report.scene import LIFT
from pipeline.report.view import look
from schemas.layout import SECTION_GROUP, TRAJECTORY_GROUP
from tests.report_trees import path, trained, tree_of, wells, write

pytestmark = pytest.mark.usefixtures("coarse")

NONE = frozenset()


def lines_of(axes, colour, *, marker=None, line=None):
    """x and y of the artists in this colour, of this marker or line style."""
    return [
        np.asarray(found.get_xydata())
        for found in axes.lines
        if colour in {to_hex(each, keep_alpha=False) for each in _colours(found)}
        if marker is None or found.get_marker() == marker
        if line is None or found.get_linestyle() == line
        if len(found.get_xdata())
    ]


def _colours(line):
    """The line's colour where it has one, and its markers' faces unless they are hollow."""
    drawn = [] if line.get_linestyle() == "None" else [line.get_color()]
    face = line.get_markerfacecolor()
    return drawn if str(face) == "none" else [*drawn, face]


def stored(tree, run, axes=("axis_1", "axis_2")):
    """The coordinates of a run's checkpoints as they stand in the tree."""
    found = tree[TRAJECTORY_GROUP].to_dataset()
    mine = found["coordinate"].values[found["run"].values == run]
    return mine[:, [list(found["axis"].values).index(axis) for axis in axes]]


def panels(figure):
    return [axes for axes in figure.axes if axes.get_label() != COLOUR_BAR]


@pytest.fixture(scope="module")
def two():
    tree = trained()
    return tree, look(tree)


def test_interpolation_is_exact_for_a_bilinear_function_on_uneven_axes():
    x, y = np.array([-1.0, 0.5, 2.0, 2.25]), np.array([0.0, 3.0, 4.0])
    field = xr.DataArray(
        np.stack([2 + x[:, None] * y - 3 * y, 5 * x[:, None] + 0 * y]),
        dims=("split", "x", "y"),
        coords={"x": x, "y": y},
    )
    at = {"x": np.array([-1.0, 0.1, 2.1, 2.25]), "y": np.array([4.0, 2.0, 3.4, 0.0])}
    found = interpolated(field, at, NONE)
    np.testing.assert_allclose(found[0], 2 + at["x"] * at["y"] - 3 * at["y"], atol=1e-12)
    np.testing.assert_allclose(found[1], 5 * at["x"], atol=1e-12)
    np.testing.assert_allclose(interpolated(field.transpose("y", ..., "x"), at, NONE), found)


def test_nothing_is_interpolated_off_the_grid_or_beside_a_hole():
    field = xr.DataArray([0.0, 1.0, np.inf, 3.0, 4.0], dims="x", coords={"x": np.arange(5.0)})
    at = np.array([-0.6, -0.4, 1.0, 1.1, 2.9, 3.0, 3.5, 4.6])
    found = interpolated(field, {"x": at}, NONE)
    expected = [np.nan, 0.0, 1.0, np.nan, np.nan, 3.0, 3.5, np.nan]
    np.testing.assert_allclose(found, expected)


@pytest.mark.parametrize("sign", [1, -1])
def test_logarithmic_axes_interpolate_as_they_are_drawn(sign):
    x = np.sort(sign * np.geomspace(1e-3, 1, 7))
    field = xr.DataArray(np.log(np.abs(x)), dims="x", coords={"x": x})
    at = sign * np.array([2e-3, 0.05, 0.9])
    logs = frozenset({"x"})
    np.testing.assert_allclose(interpolated(field, {"x": at}, logs), np.log(np.abs(at)))
    assert inside(x, np.array([-sign * 0.1, 0.0]), True).tolist() == [False, False]
    linear = interpolated(field, {"x": at}, NONE)
    assert np.abs(linear - np.log(np.abs(at))).max() > 0.1


def test_a_run_knows_its_own_loss_and_the_surfaces(two):
    tree, view = two
    found = tree[TRAJECTORY_GROUP].to_dataset()
    for run in view.runs:
        mine = found["run"].values == run.name
        for split in view.splits:
            np.testing.assert_array_equal(
                run.own[split], found["loss"].sel(split=split).values[mine]
            )
        # Off the section the two differ; where nothing is left outside they agree.
        gap = np.abs(run.own["train"] - run.surface["train"])[run.inside]
        assert gap.max() > 0.01
    origin = view.runs[0]
    assert origin.distance[-1] == pytest.approx(0, abs=1e-12)
    assert origin.own["train"][-1] == pytest.approx(origin.surface["train"][-1], abs=2e-3)


def test_runs_are_drawn_where_they_are_projected(two):
    tree, view = two
    for picture in (figures_2d.surfaces(view), figures_2d.contours(view)):
        for axes in panels(picture.figure):
            for number, run in enumerate(view.runs):
                colour = style.run_style(number)[0]
                expected = stored(tree, run.name)
                (line,) = lines_of(axes, colour, line="-")
                np.testing.assert_array_equal(line, expected)
                (dots,) = lines_of(axes, colour, marker="o")
                np.testing.assert_array_equal(dots, expected)
                (end,) = lines_of(axes, colour, marker="s")
                np.testing.assert_array_equal(end, expected[-1:])
            hollow = lines_of(axes, "#ffffff", marker="s")
            starts = [stored(tree, run.name)[0] for run in view.runs]
            np.testing.assert_array_equal(
                np.unique(np.concatenate(hollow), axis=0), np.unique(starts, axis=0)
            )


def test_runs_outside_the_grid_are_counted_and_do_not_widen_the_panel(two):
    tree, view = two
    root = tree.to_dataset()
    low, high = ([float(root[a][i]) for a in view.axes] for i in (0, -1))
    half = [float(root[a][1] - root[a][0]) / 2 for a in view.axes]
    every = np.concatenate([stored(tree, run.name) for run in view.runs])
    beyond = int(((every < np.subtract(low, half)) | (every > np.add(high, half))).any(1).sum())
    assert 0 < beyond < len(every)
    picture = figures_2d.surfaces(view)
    assert f"Of {len(every)} checkpoints {beyond} lie outside the grid" in picture.caption
    for axes in panels(picture.figure):
        assert axes.get_xlim() == pytest.approx((low[0] - half[0], high[0] + half[0]))
        assert axes.get_ylim() == pytest.approx((low[1] - half[1], high[1] + half[1]))


def test_no_count_when_every_checkpoint_is_on_the_grid(two):
    tree = two[0].copy()
    found = tree[TRAJECTORY_GROUP].to_dataset()
    tree[TRAJECTORY_GROUP] = xr.DataTree(found.assign(coordinate=0.1 * found["coordinate"]))
    assert "outside the grid" not in figures_2d.surfaces(look(tree)).caption


def test_a_scan_without_runs_says_nothing_of_them(tmp_path):
    html = write(wells((12,)), tmp_path)
    assert not (tmp_path / "runs.png").exists()
    assert "checkpoint" not in html
    assert "checkpoint" not in figures_2d.surfaces(look(wells((6, 5)))).caption


def test_single_models_are_marks_with_their_names():
    tree = trained(runs=(), singles=("a", "b $x_{", "deep model"))
    view = look(tree)
    axes = panels(figures_2d.contours(view).figure)[0]
    shown = [run for run in view.runs if run.inside[0]]
    assert 0 < len(shown) < len(view.runs)
    assert {text.get_text() for text in axes.texts} == {style.plain(run.name) for run in shown}
    for number, run in enumerate(view.runs):
        (mark,) = lines_of(axes, style.run_style(number)[0], marker="s")
        np.testing.assert_array_equal(mark, stored(tree, run.name))


def test_labels_avoid_each_other_and_what_is_drawn():
    figure = Figure(figsize=(4, 4))
    axes = figure.add_subplot()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    figure.draw_without_rendering()
    right = np.stack([np.linspace(0.5, 0.9, 50), np.full(50, 0.5)], axis=1)
    labels = [Label(f"model {i}", (0.5, 0.5), "k") for i in range(5)]
    put_labels(axes, [*labels, Label("at the edge", (0.98, 0.1), "k")], right)
    boxes = [text.get_window_extent() for text in axes.texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    frame = axes.get_window_extent()
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 for box in boxes)
    covered = axes.transData.transform(right)
    first = boxes[0]
    assert not ((covered >= first.min) & (covered <= first.max)).all(axis=1).any()


def test_the_runs_figure_shows_own_and_projected_loss(two):
    _, view = two
    picture = figure_runs.the_runs(view)
    axes = picture.figure.axes
    for number, run in enumerate(view.runs):
        colour = style.run_style(number)[0]
        steps = np.arange(1, len(run.checkpoints) + 1)
        for panel, split in zip(axes, view.splits, strict=False):
            (own,) = lines_of(panel, colour, line="-")
            np.testing.assert_array_equal(own, np.stack([steps, run.own[split]], 1))
            (projected,) = lines_of(panel, colour, line="--")
            np.testing.assert_array_equal(projected, np.stack([steps, run.surface[split]], 1))
        (fraction,) = lines_of(axes[-2], colour)
        np.testing.assert_array_equal(fraction[:, 1], run.explained)
        (distance,) = lines_of(axes[-1], colour)
        np.testing.assert_array_equal(distance[:, 1], run.distance)
    gaps = np.concatenate([np.abs(run.own["test"] - run.surface["test"]) for run in view.runs])
    assert f"On test the difference is at most {style.number(np.nanmax(gaps))}" in picture.caption
    blank = int(np.isnan(gaps).sum())
    assert f"At {blank} of {len(gaps)} projections the surface has no value" in picture.caption


def test_checkpoints_are_named_where_the_runs_share_the_names(two):
    axes = figure_runs.the_runs(two[1]).figure.axes[0]
    names = {round(t): label.get_text() for t, label in
             zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)}  # fmt: skip
    assert names[1] == "epoch 0"
    assert names[31] == "epoch 30"
    tree = two[0].copy()
    found = tree[TRAJECTORY_GROUP].to_dataset()
    other = [f"{run} {name}" for run, name in zip(found.run.values, found.name.values, strict=True)]
    tree[TRAJECTORY_GROUP] = xr.DataTree(found.assign(name=("checkpoint", other)))
    axes = figure_runs.the_runs(look(tree)).figure.axes[0]
    assert axes.get_xticklabels()[0].get_text() == "1"


def test_on_one_axis_checkpoints_stand_at_their_own_loss():
    tree = trained((41,), z=1)
    view = look(tree)
    picture = figures_1d.curves(view)
    for number, run in enumerate(view.runs):
        colour = style.run_style(number)[0]
        (train,) = lines_of(picture.figure.axes[0], colour, marker="o")
        expected = np.stack([stored(tree, run.name, ("axis_1",))[:, 0], run.own["train"]], 1)
        np.testing.assert_array_equal(train, expected)
    assert "need not be the curve's there" in picture.caption


def test_on_three_axes_runs_are_projected_onto_the_cuts():
    tree = trained((7, 6, 5), z=3)
    view = look(tree)
    picture = next(p for p in figures_nd.figures(view) if p.name == "cuts_train")
    pairs = [("axis_1", "axis_2"), ("axis_1", "axis_3"), ("axis_2", "axis_3")]
    for axes, pair in zip(panels(picture.figure), pairs, strict=True):
        (dots,) = lines_of(axes, style.RUN_COLOURS[0], marker="o")
        np.testing.assert_array_equal(dots, stored(tree, "SGD", pair))
    assert "projected into the section" in picture.caption


def test_replicates_and_held_axes_keep_the_first_replicate_and_lose_the_surface():
    tree = trained(replicates=2)
    found = tree[TRAJECTORY_GROUP].to_dataset()
    both = xr.concat([found["coordinate"], found["coordinate"] + 9], "replicate")
    tree[TRAJECTORY_GROUP] = xr.DataTree(found.assign(coordinate=both))
    np.testing.assert_array_equal(look(tree).runs[0].at["axis_1"], stored(trained(), "SGD")[:, 0])
    held = trained()
    root = held.to_dataset().isel(axis_2=[4])
    flat = tree_of(root)
    found = held[TRAJECTORY_GROUP].to_dataset(inherit=False)
    flat[TRAJECTORY_GROUP] = xr.DataTree(found)
    assert np.isnan(look(flat).runs[0].surface["train"]).all()


def test_the_barrier_is_drawn_between_the_line_and_the_curve():
    view = look(path(barrier=0.9))
    picture = figure_path.along_the_path(view)
    axes = picture.figure.axes[0]
    assert picture.figure.axes[-1].get_xlabel() == "t"
    loss = view.full["loss"].sel(split="train")
    (straight,) = [
        line for line in lines_of(axes, style.split_colour(view, "train")) if line[0, 0] == 0.0
    ]
    first, last = (float(loss.sel(t=t, method="nearest")) for t in (0.0, 1.0))
    np.testing.assert_allclose(straight[:, 1], first + straight[:, 0] * (last - first), atol=1e-9)
    arrows = [text for text in axes.texts if text.arrow_patch is not None]
    tops = [(float(a.xy[0]), float(a.xy[1]), float(a.xyann[1])) for a in arrows]
    expected = [(0.4, 0.32 + 0.9, 0.32), (0.55, 0.15 + 1.1 * 0.365 + 0.72, 0.15 + 1.1 * 0.365)]
    np.testing.assert_allclose(tops, expected, atol=1e-3)
    assert "0.9 on train at t = 0.4 and 0.72 on test at t = 0.55" in picture.caption
    assert {text.get_text() for text in axes.texts} == {"", "barrier 0.9", "barrier 0.72"}


def test_a_path_without_a_barrier_has_no_arrow():
    picture = figure_path.along_the_path(look(path(barrier=0.0)))
    assert not picture.figure.axes[0].texts
    assert "none on train and none on test" in picture.caption
    unanalysed = figure_path.along_the_path(look(path(analysed=False, accuracy=False)))
    assert "Barrier" not in unanalysed.caption
    assert len(unanalysed.figure.axes) == 1


def test_no_straight_line_when_the_axis_misses_an_end():
    picture = figure_path.along_the_path(look(path(span=(0.1, 0.9), analysed=False)))
    assert "straight line" not in picture.caption


def test_only_a_scan_along_a_path_gets_the_figure_of_a_path(tmp_path):
    html = write(path(), tmp_path / "path")
    assert {p.stem for p in (tmp_path / "path").glob("*.png")} == {"along_path", "transfer"}
    assert "Along the path" in html
    write(wells((20,)), tmp_path / "affine")
    assert (tmp_path / "affine" / "curves.png").exists()


def traces(view):
    content = json.loads(surface(view))
    start = content["start"]
    return [
        trace
        for trace, owner in zip(content["figure"]["data"], content["owners"], strict=True)
        if owner == start
    ], content["figure"]["layout"]["scene"]


def numbers(value):
    """A plotly array, plain or packed."""
    if isinstance(value, dict):
        import base64

        return np.frombuffer(base64.b64decode(value["bdata"]), value["dtype"])
    return np.array([np.nan if each is None else each for each in value], dtype=float)


def test_in_the_scene_runs_lie_on_the_surface_and_tell_their_own_loss(two):
    _, view = two
    found, _ = traces(view)
    for run in view.runs:
        mine = [trace for trace in found if trace.get("legendgroup") == run.name]
        assert sum(trace.get("showlegend", True) for trace in mine) == 1
        dots = next(trace for trace in mine if trace["mode"] == "markers")
        np.testing.assert_allclose(numbers(dots["x"]), run.at["axis_1"])
        np.testing.assert_allclose(numbers(dots["y"]), run.at["axis_2"])
        height = np.ptp(view.loss("train").values)
        above = numbers(dots["z"]) - run.surface["train"]
        assert np.nanmin(above) > 0
        assert np.nanmax(above) < 3 * LIFT * height
        np.testing.assert_array_equal(np.isnan(above), ~run.inside)
        assert f"loss on test: {style.number(run.own['test'][0])} itself" in dots["hovertext"][0]


def test_the_pin_stands_above_the_minimum_and_the_eye_over_the_lowest_corner(two):
    _, view = two
    found, scene = traces(view)
    head = next(trace for trace in found if trace.get("name") == "minimum of train")
    mark = view.mark("train").at
    least = float(view.loss("train").min())
    assert numbers(head["x"])[0] == pytest.approx(mark["axis_1"])
    assert numbers(head["z"])[0] > least + LIFT * np.ptp(view.loss("train").values)
    loss = view.loss("train").values
    eye = scene["camera"]["eye"]
    corner = loss[-1 if eye["x"] > 0 else 0, -1 if eye["y"] > 0 else 0]
    assert corner == min(loss[i, j] for i in (0, -1) for j in (0, -1))


def test_negative_logarithmic_axes_stay_logarithmic_in_the_scene():
    down, up = -np.geomspace(1, 1e-3, 8), np.geomspace(1e-3, 1, 9)
    root = wells((9, 8)).to_dataset()[["loss"]].assign_coords(axis_1=up, axis_2=down)
    found, scene = traces(look(tree_of(root)))
    assert (scene["xaxis"]["type"], scene["yaxis"]["type"]) == ("log", "log")
    assert scene["yaxis"]["autorange"] == "reversed"
    assert "autorange" not in scene["xaxis"]
    np.testing.assert_allclose(numbers(found[0]["y"]), -down)
    assert "axis_2 −%{y" in found[0]["hovertemplate"]


def test_runs_and_directions_have_their_tables(tmp_path):
    tree = trained((31,), z=1)
    tree[SECTION_GROUP] = xr.DataTree(trained()[SECTION_GROUP].to_dataset(inherit=False))
    view = look(tree)
    html = write(tree, tmp_path)
    run = view.runs[1]
    fraction = f"{style.number(run.explained[0])} → {style.number(run.explained[-1])}"
    for words in ("momentum", fraction, "directions of the section", "cosine with axis_2",
                  "principal components of the checkpoints"):  # fmt: skip
        assert words in html
    cosine = float(tree[SECTION_GROUP]["cosine"][0, 1])
    assert html.count(f'<td class="value">{style.number(cosine)}</td>') == 2
    bare = wells((12, 10))
    assert (sections.directions(bare), sections.runs(look(bare))) == ([], [])


HOSTILE = "</script><script>alert('$x_{$ &amp;')</script>"


def test_hostile_names_of_runs_are_only_words(tmp_path):
    html = write(trained((4, 3), runs=(HOSTILE,), singles=(HOSTILE + "2",)), tmp_path)
    assert "<script>alert" not in html
