"""Tables of the section: the runs projected into it, its directions, how it was made."""

from __future__ import annotations

import numpy as np
import xarray as xr

from pipeline.report.runs import Floats, Run
from pipeline.report.style import number
from pipeline.report.summary import Line, Pairs, Table, told, with_spread
from pipeline.report.view import View
from schemas.layout import AXIS, SECTION_GROUP

_MOST_BESIDE = 24
"""Directions whose cosines with each other a table can hold; the store has them all."""


def runs(view: View) -> list[Table]:
    """A line for each run: how long it is, and how much of it the section shows."""
    if not view.runs:
        return []
    columns = [
        "checkpoints",
        "outside the grid",
        "explained fraction",
        "distance from the section",
        *(f"own loss on {split}" for split in view.splits),
    ]
    lines = [Line("", run.name, _cells(view, run)) for run in view.runs]
    title = "runs projected into the section, first → last checkpoint"
    return [Table(title, columns, lines, head="run")]


def _cells(view: View, run: Run) -> list[str]:
    along = [run.explained, run.distance, *(run.own[split] for split in view.splits)]
    return [
        f"{len(run.checkpoints):,}",
        f"{int(np.count_nonzero(~run.inside)):,}",
        *(" → ".join(number(float(value)) for value in _ends(values)) for values in along),
    ]


def _ends(values: Floats) -> Floats:
    return values if values.size == 1 else values[[0, -1]]


def directions(scan: xr.DataTree) -> list[Table]:
    """The directions' norms and, unless there are many, the cosines between them."""
    if SECTION_GROUP not in scan.children:
        return []
    found = scan[SECTION_GROUP].to_dataset()
    if "norm" not in found:
        return []
    norm = found["norm"].load()
    along = str(norm.dims[-1])
    if along not in found.coords:
        return []
    names = [str(name) for name in norm[along].values]
    beside = "cosine" in found and 1 < len(names) <= _MOST_BESIDE
    cosine = found["cosine"].load() if beside else None
    columns = ["norm"]
    if cosine is not None:
        columns += [f"cosine with {name}" for name in names]
    lines = []
    for i, name in enumerate(names):
        cells = [with_spread(norm.isel({along: i}))]
        if cosine is not None:
            row = cosine.isel({along: i})
            cells += [with_spread(row.isel({f"{along}_other": j})) for j in range(len(names))]
        lines.append(Line("", name, cells))
    head = "axis" if along == AXIS else "control point"
    return [Table("directions of the section", columns, lines, head=head)]


def described(scan: xr.DataTree) -> Pairs:
    """What the section's group says of itself in its attributes."""
    if SECTION_GROUP not in scan.children:
        return []
    return [
        (str(name), told(value if isinstance(value, str | int | float) else str(value)))
        for name, value in scan[SECTION_GROUP].attrs.items()
    ]
