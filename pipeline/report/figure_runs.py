"""The runs, checkpoint by checkpoint: their own loss, the surface's beneath them, what is left out.

The surface is the loss of the projected parameters; a checkpoint that lies outside of the section
has another loss.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.typing import LineStyleType

from pipeline.report import style
from pipeline.report.figures_1d import thin_grid
from pipeline.report.runs import Floats, Run
from pipeline.report.style import Picture
from pipeline.report.view import View, kept

MOST_TICKS = 8
LONGEST_TICK = 14
DOTTED: LineStyleType = (0, (1, 1.3))
WIDE_RATIO = 20


def the_runs(view: View) -> Picture:
    """Own and projected loss on every split, the explained fraction, and the distance."""
    count = len(view.splits) + 2
    columns = 2 if count == 4 else 3
    rows = -(-count // columns)
    figure = Figure(figsize=(4.4 * columns, 3.0 * rows + 0.7), layout="constrained")
    panels = [figure.add_subplot(rows, columns, place + 1) for place in range(count)]
    places = positions(view.runs)
    for axes, split in zip(panels, view.splits, strict=False):
        draw_losses(axes, view, places, split)
    draw_fraction(panels[-2], view, places)
    draw_distance(panels[-1], view, places)
    for axes in panels:
        thin_grid(axes)
        axes.tick_params(labelsize=8)
        label_checkpoints(axes, view.runs, places)
    style.legend_below(figure, _handles(view))
    return Picture(
        name="runs",
        title="The runs",
        caption=style.sentences(
            f"Mean loss{view.units('loss')} of each checkpoint itself, solid, and of the surface "
            "at its projection, dotted, interpolated linearly on the grid. They differ by what "
            "lies outside the section.",
            *(_gap_words(view, split) for split in view.splits),
            _no_surface_words(view),
            "Explained: the fraction of the squared displacement from the section's origin that "
            "lies within the section, 1 for a checkpoint that lies in it; the origin has none. "
            "Distance: the Euclidean norm of what is left outside.",
        ),
        alt="Curves over the checkpoints of each run: their loss, the surface's loss at their "
        "projection, the explained fraction and the distance from the section",
        figure=figure,
    )


def positions(runs: Sequence[Run]) -> list[Floats]:
    """Where the checkpoints of each run stand: 1, 2, … along it; single models come after.

    Single models stand far enough apart for their names.
    """
    longest = max((len(run.checkpoints) for run in runs if not run.single), default=0)
    apart = max(1.0, longest / MOST_TICKS)
    single = longest + apart
    places = []
    for run in runs:
        if run.single:
            places.append(np.array([single]))
            single += apart
        else:
            places.append(np.arange(1.0, len(run.checkpoints) + 1))
    return places


def draw_losses(axes: Axes, view: View, places: Sequence[Floats], split: str) -> None:
    """The loss of the checkpoints themselves, and of the surface at their projections."""

    def own(run: Run) -> Floats:
        return run.own[split]

    def surface(run: Run) -> Floats:
        return run.surface[split]

    for number, (run, place) in enumerate(zip(view.runs, places, strict=True)):
        if run.single:
            ends = [own(run)[0], surface(run)[0]]
            axes.plot([place[0]] * 2, ends, ":", color=style.run_style(number)[0], lw=1.2)
    _curves(axes, view, places, surface, hollow=True)
    _curves(axes, view, places, own)
    known = np.concatenate([values for run in view.runs for values in (own(run), surface(run))])
    known = known[np.isfinite(known)]
    if known.size and known.min() > 0 and known.max() >= WIDE_RATIO * known.min():
        axes.set_yscale("log")
    axes.set_ylabel(style.plain(f"loss on {split}{view.units('loss')}"))


def draw_fraction(axes: Axes, view: View, places: Sequence[Floats]) -> None:
    """The explained fraction of the squared displacement."""
    _curves(axes, view, places, lambda run: run.explained)
    axes.set(ylim=(-0.04, 1.04), ylabel="explained fraction")


def draw_distance(axes: Axes, view: View, places: Sequence[Floats]) -> None:
    """The distance of the checkpoints from the section."""
    _curves(axes, view, places, lambda run: run.distance)
    axes.set_ylim(bottom=-0.04 * axes.get_ylim()[1])
    axes.set_ylabel("distance from the section")


def label_checkpoints(axes: Axes, runs: Sequence[Run], places: Sequence[Floats]) -> None:
    """The names of the checkpoints where all runs share them, else their numbers; models' names."""
    long = [run for run in runs if not run.single]
    names: tuple[str, ...] = max((run.checkpoints for run in long), key=len, default=())
    shared = all(run.checkpoints == names[: len(run.checkpoints)] for run in long)
    ticks = [(i + 1.0, names[i] if shared else str(i + 1)) for i in kept(len(names), MOST_TICKS)]
    ticks += [(place[0], run.name) for run, place in zip(runs, places, strict=True) if run.single]
    labels = [style.plain(style.short(name, LONGEST_TICK)) for _, name in ticks]
    slanted = max(map(len, labels)) > 4
    axes.set_xticks(
        [place for place, _ in ticks],
        labels,
        rotation=30 if slanted else 0,
        ha="right" if slanted else "center",
        rotation_mode="anchor",
    )
    last = max(float(place[-1]) for place in places)
    margin = max(0.5, 0.03 * last)
    axes.set_xlim(1 - margin, last + margin)
    axes.set_xlabel("checkpoint" if long else "model")


def _curves(
    axes: Axes,
    view: View,
    places: Sequence[Floats],
    values: Callable[[Run], Floats],
    hollow: bool = False,
) -> None:
    for number, (run, place) in enumerate(zip(view.runs, places, strict=True)):
        colour, line = style.run_style(number)
        dotted = len(place) <= MOST_TICKS * 5
        axes.plot(
            place,
            values(run),
            linestyle=DOTTED if hollow else line,
            color=colour,
            lw=1.2 if hollow else 1.6,
            marker="o" if dotted else "",
            markersize=5.5 if hollow else 4,
            markerfacecolor="white" if hollow else colour,
            markeredgecolor=colour,
        )


def _handles(view: View) -> list[Line2D]:
    kinds: list[tuple[LineStyleType, str, str]] = [
        ("-", style.INK, "loss of the checkpoint itself"),
        (DOTTED, "white", "the surface at its projection"),
    ]
    named = [
        Line2D([], [], color=colour, linestyle=line, marker="o", markersize=4,
               label=style.plain(style.short(run.name)))
        for number, run in enumerate(view.runs)
        if not run.single
        for colour, line in [style.run_style(number)]
    ]  # fmt: skip
    return [
        *named,
        *(
            Line2D([], [], color=style.INK, linestyle=line, marker="o", markersize=5,
                   markerfacecolor=face, label=label)
            for line, face, label in kinds
        ),
    ]  # fmt: skip


def _gap_words(view: View, split: str) -> str:
    gaps = np.concatenate([np.abs(run.own[split] - run.surface[split]) for run in view.runs])
    gaps = gaps[np.isfinite(gaps)]
    if gaps.size == 0:
        return ""
    most, middle = style.number(float(gaps.max())), style.number(float(np.median(gaps)))
    return f"On {split} the difference is at most {most}, {middle} in the median."


def _no_surface_words(view: View) -> str:
    blank = sum(int(np.isnan(run.surface[view.reference]).sum()) for run in view.runs)
    every = sum(len(run.checkpoints) for run in view.runs)
    if not blank:
        return ""
    return (
        f"At {blank:,} of {every:,} projections the surface has no value: they lie outside the "
        "grid or beside a value that is not finite."
    )
