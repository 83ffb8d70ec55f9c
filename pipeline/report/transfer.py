"""The scatter of one split's loss against the reference split's, with its regression."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from pipeline.report import style
from pipeline.report.style import Picture
from pipeline.report.view import Floats, View

FEW_POINTS = 1_500


def transfer(view: View) -> Picture:
    """Every other split against the reference split."""
    others = view.splits[1:]
    columns = min(3, len(others))
    rows = -(-len(others) // columns)
    figure = Figure(figsize=(max(5.4, 4.3 * columns), 4.3 * rows), layout="constrained")
    lines = []
    for position, split in enumerate(others, start=1):
        axes = figure.add_subplot(rows, columns, position)
        lines.append(_scatter(figure, axes, view, split))
    known = [line for line in lines if line]
    what = f"The loss on {style.listed(others)} against the loss on {view.reference}"
    return Picture(
        name="transfer",
        title="Does the surface transfer?",
        caption=style.sentences(
            f"{what}, one dot for each drawn point, or shaded by their number. Dashed: equality.",
            f"Solid: the least-squares line ({'; '.join(known)})." if known else "",
        ),
        alt=f"Scatter plot: {what}",
        figure=figure,
    )


def _scatter(figure: Figure, axes: Axes, view: View, split: str) -> str:
    x = view.loss(view.reference).values.ravel()
    y = view.loss(split).transpose(*view.loss(view.reference).dims).values.ravel()
    both = np.isfinite(x) & np.isfinite(y)
    x, y = x[both], y[both]
    axes.set_xlabel(style.plain(f"loss on {view.reference}{view.units('loss')}"))
    axes.set_ylabel(style.plain(f"loss on {split}{view.units('loss')}"))
    axes.tick_params(labelsize=8)
    axes.set_box_aspect(1)
    if x.size == 0:
        axes.text(0.5, 0.5, "no finite values", ha="center", transform=axes.transAxes)
        return ""
    if x.size <= FEW_POINTS or style.is_flat(x) or style.is_flat(y):
        axes.plot(x, y, ".", color="#2a6fbb", alpha=0.5, markersize=4, markeredgewidth=0)
    else:
        shaded = axes.hexbin(x, y, gridsize=70, bins="log", mincnt=1, cmap="Blues", linewidths=0.1)
        bar = figure.colorbar(shaded, cax=axes.inset_axes((1.04, 0.0, 0.05, 1.0)))
        bar.set_label("points", fontsize=9)
        bar.ax.tick_params(labelsize=8)
    ends = np.array([min(x.min(), y.min()), max(x.max(), y.max())])
    axes.plot(ends, ends, "--", color=style.GREY, lw=1.1)
    return _regression(axes, x, y, split)


def _regression(axes: Axes, x: Floats, y: Floats, split: str) -> str:
    if style.is_flat(x):
        return ""
    deviation = x - x.mean()
    slope = float(deviation @ (y - y.mean()) / (deviation @ deviation))
    intercept = float(y.mean() - slope * x.mean())
    ends = np.array([x.min(), x.max()])
    axes.plot(ends, slope * ends + intercept, color="#d1352b", lw=1.5)
    return f"{split}: slope {style.number(slope)}, intercept {style.number(intercept)}"
