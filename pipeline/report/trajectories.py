"""How training runs are drawn over a section: polylines, their ends, and single models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from pipeline.report import style
from pipeline.report.labels import Label, put_labels
from pipeline.report.runs import Floats
from pipeline.report.view import View

MANY = 60
LAYER = 2.4
"""Above contour lines, below the panel's frame, which white casings would cut."""
_SAMPLES = 200


def put_runs(axes: Axes, view: View, horizontal: str, vertical: str) -> None:
    """Every run as a polyline with a dot for each checkpoint; single models as their end.

    What lies outside the panel is cut off; its limits do not change.
    """
    with _limits_kept(axes):
        for number, run in enumerate(view.runs):
            colour, line = style.run_style(number)
            x, y = run.at[horizontal], run.at[vertical]
            if not run.single:
                axes.plot(x, y, color="white", lw=3.6, zorder=LAYER, solid_joinstyle="round")
                axes.plot(x, y, linestyle=line, color=colour, lw=1.5, zorder=LAYER)
                put_dots(axes, x, y, colour)
            put_ends(axes, x, y, colour)


def put_dots(axes: Axes, x: Floats, y: Floats, colour: str) -> None:
    """The checkpoints along a line."""
    many = len(x) > MANY
    axes.plot(
        x,
        y,
        linestyle="none",
        marker="o",
        markersize=2.4 if many else 4.2,
        markerfacecolor=colour,
        markeredgecolor="white",
        markeredgewidth=0.3 if many else 0.6,
        zorder=LAYER,
    )


def put_ends(axes: Axes, x: Floats, y: Floats, colour: str) -> None:
    """A hollow square where a run starts, a filled one where it ends."""
    squares = [(slice(-1, None), 8.0, colour, "white", 1.2)]
    if len(x) > 1:
        squares += [(slice(1), 6.0, "white", "white", 3.4), (slice(1), 6.0, "white", colour, 1.5)]
    for which, size, face, edge, width in squares:
        axes.plot(
            x[which],
            y[which],
            linestyle="none",
            marker="s",
            markersize=size,
            markerfacecolor=face,
            markeredgecolor=edge,
            markeredgewidth=width,
            zorder=LAYER,
        )


def run_handles(view: View) -> list[Line2D]:
    """What a legend says of the runs; single models carry their names themselves."""
    long = [(number, run) for number, run in enumerate(view.runs) if not run.single]
    handles = [
        Line2D(
            [],
            [],
            color=style.run_style(number)[0],
            linestyle=style.run_style(number)[1],
            marker="o",
            markersize=4,
            label=style.plain(style.short(run.name)),
        )
        for number, run in long
    ]
    if long:
        handles += [_square("white", "start of a run"), _square(style.INK, "end of a run")]
    return handles


def _square(face: str, label: str) -> Line2D:
    return Line2D(
        [],
        [],
        linestyle="none",
        marker="s",
        markersize=6.5,
        markerfacecolor=face,
        markeredgecolor=style.INK,
        label=label,
    )


def label_singles(figure: Figure, view: View, panels: Sequence[tuple[Axes, str, str]]) -> None:
    """The names of single models beside their marks; `panels` say what their axes show."""
    singles = [run for run in view.runs if run.single]
    if not singles:
        return
    figure.draw_without_rendering()
    for axes, horizontal, vertical in panels:
        labels = [
            Label(run.name, (run.at[horizontal][0], run.at[vertical][0]), style.INK)
            for run in singles
            if run.inside[0]
        ]
        put_labels(axes, labels, obstacles(view, horizontal, vertical))


def obstacles(view: View, horizontal: str, vertical: str) -> Floats:
    """Places (k, 2) that a label should not cover: the runs and the minima."""
    places = [np.array([[mark.at[horizontal], mark.at[vertical]] for mark in view.marks])]
    for run in view.runs:
        x, y = run.at[horizontal], run.at[vertical]
        steps = np.linspace(0, len(x) - 1, _SAMPLES if len(x) > 1 else 1)
        order = np.arange(len(x))
        places.append(np.stack([np.interp(steps, order, x), np.interp(steps, order, y)], axis=1))
    return np.concatenate([place.reshape(-1, 2) for place in places])


def runs_words(view: View) -> str:
    """The sentences of a caption about the runs drawn over a surface; empty without runs."""
    if not view.runs:
        return ""
    trained = any(not run.single for run in view.runs)
    lines = "Lines with dots are training runs, projected into the section, a dot a checkpoint"
    models = "Squares with names are single models, projected into the section"
    what = [lines] * trained + [models] * any(run.single for run in view.runs)
    return style.sentences(
        ". ".join(what) + ".",
        "A checkpoint's own loss need not be the surface's at that place: see the runs' figure.",
        outside_words(view),
    )


def outside_words(view: View) -> str:
    """The sentence that counts the checkpoints beyond the grid; empty when there are none."""
    beyond = sum(int((~run.inside).sum()) for run in view.runs)
    every = sum(len(run.checkpoints) for run in view.runs)
    if not beyond:
        return ""
    verb, pronoun = ("lies", "is") if beyond == 1 else ("lie", "are")
    rest = (
        f"and {pronoun} not drawn."
        if len(view.axes) < 3
        else "and a panel leaves out those beyond its own two axes."
    )
    return f"Of {every:,} checkpoints {beyond:,} {verb} outside the grid {rest}"


@contextmanager
def _limits_kept(axes: Axes) -> Iterator[None]:
    limits = axes.get_xlim(), axes.get_ylim()
    yield
    axes.set(xlim=limits[0], ylim=limits[1])
