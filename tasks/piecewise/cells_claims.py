"""What is claimed of activation cells: one least loss each, minima joined, walls on a line.

A control is the same claim where its hypothesis is broken.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from schemas.study import Claim, Outcome
from tasks.piecewise import cells_line_measures as lines
from tasks.piecewise import cells_measures as measures
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

HE = "He, Wang & Tao 2020, arXiv:2003.12236, section 5"
HANIN = "Hanin & Rolnick 2019, arXiv:1906.00904"
MINIMA, WAYS, WALLS = "cells-minima", "cells-ways", "cells-walls"
"""The figures."""
_EQUAL = 1e-8
_APART = 1e-3
_CONSTANT = 1e-12
_FINE = 0.95
"""Of 50 walls at random on 2048 steps, about one in a hundred is missed."""
COARSE = 64
"""Steps of a grid that is too coarse, whatever the size of the study."""
_KEPT_APART = 1e-9


def cell_claims() -> tuple[Claim, ...]:
    """The claims about cells."""
    return (*_optima(), *_linear(), *_joined(), *_walls())


def _optima() -> Iterable[Claim]:
    claim = Claim(
        name="minima-are-cell-optima",
        statement="inside an activation cell every minimum has the least loss of the cell: "
        "greatest difference of differentiable minima from the convex optimum over all products of "
        "weights",
        source=HE,
        statistic=measures.away_from_optimum(RELU, LEAKY),
        threshold=_EQUAL,
        sense="at most",
        figure=MINIMA,
        hypothesis=measures.critical_inside(RELU, LEAKY),
    )
    stopped = replace(
        claim,
        statistic=measures.away_from_optimum(STOPPED, critical=False),
        hypothesis=measures.critical_inside(STOPPED, all_ends=True),
    )
    other = replace(
        claim,
        statistic=measures.away_from_optimum(RELU, LEAKY, other=True),
        hypothesis=measures.critical_inside(RELU, LEAKY, other=True),
    )
    bad = Claim(
        name="cells-have-bad-minima",
        statement="minima of different cells differ: the greatest above the least on the same "
        "samples, where that is least",
        source=HE,
        statistic=measures.losses_apart(RELU, LEAKY),
        threshold=_APART,
        sense="at least",
        figure=MINIMA,
        hypothesis=measures.several_cells(RELU, LEAKY),
    )
    linear = replace(
        bad, statistic=measures.losses_apart(LINEAR), hypothesis=measures.several_cells(LINEAR)
    )
    return [
        claim,
        stopped.as_control("stopped-are-cell-optima", f"after {STOP_AFTER} iterations"),
        other.as_control("minima-are-other-optima", "compared with the cell of another minimum"),
        bad,
        linear.as_control("linear-has-bad-minima", "of a linear network"),
    ]


def _linear() -> Iterable[Claim]:
    cell = Claim(
        name="linear-is-one-cell",
        statement="a linear network has one cell: greatest number of cells of random starts",
        source=HE,
        statistic=measures.cells_met(LINEAR),
        threshold=1,
        sense="at most",
        hypothesis=measures.is_linear(LINEAR),
    )
    least = replace(
        cell,
        name="linear-minima-are-global",
        statement="every critical point that descents find in a linear network is a global "
        "minimum: greatest loss above the best linear map",
        statistic=measures.above_least_squares(LINEAR),
        threshold=_EQUAL,
    )
    return [
        cell,
        replace(
            cell, statistic=measures.cells_met(RELU), hypothesis=measures.is_linear(RELU)
        ).as_control("relu-is-one-cell", "with ReLUs"),
        least,
        replace(
            least,
            statistic=measures.above_least_squares(RELU),
            hypothesis=measures.is_linear(RELU),
        ).as_control("relu-minima-are-linear", "with ReLUs"),
    ]


def _joined() -> Iterable[Claim]:
    level = Claim(
        name="minima-of-a-cell-are-joined",
        statement="two minima of one cell are joined by a curve of constant loss: greatest "
        "relative change along it",
        source=HE,
        statistic=measures.greatest_change(WITHIN),
        threshold=_CONSTANT,
        sense="at most",
        figure=WAYS,
        hypothesis=measures.in_one_cell(WITHIN),
    )
    inside = replace(
        level,
        name="joined-inside-the-cell",
        statement="the curve that joins two minima of a cell stays in it: cells on the way",
        statistic=measures.cells_met(WITHIN),
        threshold=1,
    )
    broken = measures.in_one_cell(ACROSS)
    apart = Claim(
        name="all-minima-of-a-cell-are-joined",
        statement="all minima of a cell are joined inside it at one loss (as printed, with no "
        "condition on the output weights): least norm, over the optima of the cell, of a product "
        "of weights whose sign differs at the two minima",
        source=HE,
        statistic=measures.kept_apart({"same signs": WITHIN, "a sign reversed": REVERSED}),
        threshold=_KEPT_APART,
        sense="at most",
        expected=Outcome.CONDITIONAL,
        figure=WAYS,
        hypothesis=measures.minima_of_one_cell(WITHIN, REVERSED),
    )
    return [
        level,
        replace(level, statistic=measures.greatest_change(ACROSS), hypothesis=broken).as_control(
            "minima-of-two-cells-are-joined", "straight between two cells"
        ),
        inside,
        replace(inside, statistic=measures.cells_met(ACROSS), hypothesis=broken).as_control(
            "joined-inside-one-of-two-cells", "straight between two cells"
        ),
        apart,
    ]


def _walls() -> Iterable[Claim]:
    bracketed = Claim(
        name="changes-are-walls",
        statement="between neighbouring points of a line in different cells there is a wall, "
        "where a polynomial has a root: steps without one",
        source=HANIN,
        statistic=lines.changes_without_wall(LINE),
        threshold=0,
        sense="at most",
        figure=WALLS,
        hypothesis=lines.of_this_line(LINE),
    )
    exchanged = replace(
        bracketed,
        statistic=lines.changes_without_wall(LINE, exchanged=True),
        hypothesis=lines.of_this_line(LINE, exchanged=True),
    )
    seen = replace(
        bracketed,
        name="fine-grids-see-the-walls",
        statement="a grid with many more steps than walls meets nearly all cells of a line: share "
        "of the exact number",
        statistic=lines.share_seen(LINE),
        threshold=_FINE,
        sense="at least",
        hypothesis=lines.fine_enough(LINE),
    )
    coarse = replace(
        seen,
        statistic=lines.share_seen(LINE, steps=COARSE),
        hypothesis=lines.fine_enough(LINE, steps=COARSE),
    )
    return [
        bracketed,
        exchanged.as_control("changes-are-walls-of-another-line", "with the walls of another line"),
        seen,
        coarse.as_control("coarse-grids-see-the-walls", f"a grid of {COARSE} steps"),
        replace(
            seen,
            name="grids-never-see-too-many",
            statement="the number of cells that a grid meets grows with its points to the exact "
            "one, from below: least gain from a grid to one of twice its steps, and to the line",
            statistic=lines.least_gain(LINE),
            threshold=0,
        ),
    ]
