"""Figures of a scan with two axes: surfaces side by side, contours, relief, differences."""

from __future__ import annotations

import math
from collections.abc import Sequence

import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.report import style
from pipeline.report.cell_maps import CELL, cell_map
from pipeline.report.panels import Panel, lines, loss_panels, mosaic, put_marks, spanned
from pipeline.report.relief import relief
from pipeline.report.style import Picture, Scale
from pipeline.report.trajectories import label_singles, put_runs, run_handles, runs_words
from pipeline.report.view import View, edges, over_replicates, thinning
from schemas.layout import REPLICATE, SPLIT

MOST_PER_AXIS_OF_SPREAD = 128


def figures(view: View) -> list[Picture]:
    """Every static figure of a two-dimensional scan."""
    drawn = [surfaces(view), contours(view), relief(view)]
    if len(view.splits) > 1:
        drawn.append(differences(view))
    if view.target is not None:
        drawn.append(errors(view, view.thin[view.target]))
    if "accuracy" in view.thin:
        drawn.append(accuracy(view))
    if CELL in view.full:
        drawn.append(cell_map(view))
    if view.every_replicate is not None:
        drawn.append(replicates(view, view.every_replicate))
    return drawn


def surfaces(view: View) -> Picture:
    """The target beside the surface of every split, and of two splits their difference."""
    panels = loss_panels(view)
    shared = len({id(panel.scale) for panel in panels}) == 1
    shown, columns = panels, 3
    if len(view.splits) == 2:
        first, second = view.splits
        change = view.loss(second) - view.loss(first)
        scale = style.diverging(change)
        shown = [*panels, *_diverging_panels([f"{second} − {first}"], [change], scale)]
        columns = len(shown)
    names = style.listed([panel.title for panel in shown])
    return Picture(
        name="surfaces",
        title="The surfaces",
        caption=style.sentences(
            f"Mean loss{view.units('loss')} over the grid, {names}, with contour lines. Each mark "
            "is the grid point where that surface is least"
            + ("; the dots are its local minima." if view.minima else "."),
            "The losses share one colour scale."
            if shared
            else "The target has a colour scale of its own.",
            runs_words(view),
            *dict.fromkeys(panel.scale.words for panel in shown),
            style.grey_words([panel.field for panel in shown]),
        ),
        alt=f"Colour maps of {names} over {style.listed(view.axes)}",
        figure=mosaic(view, shown, "loss" + view.units("loss"), columns),
    )


def differences(view: View) -> Picture:
    """Each other split minus the reference, beside what was predicted of it."""
    titles, fields = [], []
    for split in view.splits[1:]:
        measured = view.loss(split) - view.loss(view.reference)
        predicted = view.predicted(split)
        titles.append(f"{split} − {view.reference}")
        fields.append(measured)
        if predicted is not None:
            titles += [f"predicted {split} − {view.reference}", "measured − predicted"]
            fields += [predicted, measured - predicted]
    scale = style.diverging(*fields)
    return Picture(
        name="difference",
        title=f"What changes from {view.reference}",
        caption=style.sentences(
            f"Difference of the loss{view.units('loss')} to the {view.reference} split: red where "
            "it is greater, blue where it is less, white where they agree.",
            "One scale for all panels, centred at 0.",
            scale.words,
            style.grey_words(fields),
        ),
        alt=f"Colour maps of {style.listed(titles)}",
        figure=mosaic(
            view, _diverging_panels(titles, fields, scale), "difference" + view.units("loss")
        ),
    )


def errors(view: View, target: xr.DataArray) -> Picture:
    """Each split minus the target, after the constant that fits best."""
    fields, constants = [], []
    for split in view.splits:
        error = view.loss(split) - target
        constant = float(error.mean()) if bool(error.notnull().any()) else math.nan
        constants.append(f"{style.number(constant)} for {split}")
        fields.append(error - constant)
    scale = style.diverging(*fields)
    titles = [f"{split} − target − constant" for split in view.splits]
    return Picture(
        name="error",
        title="The error against the target",
        caption=style.sentences(
            "What is left of loss − target once its mean over the drawn points is removed "
            f"({style.listed(constants)}).",
            "The colour scale is centred at 0.",
            scale.words,
            style.grey_words(fields),
        ),
        alt=f"Colour maps of {style.listed(titles)}",
        figure=mosaic(view, _diverging_panels(titles, fields, scale), "error" + view.units("loss")),
    )


def _diverging_panels(
    titles: Sequence[str], fields: Sequence[xr.DataArray], scale: Scale
) -> list[Panel]:
    return [
        Panel(title, field, scale, style.DIFFERENCE_MAP)
        for title, field in zip(titles, fields, strict=True)
    ]


def accuracy(view: View) -> Picture:
    """The accuracy of every split."""
    fields = [view.thin["accuracy"].sel({SPLIT: split}) for split in view.splits]
    scale = style.sequential(*fields)
    panels = [
        Panel(split, field, scale, style.ACCURACY_MAP)
        for split, field in zip(view.splits, fields, strict=True)
    ]
    return Picture(
        name="accuracy",
        title="Accuracy",
        caption=style.sentences(
            "Fraction of samples classified correctly. The marks are the minima of the loss.",
            scale.words,
            style.grey_words(fields),
        ),
        alt=f"Colour maps of the accuracy on {style.listed(view.splits)}",
        figure=mosaic(view, panels, "accuracy"),
    )


def replicates(view: View, every: xr.DataArray) -> Picture:
    """Mean and standard deviation over replicates."""
    over = over_replicates(every.isel(thinning(view, MOST_PER_AXIS_OF_SPREAD)))
    means = [over["mean"].sel({SPLIT: split}) for split in view.splits]
    spreads = [over["spread"].sel({SPLIT: split}) for split in view.splits]
    mean_scale, spread_scale = style.sequential(*means), style.sequential(*spreads)
    panels = [
        panel
        for split, mean, deviation in zip(view.splits, means, spreads, strict=True)
        for panel in (
            Panel(f"{split}, mean", mean, mean_scale, marks=False),
            Panel(f"{split}, standard deviation", deviation, spread_scale, style.SPREAD_MAP, False),
        )
    ]
    count = every.sizes[REPLICATE]
    return Picture(
        name="replicates",
        title="Over the replicates",
        caption=style.sentences(
            f"Mean and standard deviation of the loss{view.units('loss')} over {count} replicates. "
            "Every other figure shows the first replicate.",
            view.reduced_words(MOST_PER_AXIS_OF_SPREAD),
            mean_scale.words,
            style.grey_words(means),
        ),
        alt=f"Colour maps of the mean and the spread of the loss over {count} replicates",
        figure=mosaic(view, panels, "loss" + view.units("loss"), columns=2),
    )


def contours(view: View) -> Picture:
    """The level lines of target and splits, laid over each other."""
    figure = Figure(figsize=(7.0, 6.9), layout="constrained")
    axes = figure.add_subplot()
    fields = {split: view.loss(split) for split in view.splits}
    norm = style.sequential(*fields.values()).norm
    handles = []
    colours = {split: style.split_colour(view, split) for split in view.splits}
    for number, (name, field) in enumerate(fields.items()):
        line = style.LINE_STYLES[number % len(style.LINE_STYLES)]
        upright = field.transpose(*reversed(view.axes))
        lines(axes, upright, norm, colours[name], 1.3, line)
        handles.append(
            Line2D(
                [], [], color=colours[name], linestyle=line, label=style.plain(f"loss on {name}")
            )
        )
    if view.target is not None:
        target = view.thin[view.target].transpose(*reversed(view.axes))
        together = style.comparable([target, *fields.values()])
        own = norm if together else style.sequential(target).norm
        lines(axes, target, own, "#111111", 1.1, ":")
        handles.append(Line2D([], [], color="#111111", linestyle=":", label="target"))
    put_runs(axes, view, *view.axes)
    put_marks(axes, view, *view.axes)
    style.dress(axes, view, *view.axes)
    across, up = (edges(view.thin[axis].values, axis in view.logs) for axis in view.axes)
    axes.set(xlim=(across[0], across[-1]), ylim=(up[0], up[-1]))
    axes.set_box_aspect(1)
    figure.legend(handles=handles, loc="outside upper center", ncols=4, frameon=False, fontsize=9)
    style.legend(figure, view, [], more=run_handles(view))
    label_singles(figure, view, [(axes, *spanned(view, view.thin["loss"]))])
    return Picture(
        name="contours",
        title="Contours",
        caption=style.sentences(
            "Level lines at the same losses for every split, laid over each other: where the "
            "lines coincide, the surfaces do. Marks are the minima.",
            runs_words(view),
        ),
        alt=f"Level lines of the loss on {style.listed(view.splits)}",
        figure=figure,
    )
