"""Figures, surfaces and the table of the study `piecewise-linear` about activation cells."""

from __future__ import annotations

import numpy as np

from schemas.layout import SPLIT
from schemas.study import Cell, Column, Figure, Series, Surfaces, Table
from tasks.facts import Trees
from tasks.piecewise.cells_claims import MINIMA, WALLS, WAYS
from tasks.piecewise.cells_line_measures import lines_of, steps_of
from tasks.piecewise.cells_measures import ends_of
from tasks.piecewise.cells_scans import (
    ACROSS,
    LEAKY,
    LINE,
    LINEAR,
    RELU,
    REVERSED,
    STOP_AFTER,
    STOPPED,
    WITHIN,
)

_ENDS = {
    RELU: "3 ReLUs",
    LEAKY: "2 leaky ReLUs",
    LINEAR: "2 linear units",
    STOPPED: f"3 ReLUs, ended after {STOP_AFTER} iterations",
}
_WAYS = {
    WITHIN: "one cell: the joining curve",
    ACROSS: "two cells: straight",
    REVERSED: "one cell, a sign reversed: straight",
}


def cell_figures() -> dict[str, Figure]:
    """The figures by name."""
    return {
        MINIMA: Figure(
            "Every differentiable minimum is the optimum of its cell",
            "Each point is where a descent has ended inside an open activation cell, beside the "
            "least loss over all products v_j w_j with the cell's slopes. Minima are on the "
            "diagonal, at many heights: each cell has a least loss of its own. Descents that were "
            "ended early are above it.",
            "convex optimum of the cell",
            "loss",
            _minima,
        ),
        WAYS: Figure(
            "Two minima of one cell are joined at constant loss",
            "The loss on the way from one minimum, at 0, to another, at 1, in units of the first. "
            "Inside a cell products of weights go straight and output weights geometrically. With "
            "an output weight of the other sign at the end no path inside the cell keeps the loss: "
            "the straight line, which stays in the cell, rises.",
            "t",
            "loss / loss at the first minimum",
            _ways,
        ),
        WALLS: Figure(
            "Grids find the walls of a line from below",
            "Cells that grids of more and more steps meet on two lines through all weights of a "
            "network with 6 and 5 leaky ReLUs and 10 samples. Dashed: the exact number, from the "
            "roots of polynomials.",
            "steps of the grid",
            "cells met",
            _walls,
            x_scale="log",
        ),
    }


def cell_surfaces() -> dict[str, Surfaces]:
    """None: the map of the cells is a picture of its own scan."""
    return {}


def cell_tables() -> dict[str, Table]:
    """The table of ends by network."""
    return {
        "cells-ends": Table(
            "Where descents end, by network",
            "Inside: in an open cell, no unit's weights at right angles to an input. Of the "
            "others, most are in a corner where walls meet and the loss has a kink. A difference "
            "is that of a minimum from the convex optimum of its cell, at most.",
            (
                Column("network"),
                Column("descents"),
                Column("inside"),
                Column("minima"),
                Column("cells of minima"),
                Column("least loss"),
                Column("greatest loss"),
                Column("difference"),
            ),
            lambda scans: [_row(scans, name, words) for name, words in _ENDS.items()],
        )
    }


def _row(scans: Trees, name: str, words: str) -> list[Cell]:
    ends = ends_of(scans[name])
    chosen = np.flatnonzero(ends.minima)
    losses = ends.losses[chosen]
    numbers: list[Cell] = [None, None, None]
    if len(chosen):
        away = np.abs(losses - ends.optima[chosen]).max()
        numbers = [float(losses.min()), float(losses.max()), float(away)]
    cells = len({(ends.data[at], ends.cells[at]) for at in chosen})
    return [words, ends.descents, len(ends.losses), len(chosen), cells, *numbers]


def _minima(scans: Trees) -> list[Series]:
    found, most = [], 0.0
    for name, words in _ENDS.items():
        ends = ends_of(scans[name])
        chosen = slice(None) if name == STOPPED else ends.minima
        at, losses = ends.optima[chosen], ends.losses[chosen]
        most = max(most, float(at.max(initial=0.0)))
        found.append(Series(words, at.tolist(), losses.tolist(), "points"))
    return [*found, Series("loss = optimum", [0.0, most], [0.0, most], "bound")]


def _ways(scans: Trees) -> list[Series]:
    found = []
    for name, words in _WAYS.items():
        data = scans[name].to_dataset()
        losses, at = data["loss"].sel({SPLIT: "train"}).values, data["t"].values
        found.append(Series(words, at.tolist(), (losses / losses[0]).tolist()))
    return found


def _walls(scans: Trees) -> list[Series]:
    found = []
    for number, line in enumerate(lines_of(scans[LINE]), start=1):
        steps = steps_of(line)
        counts = [(len(line.at) - 1) // step for step in steps]
        cells = [float(line.cells(step)) for step in steps]
        exact = float(len(line.walls) + 1)
        ends = [float(counts[-1]), float(counts[0])]
        found.append(Series(f"line {number}", [float(count) for count in counts], cells, "points"))
        found.append(Series(f"line {number}, exact", ends, [exact, exact], "bound"))
    return found
