"""What the page's scripts draw: a surface to turn (plotly), and linked cuts through a cube."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go
import plotly.io
from matplotlib.colors import Colormap, LogNorm
from matplotlib.ticker import LogLocator, MaxNLocator

from pipeline.report import scene, style
from pipeline.report.figures_nd import centre
from pipeline.report.panels import loss_panels
from pipeline.report.scene import Layer
from pipeline.report.view import View, edges, nearest
from schemas.layout import TARGET

Json: TypeAlias = Mapping[str, object]

MOST_PER_AXIS = 128
NOT_FINITE = 2**16 - 1
TICKS = 7


def layers(view: View) -> list[Layer]:
    """Target, splits, and the differences to the reference split."""
    keys = ([TARGET] if view.target is not None else []) + list(view.splits)
    chosen = [
        Layer(key, panel.title, panel.field, panel.scale, panel.colours)
        for key, panel in zip(keys, loss_panels(view), strict=True)
    ]
    for split in view.splits[1:]:
        field = view.loss(split) - view.loss(view.reference)
        label = f"{split} − {view.reference}"
        chosen.append(Layer("", label, field, style.diverging(field), style.DIFFERENCE_MAP))
    return chosen


def _start(view: View, chosen: list[Layer]) -> int:
    return [layer.key for layer in chosen].index(view.reference)


def surface(view: View) -> str:
    """JSON of a plotly figure and of the choices among its surfaces, for two axes."""
    figure = go.Figure()
    owners: list[int] = []
    chosen = layers(view)
    for number, layer in enumerate(chosen):
        traces = [_surface_trace(view, layer), *scene.pin(view, layer), *scene.runs(view, layer)]
        figure.add_traces(traces)
        owners += [number] * len(traces)
    horizontal, vertical = view.axes
    figure.update_layout(
        template="none",
        margin={"l": 0, "r": 0, "t": 8, "b": 0},
        legend={"orientation": "h", "y": 0.02, "x": 0.02, "itemsizing": "constant"},
        scene={
            "xaxis": scene.axis(view, horizontal),
            "yaxis": scene.axis(view, vertical),
            "zaxis": {"title": {"text": "loss"}},
            "aspectratio": {"x": 1, "y": 1, "z": 0.7},
            "camera": scene.camera(view, chosen[_start(view, chosen)]),
        },
    )
    return json.dumps(
        {
            "figure": json.loads(plotly.io.to_json(figure, validate=False)),
            "owners": owners,
            "choices": [layer.label for layer in chosen],
            "start": _start(view, chosen),
        }
    )


def _surface_trace(view: View, layer: Layer) -> go.Surface:
    horizontal, vertical = view.axes
    step = {
        axis: slice(None, None, -(-layer.field.sizes[axis] // MOST_PER_AXIS)) for axis in view.axes
    }
    field = layer.field.isel(step).transpose(vertical, horizontal)
    low, high = scene.bounds(layer)
    decades = isinstance(layer.scale.norm, LogNorm)
    heights = np.clip(field.values, low, high)
    colours = np.log10(heights) if decades else heights
    bar = {"title": {"text": "log₁₀ loss" if decades else ""}, "thickness": 14, "len": 0.7}
    return go.Surface(
        x=scene.place(view, horizontal, field[horizontal].values),
        y=scene.place(view, vertical, field[vertical].values),
        z=heights.astype(np.float32),
        surfacecolor=colours.astype(np.float32),
        cmin=np.log10(low) if decades else low,
        cmax=np.log10(high) if decades else high,
        colorscale=_plotly_colours(layer.colours),
        colorbar=bar,
        contours={
            "z": {
                "show": not decades,
                "color": "rgba(255,255,255,0.45)",
                "width": 1,
                "start": low,
                "end": high,
                "size": (high - low) / 11,
            }
        },
        lighting={"ambient": 0.75, "diffuse": 0.5, "specular": 0.05, "roughness": 0.9},
        hovertemplate=f"{horizontal} {scene.sign(view, horizontal)}%{{x:.4g}}<br>"
        f"{vertical} {scene.sign(view, vertical)}%{{y:.4g}}<br>%{{z:.5g}}<extra></extra>",
        showlegend=False,
    )


def _plotly_colours(colours: Colormap) -> list[list[object]]:
    places = np.linspace(0, 1, 33)
    return [
        [float(place), "#{:02x}{:02x}{:02x}".format(*colours(place, bytes=True)[:3])]
        for place in places
    ]


def cube(view: View) -> str:
    """JSON of the thinned cube behind the linked cuts, for three axes or more."""
    home = centre(view)
    chosen = layers(view)
    maps = {"loss": style.LOSS_MAP, "difference": style.DIFFERENCE_MAP}
    return json.dumps(
        {
            "axes": [_cube_axis(view, axis, home[axis]) for axis in view.axes],
            "layers": [_cube_layer(view, layer) for layer in chosen],
            "start": _start(view, chosen),
            "palettes": {name: _base64(_palette(colours)) for name, colours in maps.items()},
            "home": f"the minimum of {view.reference}"
            if view.mark(view.reference)
            else "the start",
            "grey": style.GREY,
        }
    )


def _cube_axis(view: View, axis: str, home: int) -> Json:
    coordinates = view.thin[axis].values
    logarithmic = axis in view.logs
    borders = edges(coordinates, logarithmic)
    locator = (
        LogLocator()
        if logarithmic and borders[0] > 0
        else MaxNLocator(TICKS, steps=[1, 2, 2.5, 5, 10])
    )
    ticks = np.asarray(locator.tick_values(borders[0], borders[-1]))
    ticks = ticks[(ticks >= borders[0]) & (ticks <= borders[-1])]
    place = np.log if logarithmic else np.asarray
    sign = np.sign(borders[0]) if logarithmic else 1.0
    ticks = ticks[ticks * sign > 0] if logarithmic else ticks
    start, stop = place(sign * borders[0]), place(sign * borders[-1])
    along = (place(sign * borders) - start) / (stop - start)
    return {
        "name": axis + view.units(axis),
        "labels": [style.number(float(value)) for value in coordinates],
        "borders": [round(float(value), 6) for value in along],
        "ticks": [
            [float((place(sign * tick) - start) / (stop - start)), style.number(float(tick))]
            for tick in ticks
        ],
        "home": nearest(coordinates, float(view.full[axis][home])),
    }


def _cube_layer(view: View, layer: Layer) -> Json:
    norm = layer.scale.norm
    values = layer.field.transpose(*view.axes).values
    bounded = np.clip(values, norm.vmin, norm.vmax)
    shares = np.ma.filled(norm(np.ma.masked_invalid(bounded.ravel())), 0.0)
    codes = np.where(np.isfinite(values.ravel()), np.rint(shares * (NOT_FINITE - 1)), NOT_FINITE)
    return {
        "label": layer.label,
        "low": float(norm.vmin or 0.0),
        "high": float(norm.vmax or 0.0),
        "decades": isinstance(norm, LogNorm),
        "extend": layer.scale.extend,
        "palette": "difference" if layer.colours is style.DIFFERENCE_MAP else "loss",
        "codes": _base64(codes.astype("<u2")),
    }


def _palette(colours: Colormap) -> npt.NDArray[np.uint8]:
    return np.asarray(colours(np.linspace(0, 1, 256), bytes=True)[:, :3], dtype=np.uint8)


def _base64(values: npt.NDArray[np.uint8 | np.uint16]) -> str:
    return base64.b64encode(np.ascontiguousarray(values).tobytes()).decode("ascii")
