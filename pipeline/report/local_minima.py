"""Local minima: a table of the deepest, and dots in the figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from pipeline.report.minima import LocalMinimum, by_split, deepest, first_replicate
from pipeline.report.style import INK, number
from pipeline.report.summary import Line, Table
from schemas.layout import MINIMUM

MOST_LISTED = 12
_SIZE = 3.4


def put_on_curve(axes: Axes, minima: Sequence[LocalMinimum], axis: str) -> None:
    """Dots at the minima of curves."""
    for each in minima:
        _dot(axes, each.at[axis], each.loss)


def put_on_map(
    axes: Axes, minima: Sequence[LocalMinimum], split: str, horizontal: str, vertical: str
) -> None:
    """Dots at the minima of one split's surface."""
    for each in minima:
        if each.split == split:
            _dot(axes, each.at[horizontal], each.at[vertical])


def handles(minima: Sequence[LocalMinimum]) -> list[Line2D]:
    """What the legend says of the dots, if there are any."""
    if not minima:
        return []
    return [Line2D([], [], label="local minimum", linestyle="none", **_LOOK)]


def local_minima(scan: xr.DataTree) -> list[Table]:
    """The deepest minima of each split, by their loss."""
    group = first_replicate(scan)
    if group is None or not group.sizes[MINIMUM]:
        return []
    is_refined = "kind" in group and bool(np.isfinite(group["refined_loss"]).any())
    lines, counts = [], []
    for split, rows in by_split(group):
        for place, k in enumerate(deepest(rows, MOST_LISTED), start=1):
            cells = _cells(rows.isel({MINIMUM: k}), is_refined)
            lines.append(Line("", f"{split} {place}", cells))
        counts.append(f"{rows.sizes[MINIMUM]:,} on {split}")
    columns = ["coordinates", "loss", "depth", "part of the grid", "at the edge"]
    if is_refined:
        columns += ["refined to", "loss there", "eigenvalues, in cells", "kind"]
    title = f"local minima: {', '.join(counts)}"
    if any(rows.sizes[MINIMUM] > MOST_LISTED for _, rows in by_split(group)):
        title += f"; the {MOST_LISTED} deepest of each"
    return [Table(title, columns, lines, head="minimum")]


def _cells(row: xr.Dataset, is_refined: bool) -> list[str]:
    cells = [
        _place(row["coordinate"]),
        number(float(row["loss"])),
        number(float(row["depth"])),
        f"{float(row['basin_fraction']):.3g}",
        "yes" if bool(row["at_edge"]) else "no",
    ]
    if is_refined:
        low, high = float(row["refined_eigenvalue_min"]), float(row["refined_eigenvalue_max"])
        cells += [
            _place(row["refined_coordinate"]),
            number(float(row["refined_loss"])),
            f"{number(low)} … {number(high)}",
            str(row["kind"].item()),
        ]
    return cells


def _place(coordinate: xr.DataArray) -> str:
    return ", ".join(f"{float(value):.7g}" for value in coordinate.values).replace("-", "−")


_LOOK: dict[str, Any] = {
    "marker": "o",
    "markersize": _SIZE,
    "markerfacecolor": "white",
    "markeredgecolor": INK,
    "markeredgewidth": 0.8,
}


def _dot(axes: Axes, x: float, y: float) -> None:
    axes.plot([x], [y], linestyle="none", zorder=4, **_LOOK)
