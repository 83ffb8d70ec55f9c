"""Figures of a scan with one axis, and profiles of one with many: curves and their differences."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report import style
from pipeline.report.local_minima import put_on_curve
from pipeline.report.style import Picture
from pipeline.report.trajectories import outside_words
from pipeline.report.view import MOST_PER_AXIS, View, edges, over_replicates, thinning
from schemas.layout import REPLICATE, SPLIT


@dataclass(frozen=True)
class Curves:
    """What is drawn along one axis: the loss of every split, the target, the replicates."""

    loss: xr.DataArray
    target: xr.DataArray | None
    over: xr.Dataset | None


def figures(view: View) -> list[Picture]:
    """Every static figure of a one-dimensional scan."""
    drawn = [curves(view)]
    if "accuracy" in view.thin:
        drawn.append(accuracy(view))
    return drawn


def curves(view: View) -> Picture:
    """Loss and target along the axis, and below them the differences."""
    (axis,) = view.axes
    along = curves_along(view)
    with_differences = len(view.splits) > 1 or view.target is not None
    figure = Figure(figsize=(9.6, 6.4 if with_differences else 4.4), layout="constrained")
    ratios = [2, 1] if with_differences else [1]
    panels = figure.subplots(len(ratios), 1, sharex=True, squeeze=False, height_ratios=ratios)[:, 0]
    draw_curves(panels[0], view, axis, along)
    put_run_marks(panels[0], view, axis)
    put_on_curve(panels[0], view.minima, axis)
    put_minima(panels[0], view, axis, along)
    shade_missing(panels[0], along.loss)
    panels[0].legend(fontsize=8, frameon=False, ncols=2)
    if with_differences:
        draw_differences(panels[1], view, along)
        panels[1].legend(fontsize=8, frameon=False, ncols=2)
    style.dress(panels[-1], view, axis)
    return Picture(
        name="curves",
        title="The curves",
        caption=style.sentences(
            f"Above: mean loss{view.units('loss')} along {axis} on each split"
            + (", with the target dotted." if along.target is not None else "."),
            "The marks are the points where each curve is least"
            + (", the dots other local minima." if view.minima else "."),
            run_marks_words(view),
            replicate_words(view.every_replicate),
            "Below: the differences; a constant line would mean the same shape."
            if with_differences
            else "",
            style.grey_words([along.loss]),
        ),
        alt=f"Curves of the loss on {style.listed(view.splits)} along {axis}",
        figure=figure,
    )


def curves_along(view: View) -> Curves:
    """What is drawn of a scan with one axis."""
    every = view.every_replicate
    return Curves(
        view.thin["loss"],
        None if view.target is None else view.thin[view.target],
        None if every is None else over_replicates(every.isel(thinning(view, MOST_PER_AXIS))),
    )


def draw_curves(axes: Axes, view: View, axis: str, along: Curves) -> None:
    """The loss of every split, the band of its replicates, and the target."""
    coordinates = along.loss[axis].values
    for number, split in enumerate(view.splits):
        colour = style.split_colour(view, split)
        line = style.LINE_STYLES[number % len(style.LINE_STYLES)]
        loss = along.loss.sel({SPLIT: split}).values
        marker = "." if loss.size < 40 else ""
        axes.plot(
            coordinates,
            loss,
            line,
            marker=marker,
            color=colour,
            lw=1.6,
            label=style.plain(f"loss on {split}"),
        )
        if along.over is not None:
            draw_band(axes, along.over.sel({SPLIT: split}), colour, split)
    if along.target is not None:
        axes.plot(coordinates, along.target.values, ":", color="#111111", lw=1.6, label="target")
    values = style.finite(along.loss)
    if values.size and values.min() > 0 and values.max() >= style.WIDE_RATIO * values.min():
        axes.set_yscale("log")
    axes.set_ylabel(style.plain("loss" + view.units("loss")))
    thin_grid(axes)


def draw_band(axes: Axes, over: xr.Dataset, colour: str, split: str) -> None:
    """Mean ± standard deviation over the replicates."""
    (axis,) = over["mean"].dims
    mean, deviation = over["mean"].values, over["spread"].values
    axes.fill_between(
        over[axis].values,
        mean - deviation,
        mean + deviation,
        color=colour,
        alpha=0.18,
        linewidth=0,
        label=style.plain(f"mean ± deviation on {split}"),
    )


def draw_differences(axes: Axes, view: View, along: Curves) -> None:
    """Each other split minus the reference, its prediction, and each split minus the target."""
    (axis,) = view.axes
    coordinates = along.loss[axis].values
    reference = along.loss.sel({SPLIT: view.reference})
    for split in view.splits[1:]:
        colour = style.split_colour(view, split)
        axes.plot(
            coordinates,
            (along.loss.sel({SPLIT: split}) - reference).values,
            color=colour,
            lw=1.5,
            label=style.plain(f"{split} − {view.reference}"),
        )
        predicted = view.predicted(split)
        if predicted is not None:
            axes.plot(
                coordinates,
                predicted.values,
                ":",
                color=colour,
                lw=1.5,
                label=style.plain(f"predicted {split} − {view.reference}"),
            )
    if along.target is not None:
        for split in view.splits:
            error = along.loss.sel({SPLIT: split}) - along.target
            axes.plot(
                coordinates,
                error.values,
                "--",
                color=style.split_colour(view, split),
                lw=1.0,
                label=style.plain(f"{split} − target"),
            )
    axes.axhline(0, color=style.GREY, lw=0.8)
    axes.set_ylabel(style.plain("difference" + view.units("loss")))
    thin_grid(axes)


def put_minima(axes: Axes, view: View, axis: str, along: Curves) -> None:
    """The minimum of each curve, at its height."""
    for mark in view.marks:
        curve = along.target if mark.key not in view.splits else along.loss.sel({SPLIT: mark.key})
        if curve is None:
            continue
        place = mark.at[axis]
        height = float(curve.sel({axis: place}, method="nearest"))
        marker, colour, size = style.mark_style(view, mark.key)
        face = "white" if marker == "*" else "none"
        axes.plot(
            [place],
            [height],
            linestyle="none",
            marker=marker,
            markersize=size,
            markeredgewidth=1.8,
            markerfacecolor=face,
            markeredgecolor=colour,
            label=style.mark_label(mark.key),
            zorder=5,
        )


def put_run_marks(axes: Axes, view: View, axis: str) -> None:
    """Each checkpoint at its projection and its own loss: the colour of its run, a split's mark."""
    if not view.runs:
        return
    for number, run in enumerate(view.runs):
        colour, line = style.run_style(number)
        for split in view.splits:
            axes.plot(
                run.at[axis],
                run.own[split],
                linestyle="none" if run.single else line,
                color=colour,
                lw=0.7,
                marker=style.mark_style(view, split)[0],
                markersize=5,
                markerfacecolor=colour if split == view.reference else "none",
                markeredgecolor=colour,
                label=style.plain(style.short(run.name)) if split == view.reference else None,
                zorder=4,
            )
    for split in view.splits:
        axes.plot(
            [],
            [],
            linestyle="none",
            marker=style.mark_style(view, split)[0],
            markersize=5,
            markerfacecolor=style.INK if split == view.reference else "none",
            markeredgecolor=style.INK,
            label=style.plain(f"a checkpoint's own loss on {split}"),
        )
    borders = edges(view.full[axis].values, axis in view.logs)
    axes.set_xlim(borders[0], borders[-1])


def run_marks_words(view: View) -> str:
    """The sentences on the marks of checkpoints; empty without runs."""
    if not view.runs:
        return ""
    return style.sentences(
        "The checkpoints of each run stand at their projection and their own loss, which need not "
        "be the curve's there.",
        outside_words(view),
    )


def shade_missing(axes: Axes, loss: xr.DataArray) -> None:
    """A grey tick on the axis wherever some split has no finite value."""
    (axis,) = (dim for dim in loss.dims if dim != SPLIT)
    missing = loss[axis].values[loss.isnull().any(SPLIT).values]
    if missing.size:
        heights = np.full(missing.size, 0.012)
        axes.plot(
            missing,
            heights,
            "|",
            color=style.GREY,
            transform=axes.get_xaxis_transform(),
            label="no finite value",
            markersize=8,
        )


def accuracy(view: View) -> Picture:
    """The accuracy of every split along the axis."""
    (axis,) = view.axes
    figure = Figure(figsize=(9.6, 3.6), layout="constrained")
    axes = figure.add_subplot()
    draw_accuracy(axes, view)
    style.dress(axes, view, axis)
    return Picture(
        name="accuracy",
        title="Accuracy",
        caption="Fraction of samples classified correctly along the axis.",
        alt=f"Curves of the accuracy on {style.listed(view.splits)}",
        figure=figure,
    )


def draw_accuracy(axes: Axes, view: View) -> None:
    """The accuracy of every split along the one axis."""
    (axis,) = view.axes
    for number, split in enumerate(view.splits):
        axes.plot(
            view.thin[axis].values,
            view.thin["accuracy"].sel({SPLIT: split}).values,
            style.LINE_STYLES[number % len(style.LINE_STYLES)],
            color=style.split_colour(view, split),
            lw=1.6,
            label=style.plain(f"accuracy on {split}"),
        )
    axes.set_ylabel("accuracy")
    axes.legend(fontsize=8, frameon=False)
    thin_grid(axes)


def thin_grid(axes: Axes) -> None:
    """Faint grid lines, and no frame at the top and the right."""
    axes.grid(visible=True, color="#e3e6ea", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)


def replicate_words(every: xr.DataArray | None) -> str:
    """The sentence on the bands; empty without replicates."""
    if every is None:
        return ""
    return (
        f"The lines are the first replicate; the bands are the mean ± one standard deviation over "
        f"{every.sizes[REPLICATE]} replicates."
    )
