"""Figures of a multi-start scan, and of descents from the points of a grid."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.report import style
from pipeline.report.starts import Floats, Split, StartsView
from pipeline.report.style import Picture
from schemas.layout import DescentOutcome
from schemas.starts import resolved_curvature

# Okabe and Ito's colours for every eye; markers tell outcomes apart without them.
OUTCOME_STYLES = {
    DescentOutcome.GLOBAL: ("o", "#009e73", "global minimum"),
    DescentOutcome.MINIMUM: ("o", "#0072b2", "minimum"),
    DescentOutcome.SPURIOUS: ("s", "#d55e00", "spurious minimum"),
    DescentOutcome.SADDLE: ("^", "#cc79a7", "saddle"),
    DescentOutcome.LOW_ENOUGH: ("D", "#56b4e9", "at its target"),
    DescentOutcome.NOT_CONVERGED: ("x", "#8a8a8a", "not converged"),
}
_BINS = 40
_COLUMNS = 3


def figures(view: StartsView) -> list[Picture]:
    """Every static figure of a multi-start scan."""
    if view.tolerance is None:
        return [losses(view)]
    if not any(split.outcomes for split in view.splits):
        return []
    return [
        ends(view),
        gradients(view, view.tolerance),
        eigenvalues(view, view.tolerance),
        iterations(view),
    ]


def losses(view: StartsView) -> Picture:
    """Histograms of the loss at the starts."""

    def draw(axes: Axes, split: Split) -> None:
        values = split.values["loss"]
        values = values[np.isfinite(values)]
        axes.hist(values, _bins(axes, values), color=style.SPLIT_STYLES[1][1], alpha=0.85)
        axes.set_xlabel("loss at the start")
        axes.set_ylabel("starts")

    return Picture(
        "starts",
        "Loss at the starts",
        style.sentences(f"How often each loss occurs among {_counted(view)}.", view.thinned_words),
        f"Histograms of the loss at {_counted(view)}",
        _panels(view, draw),
    )


def ends(view: StartsView) -> Picture:
    """The end loss of every start, sorted."""

    def draw(axes: Axes, split: Split) -> None:
        end = split.values["end_loss"]
        order = np.argsort(end, kind="stable")
        rank = np.empty(len(order))
        rank[order] = np.arange(1, len(order) + 1)
        _scatter(axes, split, rank, end)
        if split.known:
            axes.axhline(split.least, color=style.INK, lw=1.0, ls="--", zorder=1)
        shown = end[np.isfinite(end)]
        above = shown[shown - split.least > split.rounding] - split.least
        if above.size and np.ptp(shown) > style.WIDE_RATIO * above.min():
            axes.set_yscale("symlog", linthresh=float(above.min()))
        axes.set_xlabel("start, by rank of its end")
        axes.set_ylabel("loss at the end")

    handles = []
    if any(split.known for split in view.splits):
        handles.append(Line2D([], [], color=style.INK, lw=1.0, ls="--", label="known minimum"))
    return Picture(
        "ends",
        "Where the descents end",
        style.sentences(
            f"Loss at the end of each descent ({view.method}) from {_counted(view)}, least first.",
            "A flat stretch is one value, reached by so many starts.",
            _told(view),
            view.thinned_words,
        ),
        f"Sorted losses at the ends of descents from {_counted(view)}; {_told(view)}",
        _panels(view, draw, handles),
    )


def gradients(view: StartsView, tolerance: float) -> Picture:
    """Gradient norm at the ends, against the loss above the least."""

    def draw(axes: Axes, split: Split) -> None:
        _against_excess(axes, split, split.values["end_gradient_norm"])
        axes.axhline(tolerance, color=style.INK, lw=1.0, ls="--", zorder=1)
        axes.set_yscale("log")
        axes.set_ylabel("gradient norm at the end")

    line = Line2D([], [], color=style.INK, lw=1.0, ls="--", label="tolerance")
    return Picture(
        "gradients",
        "Gradient and loss at the ends",
        style.sentences(
            "Norm of the gradient where each descent ends, against how far its loss lies above the "
            "least. Descents below the dashed tolerance have converged.",
            "Losses equal to the least, or below it by rounding, are drawn at the left edge.",
            view.thinned_words,
        ),
        "Gradient norm against the loss above the least, at the end of every descent",
        _panels(view, draw, [line]),
    )


def eigenvalues(view: StartsView, tolerance: float) -> Picture:
    """Least eigenvalue of the Hessian at the ends, against the loss above the least."""

    def draw(axes: Axes, split: Split) -> None:
        _against_excess(axes, split, split.values["end_hessian_eigenvalue_min"])
        greatest = np.abs(split.values["end_hessian_eigenvalue_max"])
        typical = np.median(greatest[np.isfinite(greatest)]) if np.isfinite(greatest).any() else 1.0
        unresolved = resolved_curvature(tolerance) * max(1.0, float(typical))
        axes.axhspan(-unresolved, unresolved, color="#00000012", lw=0, zorder=0)
        axes.axhline(0.0, color=style.INK, lw=0.8, zorder=1)
        axes.set_yscale("symlog", linthresh=unresolved)
        axes.set_ylabel("least eigenvalue of the Hessian")

    return Picture(
        "eigenvalues",
        "Curvature at the ends",
        style.sentences(
            "Least eigenvalue of the Hessian over all parameters where each descent ends. Below "
            "zero the loss falls on: a saddle. In the grey band about zero, whose scale is linear, "
            "it is too small to be told from zero: there is a flat direction.",
            view.thinned_words,
        ),
        "Least eigenvalue of the Hessian at the end of every descent",
        _panels(view, draw),
    )


def iterations(view: StartsView) -> Picture:
    """How many iterations the descents took."""

    def draw(axes: Axes, split: Split) -> None:
        taken = split.values["iterations"]
        if shown := split.outcomes:
            axes.hist(
                [taken[split.ended(outcome)] for outcome in shown],
                _bins(axes, np.maximum(taken, 1)),
                stacked=True,
                color=[OUTCOME_STYLES[outcome][1] for outcome in shown],
            )
        axes.set_xlabel("iterations")
        axes.set_ylabel("descents")

    return Picture(
        "iterations",
        "Iterations",
        style.sentences("How many iterations the descents took.", view.thinned_words),
        "Histograms of the iterations of the descents",
        _panels(view, draw),
    )


def _panels(
    view: StartsView, draw: Callable[[Axes, Split], None], more: Sequence[Line2D] = ()
) -> Figure:
    """A panel for each split, and one legend of the outcomes below."""
    columns = min(_COLUMNS, len(view.splits))
    rows = -(-len(view.splits) // columns)
    width = 8.4 if columns == 1 else 4.8 * columns
    figure = Figure(figsize=(width, 3.8 * rows + 0.4), layout="constrained")
    for position, split in enumerate(view.splits):
        axes = figure.add_subplot(rows, columns, position + 1)
        draw(axes, split)
        axes.set_title(style.plain(split.name), fontsize=11)
        axes.grid(visible=True, color="#00000018", lw=0.6)
        axes.set_axisbelow(True)
        axes.tick_params(labelsize=8, color=style.INK)
    found = [] if view.tolerance is None else _found(view)
    style.legend_below(figure, [*map(_handle, found), *more])
    return figure


def _found(view: StartsView) -> list[DescentOutcome]:
    """What the descents have found on any split."""
    return [each for each in OUTCOME_STYLES if any(each in s.outcomes for s in view.splits)]


def _handle(outcome: DescentOutcome) -> Line2D:
    marker, colour, label = OUTCOME_STYLES[outcome]
    return Line2D([], [], linestyle="none", marker=marker, color=colour, markersize=6, label=label)


def _scatter(axes: Axes, split: Split, x: Floats, y: Floats) -> None:
    """A mark for each descent, those that failed beneath the others."""
    size = 16 if x.size <= 2_000 else 6
    for outcome in reversed(split.outcomes):
        marker, colour, _ = OUTCOME_STYLES[outcome]
        there = split.ended(outcome)
        axes.scatter(
            x[there],
            y[there],
            s=size,
            c=colour,
            marker=marker,
            linewidths=0.8,
            alpha=0.75,
            rasterized=True,
        )


def _against_excess(axes: Axes, split: Split, y: Floats) -> None:
    """A mark for each descent over its excess; matplotlib has no decades where there is none."""
    excess = np.maximum(split.excess, _floor(split.excess))
    _scatter(axes, split, excess, y)
    if np.isfinite(excess + y).any():
        axes.set_xscale("log")
    axes.set_xlabel(_excess_words(split))


def _bins(axes: Axes, values: Floats) -> list[float]:
    """Edges of bins, on a logarithmic scale over decades."""
    if not values.size:
        return [0.0, 1.0]
    least, greatest = float(values.min()), float(values.max())
    if least > 0 and greatest >= style.WIDE_RATIO * least:
        axes.set_xscale("log")
        return [*np.geomspace(least, greatest, _BINS + 1)]
    if style.is_flat(values):
        return [least - 0.5, greatest + 0.5]
    return [*np.linspace(least, greatest, _BINS + 1)]


def _floor(excess: Floats) -> float:
    """Where losses are drawn that are not above the least."""
    above = excess[np.isfinite(excess) & (excess > 0)]
    return float(above.min()) / 3 if above.size else 1e-16


def _excess_words(split: Split) -> str:
    least = "the global minimum" if split.known else "the least end"
    return f"loss above {least}, {style.number(split.least)}"


def _counted(view: StartsView) -> str:
    of = f" in {view.replicates:,} replicates" if view.replicates > 1 else ""
    return f"{view.starts:,} starts{of}"


def _told(view: StartsView) -> str:
    """How many of the drawn descents have found what."""
    said = []
    for split in view.splits:
        words = style.listed(
            [
                f"{int(split.ended(outcome).sum()):,} {OUTCOME_STYLES[outcome][2]}"
                for outcome in split.outcomes
            ]
            or ["no loss is finite"]
        )
        said.append(f"{split.name}: {words}.")
    return " ".join(said)
