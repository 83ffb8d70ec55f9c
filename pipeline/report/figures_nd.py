"""Figures of a scan with three or more axes: cuts and profiles through its minimum."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import xarray as xr
from matplotlib.colors import Colormap
from matplotlib.figure import Figure

from pipeline.report import style
from pipeline.report.figures_1d import Curves, draw_curves
from pipeline.report.panels import COLOUR_BAR, Panel, mosaic
from pipeline.report.style import Picture, Scale
from pipeline.report.trajectories import runs_words
from pipeline.report.view import MOST_PER_AXIS, View, kept, load, nearest, over_replicates
from schemas.layout import PREDICTED_PREFIX, SPLIT, TARGET

TARGET_ALONE = "cuts_target"


def figures(view: View) -> list[Picture]:
    """Every static figure of a scan with three or more axes."""
    cuts = pair_cuts(view)
    words = through_words(view)
    drawn = [
        _cut_picture(
            view, cuts, f"cuts_{slug(split)}", f"Cuts: loss on {split}", words, _of_split(split)
        )
        for split in view.splits
    ]
    if view.target is not None:
        name = view.target
        drawn.insert(
            0,
            _cut_picture(
                view, cuts, TARGET_ALONE, "Cuts: the target", words, lambda cut: cut[name]
            ),
        )
    for split in view.splits[1:]:
        title = f"Cuts: {split} − {view.reference}"
        drawn.append(
            _cut_picture(
                view,
                cuts,
                f"cuts_difference_{slug(split)}",
                title,
                words,
                _difference(split, view.reference),
                style.diverging,
                style.DIFFERENCE_MAP,
            )
        )
    return [*drawn, profiles(view)]


def centre(view: View) -> dict[str, int]:
    """Index of the point the cuts run through: the minimum of the reference split.

    When that has no finite value, the minimum of any other surface, or the middle of the grid.
    """
    mark = view.mark(view.reference) or next(iter(view.marks), None)
    if mark is None:
        return {axis: view.full.sizes[axis] // 2 for axis in view.axes}
    return {axis: nearest(view.full[axis].values, mark.at[axis]) for axis in view.axes}


def pair_cuts(view: View) -> dict[tuple[str, str], xr.Dataset]:
    """For each pair of axes the surfaces over it, the other axes held at the centre."""
    through = centre(view)
    names = [str(name) for name in view.full.data_vars if name != "accuracy"]
    names = [name for name in names if name != TARGET or view.target == TARGET]
    names = [name for name in names if not name.startswith(PREDICTED_PREFIX)]
    cuts = {}
    for pair in itertools.combinations(view.axes, 2):
        others = {axis: index for axis, index in through.items() if axis not in pair}
        shown = {axis: kept(view.full.sizes[axis], MOST_PER_AXIS, [through[axis]]) for axis in pair}
        cuts[pair] = load(view.full[names].isel(others, drop=True).isel(shown))
    return cuts


def through_words(view: View) -> str:
    """The sentence that says where the cuts run."""
    place = ", ".join(
        f"{axis} = {style.number(float(view.full[axis][index]))}"
        for axis, index in centre(view).items()
    )
    what = f"the minimum of {view.reference}" if view.mark(view.reference) else "the point"
    return f"Each panel spans two axes and holds the others at {what}: {place}."


def slug(name: str) -> str:
    """A name as it may stand in a file name."""
    return re.sub(r"[^A-Za-z0-9]+", "_", name).strip("_").lower() or "split"


def _of_split(split: str) -> Callable[[xr.Dataset], xr.DataArray]:
    return lambda cut: cut["loss"].sel({SPLIT: split})


def _difference(split: str, reference: str) -> Callable[[xr.Dataset], xr.DataArray]:
    return lambda cut: cut["loss"].sel({SPLIT: split}) - cut["loss"].sel({SPLIT: reference})


def _cut_picture(
    view: View,
    cuts: dict[tuple[str, str], xr.Dataset],
    name: str,
    title: str,
    words: str,
    pick: Callable[[xr.Dataset], xr.DataArray],
    scaling: Callable[..., Scale] = style.sequential,
    colours: Colormap = style.LOSS_MAP,
) -> Picture:
    fields = [pick(cut) for cut in cuts.values()]
    scale = scaling(*fields)
    panels = [
        Panel(" × ".join(pair), field, scale, colours)
        for pair, field in zip(cuts, fields, strict=True)
    ]
    figure = mosaic(view, panels, title.removeprefix("Cuts: ") + view.units("loss"))
    _cross_hairs(figure, view, list(cuts))
    return Picture(
        name=name,
        title=title,
        caption=style.sentences(
            words,
            "Cross-hairs run through that point; marks are the minima, projected onto the cut.",
            runs_words(view),
            "The runs are drawn in every panel, however far from its cut." if view.runs else "",
            view.reduced_words(MOST_PER_AXIS),
            scale.words,
            style.grey_words(fields),
        ),
        alt=f"{title}, {len(panels)} colour maps, one for each pair of axes",
        figure=figure,
    )


def _cross_hairs(figure: Figure, view: View, pairs: list[tuple[str, str]]) -> None:
    through = {axis: float(view.full[axis][index]) for axis, index in centre(view).items()}
    panels = [axes for axes in figure.axes if axes.get_label() != COLOUR_BAR]
    for axes, (horizontal, vertical) in zip(panels, pairs, strict=True):
        axes.axvline(through[horizontal], color="white", lw=0.9, ls=(0, (4, 3)), alpha=0.9)
        axes.axhline(through[vertical], color="white", lw=0.9, ls=(0, (4, 3)), alpha=0.9)


def profiles(view: View) -> Picture:
    """The loss along each axis alone, through the centre."""
    columns = min(3, len(view.axes))
    rows = -(-len(view.axes) // columns)
    figure = Figure(figsize=(4.1 * columns, 3.2 * rows + 0.5), layout="constrained")
    through = centre(view)
    for position, axis in enumerate(view.axes, start=1):
        others = {other: index for other, index in through.items() if other != axis}
        shown = {axis: kept(view.full.sizes[axis], MOST_PER_AXIS, [through[axis]])}
        names = ["loss"] if view.target is None else ["loss", view.target]
        line = load(view.full[names].isel(others, drop=True).isel(shown))
        every = view.every_replicate
        over = None if every is None else over_replicates(every.isel(others, drop=True).isel(shown))
        axes = figure.add_subplot(rows, columns, position)
        draw_curves(axes, view, axis, Curves(line["loss"], line.get(view.target or ""), over))
        axes.axvline(
            float(view.full[axis][through[axis]]), color=style.GREY, lw=0.9, ls=(0, (4, 3))
        )
        style.dress(axes, view, axis)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False, fontsize=9)
    return Picture(
        name="profiles",
        title="Profiles",
        caption=style.sentences(
            "The loss along each axis alone, the others held at the same point as in the cuts "
            "(dashed line).",
            view.reduced_words(MOST_PER_AXIS),
            ""
            if view.every_replicate is None
            else "Bands: mean ± one standard deviation over the replicates.",
        ),
        alt=f"Curves of the loss along each of {style.listed(view.axes)}",
        figure=figure,
    )
