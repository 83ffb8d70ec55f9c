"""The figure of a scan along a path: the loss over t, and the barrier between the ends."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import LineStyleType

from pipeline.report import style
from pipeline.report.figures_1d import (
    curves_along,
    draw_accuracy,
    draw_curves,
    put_minima,
    put_run_marks,
    replicate_words,
    run_marks_words,
    shade_missing,
    thin_grid,
)
from pipeline.report.labels import Label, put_labels
from pipeline.report.runs import Floats
from pipeline.report.style import Picture
from pipeline.report.view import Barrier, View
from schemas.layout import SPLIT

NO_BARRIER = 1e-6
"""A rise of less than this share of the greatest loss is rounding."""
STRAIGHT: LineStyleType = (0, (1, 1.5))


def figures(view: View) -> list[Picture]:
    """Every static figure of a scan along a path."""
    return [along_the_path(view)]


def along_the_path(view: View) -> Picture:
    """Loss over t with the straight line between the ends and the barriers; below, accuracy."""
    (axis,) = view.axes
    along = curves_along(view)
    measured = "accuracy" in view.thin
    figure = Figure(figsize=(9.6, 6.8 if measured else 4.8), layout="constrained")
    ratios = [2.2, 1] if measured else [1]
    panels = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    draw_curves(panels[0], view, axis, along)
    straight = {split: straight_line(along.loss.sel({SPLIT: split})) for split in view.splits}
    drawn = any(line[0].size for line in straight.values())
    for split, line in straight.items():
        colour = style.split_colour(view, split)
        panels[0].plot(*line, linestyle=STRAIGHT, color=colour, lw=1.4)
    for end in (0.0, 1.0) if drawn else ():
        panels[0].axvline(end, color=style.GREY, lw=0.9, ls=(0, (4, 3)))
    put_minima(panels[0], view, axis, along)
    put_run_marks(panels[0], view, axis)
    shade_missing(panels[0], along.loss)
    for split in view.splits:
        draw_barrier(panels[0], view, split, along.loss.sel({SPLIT: split}))
    if measured:
        draw_accuracy(panels[1], view)
        thin_grid(panels[1])
    style.dress(panels[-1], view, axis)
    panels[-1].set_xlabel("t")
    _legend(figure, panels[0], drawn)
    _label_barriers(figure, panels[0], view, along.loss)
    return Picture(
        name="along_path",
        title="Along the path",
        caption=style.sentences(
            f"Mean loss{view.units('loss')} on each split over the position t along the path, 0 "
            "and 1 at its ends.",
            "Dotted: the straight line between the losses of the ends." if drawn else "",
            barrier_words(view),
            run_marks_words(view),
            "Below: the fraction of samples classified correctly." if measured else "",
            replicate_words(view.every_replicate),
            style.grey_words([along.loss]),
        ),
        alt=f"Curves of the loss on {style.listed(view.splits)} along the path",
        figure=figure,
    )


def straight_line(loss: xr.DataArray) -> tuple[Floats, Floats]:
    """T and (1 − t)·L(0) + t·L(1) over the grid's points between the ends.

    Empty when the axis does not reach both ends.
    """
    (axis,) = loss.dims
    t = loss[axis].values.astype(np.float64)
    if t.min() > 0 or t.max() < 1:
        return np.empty(0), np.empty(0)
    first, last = np.interp([0.0, 1.0], t, loss.values)
    inner = np.unique(np.concatenate([[0.0, 1.0], t[(t > 0) & (t < 1)]]))
    return inner, (1 - inner) * first + inner * last


def draw_barrier(axes: Axes, view: View, split: str, loss: xr.DataArray) -> None:
    """An arrow from the straight line up to the loss, where it rises furthest above the line."""
    barrier = view.barriers.get(split)
    if barrier is None or not rises(barrier, view):
        return
    top = _height(loss, barrier.at)
    axes.annotate(
        "",
        xy=(barrier.at, top),
        xytext=(barrier.at, top - barrier.height),
        arrowprops={
            "arrowstyle": "<|-|>",
            "color": style.split_colour(view, split),
            "lw": 1.5,
            "shrinkA": 0,
            "shrinkB": 0,
            "mutation_scale": 9,
        },
        zorder=4,
    )


def rises(barrier: Barrier, view: View) -> bool:
    """Whether a barrier is more than rounding."""
    return barrier.height > NO_BARRIER * float(abs(view.thin["loss"]).max())


def barrier_words(view: View) -> str:
    """The sentence with the barrier of every split; empty before the analysis."""
    told = [
        f"{style.number(barrier.height)} on {split} at t = {style.number(barrier.at)}"
        if rises(barrier, view)
        else f"none on {split}"
        for split, barrier in view.barriers.items()
    ]
    if not told:
        return ""
    return f"Barrier (arrow), the greatest rise above that line: {style.listed(told)}."


def _label_barriers(figure: Figure, axes: Axes, view: View, loss: xr.DataArray) -> None:
    risen = {split: each for split, each in view.barriers.items() if rises(each, view)}
    if not risen:
        return
    labels, covered = [], []
    figure.draw_without_rendering()
    (axis,) = view.axes
    for split in view.splits:
        curve = loss.sel({SPLIT: split})
        t, line = straight_line(curve)
        covered += [np.stack([loss[axis].values, curve.values], 1), np.stack([t, line], 1)]
        if split in risen:
            barrier = risen[split]
            top = _height(curve, barrier.at)
            text = f"barrier {style.number(barrier.height)}"
            middle = (barrier.at, top - barrier.height / 2)
            labels.append(Label(text, middle, style.split_colour(view, split)))
            heights = np.linspace(top - barrier.height, top, 60)
            covered.append(np.stack([np.full(60, barrier.at), heights], 1))
    put_labels(axes, labels, np.concatenate(covered))


def _height(loss: xr.DataArray, t: float) -> float:
    (axis,) = loss.dims
    return float(np.interp(t, loss[axis].values, loss.values))


def _legend(figure: Figure, axes: Axes, straight: bool) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if straight:
        label = "straight line between the ends"
        handles.append(Line2D([], [], linestyle=STRAIGHT, color=style.INK, label=label))
        labels.append(label)
    figure.legend(handles, labels, loc="outside upper center", ncols=3, frameon=False, fontsize=9)
