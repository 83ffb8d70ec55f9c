"""The static three-dimensional view of a surface."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from mpl_toolkits.mplot3d.art3d import Poly3DCollection  # type: ignore[import-untyped]
from mpl_toolkits.mplot3d.axes3d import Axes3D  # type: ignore[import-untyped]

from pipeline.report import style
from pipeline.report.panels import Panel, loss_panels
from pipeline.report.style import Picture
from pipeline.report.view import Floats, View

MOST_PER_AXIS = 72


def relief(view: View) -> Picture:
    """The surfaces seen at an angle."""
    panels = loss_panels(view)
    columns = min(3, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.3 * columns, 4.0 * rows), layout="constrained")
    for position, panel in enumerate(panels, start=1):
        axes = figure.add_subplot(rows, columns, position, projection="3d")
        raise_surface(axes, view, panel)
    return Picture(
        name="relief",
        title="Relief",
        caption=style.sentences(
            "The same surfaces in three dimensions, seen from the same side. Gaps are points "
            f"without a finite value; heights are the loss{view.units('loss')} and stop at the end "
            "of the colour scale.",
            view.reduced_words(MOST_PER_AXIS),
        ),
        alt=f"Three-dimensional views of the {style.listed([p.title for p in panels])}",
        figure=figure,
    )


def raise_surface(axes: Axes3D, view: View, panel: Panel) -> None:
    """A surface of quadrilaterals, leaving out those without four finite corners."""
    norm = panel.scale.norm
    low, high = float(norm.vmin or 0.0), float(norm.vmax or 0.0)
    step = {
        axis: slice(None, None, -(-panel.field.sizes[axis] // MOST_PER_AXIS)) for axis in view.axes
    }
    field = panel.field.isel(step).transpose(*view.axes)
    x, y = (_height_coordinates(view, axis, field[axis].values) for axis in view.axes)
    corners = np.stack(
        np.broadcast_arrays(x[:, None], y[None, :], np.clip(field.values, low, high)), -1
    )
    quads = np.stack(
        [corners[:-1, :-1], corners[1:, :-1], corners[1:, 1:], corners[:-1, 1:]], axis=2
    )
    quads = quads.reshape(-1, 4, 3)
    quads = quads[np.isfinite(quads).all(axis=(1, 2))]
    colours = panel.colours(norm(quads[:, :, 2].mean(axis=1)))
    axes.add_collection3d(
        Poly3DCollection(list(quads), facecolors=colours, edgecolors=colours, linewidths=0.2)
    )
    axes.set(xlim=(x[0], x[-1]), ylim=(y[0], y[-1]), zlim=(low, high))
    axes.view_init(elev=32, azim=-125)
    axes.set_title(style.plain(panel.title), fontsize=11)
    for axis, label in zip(view.axes, (axes.set_xlabel, axes.set_ylabel), strict=True):
        label(
            style.plain(f"log₁₀|{axis}|" if axis in view.logs else axis + view.units(axis)),
            fontsize=9,
        )
    axes.tick_params(labelsize=7)


def _height_coordinates(view: View, axis: str, coordinates: Floats) -> Floats:
    # mplot3d has no logarithmic axes of its own
    return np.log10(np.abs(coordinates)) if axis in view.logs else coordinates
