"""How a surface is painted over two axes: colours, level lines, minima, a colour bar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.typing import LineStyleType

from pipeline.report import style
from pipeline.report.local_minima import handles as minima_handles
from pipeline.report.local_minima import put_on_map
from pipeline.report.style import Scale
from pipeline.report.trajectories import label_singles, put_runs, run_handles
from pipeline.report.view import View, edges

LEVELS = 11
COLOUR_BAR = "<colorbar>"


class Panel(NamedTuple):
    """One coloured surface over a pair of axes."""

    title: str
    field: xr.DataArray
    scale: Scale
    colours: Colormap = style.LOSS_MAP
    marks: bool = True


def loss_panels(view: View) -> list[Panel]:
    """The target, then each split, on one scale as far as they can be compared."""
    losses = [view.loss(split) for split in view.splits]
    if view.target is None:
        scale = style.sequential(*losses)
        return [Panel(split, loss, scale) for split, loss in zip(view.splits, losses, strict=True)]
    target = view.thin[view.target]
    together = style.comparable([target, *losses])
    scale = style.sequential(target, *losses) if together else style.sequential(*losses)
    own = scale if together else style.sequential(target)
    return [
        Panel("target", target, own),
        *(Panel(split, loss, scale) for split, loss in zip(view.splits, losses, strict=True)),
    ]


def mosaic(view: View, panels: Sequence[Panel], label: str, columns: int = 3) -> Figure:
    """The panels in rows; panels of one scale in a row share the colour bar at their right."""
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(4.0 * columns, 3.6 * rows + 0.4), layout="constrained")
    drawn = []
    for position, panel in enumerate(panels):
        axes = figure.add_subplot(rows, columns, position + 1)
        mesh = draw(axes, view, panel)
        if panel.marks:
            drawn.append((axes, *spanned(view, panel.field)))
        after = panels[position + 1 : position + 2]
        if (position + 1) % columns == 0 or not after or after[0].scale is not panel.scale:
            beside = axes.inset_axes((1.04, 0.0, 0.05, 1.0), label=COLOUR_BAR)
            bar = figure.colorbar(mesh, cax=beside, extend=panel.scale.extend)
            bar.set_label(style.plain(label), fontsize=9)
            beside.tick_params(labelsize=8)
        if position % columns and panel.field.dims == panels[0].field.dims:
            axes.set_ylabel("")
            axes.tick_params(labelleft=False)
    marked = any(panel.marks for panel in panels)
    titles = {panel.title for panel in panels if panel.marks and len(view.axes) == 2}
    dots = minima_handles([each for each in view.minima if each.split in titles])
    more = [*dots, *run_handles(view)] if marked else []
    style.legend(figure, view, [panel.field for panel in panels], marked, more)
    label_singles(figure, view, drawn)
    return figure


def draw(axes: Axes, view: View, panel: Panel) -> QuadMesh:
    """One surface: the first of its dimensions horizontal, the second vertical."""
    horizontal, vertical = spanned(view, panel.field)
    field = panel.field.transpose(vertical, horizontal)
    mesh = axes.pcolormesh(
        edges(field[horizontal].values, horizontal in view.logs),
        edges(field[vertical].values, vertical in view.logs),
        np.ma.masked_invalid(field.values),
        cmap=panel.colours,
        norm=panel.scale.norm,
        rasterized=True,
    )
    style.dress(axes, view, horizontal, vertical)
    axes.set_box_aspect(1)
    axes.set_title(style.plain(panel.title), fontsize=11)
    if panel.colours is style.LOSS_MAP:
        lines(axes, field, panel.scale.norm, "#ffffff8c", 0.6)
    if panel.marks:
        put_runs(axes, view, horizontal, vertical)
        if len(view.axes) == 2:
            put_on_map(axes, view.minima, panel.title, horizontal, vertical)
        put_marks(axes, view, horizontal, vertical)
    return mesh


def spanned(view: View, field: xr.DataArray) -> tuple[str, str]:
    """The axis that is drawn horizontally, and the one that is drawn vertically."""
    horizontal, vertical = (name for name in view.axes if name in field.dims)
    return horizontal, vertical


def lines(
    axes: Axes,
    field: xr.DataArray,
    norm: Normalize,
    colour: str,
    width: float,
    line: LineStyleType = "-",
) -> None:
    """Contour lines of a (vertical, horizontal) field, at the levels of the scale it crosses."""
    values = style.finite(field)
    if style.is_flat(values):
        return
    fractions = np.linspace(0, 1, LEVELS + 1)[1:-1]
    levels = np.asarray(norm.inverse(fractions), dtype=np.float64)
    crossed = levels[(levels > values.min()) & (levels < values.max())]
    if crossed.size:
        vertical, horizontal = field.dims
        axes.contour(
            field[horizontal].values,
            field[vertical].values,
            np.ma.masked_invalid(field.values),
            levels=crossed,
            colors=colour,
            linewidths=width,
            linestyles=line,
        )


def put_marks(axes: Axes, view: View, horizontal: str, vertical: str) -> None:
    """The minima, as nested shapes."""
    for mark in view.marks:
        marker, colour, size = style.mark_style(view, mark.key)
        face = "white" if marker == "*" else "none"
        place = ([mark.at[horizontal]], [mark.at[vertical]])
        # A white twin beneath keeps the mark legible on dark and light alike.
        for edge, width in (("white", 3.2), (colour, 1.6)):
            axes.plot(
                *place,
                linestyle="none",
                marker=marker,
                markersize=size,
                markerfacecolor=face,
                markeredgecolor=edge,
                markeredgewidth=width,
                clip_on=False,
                zorder=5,
            )
