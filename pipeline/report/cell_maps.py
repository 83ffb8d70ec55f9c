"""The activation cells of a scan with two axes: a colour for each, and the density of walls."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from matplotlib.colors import hsv_to_rgb
from matplotlib.figure import Figure

from pipeline.report import style
from pipeline.report.panels import COLOUR_BAR
from pipeline.report.style import Picture
from pipeline.report.view import View, edges, thinning
from schemas.layout import SPLIT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CELL = "activation_cell"
MOST_PER_AXIS = 1024
_WINDOWS = 64
"""Along each axis, in which the density of walls is taken."""
_LEAST_WINDOW = 4


def cell_map(view: View) -> Picture:
    """Cells of the reference split, each in a colour that follows from its hash."""
    field = view.full[CELL].sel({SPLIT: view.reference}).isel(thinning(view, MOST_PER_AXIS))
    horizontal, vertical = view.axes
    hashes = np.asarray(field.transpose(vertical, horizontal).load().values)
    along = [field[name].values.astype(np.float64) for name in view.axes]
    figure = Figure(figsize=(9.6, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    borders = [edges(each, name in view.logs) for each, name in zip(along, view.axes, strict=True)]
    left.pcolormesh(*borders, colours(hashes), rasterized=True)
    _dress(left, view, "cells")
    windows = [_thinned(each, hashes.shape[1 - number]) for number, each in enumerate(borders)]
    mesh = right.pcolormesh(*windows, wall_density(hashes), cmap="magma", vmin=0, rasterized=True)
    beside = right.inset_axes((1.04, 0.0, 0.05, 1.0), label=COLOUR_BAR)
    figure.colorbar(mesh, cax=beside).set_label("steps that cross a wall", fontsize=9)
    _dress(right, view, "density of walls")
    return Picture(
        name="cells",
        title="The activation cells",
        caption=style.sentences(
            f"Left: the points drawn are in {len(np.unique(hashes)):,} activation cells, on "
            f"{view.reference}. Points of one colour that touch are in one cell; a colour follows "
            "from the cell's hash, so it is the same in every picture of the same network and "
            "samples, and two cells may by chance have similar ones",
            "Right: the share of steps from a point to the next along either axis that lead to "
            "another cell. Where it is near 1 the grid is too coarse to tell cells apart",
            view.reduced_words(MOST_PER_AXIS),
        ),
        alt=f"Maps of activation cells over {style.listed(view.axes)}",
        figure=figure,
    )


def colours(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """A colour for each hash (…) from three parts of its bits: (…, 3), red, green and blue."""
    parts = [(hashes >> np.uint64(shift)) & np.uint64(0xFFFF) for shift in (0, 16, 32)]
    hue, saturation, value = (part / 0x10000 for part in parts)
    hsv = np.stack([hue, 0.25 + 0.5 * saturation, 0.6 + 0.38 * value], axis=-1)
    rgb: npt.NDArray[np.float64] = hsv_to_rgb(hsv)
    return rgb


def wall_density(hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """The share of steps between neighbours of different cells in windows of points (n₁, n₂)."""
    crossed = np.zeros(hashes.shape)
    steps = np.zeros(hashes.shape)
    for axis in (0, 1):
        here = [slice(None), slice(None)]
        here[axis] = slice(None, -1)
        crossed[tuple(here)] += np.diff(hashes, axis=axis) != 0
        steps[tuple(here)] += 1
    return _summed(crossed) / np.maximum(_summed(steps), 1)


def _summed(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    for axis in (0, 1):
        values = np.add.reduceat(values, _starts(values.shape[axis]), axis=axis)
    return values


def _starts(points: int) -> npt.NDArray[np.intp]:
    """The first point of every window."""
    return np.arange(0, points, max(_LEAST_WINDOW, points // _WINDOWS))


def _thinned(borders: npt.NDArray[np.float64], points: int) -> npt.NDArray[np.float64]:
    """The borders of windows."""
    return np.append(borders[_starts(points)], borders[-1])


def _dress(axes: Axes, view: View, title: str) -> None:
    style.dress(axes, view, *view.axes)
    axes.set_box_aspect(1)
    axes.set_title(title, fontsize=11)
