"""What stands in the scene to turn beside a surface: its axes, its minimum, the training runs."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
import xarray as xr
from matplotlib.colors import Colormap

from pipeline.report import style
from pipeline.report.runs import Floats, Run, between, interpolated
from pipeline.report.style import Scale
from pipeline.report.view import View

MARKERS = {"*": "diamond", "o": "circle", "x": "x", "D": "square", "^": "cross"}
LIFT = 0.02
"""How far above the surface marks and lines float, as a share of its height: half of a mark that
lay on the surface would be hidden in it."""
PIN = 0.25
PIECES_ACROSS = 96
"""Pieces of a line across the whole surface, so that it follows the surface."""


@dataclass(frozen=True)
class Layer:
    """One of the surfaces the reader may choose."""

    key: str
    label: str
    field: xr.DataArray
    scale: Scale
    colours: Colormap


def bounds(layer: Layer) -> tuple[float, float]:
    """Least and greatest height that is drawn."""
    norm = layer.scale.norm
    return float(norm.vmin or 0.0), float(norm.vmax or 0.0)


def axis(view: View, name: str) -> Mapping[str, object]:
    """A horizontal axis of the scene.

    There is no logarithmic axis for negative coordinates: their magnitudes stand on a reversed one.
    """
    described: dict[str, object] = {"title": {"text": html.escape(name + view.units(name))}}
    if name not in view.logs:
        return described | {"type": "linear"}
    if float(view.full[name].min()) > 0:
        return described | {"type": "log"}
    return described | {"type": "log", "autorange": "reversed", "tickprefix": "−"}


def sign(view: View, name: str) -> str:
    """What stands before a magnitude in the scene to give the coordinate."""
    return "−" if _negative(view, name) else ""


def place(view: View, name: str, coordinates: Floats) -> Floats:
    """Where coordinates stand on the scene's axis; NaN where they have no place on it."""
    if name not in view.logs:
        return coordinates
    magnitudes = -coordinates if _negative(view, name) else coordinates
    return np.asarray(np.where(magnitudes > 0, magnitudes, np.nan), dtype=np.float64)


def camera(view: View, layer: Layer) -> Mapping[str, object]:
    """The reader's eye, over the corner where the surface is lowest and so hides least."""
    upright = layer.field.transpose(*view.axes).values
    heights = np.nan_to_num(np.clip(upright[[0, 0, -1, -1], [0, -1, 0, -1]], *bounds(layer)))
    right, back = divmod(int(np.argmin(heights)), 2)
    eye = {"x": 0.9 if right else -0.9, "y": 1.4 if back else -1.4, "z": 1.05}
    return {"eye": eye, "center": {"x": 0, "y": 0, "z": -0.14}}


def pin(view: View, layer: Layer) -> list[go.Scatter3d]:
    """The minimum, a little above the surface on a pin that is seen from every side."""
    mark = view.mark(layer.key)
    if mark is None:
        return []
    at = {name: mark.at[name] for name in view.axes}
    low, high = bounds(layer)
    foot = float(np.clip(layer.field.sel(at, method="nearest"), low, high))
    marker, colour, _ = style.mark_style(view, layer.key)
    x, y = (place(view, name, np.full(2, at[name])) for name in view.axes)
    top = foot + PIN * (high - low)
    return [
        go.Scatter3d(
            x=x,
            y=y,
            z=[foot, top],
            mode="lines",
            legendgroup="minimum",
            line={"color": colour, "width": 4},
            showlegend=False,
            hoverinfo="skip",
        ),
        go.Scatter3d(
            x=x[:1],
            y=y[:1],
            z=[top],
            mode="markers",
            legendgroup="minimum",
            name=f"minimum of {layer.key}",
            marker={
                "symbol": MARKERS[marker],
                "size": 7,
                "color": colour,
                "line": {"color": "white", "width": 2},
            },
            customdata=[foot],
            hovertemplate=_where(view, at) + "<br>%{customdata:.5g}",
            showlegend=True,
        ),
    ]


def runs(view: View, layer: Layer) -> list[go.Scatter3d]:
    """Every run at the height of the surface; hovering tells the checkpoints' own losses."""
    return [
        trace
        for number, run in enumerate(view.runs)
        if bool(run.inside.any())
        for trace in _run(view, layer, run, style.run_style(number)[0])
    ]


def _run(view: View, layer: Layer, run: Run, colour: str) -> list[go.Scatter3d]:
    group = {"legendgroup": run.name, "name": html.escape(style.short(run.name))}
    if run.single:
        return _model(view, layer, run, colour, group)
    line = _pieces(view, layer, run)
    # Each stands a little above the one before, or they would flicker through each other.
    casing, stroke = (_at(view, layer, line, LIFT * height) for height in (1.0, 1.25))
    dots = _at(view, layer, run.at, 1.8 * LIFT)
    size = len(run.checkpoints)
    faces = ["white", *[colour] * (size - 1)]
    edges = [colour, *["white"] * (size - 1)]
    return [
        go.Scatter3d(
            **casing,
            **group,
            mode="lines",
            line={"color": "white", "width": 10},
            showlegend=False,
            hoverinfo="skip",
        ),
        go.Scatter3d(
            **stroke, **group, mode="lines", line={"color": colour, "width": 5}, hoverinfo="skip"
        ),
        go.Scatter3d(
            **dots,
            **group,
            mode="markers",
            marker={
                "symbol": ["square", *["circle"] * (size - 2), "square"],
                "size": [6, *[4.2] * (size - 2), 6],
                "color": faces,
                "line": {"color": edges, "width": 1},
            },
            hovertext=[_hover(view, run, i) for i in range(size)],
            hovertemplate="%{hovertext}<extra></extra>",
            showlegend=False,
        ),
    ]


def _model(
    view: View, layer: Layer, run: Run, colour: str, group: Mapping[str, str]
) -> list[go.Scatter3d]:
    foot = _at(view, layer, run.at, 0.0)
    head = _at(view, layer, run.at, PIN / 2)
    stem = {key: np.concatenate([foot[key], head[key]]) for key in foot}
    return [
        go.Scatter3d(
            **stem,
            **group,
            mode="lines",
            line={"color": colour, "width": 4},
            showlegend=False,
            hoverinfo="skip",
        ),
        go.Scatter3d(
            **head,
            **group,
            mode="markers+text",
            marker={
                "symbol": "square",
                "size": 6,
                "color": colour,
                "line": {"color": "white", "width": 1},
            },
            text=[group["name"]],
            textposition="top center",
            hovertext=[_hover(view, run, 0)],
            hovertemplate="%{hovertext}<extra></extra>",
        ),
    ]


def _pieces(view: View, layer: Layer, run: Run) -> dict[str, Floats]:
    """The run's line, cut into pieces short enough to follow the surface."""
    spans = {axis: float(np.ptp(view.full[axis].values)) for axis in view.axes}
    steps = [np.abs(np.diff(run.at[axis])) / spans[axis] for axis in view.axes]
    pieces = np.ceil(PIECES_ACROSS * np.max(steps, axis=0)).clip(1, PIECES_ACROSS).astype(np.int64)
    grids = {axis: layer.field[axis].values for axis in view.axes}
    return {
        axis: between(grids[axis], run.at[axis], pieces, axis in view.logs) for axis in view.axes
    }


def _at(view: View, layer: Layer, line: Mapping[str, Floats], lift: float) -> dict[str, Floats]:
    """x, y and z of places, a share `lift` of its height above the layer; NaN beyond its grid."""
    low, high = bounds(layer)
    upright = layer.field.transpose(*view.axes)
    shown = {name: line[name] for name in view.axes}
    heights = np.clip(interpolated(upright, shown, view.logs), low, high)
    x, y = (place(view, name, line[name]) for name in view.axes)
    return {"x": x, "y": y, "z": heights + lift * (high - low)}


def _hover(view: View, run: Run, i: int) -> str:
    name = run.name if run.single else f"{run.name}, {run.checkpoints[i]}"
    losses = [
        f"loss on {html.escape(split)}: {style.number(float(run.own[split][i]))} itself, "
        f"{style.number(float(run.surface[split][i]))} on the surface"
        for split in view.splits
    ]
    return "<br>".join(
        [
            f"<b>{html.escape(style.short(name))}</b>",
            _where(view, {axis: float(run.at[axis][i]) for axis in view.axes}),
            *losses,
            f"explained {style.number(float(run.explained[i]))}, "
            f"distance {style.number(float(run.distance[i]))}",
        ]
    )


def _where(view: View, at: Mapping[str, float]) -> str:
    return "<br>".join(f"{html.escape(axis)} {style.number(at[axis])}" for axis in view.axes)


def _negative(view: View, name: str) -> bool:
    return name in view.logs and float(view.full[name].max()) < 0
