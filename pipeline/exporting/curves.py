"""The loss along one axis as a figure to zoom into, for plotly."""

from __future__ import annotations

import json
from collections.abc import Iterator

import plotly.graph_objects as go
import plotly.io

from pipeline.report import style
from pipeline.report.view import View

DASHES = {"-": "solid", "--": "dash", "-.": "dashdot", ":": "dot"}


def curves(view: View) -> str:
    """JSON of a plotly figure: every split, the target, the minima and the runs, for one axis."""
    (axis,) = view.axes
    figure = go.Figure([*_losses(view, axis), *_minima(view, axis), *_runs(view, axis)])
    values = style.finite(view.thin["loss"])
    wide = values.size and values.min() > 0 and values.max() >= style.WIDE_RATIO * values.min()
    decades = axis in view.logs and float(view.thin[axis].min()) > 0
    figure.update_layout(
        template="none",
        margin={"l": 64, "r": 16, "t": 32, "b": 56},
        hovermode="closest",
        legend={"orientation": "h", "y": -0.14, "yanchor": "top", "x": 0},
        xaxis={
            "title": {"text": axis + view.units(axis)},
            "type": "log" if decades else "linear",
        },
        yaxis={
            "title": {"text": "loss" + view.units("loss")},
            "type": "log" if wide else "linear",
        },
    )
    return json.dumps(json.loads(plotly.io.to_json(figure, validate=False)))


def _losses(view: View, axis: str) -> Iterator[go.Scatter]:
    for number, split in enumerate(view.splits):
        dash = style.LINE_STYLES[number % len(style.LINE_STYLES)]
        yield go.Scatter(
            x=view.thin[axis].values,
            y=view.loss(split).values,
            mode="lines",
            line={"color": style.split_colour(view, split), "dash": DASHES[str(dash)]},
            name=f"loss on {split}",
        )
    if view.target is not None:
        yield go.Scatter(
            x=view.thin[axis].values,
            y=view.thin[view.target].values,
            mode="lines",
            line={"color": style.GREY, "dash": "dot"},
            name="target",
        )


def _minima(view: View, axis: str) -> Iterator[go.Scatter]:
    for split in view.splits:
        mark = view.mark(split)
        if mark is not None:
            yield go.Scatter(
                x=[mark.at[axis]],
                y=[float(view.loss(split).sel({axis: mark.at[axis]}, method="nearest"))],
                mode="markers",
                marker={
                    "size": 11,
                    "color": style.split_colour(view, split),
                    "symbol": "x-thin-open",
                },
                name=f"minimum of {split}",
            )


def _runs(view: View, axis: str) -> Iterator[go.Scatter]:
    """The checkpoints at their own loss on the reference split."""
    for number, run in enumerate(view.runs):
        colour, _ = style.run_style(number)
        yield go.Scatter(
            x=run.at[axis],
            y=run.own[view.reference],
            mode="markers" if run.single else "lines+markers",
            marker={"size": 6, "color": colour, "line": {"color": style.GREY, "width": 1}},
            line={"color": colour, "width": 1},
            text=[f"{run.name}: {name}" for name in run.checkpoints],
            name=f"{style.short(run.name)}, own loss on {view.reference}",
        )
