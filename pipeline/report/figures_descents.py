"""Where descents from the points of a grid lead, over one or two axes."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from pipeline.report import style
from pipeline.report.figures_starts import OUTCOME_STYLES
from pipeline.report.panels import Panel, draw
from pipeline.report.style import Picture
from pipeline.report.view import Floats, View
from schemas.layout import SPLIT, DescentOutcome
from schemas.starts import RELATIVE

_CODES = sorted(DescentOutcome)
# Of its own, for there are no level lines of what is constant but for steps.
_END_MAP = style.LOSS_MAP.copy()


def descents(view: View) -> list[Picture]:
    """The loss at the ends and what they are, at the points that descents set out from.

    None without descents, or with three axes or more.
    """
    if "outcome" not in view.thin or len(view.axes) > 2:
        return []
    figure = _along(view) if len(view.axes) == 1 else _over(view)
    return [
        Picture(
            name="descents",
            title="Where descents lead",
            caption=style.sentences(
                "Loss at the end of the descent over all parameters that sets out from each point, "
                "and what is found there.",
                "Points whose descents end alike belong to one basin.",
            ),
            alt=f"Ends of descents from the points over {style.listed(view.axes)}",
            figure=figure,
        )
    ]


def _over(view: View) -> Figure:
    """Two maps for each split."""
    rows = len(view.splits)
    figure = Figure(figsize=(9.2, 3.7 * rows + 0.4), layout="constrained")
    ends = [_end(view, split) for split in view.splits]
    scale = style.sequential(*ends)
    colours = ListedColormap([OUTCOME_STYLES[code][1] for code in _CODES]).with_extremes(
        bad="white"
    )
    norm = BoundaryNorm(np.arange(len(_CODES) + 1) - 0.5, len(_CODES))
    for row, (split, end) in enumerate(zip(view.splits, ends, strict=True)):
        left, right = (figure.add_subplot(rows, 2, 2 * row + place) for place in (1, 2))
        shown = Panel(f"{split}: loss at the end", end, scale, _END_MAP, marks=False)
        mesh = draw(left, view, shown)
        bar = figure.colorbar(mesh, ax=left, extend=scale.extend, shrink=0.8)
        bar.ax.tick_params(labelsize=8)
        outcome = _outcome(view, split)
        found = Panel(f"{split}: outcome", outcome, style.Scale(norm), colours, marks=False)
        draw(right, view, found)
    style.legend_below(figure, [_patch(code) for code in _found(view)])
    return figure


def _along(view: View) -> Figure:
    """A panel for each split: the loss along the axis, and that at the ends."""
    (axis,) = view.axes
    figure = Figure(figsize=(9.6, 3.4 * len(view.splits) + 0.4), layout="constrained")
    panels = figure.subplots(len(view.splits), 1, sharex=True, squeeze=False)[:, 0]
    for axes, split in zip(panels, view.splits, strict=True):
        loss, end = (view.thin[name].sel({SPLIT: split}) for name in ("loss", "end_loss"))
        axes.plot(loss[axis].values, loss.values, color=style.GREY, lw=1.4)
        _put_ends(axes, end[axis].values, end.values, _outcome(view, split).values)
        axes.set_title(style.plain(split), fontsize=11)
        axes.set_ylabel("loss")
    style.dress(panels[-1], view, axis)
    start = Line2D([], [], color=style.GREY, lw=1.4, label="loss at the point")
    style.legend_below(figure, [start, *(_patch(code) for code in _found(view))])
    return figure


def _put_ends(
    axes: Axes,
    x: Floats,
    y: Floats,
    outcome: Floats,
) -> None:
    for code in _CODES:
        marker, colour, _ = OUTCOME_STYLES[code]
        there = outcome == code
        axes.scatter(x[there], y[there], s=14, c=colour, marker=marker, linewidths=0.8)


def _end(view: View, split: str) -> xr.DataArray:
    """Losses at the ends of a split; those that lie above the least by rounding as high as that."""
    end, loss = view.thin["end_loss"].sel({SPLIT: split}), view.loss(split)
    least = end.min()
    return end.clip(min=least + RELATIVE * np.maximum(abs(least), loss.median() - least))


def _outcome(view: View, split: str) -> xr.DataArray:
    """The codes of a split; NaN where there is no finite loss to descend from."""
    codes = view.thin["outcome"].sel({SPLIT: split})
    return codes.where(np.isfinite(view.loss(split)))


def _found(view: View) -> list[DescentOutcome]:
    codes = {float(code) for split in view.splits for code in np.unique(_outcome(view, split))}
    return [code for code in OUTCOME_STYLES if float(code) in codes]


def _patch(code: DescentOutcome) -> Patch:
    _, colour, label = OUTCOME_STYLES[code]
    return Patch(facecolor=colour, label=label)
