"""The figures of a study: every series shown in its kind, gaps where there is nothing to show."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.colors import to_hex

from pipeline.report.study_figures import COLOURS, draw, drawable
from schemas.study import Figure, Series

X = np.arange(1, 7)


def figure(*series, x="linear", y="linear"):
    return Figure("Growth", "It grows.", "depth", "loss", lambda scans: series, x, y)


def drawn(*series, **scales):
    return draw("a name", figure(*series, **scales), {})


def lines(picture):
    return picture.figure.axes[0].get_lines()


def labels(picture):
    (legend,) = picture.figure.legends
    return [text.get_text() for text in legend.get_texts()]


def test_each_kind_has_its_look():
    picture = drawn(
        Series("curve", X, X**2),
        Series("starts", X, X + 1, "points"),
        Series("first bound", X, 3 * X, "bound"),
        Series("second bound", X, 4 * X, "bound"),
    )
    curve, points, first, second = lines(picture)
    assert [line.get_linestyle() for line in (curve, points, first)] == ["-", "None", "--"]
    assert second.get_linestyle() not in ("-", "--", "None")
    assert points.get_marker() not in ("", "None")
    assert labels(picture) == ["curve", "starts", "first bound", "second bound"]
    np.testing.assert_array_equal(curve.get_xydata(), np.stack([X, X**2], 1))
    assert len({to_hex(line.get_color()) for line in (curve, points, first)}) == 3
    assert picture.name == "figure_a_name"
    assert (picture.title, picture.caption) == ("Growth", "It grows.")
    assert picture.alt == (
        "Growth. loss against depth: curve, starts, first bound and second bound"
    )
    axes = picture.figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("depth", "loss")


def test_points_that_coincide_can_be_told_apart():
    first, second, curve = lines(
        drawn(Series("a", X, X, "points"), Series("b", X, X, "points"), Series("c", X, X))
    )
    assert first.get_markersize() > second.get_markersize() > 3
    assert first.get_marker() != second.get_marker()
    assert second.get_zorder() > curve.get_zorder()
    crowd = np.arange(5000)
    (crowded,) = lines(drawn(Series("a", crowd, crowd, "points")))
    assert crowded.get_markersize() < second.get_markersize()


@pytest.mark.parametrize("count", [len(COLOURS), len(COLOURS) + 1, 30])
def test_many_series_have_a_colour_each_and_a_legend_outside_the_panel(count):
    picture = drawn(*(Series(f"H = {h}", X, X * h) for h in range(count)))
    assert len({to_hex(line.get_color()) for line in lines(picture)}) == count
    assert len(labels(picture)) == count
    canvas = picture.figure
    canvas.draw_without_rendering()
    (legend,), axes = canvas.legends, canvas.axes[0]
    box, panel = legend.get_window_extent(), axes.get_window_extent()
    assert box.y1 < axes.get_tightbbox().y0
    assert box.y0 >= 0
    # The panel stays as high as it is with a short legend.
    assert panel.height / canvas.dpi > 3.5


def test_scales_are_as_asked():
    axes = drawn(Series("s", X, X**3.0), x="log", y="log").figure.axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    axes = drawn(Series("s", X, X**3.0)).figure.axes[0]
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "linear")
    assert all(tick == round(tick) for tick in axes.get_xticks()), "depths are whole"


def test_gaps_are_gaps_and_are_counted():
    y = [1.0, np.nan, 2.0, -3.0, np.inf, 0.0]
    picture = drawn(Series("s", X, y), Series("whole", X, X), y="log")
    (gapped, _) = lines(picture)
    np.testing.assert_array_equal(gapped.get_ydata(), [1, np.nan, 2, np.nan, np.nan, np.nan])
    assert "2 of 12 points, which are not finite" in picture.caption
    assert "2 of 12 points, which a logarithmic scale cannot show" in picture.caption


def test_a_point_without_neighbours_is_seen():
    y = np.full(200, np.nan)
    y[:100] = 1.0
    connected = drawn(Series("s", np.arange(200), y))
    assert lines(connected)[0].get_marker() in ("", "None")
    y[150] = 1.0
    assert lines(drawn(Series("s", np.arange(200), y)))[0].get_marker() == "."
    alone = drawn(Series("b", [1.0], [2.0], "bound"))
    assert lines(alone)[0].get_marker() == "_"


def test_a_figure_without_values_says_so():
    for picture in (drawn(), drawn(Series("s", [1, 2], [np.nan, np.inf]), x="log", y="log")):
        (text,) = picture.figure.axes[0].texts
        assert text.get_text() == "no finite value"


def test_long_labels_stay_within_the_page():
    picture = drawn(Series("a word or two " * 12 + "$x$", X, X))
    picture.figure.draw_without_rendering()
    (legend,) = picture.figure.legends
    box = legend.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= picture.figure.bbox.x1
    assert box.y0 >= 0
    assert "□" not in labels(picture)[0]


def test_rows_of_different_length_are_refused():
    with pytest.raises(ValueError, match=r"^s: x has shape \(6,\) and y \(5,\)"):
        drawn(Series("s", X, X[:5]))


def bars(picture):
    """The ends of the intervals drawn, (k, 2), and their colours."""
    (collection,) = picture.figure.axes[0].collections
    segments = [segment[:, 1] for segment in collection.get_segments() if len(segment)]
    return np.array(segments), collection.get_colors()


@pytest.mark.parametrize("kind", ["line", "points"])
def test_intervals_are_drawn_where_they_are_given(kind):
    low, high = [0.5, 1, np.nan, -2, 1, 5], [1.5, 4, 3, 5, np.inf, 6]
    y = np.array([1.0, 2, 3, 4, 5, np.nan])
    picture = drawn(Series("bare", X, X), Series("s", X, y, kind, low, high))
    ends, colours = bars(picture)
    np.testing.assert_allclose(ends, [[0.5, 1.5], [1, 4], [-2, 5]], rtol=1e-14)
    curve = lines(picture)[1]
    assert to_hex(colours[0]) == to_hex(curve.get_color())
    np.testing.assert_array_equal(curve.get_ydata(), y)
    assert picture.caption == (
        "It grows. Left out: 1 of 12 points, which are not finite. "
        "Without a finite interval: 2 of the points shown."
    )
    bottom, top = picture.figure.axes[0].get_ylim()
    assert bottom < -2
    assert top > 5


def test_an_interval_that_a_logarithmic_scale_cannot_end_runs_out_of_the_panel():
    picture = drawn(Series("s", X[:3], [1, 10, 0], "points", [0, 2, 0], [5, 20, 3]), y="log")
    axes = picture.figure.axes[0]
    ends, _ = bars(picture)
    # A point that is not shown has no interval either.
    np.testing.assert_allclose(ends, [[0, 5], [2, 20]], rtol=1e-14, atol=1e-14)
    bottom, top = axes.get_ylim()
    assert 0.1 < bottom < 1
    assert 20 < top < 100
    assert "Without" not in picture.caption


def test_without_intervals_nothing_is_said_of_them():
    picture = drawn(Series("s", X, X))
    assert picture.figure.axes[0].collections[:] == []
    assert picture.caption == "It grows."


floats = st.floats(width=32) | st.sampled_from([0.0, -0.0, np.nan, np.inf, -np.inf])
scales = st.sampled_from(["linear", "log"])


@given(arrays(float, (4, 5), elements=floats), scales, scales)
def test_what_a_scale_can_show_is_shown_and_nothing_else(values, x, y):
    values[2:].sort(axis=0)
    before = values.copy()
    values, (low, high) = values[:2], values[2:]
    found = drawable(Series("s", *values, low=low, high=high), figure(x=x, y=y))
    np.testing.assert_array_equal([*values, low, high], before)
    finite = np.isfinite(values).all(0)
    fits = ((values > 0) | np.array([[x == "linear"], [y == "linear"]])).all(0)
    shown = finite & fits
    np.testing.assert_array_equal(found.x, np.where(shown, values[0], np.nan))
    np.testing.assert_array_equal(found.y, np.where(shown, values[1], np.nan))
    bounded = np.isfinite(low) & np.isfinite(high)
    np.testing.assert_array_equal(found.low, np.where(shown & bounded, low, np.nan))
    np.testing.assert_array_equal(found.high, np.where(shown & bounded, high, np.nan))
    assert found.without_interval == np.sum(shown & ~bounded)
    assert found.missing == np.sum(~finite)
    assert found.not_positive == np.sum(finite & ~fits)
