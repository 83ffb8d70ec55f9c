"""The figures a study draws of its own: curves, points, intervals and bounds from its scans."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from matplotlib.typing import ColorType, LineStyleType

from pipeline.report import style
from pipeline.report.figures_1d import thin_grid
from pipeline.report.style import Picture
from pipeline.report.view import Floats
from schemas.study import Figure, Series

WIDTH, HEIGHT = 9.6, 4.8
LEGEND_LINE = 0.21
LONGEST_LABEL = 100
MANY = 1000
FEW = 40
POINT, LEAST_POINT, CROWDED_POINT = 8.0, 4.0, 2.7
# Okabe and Ito's colours, for every eye, with a brown and a grey; the dark ones are for bounds.
COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7"),
    *("#e69f00", "#56b4e9", "#8c510a", "#6e6e6e"),
)
MARKERS = ("o", "s", "D", "^", "v", "P", "X", "*")
BOUNDS: tuple[LineStyleType, ...] = ("--", "-.", ":", (0, (8, 2, 1, 2, 1, 2)))
BOUND_COLOURS = ("#111111", "#8b1a1a", "#3d3d8f")


@dataclass(frozen=True)
class Drawn:
    """What a figure's axes can show of a series: `x` and `y` (n,) are NaN elsewhere.

    `low` and `high` (n,) are NaN where there is no interval to show, None if none is given.
    """

    label: str
    kind: str
    x: Floats
    y: Floats
    missing: int
    not_positive: int
    low: Floats | None = None
    high: Floats | None = None

    @property
    def without_interval(self) -> int:
        """How many of the points shown lack the interval that others have."""
        if self.low is None:
            return 0
        return int(np.sum(np.isfinite(self.y) & ~np.isfinite(self.low)))

    @property
    def marked(self) -> bool:
        """Whether a curve needs marks: its points are few, or one has no neighbour to lead to."""
        there = np.concatenate([[False], np.isfinite(self.y), [False]])
        return self.y.size < FEW or bool(np.any(there[1:-1] & ~there[:-2] & ~there[2:]))


def draw(name: str, figure: Figure, scans: Mapping[str, Any]) -> Picture:
    """A figure of a study, drawn from its analysed scans, name → xarray.DataTree.

    What is not finite leaves a gap, and so does what a logarithmic scale cannot show; the caption
    counts both. An interval that begins where such a scale does not reach runs out of the panel.

    Raises:
        ValueError: `x` and `y` of a series are not rows of one length.
    """
    series = [drawable(each, figure) for each in figure.series(scans)]
    canvas = Canvas(figsize=(WIDTH, HEIGHT), layout="constrained")
    axes = canvas.subplots()
    handles = _put(axes, series)
    _dress(axes, figure, series)
    style.legend_below(canvas, handles)
    if handles:
        # The panel keeps its height however long the legend is.
        deepest = max(str(handle.get_label()).count("\n") + 1 for handle in handles)
        rows = -(-len(handles) // style.legend_columns(canvas, handles))
        canvas.set_figheight(HEIGHT + LEGEND_LINE * rows * deepest)
    return Picture(
        name=picture_name(name),
        title=figure.title,
        caption=style.sentences(figure.caption, *_words(series)),
        alt=_alt(figure, series),
        figure=canvas,
    )


def picture_name(name: str) -> str:
    """What the file of a study's own figure is called, without its ending."""
    return f"figure_{re.sub(r'[^a-z0-9]+', '_', name.lower())}"


def drawable(series: Series, figure: Figure) -> Drawn:
    """A series with NaN where the figure's scales cannot show it."""
    x, y = (np.array(values, dtype=np.float64) for values in (series.x, series.y))
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(
            f"{series.label}: x has shape {x.shape} and y {y.shape}; give rows of one length"
        )
    missing = ~(np.isfinite(x) & np.isfinite(y))
    below = np.zeros_like(missing)
    for values, scale in ((x, figure.x_scale), (y, figure.y_scale)):
        if scale == "log":
            below |= ~missing & (values <= 0)
    x[missing | below] = y[missing | below] = np.nan
    found = Drawn(series.label, series.kind, x, y, int(missing.sum()), int(below.sum()))
    if series.low is None or series.high is None:
        return found
    low, high = (np.array(values, dtype=np.float64) for values in (series.low, series.high))
    # A point whose y is shown may have no interval; an interval has its point.
    none = missing | below | ~(np.isfinite(low) & np.isfinite(high))
    low[none] = high[none] = np.nan
    return replace(found, low=low, high=high)


def _put(axes: Axes, series: Sequence[Drawn]) -> list[Line2D]:
    """Each series in the look of its kind; their handles for the legend."""
    colours = iter(_colours(sum(each.kind != "bound" for each in series)))
    seen = {"line": 0, "points": 0, "bound": 0}
    handles = []
    for each in series:
        number = seen[each.kind]
        seen[each.kind] += 1
        if each.kind == "bound":
            look = _bound_look(each, number)
        elif each.kind == "points":
            look = {"color": next(colours), **_points_look(each, number)}
        else:
            mark = "." if each.marked else ""
            look = {"color": next(colours), "ls": "-", "lw": 1.7, "marker": mark, "markersize": 7}
        axes.plot(each.x, each.y, **look)
        _put_intervals(axes, each, look["color"])
        handles.append(_handle(each, look))
    return handles


def _put_intervals(axes: Axes, series: Drawn, colour: ColorType) -> None:
    if series.low is None or series.high is None:
        return
    few = series.y.size <= FEW
    axes.errorbar(
        series.x,
        (series.low + series.high) / 2,
        yerr=(series.high - series.low) / 2,
        fmt="none",
        ecolor=colour,
        elinewidth=1.3 if few else 0.7,
        capsize=3.0 if few else 0.0,
        zorder=3.5,
    )


def _handle(series: Drawn, look: Mapping[str, Any]) -> Line2D:
    """What the legend shows: points of one size, so that those of crowded series are seen."""
    label = textwrap.fill(style.plain(series.label), LONGEST_LABEL)
    legible = {"markersize": 6.0, "alpha": None} if series.kind == "points" else {}
    return Line2D([], [], label=label, **{**look, **legible})


def _bound_look(bound: Drawn, number: int) -> dict[str, Any]:
    turn, place = divmod(number, len(BOUNDS))
    colour = BOUND_COLOURS[turn % len(BOUND_COLOURS)]
    alone = np.isfinite(bound.y).sum() == 1
    return {
        "color": colour,
        "ls": BOUNDS[place],
        "lw": 1.5,
        "zorder": 3,
        **({"marker": "_", "markersize": 14} if alone else {}),
    }


def _points_look(points: Drawn, number: int) -> dict[str, Any]:
    crowded = points.y.size > MANY
    # Nested sizes: series that coincide can still be told apart.
    size = max(LEAST_POINT, POINT - 1.3 * number)
    return {
        "ls": "none",
        "marker": MARKERS[number % len(MARKERS)],
        "zorder": 4,
        "markersize": CROWDED_POINT if crowded else size,
        "markeredgewidth": 0.0,
        "alpha": 0.45 if crowded else 0.9,
    }


def _colours(count: int) -> list[ColorType]:
    """Distinct colours for a few series; for many a ramp, which keeps their order legible."""
    if count <= len(COLOURS):
        return list(COLOURS[:count])
    return list(colormaps["viridis"](np.linspace(0.0, 0.92, count)))


def _dress(axes: Axes, figure: Figure, series: Sequence[Drawn]) -> None:
    axes.set_xlabel(style.plain(figure.x_label))
    axes.set_ylabel(style.plain(figure.y_label))
    finite = [each.x[np.isfinite(each.x)] for each in series]
    x = np.concatenate([*finite, np.empty(0)])
    if x.size == 0:
        axes.text(
            0.5, 0.5, "no finite value", transform=axes.transAxes, ha="center", color=style.GREY
        )
        axes.set_axis_off()
        return
    if figure.x_scale == "log":
        axes.set_xscale("log")
    else:
        whole = bool(np.all(x == np.rint(x))) and np.ptp(x) >= 2
        axes.xaxis.set_major_locator(
            MaxNLocator(style.TICKS + 2, integer=whole, steps=[1, 2, 2.5, 5, 10])
        )
    axes.set_yscale(figure.y_scale)
    axes.tick_params(labelsize=8.5, color=style.INK)
    thin_grid(axes)


def _words(series: Sequence[Drawn]) -> list[str]:
    """What the caption says of points that are left out."""
    total = sum(each.y.size for each in series)
    missing = sum(each.missing for each in series)
    below = sum(each.not_positive for each in series)
    bare = sum(each.without_interval for each in series)
    words = []
    if missing:
        words.append(f"Left out: {missing:,} of {total:,} points, which are not finite.")
    if below:
        words.append(
            f"Left out: {below:,} of {total:,} points, which a logarithmic scale cannot show."
        )
    if bare:
        words.append(f"Without a finite interval: {bare:,} of the points shown.")
    return words


def _alt(figure: Figure, series: Sequence[Drawn]) -> str:
    names = [style.short(each.label) for each in series]
    shown = f": {style.listed(names)}" if names else ""
    return f"{figure.title}. {figure.y_label} against {figure.x_label}{shown}"
